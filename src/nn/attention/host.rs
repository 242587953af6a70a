//! Attention on the CPU: keys and values are visited in tiles with an online softmax, so nothing
//! of size T × T exists, and each key head is read once for all the query heads that share it.
//! Milakov & Gimelshein 2018 (arXiv:1805.02867); Dao et al. 2022 (arXiv:2205.14135).

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::{Over, Shape, Sight};
use crate::Result;
use crate::arch::QueryScale;
use crate::nn::cache::Plane;
use crate::nn::{RotaryTable, Side, Step};

/// Keys of one tile: 64 vectors of 128 f32 are 32 KiB, an L1 cache.
const KEY_TILE: usize = 64;
/// Tokens of one tile of queries.
const TOKEN_TILE: usize = 16;
/// Below this many multiply-adds a thread costs more than it saves.
const PARALLEL_WORK: usize = 1 << 18;

/// Writes the step's keys and values, `[T, kv_heads, head_dim]` each.
pub(super) fn write(
    step: &Step<'_>,
    rotary: &RotaryTable,
    [k, v]: [&Tensor; 2],
    [keys, values]: [&mut Plane; 2],
) -> Result<()> {
    let (_, kv_heads, head_dim) = k.dims3()?;
    let mut k: Vec<f32> = k.flatten_all()?.to_vec1()?;
    let v: Vec<f32> = v.flatten_all()?.to_vec1()?;
    rotary.turn(&mut k, head_dim, kv_heads, Side::Key);
    let vectors = k.chunks_exact(head_dim).zip(v.chunks_exact(head_dim));
    for (i, (k, v)) in vectors.enumerate() {
        keys.write(i % kv_heads, step.start + i / kv_heads, k);
        values.write(i % kv_heads, step.start + i / kv_heads, v);
    }
    Ok(())
}

/// Mixes the values that the queries `[T, n_heads, head_dim]` see: `[T, n_heads · head_dim]`.
pub(super) fn mix(sight: Sight<'_>, q: &Tensor, keys: &Plane, values: &Plane) -> Result<Tensor> {
    let Shape {
        n_heads,
        kv_heads,
        head_dim,
        query_scale,
        window,
        ..
    } = sight.shape;
    let step = sight.step;
    let mut q: Vec<f32> = q.flatten_all()?.to_vec1()?;
    if sight.over == Over::Sequence {
        step.rotary(window)
            .turn(&mut q, head_dim, n_heads, Side::Query);
    }
    if query_scale != QueryScale::None {
        for (i, token) in q.chunks_exact_mut(n_heads * head_dim).enumerate() {
            let scale = query_scale.at(step.start + i);
            token.iter_mut().for_each(|x| *x *= scale);
        }
    }
    let tiles: Vec<(usize, usize)> = (0..kv_heads)
        .flat_map(|head| (0..step.len).step_by(TOKEN_TILE).map(move |t| (head, t)))
        .collect();
    let mix = |&(head, first): &(usize, usize)| {
        let q = &q;
        Tile {
            sight,
            head,
            first,
            q,
        }
        .mix(keys, values)
    };
    let work = step.len * sight.total() * n_heads * head_dim;
    let mixed: Vec<Vec<f32>> = if work < PARALLEL_WORK {
        tiles.iter().map(mix).collect()
    } else {
        tiles.par_iter().map(mix).collect()
    };
    // Each tile holds [tokens, its query heads, head_dim].
    let mut out = vec![0.0; step.len * n_heads * head_dim];
    let row = n_heads / kv_heads * head_dim;
    for ((head, first), tile) in tiles.into_iter().zip(mixed) {
        for (i, from) in tile.chunks_exact(row).enumerate() {
            let at = (first + i) * n_heads * head_dim + head * row;
            out[at..at + row].copy_from_slice(from);
        }
    }
    Ok(Tensor::from_vec(
        out,
        (step.len, n_heads * head_dim),
        &Device::Cpu,
    )?)
}

/// Some tokens' queries on one key head.
struct Tile<'a> {
    sight: Sight<'a>,
    /// The key head.
    head: usize,
    /// The first token.
    first: usize,
    q: &'a [f32],
}

