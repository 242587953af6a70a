//! Biases on attention scores that depend on where query and key stand.

use crate::arch::RelativeBias;
use crate::nn::Builder;
use crate::quant::kernels::attention::RoundedSlope;
use crate::{Error, Result};

/// A bias for each head.
pub enum ScoreBias {
    /// Learned, as T5's.
    Table {
        /// `[n_heads, 2·reach + 1]`: by key position minus query position, from −reach to reach.
        by_distance: Vec<f32>,
        /// The distance, in positions, that all farther ones count as.
        reach: usize,
    },
    /// ALiBi: what scores lose with each position of distance, for each head. (The paper's bias
    /// by the key's position alone differs by what softmax cancels, and is less exact.)
    Slopes(Vec<f32>),
    /// ALiBi in bf16, for each head.
    Rounded(Vec<RoundedSlope>),
}

/// Whether keys after the query have buckets of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// No, they share that of distance 0: a decoder sees none of them.
    Backward,
    /// Yes, half of all buckets: an encoder sees both ways.
    Both,
}

impl Direction {
    /// How many of `n` buckets the distances of one side have.
    fn buckets(self, n: usize) -> usize {
        match self {
            Self::Backward => n,
            Self::Both => n / 2,
        }
    }
}

/// Numbers of a table by distance, of all heads, beyond which a declaration is absurd: 64 MB.
const MAX_NUMBERS: usize = 1 << 24;

impl ScoreBias {
    /// Loads the table `name`, `[n_buckets, n_heads]`.
    ///
    /// # Errors
    /// If it is not there, or no distances have such buckets.
    pub fn load(
        builder: &Builder<'_>,
        name: &str,
        bias: RelativeBias,
        n_heads: usize,
        direction: Direction,
    ) -> Result<Self> {
        let table = builder.numbers(&format!("{name}.weight"), &[bias.n_buckets, n_heads])?;
        let by_distance = Self::by_distance(&table, bias, n_heads, direction);
        by_distance.map_err(|e| builder.named(name, e))
    }

    /// From the buckets' numbers, `[n_buckets, n_heads]`.
    fn by_distance(
        table: &[f32],
        bias: RelativeBias,
        n_heads: usize,
        direction: Direction,
    ) -> Result<Self> {
        let (buckets, reach) = (bias.n_buckets, bias.max_distance);
        let exact = direction.buckets(buckets) / 2;
        let numbers = reach
            .checked_mul(2)
            .and_then(|n| n.checked_add(1)?.checked_mul(n_heads))
            .filter(|&n| n <= MAX_NUMBERS);
        let Some(numbers) = numbers.filter(|_| exact > 0 && reach > exact) else {
            return Err(Error::Unsupported(format!(
                "{buckets} buckets for distances up to {reach} of {n_heads} heads are not \
                 supported; usual are 32, for distances up to 128"
            )));
        };
        let mut by_distance = Vec::with_capacity(numbers);
        for head in 0..n_heads {
            for i in 0..=2 * reach {
                let bucket = bucket(i as isize - reach as isize, bias, direction);
                by_distance.push(table[bucket * n_heads + head] * bias.scale);
            }
        }
        Ok(Self::Table { by_distance, reach })
    }

    /// ALiBi in bf16 with these slopes, multiplied by `scale`.
    pub fn rounded(slopes: &[f32], scale: f32) -> Self {
        let slopes = slopes.iter().map(|&slope| RoundedSlope::new(slope, scale));
        Self::Rounded(slopes.collect())
    }

    /// The bias of one head's query at a position for a key at another.
    pub fn at(&self, head: usize, query: usize, key: usize) -> f32 {
        let distance = key as isize - query as isize;
        match self {
            Self::Table { by_distance, reach } => {
                let r = *reach as isize;
                by_distance[head * (2 * reach + 1) + (distance.clamp(-r, r) + r) as usize]
            }
            Self::Slopes(slopes) => slopes[head] * distance as f32,
            Self::Rounded(slopes) => slopes[head].at(key),
        }
    }
}

/// The bucket of a distance (key minus query): exact for the near half, logarithmic beyond
/// (`T5Attention._relative_position_bucket` in `modeling_t5.py`).
fn bucket(distance: isize, bias: RelativeBias, direction: Direction) -> usize {
    let buckets = direction.buckets(bias.n_buckets);
    let (base, distance) = match direction {
        Direction::Both if distance > 0 => (buckets, distance.unsigned_abs()),
        Direction::Both => (0, distance.unsigned_abs()),
        Direction::Backward => (0, (-distance).max(0) as usize),
    };
    let exact = buckets / 2;
    if distance < exact {
        return base + distance;
    }
    // In f32, as the reference: the rounding decides which bucket a boundary falls into.
    let far = (distance as f32 / exact as f32).ln()
        / (bias.max_distance as f32 / exact as f32).ln()
        * (buckets - exact) as f32;
    base + (exact + far as usize).min(buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::BiasTables;

    const T5: RelativeBias = RelativeBias {
        n_buckets: 32,
        max_distance: 128,
        tables: BiasTables::First,
        scale: 1.0,
    };

    #[test]
    fn near_distances_have_their_own_bucket_and_far_ones_share() {
        // The values that the reference's function gives.
        let backward = [0, -1, -15, -16, -20, -64, -127, -128, -5000, 3];
        let found = backward.map(|d| bucket(d, T5, Direction::Backward));
        assert_eq!(found, [0, 1, 15, 16, 17, 26, 31, 31, 31, 0]);
        let both = [0, -7, -8, -128, 1, 7, 8, 127, 9999];
        let found = both.map(|d| bucket(d, T5, Direction::Both));
        assert_eq!(found, [0, 7, 8, 15, 17, 23, 24, 31, 31]);
    }

    #[test]
    fn absurd_buckets_are_refused() {
        let table = [0.5; 64];
        let load = |n_buckets, max_distance, direction| {
            let bias = RelativeBias {
                n_buckets,
                max_distance,
                ..T5
            };
            ScoreBias::by_distance(&table, bias, 2, direction)
        };
        for direction in [Direction::Backward, Direction::Both] {
            for (buckets, distance) in [(32, 1 << 31), (32, usize::MAX), (1, 128), (32, 4)] {
                let error = load(buckets, distance, direction).err().unwrap();
                let wanted = format!("{buckets} buckets for distances up to {distance} ");
                assert!(error.to_string().starts_with(&wanted), "{error}");
            }
            let bias = load(32, 128, direction).unwrap();
            assert_eq!(bias.at(1, 7, 900), 0.5);
        }
        // One bucket for each side cannot tell near from far.
        assert!(load(2, 128, Direction::Both).is_err());
        assert!(load(2, 128, Direction::Backward).is_ok());
    }
}
