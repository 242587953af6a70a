//! Normalization of the last dimension.

use candle_core::Tensor;

use crate::Result;
use crate::arch::{self, NormKind};

/// A norm with its weight.
pub struct Norm {
    kind: NormKind,
    eps: f32,
    weight: Tensor,
}

impl Norm {
    /// A norm of the declared kind with weight `[n]`.
    pub fn new(norm: arch::Norm, weight: Tensor) -> Self {
        Self {
            kind: norm.kind,
            eps: norm.eps as f32,
            weight,
        }
    }

    /// Normalizes the last dimension of `x`, `[…, n]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self.kind {
            NormKind::Rms => candle_nn::ops::rms_norm(&x.contiguous()?, &self.weight, self.eps)?,
        })
    }
}
