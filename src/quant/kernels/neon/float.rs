//! Float panels: weights widened to f32 in registers, one fused multiply-add for each token.

use std::arch::aarch64::*;

use crate::quant::kernels::forms::{Float, FloatPanel, PANEL, Tile};

/// Adds `x` `[cols][tokens]` times a panel of floats to `out`; as many tokens as that has: 1, 2, 3, 4
/// or 6.
pub fn float_tile(float: Float, panel: &FloatPanel<'_>, x: &[f32], out: &mut Tile) {
    assert!(panel.data.len() >= panel.cols * PANEL * float.bytes());
    assert!(x.len() >= panel.cols * out.len());
    // SAFETY: every machine has NEON; the checks above hold what the tiles read.
    unsafe {
        match float {
            Float::F16 => tiles::<0>(panel, x, out),
            Float::BF16 => tiles::<1>(panel, x, out),
            Float::F32 => tiles::<2>(panel, x, out),
        }
    }
}

/// # Safety
/// As [`tile`].
#[target_feature(enable = "neon")]
unsafe fn tiles<const FLOAT: u8>(panel: &FloatPanel<'_>, x: &[f32], out: &mut Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        match out.len() {
            1 => one::<FLOAT>(panel, x, out),
            2 => tile::<FLOAT, 2>(panel, x, out),
            3 => tile::<FLOAT, 3>(panel, x, out),
            4 => tile::<FLOAT, 4>(panel, x, out),
            6 => tile::<FLOAT, 6>(panel, x, out),
            n => unreachable!("a tile of {n} tokens"),
        }
    }
}

/// The panel's weights of column `k`.
///
/// # Safety
/// `data` has more than `k` columns of `FLOAT` (F16, BF16, F32).
#[inline]
#[target_feature(enable = "neon")]
unsafe fn column<const FLOAT: u8>(data: *const u8, k: usize) -> [float32x4_t; 4] {
    std::array::from_fn(|q| {
        // SAFETY: a quarter of a column of 16 numbers; loads of bytes need no alignment.
        unsafe {
            if FLOAT == 2 {
                return vreinterpretq_f32_u8(vld1q_u8(data.add(k * 64 + q * 16)));
            }
            let words = vld1_u8(data.add(k * 32 + q * 8));
            if FLOAT == 0 {
                return vcvt_f32_f16(vreinterpret_f16_u8(words));
            }
            vreinterpretq_f32_u32(vshll_n_u16::<16>(vreinterpret_u16_u8(words)))
        }
    })
}

/// # Safety
/// `panel` and `x` hold `panel.cols` columns.
#[target_feature(enable = "neon")]
unsafe fn tile<const FLOAT: u8, const T: usize>(panel: &FloatPanel<'_>, x: &[f32], out: &mut Tile) {
    let mut acc = [[vdupq_n_f32(0.0); 4]; T];
    for t in 0..T {
        acc[t] = load(&out[t]);
    }
    let (data, x) = (panel.data.as_ptr(), x.as_ptr());
    for k in 0..panel.cols {
        // SAFETY: column `k` of both.
        unsafe {
            let w = column::<FLOAT>(data, k);
            for t in 0..T {
                let x = *x.add(k * T + t);
                for q in 0..4 {
                    acc[t][q] = vfmaq_n_f32(acc[t][q], w[q], x);
                }
            }
        }
    }
    for (out, acc) in out.iter_mut().zip(acc) {
        store(out, acc);
    }
}

/// One token: four columns at a time, for the sums' latency.
///
/// # Safety
/// As [`tile`].
#[target_feature(enable = "neon")]
unsafe fn one<const FLOAT: u8>(panel: &FloatPanel<'_>, x: &[f32], out: &mut Tile) {
    const N: usize = 4;
    let mut acc = [[vdupq_n_f32(0.0); 4]; N];
    acc[0] = load(&out[0]);
    let (data, x) = (panel.data.as_ptr(), x.as_ptr());
    let add = |acc: &mut [float32x4_t; 4], k: usize| {
        // SAFETY: column `k` of both.
        let (w, x) = unsafe { (column::<FLOAT>(data, k), *x.add(k)) };
        for q in 0..4 {
            acc[q] = vfmaq_n_f32(acc[q], w[q], x);
        }
    };
    let whole = panel.cols / N * N;
    for k in (0..whole).step_by(N) {
        for (i, acc) in acc.iter_mut().enumerate() {
            add(acc, k + i);
        }
    }
    for k in whole..panel.cols {
        add(&mut acc[0], k);
    }
    store(
        &mut out[0],
        std::array::from_fn(|q| {
            vaddq_f32(
                vaddq_f32(acc[0][q], acc[1][q]),
                vaddq_f32(acc[2][q], acc[3][q]),
            )
        }),
    );
}

#[inline]
#[target_feature(enable = "neon")]
fn load(out: &[f32; PANEL]) -> [float32x4_t; 4] {
    // SAFETY: four floats each.
    std::array::from_fn(|q| unsafe { vld1q_f32(out.as_ptr().add(4 * q)) })
}

#[inline]
#[target_feature(enable = "neon")]
fn store(out: &mut [f32; PANEL], acc: [float32x4_t; 4]) {
    for (four, acc) in out.as_chunks_mut::<4>().0.iter_mut().zip(acc) {
        // SAFETY: four floats.
        unsafe { vst1q_f32(four.as_mut_ptr(), acc) };
    }
}
