//! Multi-head attention with a KV cache: MHA, GQA and MQA, windows, norms on q and k, biases on
//! the scores; over the sequence itself or over an encoder's output.

mod bias;
mod host;
mod tensors;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Tensor};

pub use bias::{Direction, ScoreBias};

use super::{Builder, CacheType, LayerCache, Linear, Norm, RotaryTable, Step};
use crate::Result;
use crate::arch::{self, AttentionBias, QkNorm, QueryScale, Spec};

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
    bias: Option<Arc<ScoreBias>>,
    device: Device,
}

/// The sizes and constants that the score computation needs.
#[derive(Debug, Clone, Copy)]
struct Shape {
    n_heads: usize,
    kv_heads: usize,
    head_dim: usize,
    scale: f32,
    query_scale: QueryScale,
    softcap: Option<f32>,
    window: Option<usize>,
}

/// What a step's queries look at.
#[derive(Clone, Copy)]
struct Sight<'a> {
    step: &'a Step<'a>,
    shape: Shape,
    bias: Option<&'a ScoreBias>,
    over: Over,
}

/// Whose keys and values are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Those of the sequence itself, as the plan allows.
    Sequence,
    /// All of an encoder's, this many.
    Memory(usize),
}

impl Sight<'_> {
    /// Which keys the step's `i`-th token sees.
    fn visible(&self, i: usize) -> Range<usize> {
        match self.over {
            Over::Sequence => self.step.visible(i, self.shape.window),
            Over::Memory(len) => 0..len,
        }
    }

    /// Number of keys.
    fn total(&self) -> usize {
        match self.over {
            Over::Sequence => self.step.start + self.step.len,
            Over::Memory(len) => len,
        }
    }
}

impl Attention {
    /// Loads the attention whose tensors begin with `stem` (`blk.3.attn`), in layer number
    /// `layer` of its stack.
    ///
    /// # Errors
    /// If a tensor is missing, of the wrong shape or of a type that cannot be multiplied.
    pub fn load(
        builder: &Builder<'_>,
        spec: &Spec,
        stem: &str,
        layer: usize,
        score_bias: Option<Arc<ScoreBias>>,
    ) -> Result<Self> {
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
        let name = |part: &str| format!("{stem}_{part}");
        let norm = |part: &str| -> Result<Option<Norm>> {
            match qk_norm {
                QkNorm::None => Ok(None),
                QkNorm::PerHead => Ok(Some(builder.norm(&name(part), *head_dim, spec.norm)?)),
            }
        };
        let qkv_bias = matches!(bias, AttentionBias::Qkv | AttentionBias::All);
        let output_bias = matches!(bias, AttentionBias::Output | AttentionBias::All);
        let (hidden, q_width, kv_width) =
            (spec.hidden_size, n_heads * head_dim, kv_heads * head_dim);
        Ok(Self {
            q: builder.linear(&name("q"), hidden, q_width, qkv_bias)?,
            k: builder.linear(&name("k"), hidden, kv_width, qkv_bias)?,
            v: builder.linear(&name("v"), hidden, kv_width, qkv_bias)?,
            output: builder.linear(&name("output"), q_width, hidden, output_bias)?,
            q_norm: norm("q_norm")?,
            k_norm: norm("k_norm")?,
            shape: Shape {
                n_heads: *n_heads,
                kv_heads: *kv_heads,
                head_dim: *head_dim,
                scale: *scale,
                query_scale: *query_scale,
                softcap: *softcap,
                window: window.of_layer(layer),
            },
            clip: *clip,
            bias: score_bias,
            device: builder.device.clone(),
        })
    }

    /// A projection's output as heads, `[T, n · head_dim]` to `[T, n, head_dim]`.
    fn heads(&self, y: Tensor, n: usize, norm: Option<&Norm>) -> Result<Tensor> {
        let y = match self.clip {
            Some(clip) => y.clamp(-clip, clip)?,
            None => y,
        };
        let y = y.reshape((y.dim(0)?, n, self.shape.head_dim))?;
        match norm {
            Some(norm) => norm.forward(&y),
            None => Ok(y),
        }
    }

