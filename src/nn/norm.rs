//! Normalization of the last dimension.

use candle_core::Tensor;

use super::Builder;
use crate::Result;
use crate::arch::{self, NormKind};

/// A norm with its weight.
pub struct Norm {
    eps: f32,
    weight: Tensor,
    /// `None` for RMSNorm; zeros for a LayerNorm without one.
    bias: Option<Tensor>,
}

impl Norm {
    /// Loads the norm `name` over `n` numbers.
    pub fn load(builder: &Builder<'_>, name: &str, n: usize, norm: arch::Norm) -> Result<Self> {
        let weight = builder.vector(&format!("{name}.weight"), n)?;
        let bias = match norm.kind {
            NormKind::Rms => None,
            NormKind::Layer => Some(builder.vector(&format!("{name}.bias"), n)?),
            NormKind::LayerNoBias => Some(weight.zeros_like()?),
        };
        Ok(Self {
            eps: norm.eps as f32,
            weight,
            bias,
        })
    }

    /// Normalizes the last dimension of `x`, `[…, n]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        Ok(match &self.bias {
            None => candle_nn::ops::rms_norm(&x, &self.weight, self.eps)?,
            Some(bias) => candle_nn::ops::layer_norm(&x, &self.weight, bias, self.eps)?,
        })
    }
}
