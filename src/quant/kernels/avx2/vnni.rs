//! Integer panels on 256-bit vectors where one instruction (`vpdpbusd`) sums four products in 32
//! bits. Signed codes are offset by 128, and the activations' sum corrects for it.

use std::arch::x86_64::*;

use super::int::{EightScales, scales, unpack};
use crate::quant::kernels::activations::Quantized;
use crate::quant::kernels::forms::{BLOCK, Form, IntPanel, Scales, Tile};
use crate::quant::kernels::prefetch::prefetch;

/// How the machine encodes the instruction: with AVX-VNNI, or with AVX-512 VNNI and VL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Vex,
    Evex,
}

impl Encoding {
    /// The encoding that this machine has.
    pub fn detect() -> Option<Self> {
        if !super::is_available() {
            None
        } else if is_x86_feature_detected!("avxvnni") {
            Some(Self::Vex)
        } else if is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("avx512vnni") {
            Some(Self::Evex)
        } else {
            None
        }
    }
}

/// Rows of activations `t0..` times a panel; as many as `out` has, at most [`super::INT_TILE`].
///
/// # Safety
/// The machine must have AVX2, FMA, F16C, and VNNI in `encoding`.
pub unsafe fn int_tile<F: Form>(
    encoding: Encoding,
    panel: &IntPanel<'_>,
    x: &Quantized,
    t0: usize,
    out: &mut Tile,
) {
    panel.check::<F>();
    x.check(t0, out.len(), panel.blocks);
    // SAFETY: the features are the caller's promise; the two checks above hold what `tile` reads.
    unsafe {
        match encoding {
            Encoding::Vex => vex::tiles::<F>(panel, x, t0, out),
            Encoding::Evex => evex::tiles::<F>(panel, x, t0, out),
        }
    }
}

/// The kernel for one encoding: target features and instructions cannot be generic.
macro_rules! kernel {
    ($features:literal, $dpbusd:ident) => {
        use super::*;

        /// # Safety
        /// The features; `panel` and `x` checked for blocks and tokens `t0..t0 + out.len()`.
        pub unsafe fn tiles<F: Form>(
            panel: &IntPanel<'_>,
            x: &Quantized,
            t0: usize,
            out: &mut Tile,
        ) {
            // SAFETY: the caller's promise.
            unsafe {
                match out.len() {
                    1 => tile::<F, 1, 2>(panel, x, t0, out),
                    2 => tile::<F, 2, 2>(panel, x, t0, out),
                    3 => tile::<F, 3, 1>(panel, x, t0, out),
                    4 => tile::<F, 4, 1>(panel, x, t0, out),
                    n => unreachable!("a tile of {n} tokens"),
                }
            }
        }

        /// `T` tokens times a panel, `H` of its two halves in each pass over the blocks.
        ///
        /// # Safety
        /// As [`tiles`].
        #[target_feature(enable = $features)]
        unsafe fn tile<F: Form, const T: usize, const H: usize>(
            panel: &IntPanel<'_>,
            x: &Quantized,
            t0: usize,
            out: &mut Tile,
        ) {
            // SAFETY: rows `t0 + t` are inside `x`, by the caller's check.
            let rows: [(*const i8, *const [f32; 4], *const [f32; 2]); T] =
                std::array::from_fn(|t| unsafe {
                    (
                        x.codes.as_ptr().add((t0 + t) * x.stride),
                        x.meta.as_ptr().add((t0 + t) * x.blocks),
                        x.halves.as_ptr().add((t0 + t) * x.blocks),
                    )
                });
            for first in (0..2).step_by(H) {
                let mut acc = [[_mm256_setzero_ps(); T]; H];
                // SAFETY: block `b` lies inside the panel and the rows of `x`, by the caller's
                // checks.
                unsafe {
                    each_block!(F, panel, |b, i, codes, record| {
                        prefetch::<F>(codes, record, i);
                        for h in 0..H {
                            let mut w = unpack::<F>(codes, first + h);
                            if F::CODES.is_signed() {
                                w = eight!(g => _mm256_xor_si256(w[g], _mm256_set1_epi8(-128)));
                            }
                            let s = scales::<F>(record, i, first + h);
                            for t in 0..T {
                                let (a, meta, halves) = rows[t];
                                let a = a.add(b * BLOCK);
                                let dot = |from: usize, to: usize| {
                                    let mut sum = _mm256_setzero_si256();
                                    for g in from..to {
                                        let four = a.add(4 * g).cast::<i32>().read_unaligned();
                                        sum = $dpbusd(sum, w[g], _mm256_set1_epi32(four));
                                    }
                                    sum
                                };
                                let dots = match F::SCALES.by_halves() {
                                    true => [dot(0, 4), dot(4, 8)],
                                    false => [dot(0, 8), _mm256_setzero_si256()],
                                };
                                let (meta, halves) = (&*meta.add(b), &*halves.add(b));
                                acc[h][t] = scaled::<F>(dots, &s, meta, halves, acc[h][t]);
                            }
                        }
                    });
                }
                for h in 0..H {
                    for t in 0..T {
                        let eight = &mut out[t][(first + h) * 8..][..8];
                        // SAFETY: eight floats.
                        unsafe { _mm256_storeu_ps(eight.as_mut_ptr(), acc[h][t]) };
                    }
                }
            }
        }
    };
}

mod vex {
    kernel!("avx2,fma,f16c,avxvnni", _mm256_dpbusd_avx_epi32);
}

mod evex {
    kernel!(
        "avx2,fma,f16c,avx512f,avx512vl,avx512vnni",
        _mm256_dpbusd_epi32
    );
}

/// As [`super::int::scaled`], for signed codes that were offset by 128.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn scaled<F: Form>(
    dots: [__m256i; 2],
    s: &EightScales,
    meta: &[f32; 4],
    halves: &[f32; 2],
    acc: __m256,
) -> __m256 {
    match F::SCALES {
        Scales::Block { offset: 0 } => {
            let dot = _mm256_cvtepi32_ps(dots[0]);
            let y = _mm256_fmadd_ps(dot, _mm256_set1_ps(meta[0]), _mm256_set1_ps(meta[3]));
            _mm256_fmadd_ps(s.scale[0], y, acc)
        }
        _ => super::int::scaled::<F>(dots, s, meta, halves, acc),
    }
}
