//! Whole models: the decoder and the encoder-decoder, behind the trait that generation uses.

mod decoder;
mod seq2seq;
mod tensors;

use std::ops::Range;

use candle_core::Tensor;

pub use decoder::Decoder;
pub use seq2seq::Seq2Seq;
pub use tensors::{ROPE_FREQS, check_tensors};

use crate::arch::Spec;
use crate::nn::{Cache, CacheType, Plan, Trace};
use crate::{Error, Result};

/// For which of a step's positions logits are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// For every one: `[T, vocab]`.
    All,
    /// For the last, which is all that choosing a token takes: `[1, vocab]`.
    Last,
}

/// What one forward pass is to do besides running its tokens.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// That of the whole sequence, from [`Model::plan`].
    pub plan: &'a Plan,
    /// Which rows of the logits come back.
    pub rows: Rows,
    /// Where named intermediates go, if anywhere.
    pub trace: Option<&'a Trace>,
}

/// A model that continues sequences of tokens.
pub trait Model: Send + Sync {
    /// The declaration that it runs.
    fn spec(&self) -> &Spec;

    /// The plan of a sequence that begins with `prompt`.
    ///
    /// # Errors
    /// If the prompt lacks a token that the model cannot do without.
    fn plan(&self, prompt: &[u32]) -> Result<Plan>;

    /// How many of the first `common` tokens, which two prompts share, keep their keys and values
    /// when the sequence's plan changes from `old` to `new`.
    fn reusable(&self, old: &Plan, new: &Plan, common: usize) -> usize;

    /// Whether the tokens at `positions` come out of one pass as they do one by one: not where
    /// RoPE is stretched to the last position of a pass.
    fn alike_in_one_pass(&self, _positions: Range<usize>) -> bool {
        true
    }

    /// Whether a sequence must be run anew from its first token once it is `len` long.
    fn begins_anew(&self, _plan: &Plan, _len: usize) -> bool {
        false
    }

    /// An empty cache for `capacity` tokens, or for all learned positions where those are fewer.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is no memory for it, or the model or its device cannot
    /// have `kind`.
    fn new_cache(&self, kind: CacheType, capacity: usize) -> Result<Cache>;

    /// Runs a prompt through the encoder, whose output `cache` then holds, and gives the tokens
    /// that the decoder begins with; `None` where there is no encoder.
    ///
    /// # Errors
    /// [`Error::Text`] for an empty prompt, [`Error::TokenId`] for an id outside the vocabulary,
    /// [`Error::Unsupported`] if there is no memory for what the decoder looks at.
    fn encode(
        &self,
        _prompt: &[u32],
        _trace: Option<&Trace>,
        _cache: &mut Cache,
    ) -> Result<Option<Vec<u32>>> {
        Ok(None)
    }

    /// Runs `ids` after what is in `cache`; f32 logits in host memory, `[1 or T, vocab]`.
    ///
    /// # Errors
    /// [`Error::Text`] if there are no `ids`, or nothing went through an encoder yet;
    /// [`Error::ContextFull`] if they do not fit; [`Error::TokenId`] for an id outside the
    /// vocabulary.
    fn forward(&self, ids: &[u32], pass: Pass<'_>, cache: &mut Cache) -> Result<Tensor>;

    /// Bytes that the weights take in memory.
    fn weight_bytes(&self) -> usize;

    /// Number of weights.
    fn n_params(&self) -> usize;
}

/// Refuses a pass over no tokens.
fn check_ids(ids: &[u32]) -> Result<()> {
    match ids.is_empty() {
        true => Err(Error::Text(
            "there is nothing to run: no tokens".to_string(),
        )),
        false => Ok(()),
    }
}
