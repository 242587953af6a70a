//! Normalization of the last dimension.

use candle_core::Tensor;

use crate::Result;
use crate::arch::{self, NormKind};
use crate::quant::kernels::elementwise;
use crate::quant::{Isa, with_slice};

/// A norm with its weight.
pub struct Norm {
    kind: NormKind,
    eps: f32,
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    /// A norm of the declared kind with weight `[n]` and, for the kind that has one, bias `[n]`.
    ///
    /// # Errors
    /// If the device has no room for the zeros that stand for a bias.
    pub fn new(norm: arch::Norm, weight: Tensor, bias: Option<Tensor>) -> Result<Self> {
        Ok(Self {
            kind: norm.kind,
            eps: norm.eps as f32,
            bias: match bias {
                Some(bias) => bias,
                None => weight.zeros_like()?,
            },
            weight,
        })
    }

    /// Normalizes the last dimension of `x`, `[…, n]`.
    ///
    /// # Errors
    /// If `x` is not f32, or on another device than the weight.
    ///
    /// # Panics
    /// On the CPU, if the numbers of `x` are no multiple of n.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() {
            return self.on_host(x);
        }
        let x = x.contiguous()?;
        Ok(match self.kind {
            NormKind::Rms => candle_nn::ops::rms_norm(&x, &self.weight, self.eps)?,
            NormKind::Layer | NormKind::LayerNoBias | NormKind::LayerNoBiasPlusOne => {
                candle_nn::ops::layer_norm(&x, &self.weight, &self.bias, self.eps)?
            }
        })
    }

    fn on_host(&self, x: &Tensor) -> Result<Tensor> {
        let mut out = vec![0.0; x.elem_count()];
        with_slice(&self.weight, |weight| {
            with_slice(&self.bias, |bias| {
                let norm = elementwise::Norm {
                    weight,
                    bias: (self.kind != NormKind::Rms).then_some(bias),
                    eps: self.eps,
                };
                with_slice(x, |x| {
                    elementwise::normalize(Isa::best(), norm, x, &mut out);
                })
            })
        })???;
        Ok(Tensor::from_vec(out, x.shape(), x.device())?)
    }
}
