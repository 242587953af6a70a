//! Rows of Q8_0 on 256-bit vectors: a block to a vector, its products by `vpdpbusd` where the machine
//! has it, else by `vpmaddubsw`.

use std::arch::x86_64::*;

use super::lane_moves::{sum_of, transposed};
use super::vnni::Encoding;
use crate::quant::kernels::activations::Quantized;
use crate::quant::kernels::forms::{BLOCK, Form, GROUP, PANEL, Q8_0, Q8_BYTES, Rows, Tile};
use crate::quant::pack;

/// Rows of activations `t0..` times rows of Q8_0; as many as `out` has, at most
/// [`ROW_TOKENS`](crate::quant::kernels::forms::ROW_TOKENS).
///
/// # Safety
/// The machine must have AVX2, FMA, F16C, and VNNI in `vnni` if that is one.
pub unsafe fn q8_rows(
    vnni: Option<Encoding>,
    rows: &Rows<'_>,
    x: &Quantized,
    t0: usize,
    out: &mut Tile,
) {
    rows.check();
    x.check(t0, out.len(), rows.bytes / Q8_BYTES);
    // SAFETY: the features are the caller's promise; the two checks above hold what `tile` reads.
    unsafe {
        match vnni {
            None => plain::tokens(rows, x, t0, out),
            Some(Encoding::Vex) => vex::tokens(rows, x, t0, out),
            Some(Encoding::Evex) => evex::tokens(rows, x, t0, out),
        }
    }
}

/// Where a token's codes and scales begin.
type Token = (*const i8, *const [f32; 4]);

/// The kernel for one way to multiply, `$scaled(w, a, meta)`: target features cannot be generic.
macro_rules! kernel {
    ($features:literal, $scaled:item) => {
        use super::*;

        $scaled

        /// # Safety
        /// The features; `rows` and `x` checked for tokens `t0..t0 + out.len()`.
        pub unsafe fn tokens(rows: &Rows<'_>, x: &Quantized, t0: usize, out: &mut Tile) {
            // SAFETY: the caller's promise.
            unsafe {
                match out.len() {
                    1 => tile::<1, 4>(rows, x, t0, out),
                    2 => tile::<2, 2>(rows, x, t0, out),
                    3 => tile::<3, 2>(rows, x, t0, out),
                    4 => tile::<4, 2>(rows, x, t0, out),
                    n => unreachable!("{n} tokens for rows"),
                }
            }
        }

        /// `T` tokens, each with `A` sums for their latency.
        ///
        /// # Safety
        /// As [`tokens`].
        #[target_feature(enable = $features)]
        unsafe fn tile<const T: usize, const A: usize>(
            rows: &Rows<'_>,
            x: &Quantized,
            t0: usize,
            out: &mut Tile,
        ) {
            // SAFETY: rows `t0 + t` are inside `x`, by the caller's checks.
            let tokens: [Token; T] = std::array::from_fn(|t| unsafe {
                (
                    x.codes.as_ptr().add((t0 + t) * x.stride),
                    x.meta.as_ptr().add((t0 + t) * x.blocks),
                )
            });
            for (i, &r) in rows.which.iter().enumerate() {
                let mut acc = [[_mm256_setzero_ps(); T]; A];
                let mut b = 0;
                // SAFETY: block `b` lies inside the row and the tokens, by the caller's checks.
                unsafe {
                    let row = rows.data.as_ptr().add(r * rows.bytes);
                    while b + A <= x.blocks {
                        for a in 0..A {
                            acc[a] = add(acc[a], row, &tokens, b + a);
                        }
                        b += A;
                    }
                    while b < x.blocks {
                        acc[0] = add(acc[0], row, &tokens, b);
                        b += 1;
                    }
                }
                for t in 0..T {
                    let mut sum = acc[0][t];
                    for a in 1..A {
                        sum = _mm256_add_ps(sum, acc[a][t]);
                    }
                    out[t][i] = sum_of(sum);
                }
            }
        }

        /// `acc` and the products of block `b` of a row with each token's.
        ///
        /// # Safety
        /// The features; the row and the tokens have that block.
        #[inline]
        #[target_feature(enable = $features)]
        unsafe fn add<const T: usize>(
            mut acc: [__m256; T],
            row: *const u8,
            tokens: &[Token; T],
            b: usize,
        ) -> [__m256; T] {
            // SAFETY: the caller's promise.
            unsafe {
                let block = row.add(b * Q8_BYTES);
                let bits = block.cast::<i16>().read_unaligned();
                let scale = _mm256_cvtph_ps(_mm_set1_epi16(bits));
                let w = _mm256_loadu_si256(block.add(2).cast());
                for t in 0..T {
                    let (codes, meta) = tokens[t];
                    let a = _mm256_loadu_si256(codes.add(b * BLOCK).cast());
                    let y = scaled(w, a, &*meta.add(b));
                    acc[t] = _mm256_fmadd_ps(scale, y, acc[t]);
                }
            }
            acc
        }
    };
}

