//! Products of four rows' codes with one token's: by `sdot`, or by multiplication and pairwise sums.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::quant::kernels::forms::{Codes, Form};

/// A way to multiply codes.
pub trait Dot {
    /// Products of `N` (four or eight) groups of four rows' codes with one token's, summed for
    /// each row.
    ///
    /// # Safety
    /// The machine must have the instructions; `a` points to `4 * N` codes.
    unsafe fn dot<F: Form, const N: usize>(w: &[int8x16_t; N], a: *const i8) -> int32x4_t;
}

/// NEON as every machine has it.
pub struct Plain;

impl Dot for Plain {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn dot<F: Form, const N: usize>(w: &[int8x16_t; N], a: *const i8) -> int32x4_t {
        // The products that a 16-bit sum can hold, 127 times the largest code each: 3 937 of five
        // bits, 8 001 of six, 16 256 of eight.
        let depth = match F::CODES {
            Codes::Four | Codes::Two | Codes::Three | Codes::Five => 8,
            Codes::Six => 4,
            Codes::Byte | Codes::Table => 2,
        };
        let mut sums = [vdupq_n_s32(0); 2];
        let mut deep = [vdupq_n_s16(0); 2];
        for (g, &w) in w.iter().enumerate() {
            // SAFETY: four of the codes at `a`.
            let a = vdupq_n_s32(unsafe { a.add(4 * g).cast::<i32>().read_unaligned() });
            let a = vreinterpretq_s8_s32(a);
            deep = match g % depth {
                0 => [
                    vmull_s8(vget_low_s8(w), vget_low_s8(a)),
                    vmull_high_s8(w, a),
                ],
                _ => [
                    vmlal_s8(deep[0], vget_low_s8(w), vget_low_s8(a)),
                    vmlal_high_s8(deep[1], w, a),
                ],
            };
            if g % depth == depth - 1 || g == N - 1 {
                sums = [vpadalq_s16(sums[0], deep[0]), vpadalq_s16(sums[1], deep[1])];
            }
        }
        vpaddq_s32(sums[0], sums[1])
    }
}

/// The dot products of ARMv8.2.
pub struct Sdot;

impl Dot for Sdot {
    #[inline]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn dot<F: Form, const N: usize>(w: &[int8x16_t; N], a: *const i8) -> int32x4_t {
        let mut sum = vdupq_n_s32(0);
        for (i, w) in w.as_chunks::<4>().0.iter().enumerate() {
            // SAFETY: sixteen of the codes at `a`.
            let a = unsafe { vld1q_s8(a.add(16 * i)) };
            sum = sdot::<0>(sum, w[0], a);
            sum = sdot::<1>(sum, w[1], a);
            sum = sdot::<2>(sum, w[2], a);
            sum = sdot::<3>(sum, w[3], a);
        }
        sum
    }
}

/// `sum` and, for each four bytes of `w`, their products with bytes `4 * LANE..4 * LANE + 4` of
/// `a`: what the standard library's `vdotq_laneq_s32` does, which is not stable yet.
///
/// # Safety
/// The machine must have the instruction.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot<const LANE: i32>(sum: int32x4_t, w: int8x16_t, a: int8x16_t) -> int32x4_t {
    let mut sum = sum;
    // SAFETY: one instruction, which the function's features hold, on the three registers named.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {w:v}.16b, {a:v}.4b[{lane}]",
            sum = inout(vreg) sum,
            w = in(vreg) w,
            a = in(vreg) a,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}
