//! Rows of floats, as files have them: for a few tokens, and made into panels for more.

use std::arch::x86_64::*;
use std::ops::Range;

use super::lane_moves::{sum_of, transposed};
use crate::quant::kernels::forms::{Float, PANEL, PLACES, Rows, Tile, are_short, rows_together};
use crate::quant::pack;

/// Columns of a short row that are multiplied before another row's.
const STRIP: usize = 1024;

/// `x` `[tokens][cols]` times rows of floats; as many tokens as `out` has, at most
/// [`ROW_TOKENS`](crate::quant::kernels::forms::ROW_TOKENS).
///
/// # Safety
/// The machine must have AVX2, FMA and F16C.
pub unsafe fn float_rows(float: Float, rows: &Rows<'_>, x: &[f32], out: &mut Tile) {
    rows.check();
    assert_eq!(x.len(), rows.bytes / float.bytes() * out.len());
    // SAFETY: the features are the caller's promise; the two checks above hold what `several` reads.
    unsafe {
        match float {
            Float::F16 => tokens::<0>(rows, x, out),
            Float::BF16 => tokens::<1>(rows, x, out),
            Float::F32 => tokens::<2>(rows, x, out),
        }
    }
}

/// # Safety
/// As [`several`].
unsafe fn tokens<const FLOAT: u8>(rows: &Rows<'_>, x: &[f32], out: &mut Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        match out.len() {
            1 => tile::<FLOAT, 1, { rows_together(1) }, 2, 4>(rows, x, out),
            2 => tile::<FLOAT, 2, { rows_together(2) }, 1, 2>(rows, x, out),
            3 => tile::<FLOAT, 3, { rows_together(3) }, 1, 2>(rows, x, out),
            4 => tile::<FLOAT, 4, { rows_together(4) }, 1, 2>(rows, x, out),
            n => unreachable!("{n} tokens for rows"),
        }
    }
}

/// All rows: `G` together, with `A` sums for each, or, where tokens are short, one after the other, with
/// `B`. Rows that are left over have as many sums as the groups: which they are hangs on the threads.
///
/// # Safety
/// As [`several`].
unsafe fn tile<const FLOAT: u8, const T: usize, const G: usize, const A: usize, const B: usize>(
    rows: &Rows<'_>,
    x: &[f32],
    out: &mut Tile,
) {
    let float = [Float::F16, Float::BF16, Float::F32][usize::from(FLOAT)];
    let cols = rows.bytes / float.bytes();
    let row = |r: usize| rows.data[r * rows.bytes..(r + 1) * rows.bytes].as_ptr();
    out.fill([0.0; PANEL]);
    let mut first = 0;
    // SAFETY (of every call): these are columns of the rows, by the caller's promise.
    if are_short(T, cols) {
        for some in rows.which.chunks(PLACES) {
            for k in (0..cols).step_by(STRIP) {
                let part = k..cols.min(k + STRIP);
                for (i, &r) in (first..).zip(some) {
                    unsafe {
                        several::<FLOAT, T, 1, B>([row(r)], x, part.clone(), &mut out[..], i)
                    };
                }
            }
            first += some.len();
        }
        return;
    }
    let (groups, rest) = rows.which.as_chunks::<G>();
    for group in groups {
        unsafe { several::<FLOAT, T, G, A>(group.map(row), x, 0..cols, &mut out[..], first) };
        first += G;
    }
    for &r in rest {
        unsafe { several::<FLOAT, T, 1, A>([row(r)], x, 0..cols, &mut out[..], first) };
        first += 1;
    }
}

/// Eight numbers of `FLOAT` (F16, BF16, F32) from number `k` on.
///
/// # Safety
/// AVX2, F16C; `data` has them.
#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn eight_at<const FLOAT: u8>(data: *const u8, k: usize) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        if FLOAT == 2 {
            return _mm256_loadu_ps(data.add(k * 4).cast());
        }
        let words = _mm_loadu_si128(data.add(k * 2).cast());
        if FLOAT == 0 {
            return _mm256_cvtph_ps(words);
        }
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(words)))
    }
}

/// Number `k` of `FLOAT` (F16, BF16, F32).
///
/// # Safety
/// F16C; `data` has it.
#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn one_at<const FLOAT: u8>(data: *const u8, k: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let word = || data.cast::<u16>().add(k).read_unaligned();
        match FLOAT {
            0 => _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(word())))),
            1 => f32::from_bits(u32::from(word()) << 16),
            _ => data.cast::<f32>().add(k).read_unaligned(),
        }
    }
}

