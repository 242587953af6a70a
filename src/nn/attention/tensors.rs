//! Attention in tensor operations, for devices whose memory we do not read.

use std::ops::Range;

use candle_core::{D, Tensor};

use super::{Over, Sight};
use crate::Result;
use crate::arch::QueryScale;
use crate::nn::cache::DevicePlane;
use crate::nn::{RotaryTable, Side, Step};

/// Queries that meet the keys at once: the scores of a long prompt's would not fit into memory.
const ROWS: usize = 256;

/// `[T, heads, d]` to `[heads, T, d]`.
fn by_head(x: &Tensor) -> Result<Tensor> {
    Ok(x.transpose(0, 1)?.contiguous()?)
}

/// As [`super::host::write`], into memory on the device.
pub(super) fn write(
    step: &Step<'_>,
    rotary: &RotaryTable,
    [k, v]: [&Tensor; 2],
    [keys, values]: [&mut DevicePlane; 2],
) -> Result<()> {
    keys.write(&by_head(&turn(rotary, k, Side::Key)?)?, step.start)?;
    values.write(&by_head(v)?, step.start)
}

/// As [`super::host::mix`].
pub(super) fn mix(
    sight: Sight<'_>,
    q: &Tensor,
    keys: &DevicePlane,
    values: &DevicePlane,
) -> Result<Tensor> {
    let (shape, step, total) = (sight.shape, sight.step, sight.total());
    let mut q = match sight.over {
        Over::Sequence => by_head(&turn(step.rotary(shape.window), q, Side::Query)?)?,
        Over::Memory(_) => by_head(q)?,
    };
    if shape.query_scale != QueryScale::None {
        let scale: Vec<f32> = (step.start..step.start + step.len)
            .map(|p| shape.query_scale.at(p))
            .collect();
        q = q.broadcast_mul(&Tensor::from_vec(scale, (1, step.len, 1), q.device())?)?;
    }
    let seen = [keys.first(total)?, values.first(total)?];
    let mixed: Vec<Tensor> = (0..step.len)
        .step_by(ROWS)
        .map(|first| mix_rows(sight, &q, first..step.len.min(first + ROWS), &seen))
        .collect::<Result<_>>()?;
    Ok(Tensor::cat(&mixed, 1)?
        .transpose(0, 1)?
        .reshape((step.len, shape.n_heads * shape.head_dim))?)
}

/// What `rows` of the queries `q`, `[n_heads, T, head_dim]`, see of keys and values, each
/// `[kv_heads, S, head_dim]`: `[n_heads, rows, head_dim]`.
fn mix_rows(
    sight: Sight<'_>,
    q: &Tensor,
    rows: Range<usize>,
    [keys, values]: &[Tensor; 2],
) -> Result<Tensor> {
    let (shape, total, n) = (sight.shape, sight.total(), rows.len());
    // Queries of one key head side by side: [kv_heads, shared · rows, d].
    let shared = shape.n_heads / shape.kv_heads;
    let q = q.narrow(1, rows.start, n)?.contiguous()?.reshape((
        shape.kv_heads,
        shared * n,
        shape.head_dim,
    ))?;
    let mut scores = (q.matmul(&keys.t()?)? * f64::from(shape.scale))?;
    if let Some(cap) = shape.softcap.map(f64::from) {
        scores = ((scores / cap)?.tanh()? * cap)?;
    }
    let scores = scores
        .reshape((shape.n_heads, n, total))?
        .broadcast_add(&added(sight, rows, scores.device())?)?;
    let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
    Ok(weights
        .reshape((shape.kv_heads, shared * n, total))?
        .matmul(values)?
        .reshape((shape.n_heads, n, shape.head_dim))?)
}

/// What is added to the scores of the queries `rows`: −∞ where a key is not visible, the bias
/// elsewhere; `[n_heads or 1, rows, S]`.
fn added(sight: Sight<'_>, rows: Range<usize>, device: &candle_core::Device) -> Result<Tensor> {
    let (len, total) = (rows.len(), sight.total());
    let heads = sight.bias.map_or(1, |_| sight.shape.n_heads);
    let mut out = vec![f32::NEG_INFINITY; heads * len * total];
    for (row, scores) in out.chunks_exact_mut(total).enumerate() {
        let (head, i) = (row / len, rows.start + row % len);
        for j in sight.visible(i) {
            scores[j] = sight
                .bias
                .map_or(0.0, |bias| bias.at(head, sight.step.start + i, j));
        }
    }
    Ok(Tensor::from_vec(out, (heads, len, total), device)?)
}

/// Turns `x`, `[T, heads, d]`, on the host: it is one step's queries or keys, not the cache.
fn turn(table: &RotaryTable, x: &Tensor, side: Side) -> Result<Tensor> {
    let (tokens, heads, dim) = x.dims3()?;
    let mut host: Vec<f32> = x.flatten_all()?.to_vec1()?;
    for (i, head) in host.chunks_exact_mut(dim).enumerate() {
        table.turn(head, i / heads, side);
    }
    Ok(Tensor::from_vec(host, (tokens, heads, dim), x.device())?)
}
