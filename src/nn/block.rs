//! One layer: attention and feed-forward around the residual stream.

use candle_core::Tensor;

use super::attention::Attention;
use super::mlp::Mlp;
use super::{Builder, LayerCache, Norm, Step};
use crate::Result;
use crate::arch::{Placement, Spec};

/// A transformer layer as the columns declare it.
pub struct Block {
    layer: usize,
    placement: Placement,
    attn_norm: Norm,
    attention: Attention,
    ffn_norm: Norm,
    mlp: Mlp,
}

impl Block {
    /// Loads layer number `layer`.
    pub fn load(builder: &Builder<'_>, spec: &Spec, layer: usize) -> Result<Self> {
        let prefix = format!("blk.{layer}");
        let norm =
            |name: &str| builder.norm(&format!("{prefix}.{name}"), spec.hidden_size, spec.norm);
        Ok(Self {
            layer,
            placement: spec.placement,
            attn_norm: norm("attn_norm")?,
            attention: Attention::load(builder, spec, layer)?,
            ffn_norm: norm("ffn_norm")?,
            mlp: Mlp::load(builder, &prefix, spec.hidden_size, &spec.ffn)?,
        })
    }

    /// `[T, hidden]` to `[T, hidden]`; the step's keys and values go into `cache`.
    pub fn forward(&self, x: &Tensor, step: &Step<'_>, cache: &mut LayerCache) -> Result<Tensor> {
        match self.placement {
            Placement::Pre => {
                let attn = self
                    .attention
                    .forward(&self.attn_norm.forward(x)?, step, cache)?;
                step.trace(self.layer, "attn_out", &attn)?;
                let h = (x + attn)?;
                let ffn = self.mlp.forward(&self.ffn_norm.forward(&h)?)?;
                step.trace(self.layer, "ffn_out", &ffn)?;
                let y = (h + ffn)?;
                step.trace(self.layer, "out", &y)?;
                Ok(y)
            }
            Placement::Deep { alpha } => {
                let normed = self.attn_norm.forward(x)?;
                let attn = self.attention.forward(&normed, step, cache)?;
                step.trace(self.layer, "attn_out", &attn)?;
                let h = ((normed * alpha)? + attn)?;
                let normed = self.ffn_norm.forward(&h)?;
                let ffn = self.mlp.forward(&normed)?;
                step.trace(self.layer, "ffn_out", &ffn)?;
                let y = ((normed * alpha)? + ffn)?;
                step.trace(self.layer, "out", &y)?;
                Ok(y)
            }
        }
    }
}
