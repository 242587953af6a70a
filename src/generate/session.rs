//! A conversation with one model: its tokens, its cache, and an iterator of new tokens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::Tensor;

use super::Sampler;
use crate::model::{Model, Pass, Rows};
use crate::nn::{Cache, CacheType, Plan, Trace};
use crate::{Error, Result};

/// What a session needs to know when it begins.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Tokens that fit, prompt and answers together.
    pub ctx_size: usize,
    pub cache_type: CacheType,
    /// Prompt tokens of one forward pass.
    pub chunk: usize,
    /// Keep the logits of every position that is run.
    pub keep_logits: bool,
    /// Set from outside to stop: between tokens and between chunks of a prompt.
    pub interrupt: Arc<AtomicBool>,
    /// Where named intermediates go, if anywhere.
    pub trace: Option<Arc<Trace>>,
}

/// When an answer ends.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// At most this many tokens; the context's end otherwise.
    pub max_tokens: Option<usize>,
    /// Tokens that end the answer. They are neither returned nor run.
    pub stop_ids: Vec<u32>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// At a stop token or stop string.
    Stop,
    /// At the most tokens that were asked for.
    Length,
    /// The context is full.
    ContextFull,
    /// From outside.
    Interrupted,
}

impl FinishReason {
    /// As written into JSON output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length | Self::ContextFull => "length",
            Self::Interrupted => "interrupted",
        }
    }
}

/// An answer in the making.
struct Answer {
    sampler: Sampler,
    limits: Limits,
    produced: usize,
}

/// Iterates over the tokens of the answer that [`Session::answer`] begins.
pub struct Session {
    model: Arc<dyn Model>,
    options: SessionOptions,
    cache: Cache,
    plan: Plan,
    /// Tokens whose keys and values are in the cache.
    tokens: Vec<u32>,
    /// Tokens still to be run.
    pending: VecDeque<u32>,
    /// Logits after the last token that was run, `[vocab]`.
    last: Vec<f32>,
    kept: Vec<Tensor>,
    answer: Option<Answer>,
    finish: Option<FinishReason>,
}

impl Session {
    /// An empty session.
    pub fn new(model: Arc<dyn Model>, options: SessionOptions) -> Result<Self> {
        let cache = model.new_cache(options.cache_type, options.ctx_size)?;
        Ok(Self {
            plan: Plan::START,
            model,
            options,
            cache,
            tokens: Vec::new(),
            pending: VecDeque::new(),
            last: Vec::new(),
            kept: Vec::new(),
            answer: None,
            finish: None,
        })
    }

    /// The model that answers.
    pub fn model(&self) -> &dyn Model {
        self.model.as_ref()
    }

    /// Every token of the session, those not yet run included.
    pub fn tokens(&self) -> Vec<u32> {
        self.tokens.iter().chain(&self.pending).copied().collect()
    }

    /// Makes `ids` the session's tokens and runs those that the cache does not hold yet: what
    /// both have in common at the beginning is kept. Returns how many of `ids` were run: all of
    /// them, where they go through an encoder.
    ///
    /// # Errors
    /// [`Error::ContextFull`] before anything is run if they do not fit; [`Error::Interrupted`].
    pub fn prompt(&mut self, ids: &[u32]) -> Result<usize> {
        let trace = self.options.trace.as_deref();
        match self.model.encode(ids, trace, &mut self.cache)? {
            Some(decoder) => self.decoder_prompt(&decoder).map(|_| ids.len()),
            None => self.decoder_prompt(ids),
        }
    }

    /// As [`Self::prompt`], for the decoder's tokens.
    fn decoder_prompt(&mut self, ids: &[u32]) -> Result<usize> {
        let limit = self.cache.capacity();
        if ids.len() > limit {
            return Err(Error::ContextFull {
                needed: ids.len(),
                limit,
            });
        }
        let plan = self.model.plan(ids)?;
        let common = self
            .tokens
            .iter()
            .zip(ids)
            .take_while(|(a, b)| a == b)
            .count();
        let reusable = self.model.reusable(&self.plan, &plan, common);
        // The last token is run again if nothing is new, for its logits.
        self.truncate(reusable.min(ids.len().saturating_sub(1)));
        self.plan = plan;
        let new = &ids[self.tokens.len()..];
        let n = new.len();
        let mut done = 0;
        while done < n {
            if self.interrupted() {
                return Err(Error::Interrupted);
            }
            let begin = self.tokens.len();
            let mut end = begin.saturating_add(self.options.chunk.max(1));
            if begin < self.plan.prefix {
                // Its tokens see each other both ways.
                end = end.max(self.plan.prefix);
            }
            let chunk = &new[done..(done + end - begin).min(n)];
            self.run(chunk)?;
            done += chunk.len();
        }
        Ok(n)
    }

