//! The feed-forward layer.

use candle_core::Tensor;

use super::activation::activate;
use super::{Builder, Linear};
use crate::Result;
use crate::arch::{Activation, Ffn, FfnKind};

/// A feed-forward layer as the column declares it.
pub struct Mlp {
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl Mlp {
    /// Loads the layer under `prefix` (`blk.3`).
    pub fn load(builder: &Builder<'_>, prefix: &str, hidden: usize, ffn: &Ffn) -> Result<Self> {
        let name = |part: &str| format!("{prefix}.ffn_{part}");
        match ffn.kind {
            FfnKind::Gated => Ok(Self {
                gate: builder.linear(&name("gate"), hidden, ffn.inner, ffn.bias)?,
                up: builder.linear(&name("up"), hidden, ffn.inner, ffn.bias)?,
                down: builder.linear(&name("down"), ffn.inner, hidden, ffn.bias)?,
                activation: ffn.activation,
            }),
        }
    }

    /// `[T, hidden]` to `[T, hidden]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let gate = activate(&self.gate.forward(x)?, self.activation)?;
        self.down.forward(&(gate * self.up.forward(x)?)?)
    }
}
