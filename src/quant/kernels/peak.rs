//! How fast an instruction set multiplies what is in registers already: the ceiling of prompts.

use std::hint::black_box;

/// What is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Multiply {
    /// Signed by unsigned bytes.
    Int8,
    /// f32, with a multiply-add.
    F32,
}

/// Sums that do not wait for each other: more than an instruction's latency times two of them in
/// each cycle, and few enough for 16 registers.
#[cfg(target_arch = "x86_64")]
const CHAINS: usize = 12;
#[cfg(target_arch = "x86_64")]
const ROUNDS: usize = 4096;

/// Plain Rust, as the compiler makes vectors of it; returns the multiply-adds that were done.
pub fn portable(what: Multiply) -> usize {
    const LANES: usize = 64;
    const ROUNDS: usize = 512;
    match what {
        Multiply::Int8 => {
            let (a, b) = (black_box([3i8; LANES]), black_box([5i8; LANES]));
            let mut sums = [0i32; LANES];
            for _ in 0..ROUNDS {
                let (a, b) = (black_box(&a), black_box(&b));
                for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                    *sum = sum.wrapping_add(i32::from(i16::from(*a) * i16::from(*b)));
                }
            }
            black_box(sums);
        }
        Multiply::F32 => {
            let b = black_box([1.000_1f32; LANES]);
            let mut sums = [0f32; LANES];
            for _ in 0..ROUNDS {
                for (sum, b) in sums.iter_mut().zip(black_box(&b)) {
                    *sum += b * 3.0;
                }
            }
            black_box(sums);
        }
    }
    LANES * ROUNDS
}

/// `vpmaddubsw` or `vfmadd`; returns the multiply-adds that were done.
///
/// # Safety
/// The machine must have AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub unsafe fn avx2(what: Multiply) -> usize {
    use std::arch::x86_64::*;
    let lanes = match what {
        Multiply::Int8 => {
            let a = _mm256_set1_epi8(black_box(3));
            let mut sums = [_mm256_set1_epi8(black_box(5)); CHAINS];
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = _mm256_maddubs_epi16(*sum, a);
                }
            }
            black_box(sums);
            32
        }
        Multiply::F32 => {
            let a = _mm256_set1_ps(black_box(0.5));
            let mut sums = [_mm256_set1_ps(black_box(1.0)); CHAINS];
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = _mm256_fmadd_ps(*sum, a, a);
                }
            }
            black_box(sums);
            8
        }
    };
    lanes * CHAINS * ROUNDS
}

/// `vpdpbusd` or `vfmadd`; returns the multiply-adds that were done.
///
/// # Safety
/// The machine must have AVX-512F and AVX-512VNNI.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
pub unsafe fn avx512(what: Multiply) -> usize {
    use std::arch::x86_64::*;
    let lanes = match what {
        Multiply::Int8 => {
            let a = _mm512_set1_epi8(black_box(3));
            let mut sums = [_mm512_set1_epi32(black_box(0)); CHAINS];
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = _mm512_dpbusd_epi32(*sum, a, a);
                }
            }
            black_box(sums);
            64
        }
        Multiply::F32 => {
            let a = _mm512_set1_ps(black_box(0.5));
            let mut sums = [_mm512_set1_ps(black_box(1.0)); CHAINS];
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = _mm512_fmadd_ps(*sum, a, a);
                }
            }
            black_box(sums);
            16
        }
    };
    lanes * CHAINS * ROUNDS
}
