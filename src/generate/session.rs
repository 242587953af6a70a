//! A conversation with one model: its tokens, its cache, and an iterator of new tokens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{Device, Tensor};

use super::draft::Drafts;
use super::{Draft, DraftCount, FinishReason, Limits, Sampler};
use crate::model::{Model, Pass, Rows};
use crate::nn::{Cache, CacheType, Plan, Trace};
use crate::{Error, Result};

/// What a session needs to know when it begins.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Tokens that fit, prompt and answers together.
    pub ctx_size: usize,
    /// What keys and values are rounded to.
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

impl SessionOptions {
    /// Prompt tokens of one pass where nothing asks for another number: enough that reading the
    /// weights is a small part of it, few enough that the activations are small beside them.
    pub const CHUNK: usize = 192;
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
    /// What an encoder has read: the drafts' material, though no token of the decoder's.
    source: Vec<u32>,
    /// Tokens of the last prompt that were run.
    prompt_run: usize,
    drafts: Drafts,
    answer: Option<Answer>,
    finish: Option<FinishReason>,
}

impl Session {
    /// An empty session.
    ///
    /// # Errors
    /// As [`Model::new_cache`].
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
            source: Vec::new(),
            prompt_run: 0,
            drafts: Drafts::new(Draft::None),
            answer: None,
            finish: None,
        })
    }

    /// Chooses where guesses at the next tokens come from; without this there are none. A session
    /// that is traced makes none.
    pub fn set_draft(&mut self, draft: Draft) {
        self.drop_draft();
        self.drafts = Drafts::new(draft);
    }

    /// What the guesses of this answer came to; nothing from the next prompt on.
    pub fn draft_count(&self) -> DraftCount {
        self.drafts.count()
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
    /// [`Error::ContextFull`] before anything is run if they do not fit; [`Error::Interrupted`];
    /// else as [`Model::plan`], [`Model::encode`] and [`Model::forward`].
    pub fn prompt(&mut self, ids: &[u32]) -> Result<usize> {
        self.drop_draft();
        self.drafts.restart();
        self.prompt_run = 0;
        // An encoder has no cache of its own that would refuse a prompt.
        let limit = self.cache.capacity();
        if ids.len() > limit {
            return Err(Error::ContextFull {
                needed: ids.len(),
                limit,
            });
        }
        let trace = self.options.trace.as_deref();
        match self.model.encode(ids, trace, &mut self.cache)? {
            Some(decoder) => {
                self.source = ids.to_vec();
                self.prompt_run = ids.len();
                self.keep(&decoder)?;
                self.run_rest(&decoder)?;
            }
            None => {
                self.source.clear();
                let kept = self.keep(ids)?;
                let done = self.run_rest(ids);
                self.prompt_run = self.tokens.len() - kept;
                done?;
            }
        }
        Ok(self.prompt_run)
    }

    /// How many tokens of the last prompt were run, also where that was interrupted.
    pub fn prompt_run(&self) -> usize {
        self.prompt_run
    }

    /// Makes `ids` the decoder's sequence: keeps what the cache holds of it, and returns how many
    /// tokens that is.
    fn keep(&mut self, ids: &[u32]) -> Result<usize> {
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
        Ok(self.tokens.len())
    }

    /// Runs what the cache does not hold of `ids` yet, a chunk at a time.
    fn run_rest(&mut self, ids: &[u32]) -> Result<()> {
        while self.tokens.len() < ids.len() {
            if self.interrupted() {
                return Err(Error::Interrupted);
            }
            let begin = self.tokens.len();
            let mut end = begin.saturating_add(self.options.chunk.max(1));
            if begin < self.plan.prefix {
                // Its tokens see each other both ways.
                end = end.max(self.plan.prefix);
            }
            self.run(&ids[begin..end.min(ids.len())], &[])?;
        }
        Ok(())
    }

    /// Begins an answer after the prompt; the session then iterates over its tokens.
    pub fn answer(&mut self, sampler: Sampler, limits: Limits) {
        self.finish = None;
        self.drop_draft();
        self.drafts.restart();
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
        self.drafts.clear();
        self.tokens.truncate(len);
        self.cache.truncate(len);
        self.last.clear();
        self.kept_rows_truncate(len);
    }

    /// Logits of every position that was run, `[T, vocab]`, if they were to be kept.
    ///
    /// # Errors
    /// [`Error::Candle`] if the rows cannot be joined into one tensor.
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

    /// Runs `ids` and, ahead of the sequence, `draft`; keeps the logits after the last of `ids`.
    fn run(&mut self, ids: &[u32], draft: &[u32]) -> Result<()> {
        let pass = Pass {
            plan: &self.plan,
            rows: match self.options.keep_logits || !draft.is_empty() {
                true => Rows::All,
                false => Rows::Last,
            },
            trace: self.options.trace.as_deref(),
        };
        let logits = match draft {
            [] => self.model.forward(ids, pass, &mut self.cache)?,
            draft => self
                .model
                .forward(&[ids, draft].concat(), pass, &mut self.cache)?,
        };
        let rows = logits.dim(0)?.saturating_sub(draft.len());
        self.last = logits.get(rows - 1)?.to_vec1()?;
        if self.options.keep_logits {
            self.kept.push(logits.narrow(0, 0, rows)?);
        }
        self.tokens.extend_from_slice(ids);
        let ahead = draft
            .iter()
            .zip(rows..)
            .map(|(&id, row)| Ok((id, logits.get(row)?.to_vec1()?)));
        self.drafts.add(ahead.collect::<Result<_>>()?);
        Ok(())
    }

    /// Runs `ids`, the next tokens, unless a draft has run them; `room` more may be guessed.
    fn go_on(&mut self, ids: &[u32], room: usize) -> Result<()> {
        let Some(logits) = self.drafts.verify(ids) else {
            self.drop_draft();
            let len = self.tokens.len() + ids.len();
            if self.model.begins_anew(&self.plan, len) {
                let all = [&self.tokens, ids].concat();
                self.keep(&all)?;
                return self.run_rest(&all);
            }
            let left = self.cache.capacity() - self.tokens.len();
            let room = match self.options.trace {
                Some(_) => 0,
                None => room.min(left.saturating_sub(ids.len())),
            };
            let history = || [self.source.as_slice(), &self.tokens, ids].concat();
            let draft = self.drafts.guess(room, history);
            let start = self.tokens.len();
            let places = start..start + ids.len() + draft.len();
            return match self.model.alike_in_one_pass(places) {
                true => self.run(ids, &draft),
                false => self.run(ids, &[]),
            };
        };
        if self.options.keep_logits {
            let row = Tensor::new(logits.as_slice(), &Device::Cpu)?;
            self.kept.push(row.unsqueeze(0)?);
        }
        self.last = logits;
        self.tokens.extend_from_slice(ids);
        Ok(())
    }

    /// Takes what was run ahead of the sequence out of the cache.
    fn drop_draft(&mut self) {
        self.drafts.clear();
        self.cache.truncate(self.tokens.len());
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
        let left = answer.limits.max_tokens.map(|n| n - answer.produced);
        if !self.pending.is_empty() {
            let ids: Vec<u32> = self.pending.drain(..).collect();
            // The last token of the answer needs no run.
            match self.go_on(&ids, left.map_or(usize::MAX, |n| n - 1)) {
                // It was run anew from the first token on, which takes long enough to be stopped.
                Err(Error::Interrupted) => {
                    self.stop(FinishReason::Interrupted);
                    return Ok(None);
                }
                done => done?,
            }
        }
        if self.last.is_empty() {
            return Err(Error::Text(
                "there is nothing to continue: no prompt".to_string(),
            ));
        }
        if !self.last.iter().any(|logit| logit.is_finite()) {
            return Err(self.no_number());
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

    /// Why no token can be chosen.
    fn no_number(&self) -> Error {
        let narrow = match self.options.cache_type {
            CacheType::F32 => "",
            _ => ", or its keys and values are too large for the cache; try --cache-type f32",
        };
        Error::Unsupported(format!(
            "no token can be chosen, for none of the model's logits is a number: its weights are damaged (get or convert them again){narrow}"
        ))
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
