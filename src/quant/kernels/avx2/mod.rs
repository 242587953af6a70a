//! AVX2 with FMA and F16C: eight rows to a vector, two vectors to a panel.

use crate::quant::kernels::lanes::Vectorized;

mod float;
mod float_rows;
mod int;
mod lane_moves;
mod lanes;
mod quantize;
mod rows;
pub mod vnni;

pub use float::float_tile;
pub use float_rows::{float_panel, float_rows};
pub use int::int_tile;
pub use quantize::quantize;
pub use rows::{q8_panel, q8_rows};

/// Tokens of a tile.
pub const INT_TILE: usize = 4;
/// Tokens of a tile of float weights: with two vectors of rows, twelve sums stay in registers.
pub const FLOAT_TILE: usize = 6;

/// Whether this machine runs these kernels.
pub fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

/// Runs `kernel` with vectors of these instructions.
///
/// # Safety
/// The machine must have AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn vectorize<K: Vectorized>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<lanes::Avx2>() }
}
