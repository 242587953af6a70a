//! What a forward pass knows of its tokens' places: which positions they have and which keys each
//! of them sees. Made outside the blocks, so that a prefix LM is not a second forward pass.

use std::ops::Range;

use candle_core::{Device, Tensor};

use super::{RotaryTable, Trace};
use crate::Result;

/// The shape of the sequence that a prompt begins; the same for every chunk of it and for the
/// tokens generated after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The prompt's length: what length-dependent RoPE scalings stretch to.
    pub prompt_len: usize,
}

impl Plan {
    /// The plan of a causal model's prompt.
    pub fn causal(prompt_len: usize) -> Self {
        Self { prompt_len }
    }
}

/// One forward pass of `len` tokens that follow `start` others.
pub struct Step<'a> {
    /// Positions in the cache before this step.
    pub start: usize,
    pub len: usize,
    /// cos and sin for this step's tokens.
    pub rotary: RotaryTable,
    pub trace: Option<&'a Trace>,
}

impl Step<'_> {
    /// Which cached positions the step's `i`-th token sees.
    pub fn visible(&self, i: usize, window: Option<usize>) -> Range<usize> {
        let end = self.start + i + 1;
        let begin = window.map_or(0, |w| end.saturating_sub(w));
        begin..end
    }

    /// The mask `[T, S]` to be added to scores: 0 where visible, −∞ elsewhere.
    pub fn mask(&self, window: Option<usize>, device: &Device) -> Result<Tensor> {
        let total = self.start + self.len;
        let mut mask = vec![f32::NEG_INFINITY; self.len * total];
        for (i, row) in mask.chunks_exact_mut(total).enumerate() {
            row[self.visible(i, window)].fill(0.0);
        }
        Ok(Tensor::from_vec(mask, (self.len, total), device)?)
    }

    /// Keeps `rows` under `blk.{layer}.{name}` if this run is traced.
    pub fn trace(&self, layer: usize, name: &str, rows: &Tensor) -> Result<()> {
        match self.trace {
            Some(trace) => trace.add(format!("blk.{layer}.{name}"), rows),
            None => Ok(()),
        }
    }
}
