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
    norms: Norms,
    attention: Attention,
    mlp: Mlp,
}

/// The norms of a layer, where they stand.
enum Norms {
    Pre([Norm; 2]),
    Post([Norm; 2]),
    Sandwich { attn: [Norm; 2], ffn: [Norm; 2] },
    Parallel(Norm),
    ParallelTwo([Norm; 2]),
    Deep([Norm; 2], f64),
}

impl Block {
    /// Loads layer number `layer`.
    pub fn load(builder: &Builder<'_>, spec: &Spec, layer: usize) -> Result<Self> {
        let prefix = format!("blk.{layer}");
        let norm =
            |name: &str| builder.norm(&format!("{prefix}.{name}"), spec.hidden_size, spec.norm);
        let two = || -> Result<[Norm; 2]> { Ok([norm("attn_norm")?, norm("ffn_norm")?]) };
        Ok(Self {
            layer,
            norms: match spec.placement {
                Placement::Pre => Norms::Pre(two()?),
                Placement::Post => Norms::Post(two()?),
                Placement::Sandwich => Norms::Sandwich {
                    attn: [norm("attn_norm")?, norm("post_attention_norm")?],
                    ffn: [norm("ffn_norm")?, norm("post_ffw_norm")?],
                },
                Placement::Parallel => Norms::Parallel(norm("attn_norm")?),
                Placement::ParallelTwoNorms => Norms::ParallelTwo(two()?),
                Placement::Deep { alpha } => Norms::Deep(two()?, alpha),
            },
            attention: Attention::load(builder, spec, layer)?,
            mlp: Mlp::load(builder, &prefix, spec.hidden_size, &spec.ffn)?,
        })
    }

    /// `[T, hidden]` to `[T, hidden]`; the step's keys and values go into `cache`.
    pub fn forward(&self, x: &Tensor, step: &Step<'_>, cache: &mut LayerCache) -> Result<Tensor> {
        let attn = |x: &Tensor, cache: &mut LayerCache| -> Result<Tensor> {
            let y = self.attention.forward(x, step, cache)?;
            step.trace(self.layer, "attn_out", &y)?;
            Ok(y)
        };
        let ffn = |x: &Tensor| -> Result<Tensor> {
            let y = self.mlp.forward(x)?;
            step.trace(self.layer, "ffn_out", &y)?;
            Ok(y)
        };
        let y = match &self.norms {
            Norms::Pre([attn_norm, ffn_norm]) => {
                let h = (x + attn(&attn_norm.forward(x)?, cache)?)?;
                let f = ffn(&ffn_norm.forward(&h)?)?;
                (h + f)?
            }
            Norms::Post([attn_norm, ffn_norm]) => {
                let h = attn_norm.forward(&(x + attn(x, cache)?)?)?;
                ffn_norm.forward(&(&h + ffn(&h)?)?)?
            }
            Norms::Sandwich {
                attn: [attn_before, attn_after],
                ffn: [ffn_before, ffn_after],
            } => {
                let a = attn(&attn_before.forward(x)?, cache)?;
                let h = (x + attn_after.forward(&a)?)?;
                let f = ffn(&ffn_before.forward(&h)?)?;
                (h + ffn_after.forward(&f)?)?
            }
            Norms::Parallel(norm) => {
                let normed = norm.forward(x)?;
                ((x + attn(&normed, cache)?)? + ffn(&normed)?)?
            }
            Norms::ParallelTwo([attn_norm, ffn_norm]) => {
                let a = attn(&attn_norm.forward(x)?, cache)?;
                ((x + a)? + ffn(&ffn_norm.forward(x)?)?)?
            }
            Norms::Deep([attn_norm, ffn_norm], alpha) => {
                let normed = attn_norm.forward(x)?;
                let h = ((&normed * *alpha)? + attn(&normed, cache)?)?;
                let normed = ffn_norm.forward(&h)?;
                ((&normed * *alpha)? + ffn(&normed)?)?
            }
        };
        step.trace(self.layer, "out", &y)?;
        Ok(y)
    }
}
