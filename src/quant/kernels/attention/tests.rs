//! Against the definition in f64, on random shapes.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::store::{Q8_BLOCK, SLACK, quantize_q8};
use super::*;

/// Keys and values as the kernels read them, and the numbers that they stand for.
struct Cache {
    f32: Vec<f32>,
    f16: Vec<u16>,
    codes: Vec<i8>,
    scales: Vec<u16>,
    /// `[head][position][dim]` of each type.
    exact: [Vec<f32>; 3],
}

impl Cache {
    fn new(rng: &mut StdRng, [heads, capacity, dim]: [usize; 3], keys: bool) -> Self {
        let room = match keys {
            true => capacity.next_multiple_of(KEY_GROUP),
            false => capacity,
        };
        let blocks = q8_blocks(dim);
        let n = heads * room * dim + SLACK;
        let mut cache = Self {
            f32: vec![0.0; n],
            f16: vec![0; n],
            codes: vec![0; n],
            scales: vec![0; heads * room * blocks],
            exact: Default::default(),
        };
        for (head, position) in (0..heads).flat_map(|h| (0..capacity).map(move |p| (h, p))) {
            let x: Vec<f32> = (0..dim).map(|_| rng.random_range(-2.0..2.0f32)).collect();
            let at = |i: usize, size: usize| match keys {
                true => {
                    let group = head * room + position / KEY_GROUP * KEY_GROUP;
                    group * size + i * KEY_GROUP + position % KEY_GROUP
                }
                false => (head * room + position) * size + i,
            };
            for (b, x) in x.chunks(Q8_BLOCK).enumerate() {
                let mut codes = [0i8; Q8_BLOCK];
                let scale = quantize_q8(x, &mut codes);
                cache.scales[at(b, blocks)] = scale;
                let scale = half::f16::from_bits(scale).to_f32();
                for (i, (&x, &code)) in (b * Q8_BLOCK..).zip(x.iter().zip(&codes)) {
                    let half = half::f16::from_f32(x);
                    cache.f32[at(i, dim)] = x;
                    cache.f16[at(i, dim)] = half.to_bits();
                    cache.codes[at(i, dim)] = code;
                    cache.exact[0].push(x);
                    cache.exact[1].push(half.to_f32());
                    cache.exact[2].push(scale * f32::from(code));
                }
            }
        }
        cache
    }

    fn numbers(&self, kind: usize) -> Numbers<'_> {
        match kind {
            0 => Numbers::F32(&self.f32),
            1 => Numbers::F16(&self.f16),
            _ => Numbers::Q8(&self.codes, &self.scales),
        }
    }
}

/// kv_heads, shared, head_dim, tokens, start, window.
const SHAPES: [[usize; 6]; 9] = [
    [1, 1, 8, 1, 0, 0],
    [2, 3, 18, 1, 20, 0],
    [4, 8, 64, 1, 700, 0],
    [2, 16, 128, 1, 1030, 0],
    [1, 71, 64, 2, 600, 100],
    [3, 1, 80, 70, 0, 0],
    [2, 2, 100, 33, 130, 40],
    [1, 5, 48, 19, 5, 7],
    [2, 1, 64, 3, 1500, 0],
];

/// Sums of `dim` products and of all keys in f32, and e^x within 2^-22: a weight is off by the
/// score's error, at most 2^-24 · dim times its magnitudes (below 4 · dim · 0.2 here), so the mix
/// of values up to 2 by less than 1e-4.
const BOUND: f64 = 1e-4;

#[test]
fn the_number_of_threads_changes_no_bit() {
    let rng = &mut StdRng::seed_from_u64(9);
    // kv_heads, shared, head_dim, tokens; few heads and tokens are cut along the keys.
    for [kv_heads, shared, head_dim, tokens] in [[4, 8, 64, 1], [1, 2, 80, 3], [2, 1, 32, 20]] {
        let (start, heads) = (1100, kv_heads * shared);
        let capacity = start + tokens;
        let shape = [kv_heads, capacity, head_dim];
        let (keys, values) = (Cache::new(rng, shape, true), Cache::new(rng, shape, false));
        let n = tokens * heads * head_dim;
        let q: Vec<f32> = (0..n).map(|_| rng.random_range(-0.3..0.3f32)).collect();
        for kind in 0..3 {
            for isa in Isa::available() {
                let found = pool::on_each_size(|| {
                    let mut out = vec![f32::NAN; n];
                    Attention {
                        isa,
                        kv_heads,
                        shared,
                        head_dim,
                        tokens,
                        keys: keys.numbers(kind),
                        values: values.numbers(kind),
                        capacity,
                        softcap: None,
                        start,
                        bias: &|_| Bias::None,
                        visible: &|t| 0..start + t + 1,
                        query: &|t: usize, head: usize, out: &mut [f32]| {
                            out.copy_from_slice(&q[(t * heads + head) * head_dim..][..head_dim]);
                        },
                    }
                    .run(&mut out);
                    out
                });
                let [one, others @ ..] = &found;
                assert!(one.iter().all(|v| v.is_finite()));
                let same = others.iter().all(|other| other == one);
                assert!(same, "{} type {kind} {shape:?}", isa.name());
            }
        }
    }
}

