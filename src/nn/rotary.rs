//! Rotary position embedding: frequencies, tables and the turn itself.

use std::ops::Range;

use half::f16;

use crate::arch::{FrequencyPrecision, Pairing, Rope, RopeScaling, Yarn};

/// A model's RoPE, with the frequencies that do not depend on the sequence computed once.
pub struct Rotary {
    rope: Rope,
    inv_freq: Vec<f32>,
    /// The factor on cos and sin (YaRN; 1 elsewhere).
    amplitude: f32,
}

impl Rotary {
    /// Prepares the frequencies of `rope`.
    pub fn new(rope: &Rope) -> Self {
        Self {
            inv_freq: frequencies(rope, 0),
            amplitude: match &rope.scaling {
                RopeScaling::Yarn(yarn) => yarn.attention_factor as f32,
                RopeScaling::Long(long) => long.attention_factor as f32,
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
            RopeScaling::Dynamic { original, .. } => {
                match (old_len > original, new_len > original) {
                    // What is past the original length was turned by ever larger bases.
                    (false, false) => common.min(original),
                    (true, true) if old_len == new_len => common.min(old_len),
                    _ => 0,
                }
            }
            // Past the original length all keys must have been turned by the long divisors.
            RopeScaling::Long(ref long) if new_len > long.original || old_len > long.original => {
                match old_len.min(new_len) > long.original {
                    true => common,
                    false => 0,
                }
            }
            RopeScaling::PromptNtk { .. }
                if frequencies(&self.rope, old_len) != frequencies(&self.rope, new_len) =>
            {
                0
            }
            _ => common,
        }
    }

    /// Whether a sequence that its prompt made `prompt_len` long must have all its keys turned anew
    /// once it is `len` long: past LongRoPE's original length, where the divisors change
    /// (`prepare_inputs_for_generation` in `modeling_phi3.py`).
    pub fn turns_anew(&self, prompt_len: usize, len: usize) -> bool {
        match &self.rope.scaling {
            RopeScaling::Long(long) => prompt_len <= long.original && len > long.original,
            _ => false,
        }
    }

    /// Whether the tokens at `positions` are turned in one pass as they are one by one.
    pub fn alike_in_one_pass(&self, positions: Range<usize>) -> bool {
        match &self.rope.scaling {
            RopeScaling::Dynamic { original, .. } => positions.end <= *original,
            // The divisors change once.
            RopeScaling::Long(long) => {
                positions.end <= long.original || positions.start >= long.original
            }
            _ => true,
        }
    }

    /// The table for tokens at `positions`, in a sequence that its prompt made `prompt_len` long.
    pub fn table(
        &self,
        positions: impl Iterator<Item = usize> + Clone,
        prompt_len: usize,
    ) -> RotaryTable {
        let len = match self.rope.scaling {
            // As the reference: the base follows the longest position seen so far.
            RopeScaling::Dynamic { .. } | RopeScaling::Long(_) => {
                positions.clone().max().map_or(0, |p| p + 1).max(prompt_len)
            }
            _ => prompt_len,
        };
        RotaryTable {
            bands: vec![self.band(0, positions, len)],
            pairing: self.rope.pairing,
        }
    }

    /// The table of a head whose first `rotary_dim` dimensions turn by `positions` and whose next
    /// ones by `blocks` (`modeling_chatglm.py`).
    pub fn table_2d(
        &self,
        positions: impl Iterator<Item = usize>,
        blocks: impl Iterator<Item = usize>,
    ) -> RotaryTable {
        RotaryTable {
            bands: vec![
                self.band(0, positions, 0),
                self.band(self.rope.rotary_dim, blocks, 0),
            ],
            pairing: self.rope.pairing,
        }
    }

    fn band(&self, offset: usize, positions: impl Iterator<Item = usize>, len: usize) -> Band {
        let stretched;
        let inv_freq = match self.rope.scaling {
            RopeScaling::Dynamic { .. } | RopeScaling::PromptNtk { .. } | RopeScaling::Long(_) => {
                stretched = frequencies(&self.rope, len);
                &stretched
            }
            _ => &self.inv_freq,
        };
        let mut band = Band {
            offset,
            half: inv_freq.len(),
            cos: Vec::new(),
            sin: Vec::new(),
            query_scale: Vec::new(),
        };
        for position in positions {
            for (i, &f) in inv_freq.iter().enumerate() {
                let (s, c) = (position as f32 * f).sin_cos();
                band.cos.push(c * self.amplitude);
                band.sin.push(s * self.amplitude);
                if let Some(decay) = &self.rope.decay {
                    band.query_scale
                        .push(decay.at(i, self.rope.rotary_dim, position));
                }
            }
        }
        band
    }
}

/// cos and sin of one step's tokens.
pub struct RotaryTable {
    bands: Vec<Band>,
    pairing: Pairing,
}

/// Some of a head's dimensions that turn together: `[T, half]` each.
struct Band {
    /// Where they begin in the head.
    offset: usize,
    /// Number of pairs.
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
    /// What queries are multiplied by and keys divided by; empty for 1.
    query_scale: Vec<f32>,
}

/// Which of the two is turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Multiplied by what xPos has for its position.
    Query,
    /// Divided by that.
    Key,
}