/// Adds columns `part` of `T` tokens times `G` rows to rows `first..` of the tile. Each number of a token
/// is loaded once for all the rows. `A` sums for each, for their latency.
///
/// # Safety
/// AVX2, FMA, F16C; the rows and each of the `T` tokens of `x` have these columns.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn several<const FLOAT: u8, const T: usize, const G: usize, const A: usize>(
    rows: [*const u8; G],
    x: &[f32],
    part: Range<usize>,
    out: &mut Tile,
    first: usize,
) {
    const N: usize = 8;
    let cols = x.len() / T;
    let mut acc = [[[_mm256_setzero_ps(); G]; T]; A];
    let whole = part.end - part.len() % (N * A);
    // SAFETY: numbers of these columns, of the rows and of the tokens, by the caller's promise.
    unsafe {
        for k in (part.start..whole).step_by(N * A) {
            for a in 0..A {
                let mut tokens = [_mm256_setzero_ps(); T];
                for t in 0..T {
                    tokens[t] = _mm256_loadu_ps(x.as_ptr().add(t * cols + k + N * a));
                }
                for g in 0..G {
                    let w = eight_at::<FLOAT>(rows[g], k + N * a);
                    for t in 0..T {
                        acc[a][t][g] = _mm256_fmadd_ps(w, tokens[t], acc[a][t][g]);
                    }
                }
            }
        }
        for t in 0..T {
            for g in 0..G {
                let mut sum = acc[0][t][g];
                for a in 1..A {
                    sum = _mm256_add_ps(sum, acc[a][t][g]);
                }
                let mut sum = sum_of(sum);
                for k in whole..part.end {
                    sum += one_at::<FLOAT>(rows[g], k) * x[t * cols + k];
                }
                out[t][first + g] += sum;
            }
        }
    }
}

/// Columns `part` of rows of floats to a panel, eight rows at a time: [`pack::float_panel`].
///
/// # Safety
/// The machine must have AVX2.
pub unsafe fn float_panel(
    float: Float,
    rows: &[u8],
    row: usize,
    part: Range<usize>,
    out: &mut [u8],
) {
    let n = float.bytes();
    let whole = (part.len() * n).is_multiple_of(VECTOR);
    if rows.len() < PANEL * row || !whole {
        return match n {
            2 => pack::float_panel::<2>(rows, row, part, out),
            _ => pack::float_panel::<4>(rows, row, part, out),
        };
    }
    assert!(part.end * n <= row && out.len() >= PANEL * part.len() * n);
    // SAFETY: the features are the caller's promise; the checks above hold what is read and written.
    unsafe {
        match n {
            2 => panel::<2>(rows, row, part, out),
            _ => panel::<4>(rows, row, part, out),
        }
    }
}

/// Bytes of a vector: sixteen numbers of two bytes, or eight of four.
const VECTOR: usize = 32;

/// A vector of columns at a time.
///
/// # Safety
/// AVX2; sixteen rows of `row` bytes with columns `part`, whole vectors of numbers of `N` bytes, and room
/// for them in `out`.
#[target_feature(enable = "avx2")]
unsafe fn panel<const N: usize>(rows: &[u8], row: usize, part: Range<usize>, out: &mut [u8]) {
    let mut to = out.as_mut_ptr();
    for at in (part.start * N..part.end * N).step_by(VECTOR) {
        // SAFETY: a vector of each of eight rows, by the caller's promise.
        let words = |first: usize| unsafe {
            let from = rows.as_ptr().add(first * row + at);
            transposed(eight!(r => _mm256_loadu_ps(from.add(r * row).cast())))
        };
        let (upper, lower) = (words(0), words(8));
        for j in 0..8 {
            let (a, b) = match N {
                2 => pairs_apart(upper[j], lower[j]),
                _ => (upper[j], lower[j]),
            };
            // SAFETY: columns of the panel that the vectors hold, by the caller's promise.
            unsafe {
                _mm256_storeu_ps(to.cast(), a);
                _mm256_storeu_ps(to.add(VECTOR).cast(), b);
                to = to.add(2 * VECTOR);
            }
        }
    }
}

/// Of words of two halves each, the sixteen lower halves and the sixteen upper ones.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs_apart(a: __m256, b: __m256) -> (__m256, __m256) {
    let (a, b) = (_mm256_castps_si256(a), _mm256_castps_si256(b));
    // `packus` works within the halves of the vectors: their quarters are put in order after it.
    let join = |a, b| {
        let joined = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(a, b));
        _mm256_castsi256_ps(joined)
    };
    let low = |v| _mm256_and_si256(v, _mm256_set1_epi32(0xffff));
    let high = |v| _mm256_srli_epi32::<16>(v);
    (join(low(a), low(b)), join(high(a), high(b)))
}
