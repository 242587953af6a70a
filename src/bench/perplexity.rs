//! How well a model predicts a text, and how far another's predictions are from its own.

use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;

use super::{LogSoftmax, Mean, Window, Windows};
use crate::generate::SessionOptions;
use crate::model::{Model, Pass, Rows};
use crate::nn::{Cache, CacheType, Plan};
use crate::{Error, Result};

/// A model that reads windows, each from its first token on.
pub struct Reader {
    model: Arc<dyn Model>,
    cache: Cache,
    plan: Plan,
}

impl Reader {
    /// A reader of `windows`, for which there is room in the cache.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model has fewer positions than a window has tokens; else as
    /// [`Model::new_cache`].
    pub fn new(model: &Arc<dyn Model>, cache_type: CacheType, windows: &Windows) -> Result<Self> {
        let cache = model.new_cache(cache_type, windows.size())?;
        let (size, positions) = (windows.size(), cache.capacity());
        if positions < size {
            return Err(Error::Unsupported(format!(
                "windows of {size} tokens are more than the {positions} positions that the model has learned; lower --ctx-size"
            )));
        }
        Ok(Self {
            model: model.clone(),
            cache,
            plan: Plan::START,
        })
    }

    /// Begins a window: forgets the one before and reads [`Window::context`].
    ///
    /// # Errors
    /// As [`Model::plan`] and [`Model::forward`].
    pub fn begin(&mut self, window: &Window) -> Result<()> {
        self.cache.truncate(0);
        self.plan = self.model.plan(window.ids())?;
        for ids in window.context().chunks(SessionOptions::CHUNK) {
            self.forward(ids, Rows::Last)?;
        }
        Ok(())
    }

    /// Reads the next tokens of the window and predicts what follows each of them.
    ///
    /// # Errors
    /// As [`LogSoftmax::new`] and [`Model::forward`].
    pub fn read(&mut self, ids: &[u32]) -> Result<Vec<LogSoftmax>> {
        let logits = self.forward(ids, Rows::All)?;
        let row = |i| LogSoftmax::new(logits.get(i)?.to_vec1()?);
        (0..ids.len()).into_par_iter().map(row).collect()
    }

    fn forward(&mut self, ids: &[u32], rows: Rows) -> Result<Tensor> {
        let pass = Pass {
            plan: &self.plan,
            rows,
            trace: None,
        };
        self.model.forward(ids, pass, &mut self.cache)
    }
}

/// The perplexity of the tokens that are scored so far: exp of the mean negative log-likelihood
/// (natural logarithm) of a token.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Perplexity(Mean);

impl Perplexity {
    /// Scores `tokens`, each by its prediction.
    ///
    /// # Errors
    /// As [`LogSoftmax::of`].
    pub fn add(&mut self, predictions: &[LogSoftmax], tokens: &[u32]) -> Result<()> {
        for (prediction, &id) in predictions.iter().zip(tokens) {
            self.0.add(-prediction.of(id)?);
        }
        Ok(())
    }

    /// The perplexity; 1 of no tokens.
    pub fn value(&self) -> f64 {
        self.0.value().exp()
    }

    /// Its standard error to first order: that of the mean log-likelihood times the perplexity.
    /// `None` of fewer than two tokens.
    pub fn standard_error(&self) -> Option<f64> {
        let of_mean = self.0.standard_error()?;
        Some(of_mean * self.value())
    }

    /// Tokens that are scored.
    pub fn tokens(&self) -> usize {
        self.0.count()
    }
}

/// Two models' predictions of the same tokens.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Comparison {
    /// Of the first model.
    pub first: Perplexity,
    /// Of the second.
    pub second: Perplexity,
    /// KL(first || second) for each token, in nats.
    pub divergence: Mean,
    /// ln of the second's perplexity less that of the first's, token by token: what makes a token
    /// hard for both cancels in the standard error.
    pub log_ratio: Mean,
    /// The share of tokens for which both hold the same one likeliest.
    pub same_top: Mean,
}

