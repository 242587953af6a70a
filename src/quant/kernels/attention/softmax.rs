//! From scores to weights, one tile after another: Milakov & Gimelshein 2018 (arXiv:1805.02867).

use std::ops::Range;

use half::bf16;

use crate::quant::kernels::lanes::Lanes;
use crate::quant::kernels::math::{exp, tanh};

/// What is added to the scores of one head.
#[derive(Clone, Copy)]
pub enum Bias<'a> {
    /// Nothing.
    None,
    /// So much for each position from query to key.
    Slope(f32),
    /// So much for each position of the key, with slope and bias in bf16.
    Rounded(RoundedSlope),
    /// By key position minus query position, from -reach to reach and the same beyond:
    /// `[2 · reach + 1]`.
    Table(&'a [f32]),
}

/// So much for each position of the key, in bf16.
#[derive(Debug, Clone, Copy)]
pub struct RoundedSlope {
    slope: f32,
    scale: f32,
}

impl RoundedSlope {
    /// `slope` is rounded here, a bias once more; then it is multiplied by `scale`.
    pub fn new(slope: f32, scale: f32) -> Self {
        let slope = bf16::from_f32(slope).to_f32();
        Self { slope, scale }
    }

    /// The bias of a key.
    pub fn at(self, key: usize) -> f32 {
        let key = bf16::from_f32(key as f32).to_f32();
        bf16::from_f32(self.slope * key).to_f32() * self.scale
    }
}

/// The state of one query's softmax over the keys so far.
#[derive(Clone, Copy)]
pub struct Running {
    pub max: f32,
    pub total: f32,
}

impl Running {
    pub const START: Self = Self {
        max: f32::NEG_INFINITY,
        total: 0.0,
    };
}

/// One query's scores of a tile.
pub struct Scores<'a> {
    /// Whole vectors, those of the keys from `first` on.
    pub row: &'a mut [f32],
    pub first: usize,
    /// The keys that the query sees.
    pub visible: Range<usize>,
    /// The query's position.
    pub query: usize,
}

/// Turns scores into weights relative to the largest so far, 0 for keys that are not visible;
/// returns what earlier sums must be multiplied by.
///
/// # Safety
/// The machine must have the instructions of `L`.
#[inline(always)]
pub unsafe fn weigh<L: Lanes>(
    scores: Scores<'_>,
    softcap: Option<f32>,
    bias: Bias<'_>,
    state: &mut Running,
) -> f32 {
    let Scores {
        row,
        first,
        visible,
        query,
    } = scores;
    let n = row.len() / L::N * L::N;
    let p = row.as_mut_ptr();
    // SAFETY: the instructions are the caller's promise; every vector at `i` lies in the row.
    unsafe {
        if let Some(cap) = softcap {
            let (cap, inverse) = (L::splat(cap), L::splat(1.0 / cap));
            for i in (0..n).step_by(L::N) {
                let s = L::load(p.add(i));
                cap.mul(tanh(s.mul(inverse))).store(p.add(i));
            }
        }
        add::<L>(row, first, query, bias);
        let (lo, hi) = (
            visible.start.clamp(first, first + n) - first,
            visible.end.clamp(first, first + n) - first,
        );
        if lo >= hi {
            row.fill(0.0);
            return 1.0;
        }
        row[..lo].fill(f32::NEG_INFINITY);
        row[hi..].fill(f32::NEG_INFINITY);
        let p = row.as_mut_ptr();
        let mut max = L::splat(state.max);
        for i in (0..n).step_by(L::N) {
            max = L::load(p.add(i)).max(max);
        }
        let largest = max.largest();
        let max = L::splat(largest);
        let mut total = L::splat(0.0);
        for i in (0..n).step_by(L::N) {
            let w = exp(L::load(p.add(i)).sub(max));
            total = total.add(w);
            w.store(p.add(i));
        }
        let keep = (state.max - largest).exp();
        state.max = largest;
        state.total = state.total * keep + total.sum();
        keep
    }
}

/// Adds the bias to scores whose first is of the key `first`.
///
/// # Safety
/// As [`weigh`].
#[inline(always)]
unsafe fn add<L: Lanes>(row: &mut [f32], first: usize, query: usize, bias: Bias<'_>) {
    let distance = first as isize - query as isize;
    match bias {
        Bias::None => {}
        Bias::Rounded(slope) => {
            for (key, score) in (first..).zip(row) {
                *score += slope.at(key);
            }
        }
        Bias::Slope(slope) => {
            const STEPS: [f32; 16] = [
                0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.,
            ];
            let n = row.len() / L::N * L::N;
            let p = row.as_mut_ptr();
            // SAFETY: as for `weigh`.
            unsafe {
                let (slope, steps) = (L::splat(slope), L::load(STEPS.as_ptr()));
                for i in (0..n).step_by(L::N) {
                    let distance = L::splat((distance + i as isize) as f32).add(steps);
                    slope.mul_add(distance, L::load(p.add(i))).store(p.add(i));
                }
            }
        }
        Bias::Table(by_distance) => {
            let reach = (by_distance.len() / 2) as isize;
            for (i, score) in row.iter_mut().enumerate() {
                let distance = (distance + i as isize).clamp(-reach, reach);
                *score += by_distance[(distance + reach) as usize];
            }
        }
    }
}
