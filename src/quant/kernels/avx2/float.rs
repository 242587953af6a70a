//! Float panels: weights widened to f32 in registers, one fused multiply-add for each token.

use std::arch::x86_64::*;

use crate::quant::kernels::forms::{Float, FloatPanel, PANEL, Tile};

/// Adds `x` `[cols][tokens]` times a panel of floats to `out`; as many tokens as that has: 1, 2, 3, 4
/// or 6.
///
/// # Safety
/// The machine must have AVX2, FMA and F16C.
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
            n => unreachable!("a tile of {n} tokens"),
        }
    }
}

/// The panel's weights of column `k`.
///
/// # Safety
/// AVX2, F16C; `data` has more than `k` columns of `FLOAT` (F16, BF16, F32).
#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn column<const FLOAT: u8>(data: *const u8, k: usize) -> [__m256; 2] {
    let half = |h: usize| {
        // SAFETY: half a column of 16 numbers.
        unsafe {
            if FLOAT == 2 {
                return _mm256_loadu_ps(data.add(k * 64 + h * 32).cast());
            }
            let words = _mm_loadu_si128(data.add(k * 32 + h * 16).cast());
            if FLOAT == 0 {
                return _mm256_cvtph_ps(words);
            }
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(words)))
        }
    };
    [half(0), half(1)]
}

/// # Safety
/// AVX2, FMA, F16C; `panel` and `x` hold `panel.cols` columns.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile<const FLOAT: u8, const T: usize>(panel: &FloatPanel<'_>, x: &[f32], out: &mut Tile) {
    let mut acc = [[_mm256_setzero_ps(); 2]; T];
    for t in 0..T {
        acc[t] = load(&out[t]);
    }
    let (data, x) = (panel.data.as_ptr(), x.as_ptr());
    for k in 0..panel.cols {
        // SAFETY: column `k` of both.
        unsafe {
            let w = column::<FLOAT>(data, k);
            for t in 0..T {
                let x = _mm256_set1_ps(*x.add(k * T + t));
                acc[t] = [
                    _mm256_fmadd_ps(w[0], x, acc[t][0]),
                    _mm256_fmadd_ps(w[1], x, acc[t][1]),
                ];
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
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn one<const FLOAT: u8>(panel: &FloatPanel<'_>, x: &[f32], out: &mut Tile) {
    const N: usize = 4;
    let mut acc = [[_mm256_setzero_ps(); 2]; N];
    acc[0] = load(&out[0]);
    let (data, x) = (panel.data.as_ptr(), x.as_ptr());
    let whole = panel.cols / N * N;
    for k in (0..whole).step_by(N) {
        for (i, acc) in acc.iter_mut().enumerate() {
            // SAFETY: column `k + i` of both.
            let (w, x) = unsafe { (column::<FLOAT>(data, k + i), _mm256_set1_ps(*x.add(k + i))) };
            *acc = [
                _mm256_fmadd_ps(w[0], x, acc[0]),
                _mm256_fmadd_ps(w[1], x, acc[1]),
            ];
        }
    }
    for k in whole..panel.cols {
        // SAFETY: column `k` of both.
        let (w, x) = unsafe { (column::<FLOAT>(data, k), _mm256_set1_ps(*x.add(k))) };
        acc[0] = [
            _mm256_fmadd_ps(w[0], x, acc[0][0]),
            _mm256_fmadd_ps(w[1], x, acc[0][1]),
        ];
    }
    let sum = |h: usize| {
        _mm256_add_ps(
            _mm256_add_ps(acc[0][h], acc[1][h]),
            _mm256_add_ps(acc[2][h], acc[3][h]),
        )
    };
    store(&mut out[0], [sum(0), sum(1)]);
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(out: &[f32; PANEL]) -> [__m256; 2] {
    // SAFETY: two times eight floats.
    two!(h => unsafe { _mm256_loadu_ps(out.as_ptr().add(8 * h)) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(out: &mut [f32; PANEL], acc: [__m256; 2]) {
    // SAFETY: two times eight floats.
    unsafe {
        _mm256_storeu_ps(out.as_mut_ptr(), acc[0]);
        _mm256_storeu_ps(out.as_mut_ptr().add(8), acc[1]);
    }
}
