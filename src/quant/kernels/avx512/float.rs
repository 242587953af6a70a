//! Float panels: weights widened to f32 in registers, one fused multiply-add for each token.

use std::arch::x86_64::*;

use crate::quant::kernels::forms::{Float, FloatPanel, PANEL, Tile};

/// Adds `x` `[cols][tokens]` times a panel of floats to `out`; as many tokens as that has: 1, 2, 3, 4, 6,
/// 8, 12, 16 or 24.
///
/// # Safety
/// The machine must have AVX-512 F.
pub unsafe fn float_tile(float: Float, panel: &FloatPanel<'_>, x: &[f32], out: &mut Tile) {
    assert!(panel.data.len() >= panel.cols * PANEL * float.bytes());
    assert!(x.len() >= panel.cols * out.len());
    // SAFETY: the features are the caller's promise; the checks above hold what the tiles read.
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
unsafe fn tiles<const FLOAT: u8>(panel: &FloatPanel<'_>, x: &[f32], out: &mut Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        match out.len() {
            1 => one::<FLOAT>(panel, x, out),
            2 => tile::<FLOAT, 2>(panel, x, out),
            3 => tile::<FLOAT, 3>(panel, x, out),
            4 => tile::<FLOAT, 4>(panel, x, out),
            6 => tile::<FLOAT, 6>(panel, x, out),
            8 => tile::<FLOAT, 8>(panel, x, out),
            12 => tile::<FLOAT, 12>(panel, x, out),
            16 => tile::<FLOAT, 16>(panel, x, out),
            24 => tile::<FLOAT, 24>(panel, x, out),
            n => unreachable!("a tile of {n} tokens"),
        }
    }
}

/// The panel's weights of column `k`.
///
/// # Safety
/// AVX-512 F; `data` has more than `k` columns of `FLOAT` (F16, BF16, F32).
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn column<const FLOAT: u8>(data: *const u8, k: usize) -> __m512 {
    // SAFETY: a column of 16 numbers.
    unsafe {
        if FLOAT == 2 {
            return _mm512_loadu_ps(data.add(k * 64).cast());
        }
        let words = _mm256_loadu_si256(data.add(k * 32).cast());
        if FLOAT == 0 {
            return _mm512_cvtph_ps(words);
        }
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(words)))
    }
}

/// # Safety
/// AVX-512 F; `panel` and `x` hold `panel.cols` columns.
#[target_feature(enable = "avx512f")]
unsafe fn tile<const FLOAT: u8, const T: usize>(panel: &FloatPanel<'_>, x: &[f32], out: &mut Tile) {
    let mut acc = [_mm512_setzero_ps(); T];
    for t in 0..T {
        // SAFETY: sixteen floats.
        acc[t] = unsafe { _mm512_loadu_ps(out[t].as_ptr()) };
    }
    let (data, x) = (panel.data.as_ptr(), x.as_ptr());
    for k in 0..panel.cols {
        // SAFETY: column `k` of both.
        unsafe {
            let w = column::<FLOAT>(data, k);
            for t in 0..T {
                acc[t] = _mm512_fmadd_ps(w, _mm512_set1_ps(*x.add(k * T + t)), acc[t]);
            }
        }
    }
    for (out, acc) in out.iter_mut().zip(acc) {
        // SAFETY: sixteen floats.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), acc) };
    }
}

/// One token: four columns at a time, for the sums' latency.
///
/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx512f")]
unsafe fn one<const FLOAT: u8>(panel: &FloatPanel<'_>, x: &[f32], out: &mut Tile) {
    const N: usize = 4;
    let mut acc = [_mm512_setzero_ps(); N];
    // SAFETY: sixteen floats.
    acc[0] = unsafe { _mm512_loadu_ps(out[0].as_ptr()) };
    let (data, x) = (panel.data.as_ptr(), x.as_ptr());
    let whole = panel.cols / N * N;
    for k in (0..whole).step_by(N) {
        for (i, acc) in acc.iter_mut().enumerate() {
            // SAFETY: column `k + i` of both.
            let (w, x) = unsafe { (column::<FLOAT>(data, k + i), _mm512_set1_ps(*x.add(k + i))) };
            *acc = _mm512_fmadd_ps(w, x, *acc);
        }
    }
    for k in whole..panel.cols {
        // SAFETY: column `k` of both.
        let (w, x) = unsafe { (column::<FLOAT>(data, k), _mm512_set1_ps(*x.add(k))) };
        acc[0] = _mm512_fmadd_ps(w, x, acc[0]);
    }
    let sum = _mm512_add_ps(_mm512_add_ps(acc[0], acc[1]), _mm512_add_ps(acc[2], acc[3]));
    // SAFETY: sixteen floats.
    unsafe { _mm512_storeu_ps(out[0].as_mut_ptr(), sum) };
}