mod plain {
    kernel!(
        "avx2,fma,f16c",
        /// The products of a block, eight sums of four, times the activations' scale. Two products
        /// fit 16 bits: 128 · 127 · 2 is 32 512.
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c")]
        fn scaled(w: __m256i, a: __m256i, meta: &[f32; 4]) -> __m256 {
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
            let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
            _mm256_mul_ps(_mm256_cvtepi32_ps(fours), _mm256_set1_ps(meta[0]))
        }
    );
}

/// Codes offset by 128, and the activations' sum, in one of the eight, to correct for it.
macro_rules! vnni {
    ($features:literal, $dpbusd:ident) => {
        kernel!(
            $features,
            /// The products of a block, eight sums of four, times the activations' scale.
            #[inline]
            #[target_feature(enable = $features)]
            fn scaled(w: __m256i, a: __m256i, meta: &[f32; 4]) -> __m256 {
                let w = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
                let fours = _mm256_cvtepi32_ps($dpbusd(_mm256_setzero_si256(), w, a));
                let correction = _mm256_zextps128_ps256(_mm_set_ss(meta[3]));
                _mm256_fmadd_ps(fours, _mm256_set1_ps(meta[0]), correction)
            }
        );
    };
}

mod vex {
    vnni!("avx2,fma,f16c,avxvnni", _mm256_dpbusd_avx_epi32);
}

mod evex {
    vnni!(
        "avx2,fma,f16c,avx512f,avx512vl,avx512vnni",
        _mm256_dpbusd_epi32
    );
}

/// Rows of Q8_0 to a panel, eight rows at a time: [`pack::panel`].
///
/// # Safety
/// The machine must have AVX2.
pub unsafe fn q8_panel(rows: &[u8], blocks: usize, out: &mut [u8]) {
    if rows.len() < PANEL * blocks * Q8_BYTES {
        return pack::panel::<Q8_0>(rows, blocks, out);
    }
    assert!(Q8_0::panel_bytes(blocks).is_some_and(|n| out.len() >= n));
    // SAFETY: the features are the caller's promise; the checks above hold what is read and written.
    unsafe { panel(rows, blocks, out) }
}

/// # Safety
/// AVX2; sixteen rows, and room for them in `out`.
#[target_feature(enable = "avx2")]
unsafe fn panel(rows: &[u8], blocks: usize, out: &mut [u8]) {
    for b in 0..blocks {
        let (codes, record) = (Q8_0::codes_at(b), Q8_0::record_at(b));
        for first in [0, 8] {
            // SAFETY: block `b` of eight rows, and of the panel, by the caller's promise.
            unsafe {
                let row = rows.as_ptr().add((first * blocks + b) * Q8_BYTES);
                let at = |r: usize| row.add(r * blocks * Q8_BYTES);
                let groups = transposed(eight!(r => _mm256_loadu_ps(at(r).add(2).cast())));
                for (g, four_columns) in groups.into_iter().enumerate() {
                    let to = out.as_mut_ptr().add(codes + g * GROUP + first * 4);
                    _mm256_storeu_ps(to.cast(), four_columns);
                }
                let scales = out
                    .as_mut_ptr()
                    .add(record + first * 2)
                    .cast::<[[u8; 2]; 8]>();
                *scales = eight!(r => *at(r).cast::<[u8; 2]>());
            }
        }
    }
}
