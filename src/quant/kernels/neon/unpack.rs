//! Codes and scales of four rows, a quarter of a panel, from the order of [`forms`].
//!
//! [`forms`]: crate::quant::kernels::forms

use std::arch::aarch64::*;

use crate::quant::kernels::forms::{Codes, Form, GROUP, IQ4_NL_VALUES, PANEL, Scales};

/// The codes of four rows (quarter `q` of the panel) in the block at `p`, a signed byte each.
///
/// # Safety
/// `p` points to a block of the form.
#[inline]
#[target_feature(enable = "neon")]
pub unsafe fn unpack<F: Form>(p: *const u8, q: usize) -> [int8x16_t; 8] {
    // SAFETY: chunk `c` is one of the block's.
    let chunk = |c: usize| unsafe { vld1q_u8(p.add(c * GROUP + q * 16)) };
    // `mask` of every byte of `v` once its bit `from` has moved to bit `to`.
    let field = |v: uint8x16_t, from: usize, to: usize, mask: u8| {
        let v = vshlq_u8(v, vdupq_n_s8(to as i8 - from as i8));
        vandq_u8(v, vdupq_n_u8(mask))
    };
    let nibble = |g: usize| match g {
        0..4 => vandq_u8(chunk(g), vdupq_n_u8(15)),
        _ => vshrq_n_u8::<4>(chunk(g - 4)),
    };
    // The third, fifth or sixth bits, that stand in planes of their own from chunk `c` on.
    let bit = |g: usize, c: usize, to: usize| field(chunk(c), g, to, 1 << to);
    let pair = |g: usize, c: usize, to: usize| field(chunk(c + g / 4), 2 * (g % 4), to, 3 << to);
    std::array::from_fn(|g| {
        let v = match F::CODES {
            Codes::Four => nibble(g),
            Codes::Five => vorrq_u8(nibble(g), bit(g, 4, 4)),
            Codes::Six => vorrq_u8(nibble(g), pair(g, 4, 4)),
            Codes::Two => pair(g, 0, 0),
            Codes::Three => vorrq_u8(pair(g, 0, 0), bit(g, 2, 2)),
            Codes::Byte => chunk(g),
            Codes::Table => {
                // SAFETY: the table has 16 bytes.
                let table = unsafe { vld1q_s8(IQ4_NL_VALUES.as_ptr()) };
                return vqtbl1q_s8(table, nibble(g));
            }
        };
        vreinterpretq_s8_u8(v)
    })
}

/// Scales and minimums of four rows, for the halves of a block or, twice, for the whole.
pub struct FourScales {
    pub scale: [float32x4_t; 2],
    pub min: [float32x4_t; 2],
}

/// The scales of four rows (quarter `q` of the panel) in block `i` under `record`.
///
/// # Safety
/// `record` is one of the form's, `i` below its blocks.
#[inline]
#[target_feature(enable = "neon")]
pub unsafe fn scales<F: Form>(record: *const u8, i: usize, q: usize) -> FourScales {
    // Four half floats of the sixteen `at` bytes into the record.
    // SAFETY: every `at` below leaves 32 bytes inside the record, of which eight are read.
    let half = |at: usize| unsafe {
        let words = vld1_u8(record.add(at + 8 * q));
        vcvt_f32_f16(vreinterpret_f16_u8(words))
    };
    // Four of the sixteen bytes `at` bytes into the record.
    // SAFETY: every `at` below leaves 16 bytes inside the record.
    let bytes = |at: usize| unsafe {
        let four = record.add(at + 4 * q).cast::<u32>().read_unaligned();
        vreinterpret_u8_u32(vdup_n_u32(four))
    };
    let wide = |v: uint8x8_t| vmovl_u16(vget_low_u16(vmovl_u8(v)));
    let unsigned = |v: uint8x8_t| vcvtq_f32_u32(wide(v));
    let signed = |v: uint8x8_t| {
        let v = vmovl_s8(vreinterpret_s8_u8(v));
        vcvtq_f32_s32(vmovl_s16(vget_low_s16(v)))
    };
    match F::SCALES {
        Scales::Block { offset } => {
            let scale = half(0);
            FourScales {
                scale: [scale; 2],
                min: [vmulq_n_f32(scale, -(offset as f32)); 2],
            }
        }
        Scales::BlockMin => FourScales {
            scale: [half(0); 2],
            min: [half(2 * PANEL); 2],
        },
        Scales::Super => {
            let scale = vmulq_f32(half(0), unsigned(bytes((4 + i) * PANEL)));
            let min = vmulq_f32(half(2 * PANEL), unsigned(bytes((12 + i) * PANEL)));
            FourScales {
                scale: [scale; 2],
                min: [vnegq_f32(min); 2],
            }
        }
        Scales::Halves { offset } => {
            let d = half(0);
            let scale = [0, 1].map(|h| vmulq_f32(d, signed(bytes((2 + 2 * i + h) * PANEL))));
            FourScales {
                scale,
                min: scale.map(|s| vmulq_n_f32(s, -(offset as f32))),
            }
        }
        Scales::HalvesMin => {
            let (d, dmin) = (half(0), vnegq_f32(half(2 * PANEL)));
            let both = [0, 1].map(|h| bytes((4 + 2 * i + h) * PANEL));
            FourScales {
                scale: both.map(|v| vmulq_f32(d, unsigned(vand_u8(v, vdup_n_u8(15))))),
                min: both.map(|v| vmulq_f32(dmin, unsigned(vshr_n_u8::<4>(v)))),
            }
        }
    }
}
