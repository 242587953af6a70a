//! Tokens for each second, of prompts and of generation.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::generate::{Limits, Sampler, Sampling, Session, SessionOptions};
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
        // A prompt's own tokens, or one that generation begins with and all that follow.
        let n = match load {
            Load::Prompt(n) | Load::Generate(n) => n,
        };
        let options = SessionOptions {
            ctx_size: depth + n + 2,
            cache_type,
            chunk: SessionOptions::CHUNK,
            keep_logits: false,
            interrupt: interrupt.clone(),
            trace: None,
        };
        let mut session = Session::new(model.clone(), options)?;
        let ids = tokens(depth + n.max(1), model.spec().vocab_size);
        if depth > 0 {
            session.prompt(&ids[..depth])?;
        }
        Ok(Self {
            session,
            ids,
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
        let (session, depth) = (&mut self.session, self.depth);
        session.truncate(depth);
        match load {
            Load::Prompt(n) => {
                let start = Instant::now();
                session.prompt(&self.ids[..depth + n])?;
                Ok(n as f64 / start.elapsed().as_secs_f64())
            }
            Load::Generate(n) => {
                session.prompt(&self.ids[..depth + 1])?;
                // The first token comes from the prompt's pass; n more take n passes.
                let limits = Limits {
                    max_tokens: Some(n + 1),
                    stop_ids: Vec::new(),
                };
                session.answer(Sampler::new(Sampling::default(), 0), limits);
                session.next().transpose()?;
                let start = Instant::now();
                let mut made = 0;
                for id in session.by_ref() {
                    id?;
                    made += 1;
                }
                match made == n {
                    true => Ok(n as f64 / start.elapsed().as_secs_f64()),
                    false => Err(Error::Interrupted),
                }
            }
        }
    }
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
}
