//! The feed-forward layer.

use candle_core::Tensor;

use super::activation::activate;
use super::{Builder, Linear};
use crate::Result;
use crate::arch::{Activation, Ffn, FfnKind};

/// A feed-forward layer as the column declares it.
pub struct Mlp {
    gate: Option<Linear>,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl Mlp {
    /// Loads the layer under `prefix` (`blk.3`).
    pub fn load(builder: &Builder<'_>, prefix: &str, hidden: usize, ffn: &Ffn) -> Result<Self> {
        let name = |part: &str| format!("{prefix}.ffn_{part}");
        let gate = match ffn.kind {
            FfnKind::Gated => Some(builder.linear(&name("gate"), hidden, ffn.inner, ffn.bias)?),
            FfnKind::Plain => None,
        };
        Ok(Self {
            gate,
            up: builder.linear(&name("up"), hidden, ffn.inner, ffn.bias)?,
            down: builder.linear(&name("down"), ffn.inner, hidden, ffn.bias)?,
            activation: ffn.activation,
        })
    }

    /// `[T, hidden]` to `[T, hidden]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let up = self.up.forward(x)?;
        let inner = match &self.gate {
            Some(gate) => (activate(&gate.forward(x)?, self.activation)? * up)?,
            None => activate(&up, self.activation)?,
        };
        self.down.forward(&inner)
    }
}
