//! The feed-forward layer.

use candle_core::Tensor;

use super::activation::activate;
use super::experts::Router;
use super::{Builder, Linear};
use crate::Result;
use crate::arch::{Activation, Ffn, FfnKind};

/// A feed-forward layer as the column declares it.
pub enum Mlp {
    One(Layer),
    Experts { router: Router, experts: Vec<Layer> },
}

/// One gated or plain layer.
pub struct Layer {
    gate: Option<Linear>,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl Mlp {
    /// Loads the layer under `prefix` (`blk.3`).
    pub fn load(builder: &Builder<'_>, prefix: &str, hidden: usize, ffn: &Ffn) -> Result<Self> {
        let name = |part: &str| format!("{prefix}.ffn_{part}");
        let linear = |part: &str, inputs: usize, outputs: usize| {
            builder.linear(&name(part), inputs, outputs, ffn.bias)
        };
        let gate = match ffn.kind {
            FfnKind::Gated => Some(linear("gate", hidden, ffn.inner)?),
            FfnKind::Plain => None,
            FfnKind::Experts(experts) => {
                let stack = |part: &str, shape: [usize; 2]| {
                    builder.stack(&format!("{}.weight", name(part)), experts.count, shape)
                };
                let gate = stack("gate_exps", [ffn.inner, hidden])?;
                let up = stack("up_exps", [ffn.inner, hidden])?;
                let down = stack("down_exps", [hidden, ffn.inner])?;
                let layers = gate.into_iter().zip(up).zip(down);
                return Ok(Self::Experts {
                    router: Router::load(builder, &name("gate_inp"), hidden, experts)?,
                    experts: layers
                        .map(|((gate, up), down)| Layer {
                            gate: Some(gate),
                            up,
                            down,
                            activation: ffn.activation,
                        })
                        .collect(),
                });
            }
        };
        Ok(Self::One(Layer {
            gate,
            up: linear("up", hidden, ffn.inner)?,
            down: linear("down", ffn.inner, hidden)?,
            activation: ffn.activation,
        }))
    }

    /// `[T, hidden]` to `[T, hidden]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::One(layer) => layer.forward(x),
            Self::Experts { router, experts } => router.mix(x, experts),
        }
    }
}

impl Layer {
    /// `[T, hidden]` to `[T, hidden]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let inner = match &self.gate {
            Some(gate) => {
                let [gate, up] = Linear::forward_many([gate, &self.up], x)?;
                activate(gate, Some(&up), self.activation)?
            }
            None => activate(self.up.forward(x)?, None, self.activation)?,
        };
        self.down.forward(&inner)
    }
}
