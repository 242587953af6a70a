//! INT4/INT8 blocks, quantizers, and the matrix products behind [`crate::nn::Linear`].

mod blocks;
mod encoding;
pub mod kernels;
mod matrix;
mod pack;
mod quantize;
mod slice;
pub(crate) mod store;
#[cfg(test)]
mod tests;

pub use encoding::Encoding;
pub use kernels::pool::set_threads;
pub use kernels::{Isa, Multiply};
pub use matrix::Matrix;
pub use quantize::{iq4_nl_values, quantize};
pub(crate) use slice::with_slice;
pub use store::{Bytes, Zeros};
