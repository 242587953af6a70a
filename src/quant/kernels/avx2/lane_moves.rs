//! Numbers that change their lanes: sums over a vector, rows that become columns.

use std::arch::x86_64::*;

/// The sum of the eight numbers.
#[inline]
#[target_feature(enable = "avx2")]
pub fn sum_of(v: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// Column `i` of the eight rows is row `i` of the result.
#[inline]
#[target_feature(enable = "avx2")]
pub fn transposed(r: [__m256; 8]) -> [__m256; 8] {
    // Pairs of rows interleaved, then fours, each within the halves of the vectors; then the halves.
    let pairs = eight!(i => match i % 2 {
        0 => _mm256_unpacklo_ps(r[i / 2 * 2], r[i / 2 * 2 + 1]),
        _ => _mm256_unpackhi_ps(r[i / 2 * 2], r[i / 2 * 2 + 1]),
    });
    let fours = eight!(i => {
        let (a, b) = (pairs[i / 4 * 4 + i % 4 / 2], pairs[i / 4 * 4 + i % 4 / 2 + 2]);
        match i % 2 {
            0 => _mm256_shuffle_ps::<0x44>(a, b),
            _ => _mm256_shuffle_ps::<0xee>(a, b),
        }
    });
    eight!(i => match i / 4 {
        0 => _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]),
        _ => _mm256_permute2f128_ps::<0x31>(fours[i - 4], fours[i]),
    })
}
