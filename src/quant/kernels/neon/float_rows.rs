//! Rows of floats, as files have them, for a few tokens.

use std::arch::aarch64::*;

use crate::quant::kernels::forms::{Float, Rows, Tile};
use crate::quant::kernels::portable;

/// `x` `[tokens][cols]` times rows of floats; as many tokens as `out` has, at most
/// [`ROW_TOKENS`](crate::quant::kernels::forms::ROW_TOKENS).
pub fn float_rows(float: Float, rows: &Rows<'_>, x: &[f32], out: &mut Tile) {
    rows.check();
    assert!(x.len() >= rows.bytes / float.bytes() * out.len());
    // SAFETY: every machine has NEON; the two checks above hold what `tile` reads.
    unsafe {
        match float {
            Float::F16 => tokens::<0>(rows, x, out),
            Float::BF16 => tokens::<1>(rows, x, out),
            Float::F32 => tokens::<2>(rows, x, out),
        }
    }
}

/// # Safety
/// As [`tile`].
unsafe fn tokens<const FLOAT: u8>(rows: &Rows<'_>, x: &[f32], out: &mut Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        match out.len() {
            1 => tile::<FLOAT, 1>(rows, x, out),
            2 => tile::<FLOAT, 2>(rows, x, out),
            3 => tile::<FLOAT, 3>(rows, x, out),
            4 => tile::<FLOAT, 4>(rows, x, out),
            n => unreachable!("{n} tokens for rows"),
        }
    }
}

/// Four numbers of `FLOAT` (F16, BF16, F32) from number `k` on.
///
/// # Safety
/// `data` has them; loads of bytes need no alignment.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn four_at<const FLOAT: u8>(data: *const u8, k: usize) -> float32x4_t {
    // SAFETY: the caller's promise.
    unsafe {
        if FLOAT == 2 {
            return vreinterpretq_f32_u8(vld1q_u8(data.add(k * 4)));
        }
        let words = vld1_u8(data.add(k * 2));
        if FLOAT == 0 {
            return vcvt_f32_f16(vreinterpret_f16_u8(words));
        }
        vreinterpretq_f32_u32(vshll_n_u16::<16>(vreinterpret_u16_u8(words)))
    }
}

/// `T` tokens, each with four sums for their latency.
///
/// # Safety
/// `rows` are checked, `x` has as many columns for each token.
#[target_feature(enable = "neon")]
unsafe fn tile<const FLOAT: u8, const T: usize>(rows: &Rows<'_>, x: &[f32], out: &mut Tile) {
    const A: usize = 4;
    let float = [Float::F16, Float::BF16, Float::F32][usize::from(FLOAT)];
    let cols = rows.bytes / float.bytes();
    for (i, &r) in rows.which.iter().enumerate() {
        let row = &rows.data[r * rows.bytes..(r + 1) * rows.bytes];
        let mut acc = [[vdupq_n_f32(0.0); A]; T];
        let whole = cols - cols % (4 * A);
        for k in (0..whole).step_by(4 * A) {
            for a in 0..A {
                // SAFETY: four columns from `k + 4a` on, of the row and of the tokens.
                unsafe {
                    let w = four_at::<FLOAT>(row.as_ptr(), k + 4 * a);
                    for t in 0..T {
                        let x = vld1q_f32(x.as_ptr().add(t * cols + k + 4 * a));
                        acc[t][a] = vfmaq_f32(acc[t][a], w, x);
                    }
                }
            }
        }
        for t in 0..T {
            let [a, b, c, d] = acc[t];
            let sum = vaddvq_f32(vaddq_f32(vaddq_f32(a, b), vaddq_f32(c, d)));
            let rest = (whole..cols)
                .map(|k| portable::float_at(float, row, k) * x[t * cols + k])
                .sum::<f32>();
            out[t][i] = sum + rest;
        }
    }
}
