//! Rows of Q8_0: half a block to a vector.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::quant::kernels::activations::Quantized;
use crate::quant::kernels::forms::{BLOCK, PANEL, Q8_BYTES, Rows, Tile};

/// Rows of activations `t0..` times rows of Q8_0; as many as `out` has.
pub fn q8_rows(rows: &Rows<'_>, x: &Quantized, t0: usize, out: &mut Tile) {
    // SAFETY: every machine has NEON.
    each_block(rows, x, t0, out, |w, a| unsafe { plain(w, a) });
}

/// [`q8_rows`] by `sdot`.
///
/// # Safety
/// The machine must have the dot products of ARMv8.2.
pub unsafe fn q8_rows_dotprod(rows: &Rows<'_>, x: &Quantized, t0: usize, out: &mut Tile) {
    // SAFETY: the caller's promise.
    each_block(rows, x, t0, out, |w, a| unsafe { sdot(w, a) });
}

/// `dot` sums the products of a block's codes with a token's in four parts.
#[inline(always)]
fn each_block(
    rows: &Rows<'_>,
    x: &Quantized,
    t0: usize,
    out: &mut Tile,
    dot: impl Fn([int8x16_t; 2], [int8x16_t; 2]) -> int32x4_t,
) {
    rows.check();
    x.check(t0, out.len(), rows.bytes / Q8_BYTES);
    for (i, &r) in rows.which.iter().enumerate() {
        // SAFETY: every machine has NEON; block `b` lies inside the row and the tokens, by the checks
        // above.
        unsafe {
            let row = rows.data.as_ptr().add(r * rows.bytes);
            let mut acc = [vdupq_n_f32(0.0); PANEL];
            let acc = &mut acc[..out.len()];
            for b in 0..x.blocks {
                let block = row.add(b * Q8_BYTES);
                let bits = vdup_n_u16(block.cast::<u16>().read_unaligned());
                let scale = vcvt_f32_f16(vreinterpret_f16_u16(bits));
                let codes = |p: *const i8| [vld1q_s8(p), vld1q_s8(p.add(BLOCK / 2))];
                let w = codes(block.add(2).cast());
                for (t, acc) in (t0..).zip(acc.iter_mut()) {
                    let a = codes(x.codes.as_ptr().add(t * x.stride + b * BLOCK));
                    let y = vmulq_n_f32(vcvtq_f32_s32(dot(w, a)), x.meta[t * x.blocks + b][0]);
                    *acc = vfmaq_f32(*acc, scale, y);
                }
            }
            for (out, acc) in out.iter_mut().zip(acc) {
                out[i] = vaddvq_f32(*acc);
            }
        }
    }
}

/// By multiplication: two products fit 16 bits, 128 · 127 · 2 being 32 512.
///
/// # Safety
/// The machine must have NEON.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn plain(w: [int8x16_t; 2], a: [int8x16_t; 2]) -> int32x4_t {
    let two = |w, a| {
        let low = vmull_s8(vget_low_s8(w), vget_low_s8(a));
        vmlal_high_s8(low, w, a)
    };
    vpadalq_s16(vpaddlq_s16(two(w[0], a[0])), two(w[1], a[1]))
}

/// By `sdot`, which the standard library does not have yet.
///
/// # Safety
/// The machine must have the instruction.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn sdot(w: [int8x16_t; 2], a: [int8x16_t; 2]) -> int32x4_t {
    let mut sum = vdupq_n_s32(0);
    for (w, a) in w.into_iter().zip(a) {
        // SAFETY: one instruction, which the function's features hold, on the three registers named.
        unsafe {
            asm!(
                "sdot {sum:v}.4s, {w:v}.16b, {a:v}.16b",
                sum = inout(vreg) sum,
                w = in(vreg) w,
                a = in(vreg) a,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
    }
    sum
}
