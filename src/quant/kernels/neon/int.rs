//! Integer panels: products of signed bytes summed for each row, scaled once per block.

use std::arch::aarch64::*;

use super::dot::{Dot, Plain, Sdot};
use super::unpack::{FourScales, scales, unpack};
use crate::quant::kernels::activations::Quantized;
use crate::quant::kernels::forms::{BLOCK, Form, IntPanel, Scales, Tile};

/// Rows of activations `t0..` times a panel; as many as `out` has: 1, 2, 3, 4, 6 or 8.
pub fn int_tile<F: Form>(panel: &IntPanel<'_>, x: &Quantized, t0: usize, out: &mut Tile) {
    // SAFETY: every machine has what `Plain` needs.
    unsafe { tiles::<Plain, F>(panel, x, t0, out) }
}

/// [`int_tile`] with dot products.
///
/// # Safety
/// The machine must have them.
#[target_feature(enable = "neon,dotprod")]
pub unsafe fn int_tile_dotprod<F: Form>(
    panel: &IntPanel<'_>,
    x: &Quantized,
    t0: usize,
    out: &mut Tile,
) {
    // SAFETY: the instruction is the caller's promise.
    unsafe { tiles::<Sdot, F>(panel, x, t0, out) }
}

/// # Safety
/// The machine must have the instructions of `D`.
#[inline(always)] // into the function that has the features of `D`
unsafe fn tiles<D: Dot, F: Form>(panel: &IntPanel<'_>, x: &Quantized, t0: usize, out: &mut Tile) {
    panel.check::<F>();
    x.check(t0, out.len(), panel.blocks);
    // SAFETY: the features are the caller's promise; the two checks above hold what `tile` reads.
    unsafe {
        match out.len() {
            1 => tile::<D, F, 1, 4>(panel, x, t0, out),
            2 => tile::<D, F, 2, 4>(panel, x, t0, out),
            3 => tile::<D, F, 3, 4>(panel, x, t0, out),
            4 => tile::<D, F, 4, 4>(panel, x, t0, out),
            6 => tile::<D, F, 6, 2>(panel, x, t0, out),
            8 => tile::<D, F, 8, 2>(panel, x, t0, out),
            n => unreachable!("a tile of {n} tokens"),
        }
    }
}

/// `T` tokens times a panel, `Q` of its four quarters in each pass over the blocks: sixteen sums
/// leave as many registers for codes and scales.
///
/// # Safety
/// The instructions of `D`; `panel` and `x` checked for blocks and tokens `t0..t0 + T`.
#[inline(always)]
unsafe fn tile<D: Dot, F: Form, const T: usize, const Q: usize>(
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
    for first in (0..4).step_by(Q) {
        // SAFETY: block `b` lies inside the panel and the rows of `x`, by the caller's
        // checks.
        unsafe {
            let mut acc = [[vdupq_n_f32(0.0); T]; Q];
            each_block!(F, panel, |b, i, codes, record| {
                unrolled!(q < Q, {
                    let w = unpack::<F>(codes, first + q);
                    let s = scales::<F>(record, i, first + q);
                    unrolled!(t < T, {
                        let (a, meta, halves) = rows[t];
                        let dots = dots::<D, F>(&w, a.add(b * BLOCK));
                        let (meta, halves) = (&*meta.add(b), &*halves.add(b));
                        acc[q][t] = scaled::<F>(dots, &s, meta, halves, acc[q][t]);
                    });
                });
            });
            unrolled!(q < Q, {
                unrolled!(t < T, {
                    let four = &mut out[t][(first + q) * 4..][..4];
                    vst1q_f32(four.as_mut_ptr(), acc[q][t]);
                });
            });
        }
    }
}

/// Products of the two halves of a block of codes with one token's, or, where they share a scale,
/// of the whole block twice.
///
/// # Safety
/// The instructions of `D`; `a` points to a block.
#[inline(always)]
unsafe fn dots<D: Dot, F: Form>(w: &[int8x16_t; 8], a: *const i8) -> [int32x4_t; 2] {
    let (halves, _) = w.as_chunks::<4>();
    // SAFETY: the block's codes; the instructions are the caller's promise.
    unsafe {
        match F::SCALES.by_halves() {
            true => [
                D::dot::<F, 4>(&halves[0], a),
                D::dot::<F, 4>(&halves[1], a.add(BLOCK / 2)),
            ],
            false => [D::dot::<F, 8>(w, a); 2],
        }
    }
}

/// One block of one token: `acc + scale * dots + min * sum(a)`.
#[inline]
#[target_feature(enable = "neon")]
fn scaled<F: Form>(
    dots: [int32x4_t; 2],
    s: &FourScales,
    meta: &[f32; 4],
    halves: &[f32; 2],
    acc: float32x4_t,
) -> float32x4_t {
    let [scale, sum, ..] = *meta;
    let [dot, other] = dots.map(|d| vcvtq_f32_s32(d));
    if F::SCALES.by_halves() {
        let y = vmulq_f32(dot, s.scale[0]);
        let y = vfmaq_f32(y, other, s.scale[1]);
        let acc = vfmaq_n_f32(acc, s.min[0], halves[0]);
        let acc = vfmaq_n_f32(acc, s.min[1], halves[1]);
        return vfmaq_n_f32(acc, y, scale);
    }
    match F::SCALES {
        Scales::Block { offset: 0 } => vfmaq_f32(acc, s.scale[0], vmulq_n_f32(dot, scale)),
        Scales::Block { offset } => {
            let offset = vdupq_n_f32(-(offset as f32) * sum);
            vfmaq_f32(acc, s.scale[0], vfmaq_n_f32(offset, dot, scale))
        }
        _ => {
            let acc = vfmaq_n_f32(acc, s.min[0], sum);
            vfmaq_f32(acc, s.scale[0], vmulq_n_f32(dot, scale))
        }
    }
}
