//! INT4/INT8 blocks, quantizers, and the matrix products behind [`crate::nn::Linear`].

mod encoding;
pub mod kernels;
mod matrix;

pub use encoding::Encoding;
pub use matrix::Matrix;
