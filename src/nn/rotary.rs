//! Rotary position embedding: frequencies, tables and the turn itself.

use candle_core::{Device, Tensor};

use crate::Result;
use crate::arch::{Pairing, Rope, RopeScaling, Yarn};

/// A model's RoPE, with the frequencies that do not depend on the sequence computed once.
pub struct Rotary {
    rope: Rope,
    inv_freq: Vec<f32>,
    /// The factor on cos and sin (YaRN; 1 elsewhere).
    amplitude: f32,
}

/// cos and sin of one step: `[T, rotary_dim / 2]` each.
pub struct RotaryTable {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
    pairing: Pairing,
}

impl Rotary {
    /// Prepares the frequencies of `rope`.
    pub fn new(rope: &Rope) -> Self {
        Self {
            inv_freq: frequencies(rope, 0),
            amplitude: match &rope.scaling {
                RopeScaling::Yarn(yarn) => yarn.attention_factor as f32,
                _ => 1.0,
            },
            rope: rope.clone(),
        }
    }

    /// What the scaling divides each plain frequency by, `[rotary_dim / 2]`.
    pub fn divisors(&self) -> Vec<f32> {
        let plain = Rope {
            scaling: RopeScaling::None,
            ..self.rope.clone()
        };
        let plain = frequencies(&plain, 0);
        plain
            .iter()
            .zip(&self.inv_freq)
            .map(|(p, s)| p / s)
            .collect()
    }

    /// How many of the first `common` keys of a prompt of `old_len` tokens and its continuation
    /// are turned as a prompt of `new_len` tokens turns them.
    pub fn reusable(&self, old_len: usize, new_len: usize, common: usize) -> usize {
        match self.rope.scaling {
            // What was generated after the prompt was turned by ever larger bases.
            RopeScaling::Dynamic { original, .. } if new_len > original && old_len == new_len => {
                common.min(old_len)
            }
            RopeScaling::Dynamic { original, .. } if new_len > original => 0,
            RopeScaling::PromptNtk { .. }
                if frequencies(&self.rope, old_len) != frequencies(&self.rope, new_len) =>
            {
                0
            }
            _ => common,
        }
    }

    /// The table for tokens at `positions`, in a sequence that its prompt made `prompt_len` long.
    pub fn table(
        &self,
        positions: impl Iterator<Item = usize> + Clone,
        prompt_len: usize,
    ) -> RotaryTable {
        let stretched;
        let inv_freq = match self.rope.scaling {
            RopeScaling::Dynamic { .. } => {
                // As the reference: the base follows the longest position seen so far.
                let len = positions.clone().max().map_or(0, |p| p + 1).max(prompt_len);
                stretched = frequencies(&self.rope, len);
                &stretched
            }
            RopeScaling::PromptNtk { .. } => {
                stretched = frequencies(&self.rope, prompt_len);
                &stretched
            }
            _ => &self.inv_freq,
        };
        let half = inv_freq.len();
        let mut cos = Vec::new();
        let mut sin = Vec::new();
        for position in positions {
            for &f in inv_freq {
                let (s, c) = (position as f32 * f).sin_cos();
                cos.push(c * self.amplitude);
                sin.push(s * self.amplitude);
            }
        }
        RotaryTable {
            cos,
            sin,
            half,
            pairing: self.rope.pairing,
        }
    }
}

impl RotaryTable {
    /// A table that turns nothing, for models without RoPE.
    pub fn none() -> Self {
        Self {
            cos: Vec::new(),
            sin: Vec::new(),
            half: 0,
            pairing: Pairing::Half,
        }
    }

    /// cos and sin as tensors `[T, rotary_dim / 2]`; `None` if nothing turns.
    pub fn tensors(&self, device: &Device) -> Result<Option<(Tensor, Tensor)>> {
        if self.half == 0 {
            return Ok(None);
        }
        let shape = (self.cos.len() / self.half, self.half);
        let tensor = |v: &[f32]| Tensor::from_slice(v, shape, device);
        Ok(Some((tensor(&self.cos)?, tensor(&self.sin)?)))
    }

    /// Which dimensions form a pair.
    pub fn pairing(&self) -> Pairing {
        self.pairing
    }

