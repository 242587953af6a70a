//! Activations to INT8 blocks, 32 numbers in four vectors.

use std::arch::x86_64::*;

use crate::quant::kernels::activations::{QuantizedRows, ScaleAndSums, each_block, largest_code};
use crate::quant::kernels::forms::BLOCK;

/// [`crate::quant::kernels::activations::quantize`] in these instructions; the result is the same to
/// the bit.
///
/// # Safety
/// The machine must have AVX2.
#[target_feature(enable = "avx2")]
pub unsafe fn quantize(x: &[f32], out: QuantizedRows<'_>) {
    // SAFETY: AVX2 is the caller's promise.
    each_block(x, out, |x, codes| unsafe { block(x, codes) });
}

/// One block of [`each_block`].
///
/// # Safety
/// The machine must have AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn block(x: &[f32; BLOCK], codes: &mut [i8; BLOCK]) -> ScaleAndSums {
    // SAFETY: eight of the block's numbers.
    let x: [__m256; 4] = [0, 8, 16, 24].map(|i| unsafe { _mm256_loadu_ps(x.as_ptr().add(i)) });
    // The bits of magnitudes are in their order, with infinity and NaN above all numbers.
    let magnitude = _mm256_set1_epi32(i32::MAX);
    let abs = x.map(|v| _mm256_and_si256(_mm256_castps_si256(v), magnitude));
    let zero = _mm256_setzero_si256();
    let max = abs.iter().fold(zero, |m, &v| _mm256_max_epi32(v, m));
    let max = _mm_max_epi32(
        _mm256_castsi256_si128(max),
        _mm256_extracti128_si256::<1>(max),
    );
    let max = _mm_max_epi32(max, _mm_shuffle_epi32::<0b01_00_11_10>(max));
    let max = _mm_max_epi32(max, _mm_shuffle_epi32::<0b10_11_00_01>(max));
    let (scale, inverse) = largest_code(f32::from_bits(_mm_cvtsi128_si32(max) as u32));
    let Some(inverse) = inverse else {
        codes.fill(0);
        return (scale, [0; 2]);
    };
    let factor = _mm256_set1_ps(inverse);
    // Ties to even, the processor's own rounding.
    let [a, b, c, d] = x.map(|v| _mm256_cvtps_epi32(_mm256_mul_ps(v, factor)));
    let words = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    // Packing works within the halves of a vector: fours of codes are put back in order.
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let words = _mm256_permutevar8x32_epi32(words, order);
    // SAFETY: 32 bytes.
    unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast(), words) };
    let pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), words);
    let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    let sums = _mm256_add_epi32(fours, _mm256_shuffle_epi32::<0b01_00_11_10>(fours));
    let sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32::<0b10_11_00_01>(sums));
    let halves = [
        _mm256_extract_epi32::<0>(sums),
        _mm256_extract_epi32::<4>(sums),
    ];
    (scale, halves)
}

#[cfg(test)]
mod tests {
    use crate::quant::kernels::Isa;
    use crate::quant::kernels::activations::{Quantized, QuantizedRows};
    use crate::quant::kernels::forms::BLOCK;

    fn quantized(isa: Isa, x: &[f32], t: usize) -> Quantized {
        let mut out = Quantized::default();
        out.resize(t, x.len() / t);
        let (stride, blocks) = (out.stride, out.blocks);
        let rows = QuantizedRows {
            codes: &mut out.codes,
            stride,
            meta: &mut out.meta,
            halves: &mut out.halves,
            sums: &mut out.sums,
            blocks,
        };
        isa.quantize(x, rows);
        out
    }

    #[test]
    fn every_set_gives_the_same_blocks() {
        // Halves of a step too, which round to even: a block whose largest is 127 has step 1.
        let mut x: Vec<f32> = (0..6 * BLOCK)
            .map(|i| ((i * 7919 + 13) % 509) as f32 / 2.0 - 127.0)
            .collect();
        x[..BLOCK].fill(0.0);
        x[BLOCK] = 127.0;
        x[2 * BLOCK] = -127.0;
        x[3 * BLOCK..4 * BLOCK].iter_mut().for_each(|v| *v *= 1e-30);
        // Blocks whose reciprocal overflows, and what is no number.
        x[5 * BLOCK..6 * BLOCK].iter_mut().for_each(|v| *v *= 1e-40);
        for odd in [1.0, f32::MAX, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            x[4 * BLOCK + 7] = odd;
            let wanted = quantized(Isa::PORTABLE, &x, 2);
            assert_eq!(wanted.meta[4][0].is_nan(), !odd.is_finite(), "{odd}");
            for isa in Isa::available() {
                let got = quantized(isa, &x, 2);
                // As text, in which a NaN equals another.
                let floats = |q: &Quantized| format!("{:?} {:?}", q.meta, q.halves);
                assert_eq!(got.codes, wanted.codes, "{} {odd}", isa.name());
                assert_eq!(floats(&got), floats(&wanted), "{} {odd}", isa.name());
                assert_eq!(got.sums, wanted.sums, "{} {odd}", isa.name());
            }
        }
    }
}
