//! Integer and float kernels, one folder per instruction set, chosen at run time.
//!
//! A kernel multiplies a tile of a few tokens by a panel of [`forms::PANEL`] rows. It sees slices
//! and shapes; [`product`] cuts matrices into tiles and spreads them over the [`pool`].

// Loops over the lanes and tokens of several arrays at once read better with their indices.
#![allow(clippy::needless_range_loop)]

pub mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod forms;
mod isa;
pub mod pool;
pub mod portable;
pub mod product;

pub use isa::Isa;