    /// Turns the heads of `x`, `[T, heads, head_dim]` flat, in place.
    pub fn turn(&self, x: &mut [f32], head_dim: usize, heads: usize) {
        if self.half == 0 {
            return;
        }
        for (t, token) in x.chunks_exact_mut(heads * head_dim).enumerate() {
            let cos = &self.cos[t * self.half..(t + 1) * self.half];
            let sin = &self.sin[t * self.half..(t + 1) * self.half];
            for head in token.chunks_exact_mut(head_dim) {
                match self.pairing {
                    Pairing::Half => {
                        let (low, rest) = head.split_at_mut(self.half);
                        for (((a, b), &c), &s) in low.iter_mut().zip(rest).zip(cos).zip(sin) {
                            (*a, *b) = (*a * c - *b * s, *a * s + *b * c);
                        }
                    }
                    Pairing::Interleaved => {
                        let pairs = head.as_chunks_mut::<2>().0;
                        for (([a, b], &c), &s) in pairs.iter_mut().zip(cos).zip(sin) {
                            (*a, *b) = (*a * c - *b * s, *a * s + *b * c);
                        }
                    }
                }
            }
        }
    }
}

/// The angular frequency of each rotating pair, `[rotary_dim / 2]`, for a sequence of `len`
/// tokens (which only dynamic scaling looks at). Formulas: `modeling_rope_utils.py`.
fn frequencies(rope: &Rope, len: usize) -> Vec<f32> {
    let dim = rope.rotary_dim as f64;
    let powers = |theta: f64| -> Vec<f64> {
        (0..rope.rotary_dim / 2)
            .map(|i| 1.0 / theta.powf(2.0 * i as f64 / dim))
            .collect()
    };
    let plain = powers(rope.theta);
    let scaled: Vec<f64> = match &rope.scaling {
        RopeScaling::None => plain,
        RopeScaling::Linear { factor } => plain.iter().map(|f| f / factor).collect(),
        RopeScaling::Dynamic { factor, original } => {
            let ratio = len.max(*original) as f64 / *original as f64;
            let stretch = (factor * ratio - (factor - 1.0)).powf(dim / (dim - 2.0));
            powers(rope.theta * stretch)
        }
        &RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original,
        } => plain
            .iter()
            .map(|&f| {
                let waves = original as f64 * f / std::f64::consts::TAU;
                if waves < low_freq_factor {
                    f / factor
                } else if waves > high_freq_factor {
                    f
                } else {
                    let smooth = (waves - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    (1.0 - smooth) * f / factor + smooth * f
                }
            })
            .collect(),
        RopeScaling::Yarn(yarn) => yarn_frequencies(yarn, rope.theta, dim, &plain),
        &RopeScaling::PromptNtk { train_len } => {
            let doublings = (len as f64 / train_len as f64).log2() + 1.0;
            let alpha = (doublings.ceil().exp2() - 1.0).max(1.0);
            powers(rope.theta * alpha.powf(dim / (dim - 2.0)))
        }
        RopeScaling::Divisors(divisors) => plain
            .iter()
            .zip(divisors)
            .map(|(f, &d)| f / f64::from(d))
            .collect(),
    };
    scaled.into_iter().map(|f| f as f32).collect()
}

/// YaRN's blend of stretched and plain frequencies (Peng et al. 2023, eqs. 17 to 23).
fn yarn_frequencies(yarn: &Yarn, theta: f64, dim: f64, plain: &[f64]) -> Vec<f64> {
    let correction = |rotations: f64| {
        dim * (yarn.original as f64 / (rotations * std::f64::consts::TAU)).ln() / (2.0 * theta.ln())
    };
    let (mut low, mut high) = (correction(yarn.beta_fast), correction(yarn.beta_slow));
    if yarn.truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    low = low.max(0.0);
    high = high.min(dim - 1.0);
    if low == high {
        high += 0.001;
    }
    plain
        .iter()
        .enumerate()
        .map(|(i, f)| {
            let ramp = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
            f / yarn.factor * ramp + f * (1.0 - ramp)
        })
        .collect()
}
