//! Attention on the CPU, by [`crate::quant::kernels::attention`].

use candle_core::{Device, Tensor};

use super::{Over, ScoreBias, Shape, Sight};
use crate::Result;
use crate::nn::cache::Plane;
use crate::nn::{RotaryTable, Side, Step};
use crate::quant::kernels::attention::{self, Bias};
use crate::quant::{Isa, with_slice};

/// Writes the step's keys and values, `[T, kv_heads, head_dim]` each.
pub(super) fn write(
    step: &Step<'_>,
    rotary: &RotaryTable,
    [k, v]: [&Tensor; 2],
    [keys, values]: [&mut Plane; 2],
) -> Result<()> {
    let (_, kv_heads, head_dim) = k.dims3()?;
    let mut key = vec![0.0; head_dim];
    with_slice(k, |k| {
        for (i, k) in k.chunks_exact(head_dim).enumerate() {
            key.copy_from_slice(k);
            rotary.turn(&mut key, i / kv_heads, Side::Key);
            keys.write(i % kv_heads, step.start + i / kv_heads, &key);
        }
    })?;
    with_slice(v, |v| {
        for (i, v) in v.chunks_exact(head_dim).enumerate() {
            values.write(i % kv_heads, step.start + i / kv_heads, v);
        }
    })
}

/// Mixes the values that the queries `[T, n_heads, head_dim]` see: `[T, n_heads · head_dim]`.
pub(super) fn mix(sight: Sight<'_>, q: &Tensor, keys: &Plane, values: &Plane) -> Result<Tensor> {
    let Shape {
        n_heads, head_dim, ..
    } = sight.shape;
    let mut out = vec![0.0; sight.step.len * n_heads * head_dim];
    with_slice(q, |q| {
        mix_on(Isa::best(), sight, q, [keys, values], &mut out)
    })?;
    let shape = (sight.step.len, n_heads * head_dim);
    Ok(Tensor::from_vec(out, shape, &Device::Cpu)?)
}

/// [`mix`] with the kernels of one instruction set.
pub(super) fn mix_on(
    isa: Isa,
    sight: Sight<'_>,
    q: &[f32],
    [keys, values]: [&Plane; 2],
    out: &mut [f32],
) {
    let Shape {
        n_heads,
        kv_heads,
        head_dim,
        scale,
        query_scale,
        softcap,
        window,
    } = sight.shape;
    let step = sight.step;
    let rotary = step.rotary(window);
    let query = |token: usize, head: usize, out: &mut [f32]| {
        out.copy_from_slice(&q[(token * n_heads + head) * head_dim..][..head_dim]);
        if sight.over == Over::Sequence {
            rotary.turn(out, token, Side::Query);
        }
        let scale = scale * query_scale.at(step.start + token);
        out.iter_mut().for_each(|x| *x *= scale);
    };
    let bias = |head: usize| match sight.bias {
        None => Bias::None,
        Some(ScoreBias::Slopes(slopes)) => Bias::Slope(slopes[head]),
        Some(ScoreBias::Rounded(slopes)) => Bias::Rounded(slopes[head]),
        Some(ScoreBias::Table { by_distance, reach }) => {
            let n = 2 * reach + 1;
            Bias::Table(&by_distance[head * n..(head + 1) * n])
        }
    };
    attention::Attention {
        isa,
        kv_heads,
        shared: n_heads / kv_heads,
        head_dim,
        tokens: step.len,
        keys: keys.numbers(),
        values: values.numbers(),
        capacity: keys.capacity(),
        softcap,
        start: step.start,
        bias: &bias,
        visible: &|token| sight.visible(token),
        query: &query,
    }
    .run(out);
}
