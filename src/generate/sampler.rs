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
    /// Logits that are not numbers are never chosen, unless none is one.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities at temperature 1, as far as they are numbers: 0.6439, 0.2369, 0.0871, 0.0321.
    const LOGITS: [f32; 5] = [2.0, 1.0, 0.0, -1.0, f32::NAN];

    /// Every token that is chosen by one of 2000 seeds.
    fn reached(sampling: &Sampling) -> Vec<u32> {
        let choice = |seed| Sampler::new(sampling.clone(), seed).sample(&LOGITS, &[]);
        let mut ids: Vec<u32> = (0..2000).map(choice).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn warm() -> Sampling {
        Sampling {
            temperature: 1.0,
            ..Sampling::default()
        }
    }

    #[test]
    fn filters_leave_what_their_definitions_leave() {
        let top_k = |k| Sampling {
            top_k: Some(k),
            ..warm()
        };
        let top_p = |p| Sampling {
            top_p: Some(p),
            ..warm()
        };
        let min_p = |temperature| Sampling {
            temperature,
            min_p: Some(0.1),
            ..warm()
        };
        let cases: [(Sampling, &[u32]); 12] = [
            (Sampling::default(), &[0]),
            (warm(), &[0, 1, 2, 3]),
            (top_k(1), &[0]),
            (top_k(2), &[0, 1]),
            (top_k(0), &[0, 1, 2, 3]),
            (top_k(9), &[0, 1, 2, 3]),
            // The token with which the sum reaches P is kept: the first has 0.64, two have 0.88,
            // three 0.97.
            (top_p(0.6), &[0]),
            (top_p(0.8), &[0, 1]),
            (top_p(0.9), &[0, 1, 2]),
            (top_p(1.0), &[0, 1, 2, 3]),
            // Relative to the likeliest they are 1, 0.37, 0.14 and 0.05; at temperature 0.5 these
            // numbers' squares.
            (min_p(1.0), &[0, 1, 2]),
            (min_p(0.5), &[0, 1]),
        ];
        for (sampling, wanted) in cases {
            assert_eq!(reached(&sampling), wanted, "{sampling:?}");
        }
    }

    #[test]
    fn recent_tokens_become_less_likely_whatever_their_sign() {
        let choose = |logits: &[f32], context: &[u32], repeat_penalty, repeat_last_n| {
            let sampling = Sampling {
                repeat_penalty,
                repeat_last_n,
                ..Sampling::default()
            };
            Sampler::new(sampling, 0).sample(logits, context)
        };
        // 2/1.5 stays above 1, 2/2.5 does not.
        let positive = [2.0, 1.0, -9.0];
        assert_eq!(choose(&positive, &[0], 1.5, 64), 0);
        assert_eq!(choose(&positive, &[0], 2.5, 64), 1);
        // However often it was said, once counts.
        assert_eq!(choose(&positive, &[0, 0, 0], 1.5, 64), 0);
        // -1·2.5 is below -2, -1·1.5 is not.
        let negative = [-1.0, -2.0, -9.0];
        assert_eq!(choose(&negative, &[0], 1.5, 64), 0);
        assert_eq!(choose(&negative, &[0], 2.5, 64), 1);
        // Token 0 is recent where the last two tokens count, not where the last one does.
        assert_eq!(choose(&positive, &[0, 2], 2.5, 2), 1);
        assert_eq!(choose(&positive, &[0, 2], 2.5, 1), 0);
        assert_eq!(choose(&positive, &[0, 2], 2.5, 0), 0);
        // One that is outside the vocabulary is nobody's.
        assert_eq!(choose(&positive, &[7], 2.5, 64), 0);
    }
}