#[test]
fn what_is_not_a_number_is_none_in_bytes() {
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for n in [1, 16, 32] {
            let mut x = vec![0.5; n];
            x[n / 2] = odd;
            let mut codes = vec![0i8; n];
            let scale = half::f16::from_bits(quantize_q8(&x, &mut codes)).to_f32();
            let mut back = codes.iter().map(|&code| scale * f32::from(code));
            assert!(back.all(f32::is_nan), "{odd} among {n}");
        }
    }
}

#[test]
fn every_kernel_gives_the_definitions_mix() {
    let rng = &mut StdRng::seed_from_u64(7);
    for [kv_heads, shared, head_dim, tokens, start, window] in SHAPES {
        let heads = kv_heads * shared;
        let total = start + tokens;
        let capacity = total + 3;
        let shape = [kv_heads, capacity, head_dim];
        let (keys, values) = (Cache::new(rng, shape, true), Cache::new(rng, shape, false));
        let n = tokens * heads * head_dim;
        let q: Vec<f32> = (0..n).map(|_| rng.random_range(-0.3..0.3f32)).collect();
        let table: Vec<f32> = (0..2 * 40 + 1)
            .map(|_| rng.random_range(-1.0..1.0f32))
            .collect();
        for (case, softcap) in [None, Some(3.0f32), None, None].into_iter().enumerate() {
            let bias = |head: usize| match case {
                0 => Bias::None,
                1 => Bias::Slope(0.01 * (head + 1) as f32),
                2 => Bias::Rounded(RoundedSlope::new(0.013 * (head + 1) as f32, 0.5)),
                _ => Bias::Table(&table),
            };
            let visible = |t: usize| match window {
                0 => 0..start + t + 1,
                w => (start + t + 1).saturating_sub(w)..start + t + 1,
            };
            let query = |t: usize, head: usize, out: &mut [f32]| {
                out.copy_from_slice(&q[(t * heads + head) * head_dim..][..head_dim]);
            };
            for kind in 0..3 {
                for isa in Isa::available() {
                    let mut found = vec![f32::NAN; n];
                    Attention {
                        isa,
                        kv_heads,
                        shared,
                        head_dim,
                        tokens,
                        keys: keys.numbers(kind),
                        values: values.numbers(kind),
                        capacity,
                        softcap,
                        start,
                        bias: &bias,
                        visible: &visible,
                        query: &query,
                    }
                    .run(&mut found);
                    for row in (0..tokens * heads).step_by(1 + tokens * heads / 40) {
                        let (t, head) = (row / heads, row % heads);
                        let of = |cache: &Cache, key: usize, i: usize| {
                            let head = head / shared;
                            f64::from(cache.exact[kind][(head * capacity + key) * head_dim + i])
                        };
                        let score = |key: usize| {
                            let q = &q[row * head_dim..][..head_dim];
                            let products = q.iter().enumerate();
                            let mut s: f64 = products
                                .map(|(i, q)| f64::from(*q) * of(&keys, key, i))
                                .sum();
                            if let Some(cap) = softcap.map(f64::from) {
                                s = cap * (s / cap).tanh();
                            }
                            let distance = key as isize - (start + t) as isize;
                            s + f64::from(match bias(head) {
                                Bias::None => 0.0,
                                Bias::Slope(slope) => slope * distance as f32,
                                Bias::Rounded(slope) => slope.at(key),
                                Bias::Table(table) => {
                                    table[(distance.clamp(-40, 40) + 40) as usize]
                                }
                            })
                        };
                        let weights: Vec<f64> = visible(t).map(|key| score(key).exp()).collect();
                        let sum: f64 = weights.iter().sum();
                        for i in 0..head_dim {
                            let mixed = visible(t).zip(&weights);
                            let wanted: f64 =
                                mixed.map(|(key, w)| w / sum * of(&values, key, i)).sum();
                            let off = (f64::from(found[row * head_dim + i]) - wanted).abs();
                            assert!(
                                off < BOUND,
                                "{} type {kind} case {case} {:?} row {row}: off by {off}",
                                isa.name(),
                                [kv_heads, shared, head_dim, tokens, start, window]
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn bytes_are_off_by_half_their_scale_at_most() {
    let rng = &mut StdRng::seed_from_u64(8);
    for size in [1e-8f32, 1e-5, 0.1, 3.0, 1e4] {
        for n in [1, 16, 32] {
            let x: Vec<f32> = (0..n).map(|_| rng.random_range(-size..size)).collect();
            let mut codes = vec![0i8; n];
            let scale = half::f16::from_bits(quantize_q8(&x, &mut codes)).to_f32();
            let largest = x.iter().fold(0f32, |m, v| m.max(v.abs()));
            let bound =
                (largest / 254.0 * (1.0 + 1.0 / 1024.0)).max(largest / 254.0 + 2f32.powi(-25));
            for (x, &code) in x.iter().zip(&codes) {
                let off = (x - scale * f32::from(code)).abs();
                assert!(
                    off <= bound * 1.000_001,
                    "{x} in {size}: off by {off}, {bound} allowed"
                );
            }
        }
    }
}