impl RotaryTable {
    /// A table that turns nothing, for models without RoPE.
    pub fn none() -> Self {
        Self {
            bands: Vec::new(),
            pairing: Pairing::Half,
        }
    }

    /// Turns one head of the step's `token`-th token, `[head_dim]`, in place.
    pub fn turn(&self, head: &mut [f32], token: usize, side: Side) {
        for band in &self.bands {
            let row = token * band.half..(token + 1) * band.half;
            let head = &mut head[band.offset..band.offset + 2 * band.half];
            band.turn(head, row.clone(), self.pairing);
            if !band.query_scale.is_empty() {
                band.scale(head, row, self.pairing, side);
            }
        }
    }
}

impl Band {
    fn turn(&self, head: &mut [f32], row: Range<usize>, pairing: Pairing) {
        let turns = self.cos[row.clone()].iter().zip(&self.sin[row]);
        let turn = |a: &mut f32, b: &mut f32, c: f32, s: f32| {
            (*a, *b) = (*a * c - *b * s, *a * s + *b * c);
        };
        match pairing {
            Pairing::Half => {
                let (low, high) = head.split_at_mut(self.half);
                for ((a, b), (&c, &s)) in low.iter_mut().zip(high).zip(turns) {
                    turn(a, b, c, s);
                }
            }
            Pairing::Interleaved => {
                for ([a, b], (&c, &s)) in head.as_chunks_mut::<2>().0.iter_mut().zip(turns) {
                    turn(a, b, c, s);
                }
            }
        }
    }

    fn scale(&self, head: &mut [f32], row: Range<usize>, pairing: Pairing, side: Side) {
        for (i, &scale) in self.query_scale[row].iter().enumerate() {
            let scale = match side {
                Side::Query => scale,
                Side::Key => 1.0 / scale,
            };
            let (a, b) = match pairing {
                Pairing::Half => (i, i + self.half),
                Pairing::Interleaved => (2 * i, 2 * i + 1),
            };
            head[a] *= scale;
            head[b] *= scale;
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
        RopeScaling::Divisors(divisors) => divided(&plain, divisors),
        RopeScaling::Long(long) if len > long.original => divided(&plain, &long.long),
        RopeScaling::Long(long) => divided(&plain, &long.short),
    };
    scaled
        .into_iter()
        .map(|f| match rope.precision {
            FrequencyPrecision::F32 => f as f32,
            FrequencyPrecision::F16 => f16::from_f64(f).to_f32(),
        })
        .collect()
}

fn divided(frequencies: &[f64], divisors: &[f32]) -> Vec<f64> {
    let pairs = frequencies.iter().zip(divisors);
    pairs.map(|(f, &d)| f / f64::from(d)).collect()
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