    /// Begins an answer after the prompt; the session then iterates over its tokens.
    pub fn answer(&mut self, sampler: Sampler, limits: Limits) {
        self.finish = None;
        self.answer = Some(Answer {
            sampler,
            limits,
            produced: 0,
        });
    }

    /// Ends the answer from outside: at a stop string, say.
    pub fn stop(&mut self, reason: FinishReason) {
        self.answer = None;
        self.finish = Some(reason);
    }

    /// Why the last answer ended; `None` while one is being made.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finish
    }

    /// Forgets all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.pending.clear();
        self.tokens.truncate(len);
        self.cache.truncate(len);
        self.last.clear();
        self.kept_rows_truncate(len);
    }

    /// Logits of every position that was run, `[T, vocab]`, if they were to be kept.
    pub fn logits(&self) -> Result<Option<Tensor>> {
        match self.kept.as_slice() {
            [] => Ok(None),
            rows => Ok(Some(Tensor::cat(rows, 0)?)),
        }
    }

    /// The tokens whose logits [`Session::logits`] gives.
    pub fn tokens_run(&self) -> &[u32] {
        &self.tokens
    }

    fn kept_rows_truncate(&mut self, len: usize) {
        if !self.options.keep_logits {
            return;
        }
        let mut left = len;
        let mut kept = Vec::new();
        for rows in self.kept.drain(..) {
            let n = rows.dim(0).unwrap_or(0).min(left);
            if n > 0
                && let Ok(rows) = rows.narrow(0, 0, n)
            {
                kept.push(rows);
            }
            left -= n;
        }
        self.kept = kept;
    }

    fn interrupted(&self) -> bool {
        self.options.interrupt.load(Ordering::Relaxed)
    }

    /// Runs `ids` and keeps the logits after the last.
    fn run(&mut self, ids: &[u32]) -> Result<()> {
        let pass = Pass {
            plan: &self.plan,
            rows: match self.options.keep_logits {
                true => Rows::All,
                false => Rows::Last,
            },
            trace: self.options.trace.as_deref(),
        };
        let logits = self.model.forward(ids, pass, &mut self.cache)?;
        let rows = logits.dim(0)?;
        self.last = logits.get(rows - 1)?.to_vec1()?;
        if self.options.keep_logits {
            self.kept.push(logits);
        }
        self.tokens.extend_from_slice(ids);
        Ok(())
    }

    /// The next token of the answer, if it does not end here.
    fn advance(&mut self) -> Result<Option<u32>> {
        let Some(answer) = &self.answer else {
            return Ok(None);
        };
        if self.interrupted() {
            self.stop(FinishReason::Interrupted);
            return Ok(None);
        }
        if answer
            .limits
            .max_tokens
            .is_some_and(|n| answer.produced >= n)
        {
            self.stop(FinishReason::Length);
            return Ok(None);
        }
        if !self.pending.is_empty() {
            let ids: Vec<u32> = self.pending.drain(..).collect();
            self.run(&ids)?;
        }
        if self.last.is_empty() {
            return Err(Error::Text(
                "there is nothing to continue: no prompt".to_string(),
            ));
        }
        let Some(answer) = &mut self.answer else {
            return Ok(None);
        };
        let id = answer.sampler.sample(&self.last, &self.tokens);
        if answer.limits.stop_ids.contains(&id) {
            self.stop(FinishReason::Stop);
            return Ok(None);
        }
        answer.produced += 1;
        if self.tokens.len() < self.cache.capacity() {
            self.pending.push_back(id);
        } else {
            // There is no room to run it, so it is the last.
            self.stop(FinishReason::ContextFull);
        }
        Ok(Some(id))
    }
}

impl Iterator for Session {
    type Item = Result<u32>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance().transpose();
        if let Some(Err(_)) = next {
            self.answer = None;
        }
        next
    }
}
