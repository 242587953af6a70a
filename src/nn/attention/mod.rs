//! Multi-head attention with a KV cache: MHA, GQA and MQA, windows, norms on q and k, ALiBi.

mod host;
mod tensors;

use candle_core::Tensor;

use super::{Builder, LayerCache, Linear, Norm, Step};
use crate::Result;
use crate::arch::{self, AttentionBias, Position, QkNorm, QueryScale, Spec};

/// An attention layer as the column declares it.
pub struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    output: Linear,
    q_norm: Option<Norm>,
    k_norm: Option<Norm>,
    clip: Option<f32>,
    shape: Shape,
}

/// The sizes and constants that the score computation needs.
#[derive(Debug, Clone)]
struct Shape {
    layer: usize,
    n_heads: usize,
    kv_heads: usize,
    head_dim: usize,
    scale: f32,
    query_scale: QueryScale,
    softcap: Option<f32>,
    window: Option<usize>,
    /// ALiBi: for each query head, what scores lose with each position of distance.
    slopes: Option<Vec<f32>>,
}

impl Attention {
    /// Loads the attention of layer number `layer`.
    pub fn load(builder: &Builder<'_>, spec: &Spec, layer: usize) -> Result<Self> {
        let arch::Attention {
            n_heads,
            kv_heads,
            head_dim,
            scale,
            query_scale,
            bias,
            clip,
            qk_norm,
            softcap,
            window,
        } = &spec.attention;
        let name = |part: &str| format!("blk.{layer}.attn_{part}");
        let norm = |part: &str| -> Result<Option<Norm>> {
            match qk_norm {
                QkNorm::None => Ok(None),
                QkNorm::PerHead => Ok(Some(builder.norm(&name(part), *head_dim, spec.norm)?)),
            }
        };
        let qkv_bias = *bias != AttentionBias::None;
        let (hidden, q_width, kv_width) =
            (spec.hidden_size, n_heads * head_dim, kv_heads * head_dim);
        Ok(Self {
            q: builder.linear(&name("q"), hidden, q_width, qkv_bias)?,
            k: builder.linear(&name("k"), hidden, kv_width, qkv_bias)?,
            v: builder.linear(&name("v"), hidden, kv_width, qkv_bias)?,
            output: builder.linear(
                &name("output"),
                q_width,
                hidden,
                *bias == AttentionBias::All,
            )?,
            q_norm: norm("q_norm")?,
            k_norm: norm("k_norm")?,
            shape: Shape {
                layer,
                n_heads: *n_heads,
                kv_heads: *kv_heads,
                head_dim: *head_dim,
                scale: *scale,
                query_scale: *query_scale,
                softcap: *softcap,
                window: window.of_layer(layer),
                slopes: match &spec.position {
                    Position::Alibi { slopes } => Some(slopes.clone()),
                    _ => None,
                },
            },
            clip: *clip,
        })
    }

    /// `[T, hidden]` to `[T, hidden]`; the step's keys and values go into `cache`.
    pub fn forward(&self, x: &Tensor, step: &Step<'_>, cache: &mut LayerCache) -> Result<Tensor> {
        let heads = |linear: &Linear, n: usize, norm: &Option<Norm>| -> Result<Tensor> {
            let mut y = linear
                .forward(x)?
                .reshape((step.len, n, self.shape.head_dim))?;
            if let Some(clip) = self.clip {
                y = y.clamp(-clip, clip)?;
            }
            match norm {
                Some(norm) => norm.forward(&y),
                None => Ok(y),
            }
        };
        let q = heads(&self.q, self.shape.n_heads, &self.q_norm)?;
        let k = heads(&self.k, self.shape.kv_heads, &self.k_norm)?;
        let v = heads(&self.v, self.shape.kv_heads, &None)?;
        let mixed = match cache {
            LayerCache::Host { keys, values } => {
                host::attend(&self.shape, [&q, &k, &v], step, keys, values)?
            }
            LayerCache::Device { keys, values } => {
                tensors::attend(&self.shape, [&q, &k, &v], step, keys, values)?
            }
        };
        step.trace(self.shape.layer, "attn_mixed", &mixed)?;
        self.output.forward(&mixed)
    }
}
