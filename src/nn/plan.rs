//! What a forward pass knows of its tokens' places: which positions they have and which keys each
//! of them sees. Made outside the blocks, so that a prefix LM is not a second forward pass.

use std::ops::Range;

use candle_core::Tensor;

use super::{RotaryTable, Trace};
use crate::arch::{AfterMask, Structure};
use crate::{Error, Result};

/// The shape of the sequence that a prompt begins; the same for every chunk of it and for the
/// tokens generated after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The prompt's length: what length-dependent RoPE scalings stretch to.
    pub prompt_len: usize,
    /// Tokens at the beginning that see each other both ways. They must be run in one pass.
    pub prefix: usize,
    /// The position of every token after the prefix, if it stays where a mask is.
    pub blank: Option<usize>,
}

impl Plan {
    /// The plan of a causal sequence that has not begun.
    pub const START: Self = Self {
        prompt_len: 0,
        prefix: 0,
        blank: None,
    };

    /// The plan of a prompt.
    ///
    /// # Errors
    /// If a prefix LM's prompt lacks its mask or its start token.
    pub fn new(structure: &Structure, prompt: &[u32]) -> Result<Self> {
        let causal = Self {
            prompt_len: prompt.len(),
            ..Self::START
        };
        let Structure::Prefix(lm) = structure else {
            return Ok(causal);
        };
        let find = |id: u32| prompt.iter().position(|&t| t == id);
        let start = find(lm.start_id);
        let mask = lm.masks.iter().find_map(|m| Some((find(m.id)?, m.then)));
        let (Some(prefix), Some((mask, then))) = (start, mask) else {
            let masks: Vec<String> = lm.masks.iter().map(|m| m.id.to_string()).collect();
            return Err(Error::Text(format!(
                "this model's prompt must hold a mask token (id {}) and end with its start token \
                 (id {}); one of them is missing",
                masks.join(" or "),
                lm.start_id
            )));
        };
        Ok(Self {
            prefix,
            blank: (then == AfterMask::Stay).then_some(mask),
            ..causal
        })
    }

    /// The position of the `i`-th token of the sequence.
    pub fn position(&self, i: usize) -> usize {
        match self.blank {
            Some(mask) if i >= self.prefix => mask,
            _ => i,
        }
    }

    /// The block position of the `i`-th token: 0 in the context, then 1, 2, 3 …
    pub fn block(&self, i: usize) -> usize {
        match i.checked_sub(self.prefix) {
            Some(n) if self.prefix > 0 => n + 1,
            _ => 0,
        }
    }

    /// How many of the first `common` tokens, which two prompts share, see the same under both
    /// plans.
    pub fn reusable(&self, other: &Self, common: usize) -> usize {
        let same = self.prefix == other.prefix && self.blank == other.blank;
        match (self.prefix, other.prefix) {
            (0, 0) => common,
            (prefix, _) if same && common >= prefix => common,
            _ => 0,
        }
    }
}

/// One forward pass of `len` tokens that follow `start` others.
pub struct Step<'a> {
    /// Positions in the cache before this step.
    pub start: usize,
    /// Tokens of this step.
    pub len: usize,
    /// That of the whole sequence.
    pub plan: &'a Plan,
    /// cos and sin for this step's tokens.
    pub rotary: RotaryTable,
    /// Those of layers with a window, where they are others.
    pub windowed: Option<RotaryTable>,
    /// Where named intermediates go, if anywhere.
    pub trace: Option<&'a Trace>,
}

impl Step<'_> {
    /// Which cached positions the step's `i`-th token sees.
    pub fn visible(&self, i: usize, window: Option<usize>) -> Range<usize> {
        let at = self.start + i;
        if at < self.plan.prefix {
            return 0..self.plan.prefix;
        }
        let begin = window.map_or(0, |w| (at + 1).saturating_sub(w));
        begin..at + 1
    }

    /// cos and sin for a layer with this window.
    pub fn rotary(&self, window: Option<usize>) -> &RotaryTable {
        match (&self.windowed, window) {
            (Some(table), Some(_)) => table,
            _ => &self.rotary,
        }
    }

    /// A step of `len` tokens from the first on, in which nothing turns.
    pub fn unturned(len: usize) -> Self {
        Self {
            start: 0,
            len,
            plan: &Plan::START,
            rotary: RotaryTable::none(),
            windowed: None,
            trace: None,
        }
    }

    /// Keeps `rows` under `{prefix}.{name}` (`blk.3.attn_out`) if this run is traced.
    ///
    /// # Errors
    /// As [`Trace::add`].
    pub fn trace(&self, prefix: &str, name: &str, rows: &Tensor) -> Result<()> {
        match self.trace {
            Some(trace) => trace.add(format!("{prefix}.{name}"), rows),
            None => Ok(()),
        }
    }
}