impl Comparison {
    /// Scores `tokens`, each by both predictions.
    ///
    /// # Errors
    /// As [`LogSoftmax::of`]; [`Error::Unsupported`] if the divergence is infinite.
    pub fn add(
        &mut self,
        first: &[LogSoftmax],
        second: &[LogSoftmax],
        tokens: &[u32],
    ) -> Result<()> {
        self.first.add(first, tokens)?;
        self.second.add(second, tokens)?;
        let pairs = first.par_iter().zip(second);
        let divergences: Vec<f64> = pairs.map(|(a, b)| a.divergence(b)).collect();
        if divergences.iter().any(|d| !d.is_finite()) {
            return Err(Error::Unsupported(
                "the second setting gives a token the probability 0 that the first holds possible, so that their divergence is infinite; measure each on its own".to_string(),
            ));
        }
        divergences.iter().for_each(|&d| self.divergence.add(d));
        for ((a, b), &id) in first.iter().zip(second).zip(tokens) {
            self.log_ratio.add(a.of(id)? - b.of(id)?);
            self.same_top.add(f64::from(a.top() == b.top()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A prediction with these probabilities.
    fn of(probabilities: &[f64]) -> LogSoftmax {
        let logits = probabilities.iter().map(|p| p.ln() as f32);
        LogSoftmax::new(logits.collect()).unwrap()
    }

    #[test]
    fn the_perplexity_of_even_odds_is_their_number() {
        let mut even = Perplexity::default();
        let predictions = [of(&[0.2; 5]), of(&[0.2; 5]), of(&[0.2; 5])];
        even.add(&predictions, &[0, 4, 2]).unwrap();
        assert!((even.value() - 5.0).abs() < 1e-9);
        assert!(even.standard_error().unwrap() < 1e-9);
        assert_eq!(even.tokens(), 3);
        // The geometric mean of 1/p, and as far off as one of two logarithms is.
        let mut two = Perplexity::default();
        two.add(&[of(&[0.5, 0.5]), of(&[0.875, 0.125])], &[0, 1])
            .unwrap();
        assert!((two.value() - 4.0).abs() < 1e-5);
        let error = 4.0 * (8f64.ln() - 2f64.ln()) / 2.0;
        assert!((two.standard_error().unwrap() - error).abs() < 1e-5);
        assert_eq!(Perplexity::default().standard_error(), None);
    }

    #[test]
    fn a_comparison_with_itself_finds_nothing() {
        let both = [of(&[0.1, 0.9]), of(&[0.7, 0.3])];
        let mut same = Comparison::default();
        same.add(&both, &both, &[0, 0]).unwrap();
        assert_eq!(same.first, same.second);
        assert_eq!(same.divergence.value(), 0.0);
        assert_eq!(same.log_ratio.value(), 0.0);
        assert_eq!(same.log_ratio.standard_error(), Some(0.0));
        assert_eq!(same.same_top.value(), 1.0);
    }

    #[test]
    fn a_comparison_is_the_firsts_view_of_the_second() {
        let first = [of(&[0.5, 0.5]), of(&[0.75, 0.25])];
        let second = [of(&[0.25, 0.75]), of(&[0.5, 0.5])];
        let mut found = Comparison::default();
        found.add(&first, &second, &[0, 1]).unwrap();
        let kl = |p: f64, q: f64| p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln();
        let wanted = (kl(0.5, 0.25) + kl(0.75, 0.5)) / 2.0;
        assert!((found.divergence.value() - wanted).abs() < 1e-6);
        let ratio = (found.second.value() / found.first.value()).ln();
        assert!((found.log_ratio.value() - ratio).abs() < 1e-9);
        // ln 2 worse and ln 2 better.
        assert!(ratio.abs() < 1e-6);
        assert!((found.log_ratio.standard_error().unwrap() - 2f64.ln()).abs() < 1e-6);
        // Of two that are alike the first counts.
        assert_eq!(found.same_top.value(), 0.5);
        let masked = LogSoftmax::new(vec![0.0, f32::NEG_INFINITY]).unwrap();
        let error = found.add(&first[..1], &[masked], &[0]).unwrap_err();
        assert!(error.to_string().contains("infinite"), "{error}");
    }
}
