//! NEON, with the dot products of ARMv8.2 where the machine has them: four rows to a vector, four
//! vectors to a panel.
//!
//! Every aarch64 machine that Rust's standard library runs on has NEON, so only the dot products
//! are asked for at run time. `tests/aarch64.sh` runs the tests of the kernels under an emulator.

/// Runs `$body` with each `$i` below `$n`, at most eight, unrolled: what is indexed by it stays in
/// registers.
macro_rules! unrolled {
    ($i:ident < $n:ident, $body:expr) => {
        unrolled!(@ $i, $n, $body, 0 1 2 3 4 5 6 7)
    };
    (@ $i:ident, $n:ident, $body:expr, $($value:literal)*) => {
        $(if $value < $n {
            let $i: usize = $value;
            $body
        })*
    };
}

mod dot;
mod float;
mod float_rows;
mod int;
mod rows;
mod unpack;

pub use float::float_tile;
pub use float_rows::float_rows;
pub use int::{int_tile, int_tile_dotprod};
pub use rows::{q8_rows, q8_rows_dotprod};

/// Tokens of a tile.
pub const INT_TILE: usize = 8;
/// Tokens of a tile of float weights: with four vectors of rows, 24 sums stay in registers.
pub const FLOAT_TILE: usize = 6;

/// Whether this machine runs [`int_tile_dotprod`].
pub fn has_dotprod() -> bool {
    std::arch::is_aarch64_feature_detected!("dotprod")
}
