//! Attention in tensor operations, for devices whose memory we do not read.

use candle_core::{D, DType, Device, Tensor};

use super::Shape;
use crate::Result;
use crate::arch::QueryScale;
use crate::nn::{RotaryTable, Side, Step};

/// As [`super::host::attend`], with keys and values `[kv_heads, capacity, head_dim]`.
pub(super) fn attend(
    shape: &Shape,
    [q, k, v]: [&Tensor; 3],
    step: &Step<'_>,
    keys: &mut Tensor,
    values: &mut Tensor,
) -> Result<Tensor> {
    let total = step.start + step.len;
    let rotary = step.rotary(shape.window);
    // [T, heads, d] → [heads, T, d]
    let by_head = |x: &Tensor| x.transpose(0, 1)?.contiguous();
    let mut q = by_head(&turn(rotary, q, Side::Query)?)?;
    if shape.query_scale != QueryScale::None {
        let scale: Vec<f32> = (step.start..total)
            .map(|p| shape.query_scale.at(p))
            .collect();
        q = q.broadcast_mul(&Tensor::from_vec(scale, (1, step.len, 1), q.device())?)?;
    }
    let k = by_head(&turn(rotary, k, Side::Key)?)?.to_dtype(keys.dtype())?;
    let v = by_head(v)?.to_dtype(values.dtype())?;
    keys.slice_set(&k, 1, step.start)?;
    values.slice_set(&v, 1, step.start)?;
    let seen = |cache: &Tensor| -> Result<Tensor> {
        let cache = cache.narrow(1, 0, total)?.to_dtype(DType::F32)?;
        Ok(cache.contiguous()?)
    };
    let (keys, values) = (seen(keys)?, seen(values)?);
    // Queries of one key head side by side: [kv_heads, shared · T, d].
    let shared = shape.n_heads / shape.kv_heads;
    let q = q.reshape((shape.kv_heads, shared * step.len, shape.head_dim))?;
    let mut scores = (q.matmul(&keys.t()?)? * f64::from(shape.scale))?;
    if let Some(cap) = shape.softcap.map(f64::from) {
        scores = ((scores / cap)?.tanh()? * cap)?;
    }
    let mask = step.mask(shape.window, scores.device())?;
    let mut scores = scores
        .reshape((shape.kv_heads, shared, step.len, total))?
        .broadcast_add(&mask)?;
    if let Some(slopes) = &shape.slopes {
        let heads = (shape.kv_heads, shared, 1, 1);
        let slopes = Tensor::from_slice(slopes, heads, scores.device())?;
        scores =
            scores.broadcast_add(&slopes.broadcast_mul(&distances(step, scores.device())?)?)?;
    }
    let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
    let mixed = weights
        .reshape((shape.kv_heads, shared * step.len, total))?
        .matmul(&values)?
        .reshape((shape.n_heads, step.len, shape.head_dim))?;
    Ok(mixed
        .transpose(0, 1)?
        .reshape((step.len, shape.n_heads * shape.head_dim))?)
}

/// How far each key is behind each query, as a negative number: `[1, 1, T, S]`.
fn distances(step: &Step<'_>, device: &Device) -> Result<Tensor> {
    let total = step.start + step.len;
    let distances = (step.start..total)
        .flat_map(|i| (0..total).map(move |j| j as f32 - i as f32))
        .collect();
    Ok(Tensor::from_vec(
        distances,
        (1, 1, step.len, total),
        device,
    )?)
}

/// Turns `x`, `[T, heads, d]`, on the host: it is one step's queries or keys, not the cache.
fn turn(table: &RotaryTable, x: &Tensor, side: Side) -> Result<Tensor> {
    let (tokens, heads, dim) = x.dims3()?;
    let mut host: Vec<f32> = x.flatten_all()?.to_vec1()?;
    table.turn(&mut host, dim, heads, side);
    Ok(Tensor::from_vec(host, (tokens, heads, dim), x.device())?)
}
