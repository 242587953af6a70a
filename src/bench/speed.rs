//! Tokens for each second, of prompts and of generation.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::arch::Structure;
use crate::generate::{FinishReason, Limits, Sampler, Sampling, Session, SessionOptions};
use crate::model::Model;
use crate::nn::CacheType;
use crate::{Error, Result};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// A prompt of this many tokens, in passes as `run` makes them.
    Prompt(usize),
    /// This many tokens, one by one.
    Generate(usize),
}

impl Load {
    /// Tokens of the prompt after those that are in the cache: its own, or one that generation
    /// begins with.
    fn prompt_len(self) -> usize {
        match self {
            Self::Prompt(n) => n,
            Self::Generate(_) => 1,
        }
    }

    /// Positions that are taken when this is done after `depth` tokens.
    pub fn positions(self, depth: usize, structure: &Structure) -> usize {
        let prompt = depth.saturating_add(self.prompt_len());
        let prompt = prompt.max(end(structure).len());
        match self {
            Self::Prompt(_) => prompt,
            // The first token comes from the prompt's last position.
            Self::Generate(n) => prompt.saturating_add(n.saturating_sub(1)),
        }
    }
}

/// Tokens for each second, one figure for each repetition.
#[derive(Debug, Clone, Default)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// The mean.
    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }

    /// The sample standard deviation; 0 for a single sample.
    pub fn stddev(&self) -> f64 {
        let (n, mean) = (self.0.len(), self.mean());
        let squares: f64 = self.0.iter().map(|x| (x - mean).powi(2)).sum();
        match n {
            0 | 1 => 0.0,
            n => (squares / (n - 1) as f64).sqrt(),
        }
    }
}

/// One measurement: a session that begins at the same depth each time. Tokens are drawn evenly
/// from the vocabulary, the same in every run.
pub struct Speed {
    session: Session,
    ids: Vec<u32>,
    /// What every prompt ends with.
    end: Vec<u32>,
    load: Load,
    depth: usize,
}

impl Speed {
    /// A measurement of `load` after `depth` tokens, which are run now.
    ///
    /// # Errors
    /// If the model fails or `interrupt` is set.
    pub fn new(
        model: &Arc<dyn Model>,
        load: Load,
        depth: usize,
        cache_type: CacheType,
        interrupt: &Arc<AtomicBool>,
    ) -> Result<Self> {
        let spec = model.spec();
        let end = end(&spec.structure);
        let options = SessionOptions {
            ctx_size: load.positions(depth, &spec.structure).saturating_add(2),
            cache_type,
            chunk: SessionOptions::CHUNK,
            keep_logits: false,
            interrupt: interrupt.clone(),
            trace: None,
        };
        let mut session = Session::new(model.clone(), options)?;
        let len = depth.saturating_add(load.prompt_len());
        let ids = plain_tokens(len, spec.vocab_size, &spec.structure);
        if depth > 0 {
            session.prompt(&prompt(&ids, &end, depth))?;
        }
        Ok(Self {
            session,
            ids,
            end,
            load,
            depth,
        })
    }

    /// A short run that does not count: memory is touched, clocks rise, threads wake.
    ///
    /// # Errors
    /// As [`Speed::new`].
    pub fn warm_up(&mut self) -> Result<()> {
        let load = match self.load {
            Load::Prompt(n) => Load::Prompt(n.min(64)),
            Load::Generate(n) => Load::Generate(n.min(8)),
        };
        self.run(load)?;
        Ok(())
    }

    /// One repetition: tokens for each second.
    ///
    /// # Errors
    /// As [`Speed::new`].
    pub fn sample(&mut self) -> Result<f64> {
        self.run(self.load)
    }

    fn run(&mut self, load: Load) -> Result<f64> {
        let len = self.depth.saturating_add(load.prompt_len());
        let prompt = prompt(&self.ids, &self.end, len);
        self.session.truncate(self.depth);
        match load {
            Load::Prompt(_) => {
                let start = Instant::now();
                // Where RoPE is stretched by the length, those before it may have to be run again.
                let run = self.session.prompt(&prompt)?;
                Ok(run as f64 / start.elapsed().as_secs_f64())
            }
            Load::Generate(n) => self.generate(&prompt, n),
        }
    }

