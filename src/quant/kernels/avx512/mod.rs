//! AVX-512 with VNNI: sixteen rows, a whole panel, to a vector.

mod float;
mod int;
mod lanes;

use crate::quant::kernels::forms::{Codes, Form};
use crate::quant::kernels::lanes::Vectorized;

pub use float::float_tile;
pub use int::int_tile;

/// Tokens of a tile: codes of five bits, or with a scale for each half, take so long to unpack that more
/// tokens are to share it, at the price of sums outside the registers.
pub const fn int_tile_tokens<F: Form>() -> usize {
    if matches!(F::CODES, Codes::Five) || F::SCALES.by_halves() {
        16
    } else {
        8
    }
}
/// Tokens of a tile of float weights.
pub const FLOAT_TILE: usize = 24;

/// Whether this machine runs these kernels.
pub fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}

/// Runs `kernel` with vectors of these instructions.
///
/// # Safety
/// The machine must have AVX-512 F, BW and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub unsafe fn vectorize<K: Vectorized>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<lanes::Avx512>() }
}
