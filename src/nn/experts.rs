//! The router of a mixture of experts: only the chosen experts run, each once for all the tokens
//! that chose it.

use candle_core::{D, Device, Tensor};

use super::mlp::Layer;
use super::{Builder, Linear};
use crate::Result;
use crate::arch::{ExpertWeighting, Experts};

/// Chooses experts for each token.
pub struct Router {
    scores: Linear,
    experts: Experts,
}

impl Router {
    /// Loads the matrix `name`, `[experts, hidden]`.
    pub fn load(
        builder: &Builder<'_>,
        name: &str,
        hidden: usize,
        experts: Experts,
    ) -> Result<Self> {
        Ok(Self {
            scores: builder.linear(name, hidden, experts.count, false)?,
            experts,
        })
    }

    /// The weighted sum of each token's experts: `[T, hidden]` to `[T, hidden]`.
    pub fn mix(&self, x: &Tensor, experts: &[Layer]) -> Result<Tensor> {
        let probabilities = candle_nn::ops::softmax(&self.scores.forward(x)?, D::Minus1)?;
        let rows: Vec<Vec<f32>> = probabilities.to_device(&Device::Cpu)?.to_vec2()?;
        let mut tokens = vec![Vec::new(); experts.len()];
        let mut weights = vec![Vec::new(); experts.len()];
        for (t, row) in (0u32..).zip(&rows) {
            for (expert, weight) in self.choose(row) {
                tokens[expert].push(t);
                weights[expert].push(weight);
            }
        }
        let mut out = x.zeros_like()?;
        for ((layer, tokens), weights) in experts.iter().zip(tokens).zip(weights) {
            if tokens.is_empty() {
                continue;
            }
            let n = tokens.len();
            let tokens = Tensor::from_vec(tokens, n, x.device())?;
            let weights = Tensor::from_vec(weights, (n, 1), x.device())?;
            let y = layer.forward(&x.index_select(&tokens, 0)?)?;
            out = out.index_add(&tokens, &y.broadcast_mul(&weights)?, 0)?;
        }
        Ok(out)
    }

    /// The most probable experts of one token and their weights; of equals, the first.
    fn choose(&self, probabilities: &[f32]) -> Vec<(usize, f32)> {
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        order.truncate(self.experts.used);
        let total = match self.experts.weighting {
            ExpertWeighting::Softmax => 1.0,
            ExpertWeighting::SoftmaxRenormalized => order.iter().map(|&e| probabilities[e]).sum(),
        };
        order
            .into_iter()
            .map(|e| (e, probabilities[e] / total))
            .collect()
    }
}
