//! One layer: attention and feed-forward around the residual stream.

use std::sync::Arc;

use candle_core::Tensor;

use super::attention::{Attention, ScoreBias};
use super::mlp::Mlp;
use super::{Builder, LayerCache, Norm, Step};
use crate::Result;
use crate::arch::{Placement, Spec};

/// Which layer of a model is loaded, and what it looks at.
pub struct Site {
    /// The beginning of its tensors' names: `blk.3`.
    pub prefix: String,
    /// Its number in its stack.
    pub layer: usize,
    /// On its attention scores; layers may share it.
    pub bias: Option<Arc<ScoreBias>>,
    /// What it looks at.
    pub over: Over,
}

/// Whether a layer looks at its own sequence only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Yes: an encoder's, and that of a decoder without encoder.
    Itself,
    /// No, at an encoder's output too.
    Memory,
}

/// A transformer layer as the columns declare it.
pub struct Block {
    /// The beginning of its tensors' names.
    prefix: String,
    placement: Placement,
    attn_norm: Norm,
    attention: Attention,
    /// Attention over an encoder's output, where there is one.
    cross: Option<(Norm, Attention)>,
    /// The norm of the feed-forward branch, where it has its own.
    ffn_norm: Option<Norm>,
    /// The norms of what the two branches give, where there are such.
    after: Option<[Norm; 2]>,
    mlp: Mlp,
}

impl Block {
    /// Loads the layer at `site`.
    ///
    /// # Errors
    /// If a tensor is missing, of the wrong shape or of a type that cannot be multiplied.
    pub fn load(builder: &Builder<'_>, spec: &Spec, site: Site) -> Result<Self> {
        let Site {
            prefix,
            layer,
            bias,
            over,
        } = site;
        let norm =
            |name: &str| builder.norm(&format!("{prefix}.{name}"), spec.hidden_size, spec.norm);
        let attention = |part: &str, bias| {
            Attention::load(builder, spec, &format!("{prefix}.{part}"), layer, bias)
        };
        Ok(Self {
            placement: spec.placement,
            attn_norm: norm("attn_norm")?,
            attention: attention("attn", bias)?,
            cross: match over {
                Over::Itself => None,
                Over::Memory => Some((norm("cross_attn_norm")?, attention("cross_attn", None)?)),
            },
            ffn_norm: match spec.placement {
                Placement::Parallel => None,
                Placement::Pre
                | Placement::Post
                | Placement::Sandwich
                | Placement::ParallelTwoNorms
                | Placement::Deep { .. } => Some(norm("ffn_norm")?),
            },
            after: match spec.placement {
                Placement::Sandwich => Some([norm("post_attention_norm")?, norm("post_ffw_norm")?]),
                _ => None,
            },
            mlp: Mlp::load(builder, &prefix, spec.hidden_size, &spec.ffn)?,
            prefix,
        })
    }

    /// What this layer remembers of an encoder's output `[S, hidden]`, if it looks at one.
    ///
    /// # Errors
    /// As [`Attention::remember`].
    pub fn remember(&self, states: &Tensor) -> Result<Option<LayerCache>> {
        match &self.cross {
            Some((_, attention)) => Ok(Some(attention.remember(states)?)),
            None => Ok(None),
        }
    }

    /// `[T, hidden]` to `[T, hidden]`; the step's keys and values go into `cache`. `memory` is
    /// what [`Block::remember`] gave, with its length.
    ///
    /// # Errors
    /// As [`Attention::forward`].
    ///
    /// # Panics
    /// As [`Attention::forward`].
    pub fn forward(
        &self,
        x: &Tensor,
        step: &Step<'_>,
        cache: &mut LayerCache,
        memory: Option<(&LayerCache, usize)>,
    ) -> Result<Tensor> {
        let normed = match self.placement {
            Placement::Post => x.clone(),
            _ => self.attn_norm.forward(x)?,
        };
        let mut attn = self.attention.forward(&normed, step, cache)?;
        step.trace(&self.prefix, "attn_out", &attn)?;
        if let Some([norm, _]) = &self.after {
            attn = norm.forward(&attn)?;
        }
        let ffn_norm = |h: &Tensor| match &self.ffn_norm {
            Some(norm) => norm.forward(h),
            None => Ok(normed.clone()),
        };
        let mlp = |x: &Tensor| -> Result<Tensor> {
            let ffn = self.mlp.forward(x)?;
            step.trace(&self.prefix, "ffn_out", &ffn)?;
            match &self.after {
                Some([_, norm]) => norm.forward(&ffn),
                None => Ok(ffn),
            }
        };
        let y = match self.placement {
            Placement::Pre | Placement::Sandwich | Placement::Parallel => {
                let mut h = (x + attn)?;
                if let (Some((norm, attention)), Some((memory, len))) = (&self.cross, memory) {
                    let cross = attention.recall(&norm.forward(&h)?, step, memory, len)?;
                    step.trace(&self.prefix, "cross_attn_out", &cross)?;
                    h = (h + cross)?;
                }
                let ffn = mlp(&ffn_norm(&h)?)?;
                (h + ffn)?
            }
            Placement::ParallelTwoNorms => ((x + attn)? + mlp(&ffn_norm(x)?)?)?,
            Placement::Post => {
                let h = self.attn_norm.forward(&(x + attn)?)?;
                ffn_norm(&(&h + mlp(&h)?)?)?
            }
            Placement::Deep { alpha } => {
                let h = ((&normed * alpha)? + attn)?;
                let normed = ffn_norm(&h)?;
                let ffn = mlp(&normed)?;
                ((normed * alpha)? + ffn)?
            }
        };
        step.trace(&self.prefix, "out", &y)?;
        Ok(y)
    }
}
