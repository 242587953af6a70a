//! From logits to a token: repetition penalty, temperature, top-k, top-p, min-p, in that order
//! (that of `transformers`' `logits_process.py`).

use rand::SeedableRng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;

/// How tokens are chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 is greedy: always the likeliest token, the lower id on a tie.
    pub temperature: f32,
    /// Only the k likeliest tokens.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together reach this probability (Holtzman et al. 2019,
    /// arXiv:1904.09751).
    pub top_p: Option<f32>,
    /// Only tokens at least this likely relative to the likeliest (Nguyen et al. 2024,
    /// arXiv:2407.01082).
    pub min_p: Option<f32>,
    /// Logits of recent tokens are divided by this where positive, multiplied where negative
    /// (Keskar et al. 2019, arXiv:1909.05858). 1 is off.
    pub repeat_penalty: f32,
    /// How many recent tokens are penalized.
    pub repeat_last_n: usize,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: None,
            top_p: None,
            min_p: None,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
        }
    }
}

/// Chooses tokens; the same seed and logits give the same tokens.
pub struct Sampler {
    sampling: Sampling,
    rng: StdRng,
}

impl Sampler {
    /// A sampler whose choices `seed` repeats.
    pub fn new(sampling: Sampling, seed: u64) -> Self {
        Self {
            sampling,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Chooses the token after `context` from `logits` (one per token of the vocabulary).
    /// Logits that are not numbers are never chosen.
    pub fn sample(&mut self, logits: &[f32], context: &[u32]) -> u32 {
        let mut logits = logits.to_vec();
        self.penalize(&mut logits, context);
        if self.sampling.temperature <= 0.0 {
            return argmax(&logits);
        }
        let candidates = self.candidates(&logits);
        let weights = candidates.iter().map(|c| c.1);
        match WeightedIndex::new(weights) {
            Ok(index) => candidates[index.sample(&mut self.rng)].0,
            Err(_) => argmax(&logits),
        }
    }

    fn penalize(&self, logits: &mut [f32], context: &[u32]) {
        let penalty = self.sampling.repeat_penalty;
        if penalty == 1.0 {
            return;
        }
        let recent = context.len().saturating_sub(self.sampling.repeat_last_n);
        let mut seen = context[recent..].to_vec();
        seen.sort_unstable();
        seen.dedup();
        for id in seen {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = if *logit > 0.0 {
                    *logit / penalty
                } else {
                    *logit * penalty
                };
            }
        }
    }

    /// The tokens that may be chosen with their relative probabilities, likeliest first where
    /// any filter needs the order.
    fn candidates(&self, logits: &[f32]) -> Vec<(u32, f32)> {
        let Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
            ..
        } = self.sampling;
        let mut kept: Vec<(u32, f32)> = (0u32..)
            .zip(logits.iter().copied())
            .filter(|c| !c.1.is_nan())
            .collect();
        let descending = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if let Some(k) = top_k.filter(|&k| k > 0 && k < kept.len()) {
            kept.select_nth_unstable_by(k - 1, descending);
            kept.truncate(k);
        }
        let max = kept.iter().fold(f32::NEG_INFINITY, |m, c| m.max(c.1));
        for c in &mut kept {
            c.1 = ((c.1 - max) / temperature).exp();
        }
        if let Some(p) = top_p.filter(|&p| p < 1.0) {
            kept.sort_unstable_by(descending);
            let total: f32 = kept.iter().map(|c| c.1).sum();
            let mut sum = 0.0;
            let enough = kept.iter().position(|c| {
                sum += c.1;
                sum >= p * total
            });
            kept.truncate(enough.map_or(kept.len(), |i| i + 1));
        }
        if let Some(min_p) = min_p {
            // The likeliest has weight 1.
            kept.retain(|c| c.1 >= min_p);
        }
        kept
    }
}

/// The likeliest token, the lower id on a tie.
fn argmax(logits: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, &logit) in (0u32..).zip(logits) {
        if logit > best.1 {
            best = (id, logit);
        }
    }
    best.0
}