    /// Tokens for each second, of `n` that take a pass each.
    fn generate(&mut self, prompt: &[u32], n: usize) -> Result<f64> {
        let session = &mut self.session;
        let structure = &session.model().spec().structure;
        // It would read the whole prompt again: there a token that does not count comes first.
        let has_encoder = matches!(structure, Structure::EncoderDecoder(_));
        let limits = Limits {
            max_tokens: Some(n.saturating_add(usize::from(has_encoder))),
            stop_ids: Vec::new(),
        };
        let sampler = Sampler::new(Sampling::default(), 0);
        session.prompt(prompt)?;
        let mut start = Instant::now();
        if has_encoder {
            session.answer(sampler, limits);
            session.next().transpose()?;
            start = Instant::now();
        } else {
            // The prompt's last token is run again, which is the pass that the first token takes.
            session.prompt(prompt)?;
            session.answer(sampler, limits);
        }
        let mut made = 0;
        for id in session.by_ref() {
            id?;
            made += 1;
        }
        let seconds = start.elapsed().as_secs_f64();
        match session.finish_reason() {
            _ if made == n => Ok(n as f64 / seconds),
            Some(FinishReason::ContextFull) => {
                let limit = session.tokens_run().len();
                let needed = limit.saturating_add(n - made);
                Err(Error::ContextFull { needed, limit })
            }
            _ => Err(Error::Interrupted),
        }
    }
}

/// What every prompt ends with: a prefix LM's with a mask and the start token, which it cannot do
/// without.
fn end(structure: &Structure) -> Vec<u32> {
    match structure {
        Structure::Prefix(lm) => {
            let mask = lm.masks.first().map(|mask| mask.id);
            mask.into_iter().chain([lm.start_id]).collect()
        }
        _ => Vec::new(),
    }
}

/// The first `len` of `ids`, the last of them replaced by `end`; no shorter than `end`.
fn prompt(ids: &[u32], end: &[u32], len: usize) -> Vec<u32> {
    let own = ids.iter().take(len.saturating_sub(end.len()));
    own.chain(end).copied().collect()
}

/// As [`tokens`], without the marks that divide a prefix LM's prompt.
fn plain_tokens(n: usize, vocab: usize, structure: &Structure) -> Vec<u32> {
    let mut ids = tokens(n, vocab);
    if let Structure::Prefix(lm) = structure {
        let is_mark = |id: u32| id == lm.start_id || lm.masks.iter().any(|mask| mask.id == id);
        let other = (0..).find(|&id| !is_mark(id)).unwrap_or_default();
        for id in ids.iter_mut().filter(|id| is_mark(**id)) {
            *id = other;
        }
    }
    ids
}

/// `n` ids below `vocab`, spread by a multiplicative sequence (Knuth, TAOCP 6.4).
fn tokens(n: usize, vocab: usize) -> Vec<u32> {
    let spread = |i: usize| (i as u64).wrapping_mul(2_654_435_761) >> 7;
    let one = |i| u32::try_from(spread(i) % vocab.max(1) as u64).unwrap_or(0);
    (0..n).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{AfterMask, Mask, PrefixLm};

    #[test]
    fn figures_are_the_textbooks() {
        let samples = Samples(vec![2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(samples.mean(), 5.0);
        assert!((samples.stddev() - (32.0f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(Samples(vec![3.0]).stddev(), 0.0);
    }

    #[test]
    fn tokens_are_of_the_vocabulary() {
        let ids = tokens(1000, 77);
        assert!(ids.iter().all(|&id| id < 77));
        assert!(ids.iter().collect::<std::collections::HashSet<_>>().len() > 70);
    }

    fn mask(id: u32) -> Mask {
        Mask {
            id,
            then: AfterMask::RunOn,
        }
    }

    fn lm(masks: Vec<Mask>) -> Structure {
        Structure::Prefix(PrefixLm { start_id: 9, masks })
    }

    #[test]
    fn tokens_take_a_position_each_and_no_prompt_is_shorter_than_its_end() {
        let causal = |load: Load, depth| load.positions(depth, &Structure::Causal);
        assert_eq!(causal(Load::Prompt(512), 0), 512);
        assert_eq!(causal(Load::Generate(512), 0), 512);
        assert_eq!(causal(Load::Generate(1), 511), 512);
        assert_eq!(causal(Load::Prompt(usize::MAX), 7), usize::MAX);
        assert_eq!(causal(Load::Generate(usize::MAX), 7), usize::MAX);
        let prefix = |load: Load, depth| load.positions(depth, &lm(vec![mask(7)]));
        assert_eq!(prefix(Load::Prompt(24), 0), 24);
        assert_eq!(prefix(Load::Generate(6), 0), 7);
        assert_eq!(prefix(Load::Generate(6), 24), 30);
    }

    #[test]
    fn a_prefix_lms_prompt_is_divided_at_its_end_and_nowhere_else() {
        let structure = lm(vec![mask(0), mask(7)]);
        let ids = plain_tokens(1000, 77, &structure);
        assert!(ids.iter().all(|id| ![0, 7, 9].contains(id) && *id < 77));
        let end = end(&structure);
        let whole = prompt(&ids, &end, 6);
        assert_eq!(whole, [&ids[..4], &[0, 9]].concat());
        assert_eq!(prompt(&ids, &end, 1), [0, 9]);
        assert_eq!(super::end(&lm(Vec::new())), [9]);
        assert_eq!(prompt(&ids, &super::end(&Structure::Causal), 3), ids[..3]);
    }
}
