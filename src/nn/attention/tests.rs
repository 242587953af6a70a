//! The two implementations against each other, on random shapes with every option.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;

use super::*;
use crate::arch::{FrequencyPrecision, Pairing, Rope, RopeScaling};
use crate::nn::cache::DevicePlane;
use crate::nn::{Plan, Rotary};
use crate::quant::Isa;

/// Numbers in −1 … 1 that look random and are always the same.
fn noise(seed: u32, shape: (usize, usize, usize)) -> Tensor {
    let n = shape.0 * shape.1 * shape.2;
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let values: Vec<f32> = (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 * 2.0 - 1.0
        })
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

#[derive(Debug, Clone)]
struct Case {
    shape: Shape,
    rope: Option<(Pairing, usize)>,
    alibi: bool,
    /// Lengths of the steps.
    steps: Vec<usize>,
    prefix: usize,
    seed: u32,
}

fn cases() -> impl Strategy<Value = Case> {
    let heads = (1..4usize, 1..4usize, 1..10usize);
    let options = (
        proptest::option::of(1..20usize),
        proptest::option::of(0.5..8.0f32),
        any::<bool>(),
        proptest::option::of((any::<bool>(), 1..10usize)),
        any::<bool>(),
    );
    let steps = proptest::collection::vec(1..40usize, 1..4);
    (heads, options, steps, 0..30usize, any::<u32>()).prop_map(
        |((kv_heads, shared, half), (window, softcap, alibi, rope, logn), steps, prefix, seed)| {
            Case {
                shape: Shape {
                    n_heads: kv_heads * shared,
                    kv_heads,
                    head_dim: 2 * half,
                    scale: 0.7,
                    query_scale: match logn {
                        true => QueryScale::LogN { train_len: 9 },
                        false => QueryScale::None,
                    },
                    softcap,
                    window,
                },
                rope: rope.map(|(interleaved, part)| match interleaved {
                    true => (Pairing::Interleaved, 2 * part.min(half)),
                    false => (Pairing::Half, 2 * part.min(half)),
                }),
                alibi,
                // A prefix is run in one step.
                prefix: prefix.min(steps[0]),
                steps,
                seed,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn host_and_tensor_attention_agree(case in cases()) {
        let Shape { n_heads, kv_heads, head_dim, .. } = case.shape;
        let total: usize = case.steps.iter().sum();
        let plan = Plan { prompt_len: total, prefix: case.prefix, blank: None };
        let bias = match crate::arch::Position::alibi(n_heads, 8.0) {
            crate::arch::Position::Alibi { slopes } if case.alibi => Some(ScoreBias::Slopes(slopes)),
            _ => None,
        };
        let rotary = case.rope.map(|(pairing, rotary_dim)| Rotary::new(&Rope {
            theta: 100.0,
            rotary_dim,
            pairing,
            scaling: RopeScaling::None,
            decay: None,
            precision: FrequencyPrecision::F32,
        }));
        let size = [kv_heads, total, head_dim];
        let mut host = LayerCache::new(CacheType::F32, size, &Device::Cpu).unwrap();
        let LayerCache::Host { keys, values } = &mut host else { unreachable!() };
        let plane = || DevicePlane::new(DType::F32, size, &Device::Cpu).unwrap();
        let (mut device_keys, mut device_values) = (plane(), plane());
        let mut start = 0;
        for (number, &len) in case.steps.iter().enumerate() {
            let seed = case.seed.wrapping_add(3 * number as u32);
            let q = noise(seed, (len, n_heads, head_dim));
            let k = noise(seed.wrapping_add(1), (len, kv_heads, head_dim));
            let v = noise(seed.wrapping_add(2), (len, kv_heads, head_dim));
            let step = Step {
                start,
                len,
                plan: &plan,
                rotary: match &rotary {
                    Some(rotary) => rotary.table(start..start + len, total),
                    None => RotaryTable::none(),
                },
                windowed: None,
                trace: None,
            };
            let sight = Sight { step: &step, shape: case.shape, bias: bias.as_ref(), over: Over::Sequence };
            host::write(&step, &step.rotary, [&k, &v], [keys, values]).unwrap();
            tensors::write(&step, &step.rotary, [&k, &v], [&mut device_keys, &mut device_values]).unwrap();
            let b = tensors::mix(sight, &q, &device_keys, &device_values).unwrap();
            let b: Vec<f32> = b.flatten_all().unwrap().to_vec1().unwrap();
            let q: Vec<f32> = q.flatten_all().unwrap().to_vec1().unwrap();
            for isa in Isa::available() {
                let mut a = vec![f32::NAN; q.len()];
                host::mix_on(isa, sight, &q, [keys, values], &mut a);
                for (a, b) in a.iter().zip(&b) {
                    prop_assert!((a - b).abs() < 1e-4, "{}: {a} for {b}", isa.name());
                }
            }
            start += len;
        }
    }
}

/// More queries than meet the keys at once on a GPU.
#[test]
fn a_long_prompt_meets_its_keys_piece_by_piece() {
    let len = 300;
    let plan = Plan {
        prompt_len: len,
        prefix: 0,
        blank: None,
    };
    let step = Step {
        start: 0,
        len,
        plan: &plan,
        rotary: RotaryTable::none(),
        windowed: None,
        trace: None,
    };
    let shape = Shape {
        n_heads: 2,
        kv_heads: 1,
        head_dim: 8,
        scale: 0.3,
        query_scale: QueryScale::None,
        softcap: None,
        window: Some(280),
    };
    let sight = Sight {
        step: &step,
        shape,
        bias: None,
        over: Over::Sequence,
    };
    let [k, v] = [1, 2].map(|seed| noise(seed, (len, 1, 8)));
    let q = noise(3, (len, 2, 8));
    let size = [1, len, 8];
    let mut host = LayerCache::new(CacheType::F32, size, &Device::Cpu).unwrap();
    let LayerCache::Host { keys, values } = &mut host else {
        unreachable!()
    };
    host::write(&step, &step.rotary, [&k, &v], [keys, values]).unwrap();
    let [mut device_keys, mut device_values] =
        [(); 2].map(|()| DevicePlane::new(DType::F32, size, &Device::Cpu).unwrap());
    let planes = [&mut device_keys, &mut device_values];
    tensors::write(&step, &step.rotary, [&k, &v], planes).unwrap();
    let b = tensors::mix(sight, &q, &device_keys, &device_values).unwrap();
    let b: Vec<f32> = b.flatten_all().unwrap().to_vec1().unwrap();
    let q: Vec<f32> = q.flatten_all().unwrap().to_vec1().unwrap();
    let mut a = vec![f32::NAN; q.len()];
    host::mix_on(Isa::best(), sight, &q, [keys, values], &mut a);
    for (a, b) in a.iter().zip(&b) {
        assert!((a - b).abs() < 1e-4, "{a} for {b}");
    }
}