    fn rotary<'s>(&self, step: &'s Step<'_>) -> &'s RotaryTable {
        step.rotary(self.shape.window)
    }

    fn as_queries(&self, y: Tensor) -> Result<Tensor> {
        self.heads(y, self.shape.n_heads, self.q_norm.as_ref())
    }

    fn as_keys_and_values(&self, [k, v]: [Tensor; 2]) -> Result<[Tensor; 2]> {
        let n = self.shape.kv_heads;
        Ok([
            self.heads(k, n, self.k_norm.as_ref())?,
            self.heads(v, n, None)?,
        ])
    }

    /// `[T, hidden]` to `[T, hidden]`; the step's keys and values go into `cache`.
    ///
    /// # Errors
    /// If `x` is of another shape, or the step does not fit into a GPU's cache or memory.
    ///
    /// # Panics
    /// On the CPU, if the step does not fit into `cache`, which
    /// [`Cache::reserve`](super::Cache::reserve) checks.
    pub fn forward(&self, x: &Tensor, step: &Step<'_>, cache: &mut LayerCache) -> Result<Tensor> {
        let [q, k, v] = Linear::forward_many([&self.q, &self.k, &self.v], x)?;
        let q = self.as_queries(q)?;
        let [k, v] = self.as_keys_and_values([k, v])?;
        match cache {
            LayerCache::Host { keys, values } => {
                host::write(step, self.rotary(step), [&k, &v], [keys, values])?;
            }
            LayerCache::Device { keys, values } => {
                tensors::write(step, self.rotary(step), [&k, &v], [keys, values])?;
            }
        }
        self.look(q, step, cache, Over::Sequence)
    }

    /// Keys and values of an encoder's output `[S, hidden]`, to be looked at by
    /// [`Attention::recall`].
    ///
    /// # Errors
    /// If `states` are of another shape, or there is no memory for the keys and values.
    pub fn remember(&self, states: &Tensor) -> Result<LayerCache> {
        let len = states.dim(0)?;
        let Shape {
            kv_heads, head_dim, ..
        } = self.shape;
        let mut cache = LayerCache::new(CacheType::F32, [kv_heads, len, head_dim], &self.device)?;
        let [k, v] = self.as_keys_and_values(Linear::forward_many([&self.k, &self.v], states)?)?;
        let step = Step::unturned(len);
        match &mut cache {
            LayerCache::Host { keys, values } => {
                host::write(&step, &step.rotary, [&k, &v], [keys, values])?;
            }
            LayerCache::Device { keys, values } => {
                tensors::write(&step, &step.rotary, [&k, &v], [keys, values])?;
            }
        }
        Ok(cache)
    }

    /// As [`Attention::forward`], over what was remembered: `len` positions.
    ///
    /// # Errors
    /// If `x` is of another shape, or a GPU does not hold so many positions.
    pub fn recall(
        &self,
        x: &Tensor,
        step: &Step<'_>,
        memory: &LayerCache,
        len: usize,
    ) -> Result<Tensor> {
        self.look(
            self.as_queries(self.q.forward(x)?)?,
            step,
            memory,
            Over::Memory(len),
        )
    }

    fn look(&self, q: Tensor, step: &Step<'_>, cache: &LayerCache, over: Over) -> Result<Tensor> {
        let sight = Sight {
            step,
            shape: self.shape,
            bias: self.bias.as_deref(),
            over,
        };
        let mixed = match cache {
            LayerCache::Host { keys, values } => host::mix(sight, &q, keys, values)?,
            LayerCache::Device { keys, values } => tensors::mix(sight, &q, keys, values)?,
        };
        self.output.forward(&mixed)
    }
}
