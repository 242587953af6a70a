//! From logits to log-probabilities.

use crate::{Error, Result};

/// A row of logits as the logarithms of probabilities: a log-softmax in f64 over f32 logits, the
/// largest of which is taken off first, so that no exponential overflows.
pub struct LogSoftmax {
    logits: Vec<f32>,
    max: f64,
    /// ln of the sum of all exp(logit - max).
    ln_sum: f64,
    /// The first of the likeliest tokens.
    top: usize,
}

impl LogSoftmax {
    /// That of a row of logits, `[vocab]`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if one of them is NaN, or the largest infinite.
    pub fn new(logits: Vec<f32>) -> Result<Self> {
        let mut best = (0, f32::NEG_INFINITY);
        let mut has_nan = false;
        for (id, &logit) in logits.iter().enumerate() {
            has_nan |= logit.is_nan();
            if logit > best.1 {
                best = (id, logit);
            }
        }
        let (top, max) = best;
        if has_nan || !max.is_finite() {
            let found = if has_nan { f32::NAN } else { max };
            return Err(Error::Unsupported(format!(
                "a logit is {found}: the model's weights are damaged (get or convert them again), or its keys and values are too large for the cache (try --cache-type f32)"
            )));
        }
        let max = f64::from(max);
        let sum: f64 = logits.iter().map(|&l| (f64::from(l) - max).exp()).sum();
        Ok(Self {
            logits,
            max,
            ln_sum: sum.ln(),
            top,
        })
    }

    /// The natural logarithm of a token's probability.
    ///
    /// # Errors
    /// [`Error::TokenId`] for an id that has no logit; [`Error::Unsupported`] if the probability
    /// is 0.
    pub fn of(&self, id: u32) -> Result<f64> {
        let logit = self.logits.get(id as usize).ok_or(Error::TokenId {
            id,
            vocab_size: self.logits.len(),
        })?;
        match self.ln(*logit) {
            ln if ln.is_finite() => Ok(ln),
            _ => Err(Error::Unsupported(format!(
                "the model gives token {id} of the text the probability 0, for which no perplexity is finite"
            ))),
        }
    }

    /// The likeliest token; of several the first.
    pub fn top(&self) -> usize {
        self.top
    }

    /// The Kullback-Leibler divergence KL(self || other) in nats; infinite where `other` excludes
    /// a token that `self` does not.
    pub fn divergence(&self, other: &Self) -> f64 {
        let both = self.logits.iter().zip(&other.logits);
        let terms = both.map(|(&a, &b)| {
            let ln = self.ln(a);
            match ln.exp() {
                p if p > 0.0 => p * (ln - other.ln(b)),
                _ => 0.0,
            }
        });
        terms.sum()
    }

    fn ln(&self, logit: f32) -> f64 {
        f64::from(logit) - self.max - self.ln_sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(probabilities: &[f64]) -> LogSoftmax {
        // Any constant may be added to logits.
        let logits = probabilities.iter().map(|p| (p.ln() + 3.0) as f32);
        LogSoftmax::new(logits.collect()).unwrap()
    }

    #[test]
    fn probabilities_come_back_however_large_the_logits_are() {
        let thirds = of(&[1.0 / 6.0, 1.0 / 2.0, 1.0 / 3.0]);
        assert!((thirds.of(1).unwrap() - 0.5f64.ln()).abs() < 1e-6);
        assert!((thirds.of(0).unwrap() - (1.0f64 / 6.0).ln()).abs() < 1e-6);
        assert_eq!(thirds.top(), 1);
        for far in [1e4f32, -1e4, 3e38, -3e38] {
            let even = LogSoftmax::new(vec![far; 4]).unwrap();
            assert!((even.of(3).unwrap() - 0.25f64.ln()).abs() < 1e-12, "{far}");
            assert_eq!(even.top(), 0);
        }
        // What is left out of a vocabulary takes no part of the others' probability.
        let masked = LogSoftmax::new(vec![0.0, f32::NEG_INFINITY, 0.0]).unwrap();
        assert!((masked.of(2).unwrap() - 0.5f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_number_is_an_error_that_says_so() {
        let message = |logits: &[f32]| match LogSoftmax::new(logits.to_vec()) {
            Ok(_) => panic!("{logits:?}"),
            Err(e) => e.to_string(),
        };
        assert!(message(&[0.0, f32::NAN]).contains("NaN"));
        assert!(message(&[f32::NAN; 2]).contains("NaN"));
        assert!(message(&[0.0, f32::INFINITY]).contains("inf"));
        assert!(message(&[f32::NEG_INFINITY; 3]).contains("-inf"));
        let masked = LogSoftmax::new(vec![0.0, f32::NEG_INFINITY]).unwrap();
        let never = masked.of(1).unwrap_err().to_string();
        assert!(never.contains("token 1") && never.contains("probability 0"));
        let outside = Error::TokenId {
            id: 2,
            vocab_size: 2,
        };
        assert_eq!(masked.of(2).unwrap_err().to_string(), outside.to_string());
    }

    #[test]
    fn a_divergence_is_kullbacks_and_leiblers() {
        let (p, q) = (of(&[0.5, 0.5]), of(&[0.25, 0.75]));
        let wanted = 0.5 * 2f64.ln() + 0.5 * (2.0f64 / 3.0).ln();
        assert!((p.divergence(&q) - wanted).abs() < 1e-6);
        assert_eq!(p.divergence(&p), 0.0);
        let other_way = 0.25 * 0.5f64.ln() + 0.75 * 1.5f64.ln();
        assert!((q.divergence(&p) - other_way).abs() < 1e-6);
        // A token that the first excludes costs nothing, one that only the second does all.
        let masked = LogSoftmax::new(vec![0.0, f32::NEG_INFINITY]).unwrap();
        assert!((masked.divergence(&p) - 2f64.ln()).abs() < 1e-6);
        assert_eq!(p.divergence(&masked), f64::INFINITY);
    }
}