impl Tile<'_> {
    /// The mixed values, `[tokens, query heads of this key head, head_dim]`.
    fn mix(&self, keys: &Plane, values: &Plane) -> Vec<f32> {
        let Shape {
            n_heads,
            kv_heads,
            head_dim,
            scale,
            softcap,
            ..
        } = self.sight.shape;
        let step = self.sight.step;
        let shared = n_heads / kv_heads;
        let tokens = (step.len - self.first).min(TOKEN_TILE);
        let rows = tokens * shared;
        let query = |r: usize| {
            let head = (self.first + r / shared) * n_heads + self.head * shared + r % shared;
            &self.q[head * head_dim..(head + 1) * head_dim]
        };
        let visible: Vec<_> = (0..tokens)
            .map(|i| self.sight.visible(self.first + i))
            .collect();
        let begin = visible.iter().map(|v| v.start).min().unwrap_or(0);
        let end = visible.iter().map(|v| v.end).max().unwrap_or(0);
        let mut sums = vec![Running::default(); rows];
        let mut out = vec![0.0f32; rows * head_dim];
        let (mut key_scratch, mut value_scratch) = (Vec::new(), Vec::new());
        let mut weights = [0.0f32; KEY_TILE];
        for from in (begin..end).step_by(KEY_TILE) {
            let to = (from + KEY_TILE).min(end);
            let key_tile = keys.read(self.head, from, to, &mut key_scratch);
            let value_tile = values.read(self.head, from, to, &mut value_scratch);
            for (r, (sum, out)) in sums
                .iter_mut()
                .zip(out.chunks_exact_mut(head_dim))
                .enumerate()
            {
                let seen = &visible[r / shared];
                let (lo, hi) = (seen.start.max(from), seen.end.min(to));
                if lo >= hi {
                    continue;
                }
                let (lo, hi) = (lo - from, hi - from);
                let q = query(r);
                for j in lo..hi {
                    weights[j] = dot(q, &key_tile[j * head_dim..(j + 1) * head_dim]) * scale;
                }
                if let Some(cap) = softcap {
                    for weight in &mut weights[lo..hi] {
                        *weight = cap * (*weight / cap).tanh();
                    }
                }
                if let Some(bias) = self.sight.bias {
                    let head = self.head * shared + r % shared;
                    let query = step.start + self.first + r / shared;
                    for (j, weight) in (lo..hi).zip(&mut weights[lo..hi]) {
                        *weight += bias.at(head, query, from + j);
                    }
                }
                let keep = sum.add(&mut weights[lo..hi]);
                if keep != 1.0 {
                    out.iter_mut().for_each(|o| *o *= keep);
                }
                for j in lo..hi {
                    let value = &value_tile[j * head_dim..(j + 1) * head_dim];
                    for (o, v) in out.iter_mut().zip(value) {
                        *o += weights[j] * v;
                    }
                }
            }
        }
        for (sum, out) in sums.iter().zip(out.chunks_exact_mut(head_dim)) {
            out.iter_mut().for_each(|o| *o /= sum.total);
        }
        out
    }
}

/// The state of one online softmax.
#[derive(Clone)]
struct Running {
    max: f32,
    total: f32,
}

impl Default for Running {
    fn default() -> Self {
        Self {
            max: f32::NEG_INFINITY,
            total: 0.0,
        }
    }
}

impl Running {
    /// Turns scores into weights relative to the largest so far; returns what earlier sums must
    /// be multiplied by.
    fn add(&mut self, scores: &mut [f32]) -> f32 {
        let max = scores.iter().fold(self.max, |m, &s| m.max(s));
        let keep = (self.max - max).exp();
        self.max = max;
        self.total *= keep;
        for s in scores {
            *s = (*s - max).exp();
            self.total += *s;
        }
        keep
    }
}

/// The inner product, in eight lanes so that it vectorizes.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a8, a_tail) = a.as_chunks::<8>();
    let (b8, b_tail) = b.as_chunks::<8>();
    let mut lanes = [0.0f32; 8];
    for (a, b) in a8.iter().zip(b8) {
        for (l, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *l += a * b;
        }
    }
    let tail: f32 = a_tail.iter().zip(b_tail).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + tail
}
