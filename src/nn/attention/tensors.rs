//! Attention in tensor operations, for devices whose memory we do not read.

use candle_core::{D, DType, Tensor};

use super::{Over, Sight};
use crate::Result;
use crate::arch::QueryScale;
use crate::nn::{RotaryTable, Side, Step};

/// `[T, heads, d]` to `[heads, T, d]`.
fn by_head(x: &Tensor) -> Result<Tensor> {
    Ok(x.transpose(0, 1)?.contiguous()?)
}

/// As [`super::host::write`], into `[kv_heads, capacity, head_dim]`.
pub(super) fn write(
    step: &Step<'_>,
    rotary: &RotaryTable,
    [k, v]: [&Tensor; 2],
    [keys, values]: [&mut Tensor; 2],
) -> Result<()> {
    let k = by_head(&turn(rotary, k, Side::Key)?)?.to_dtype(keys.dtype())?;
    let v = by_head(v)?.to_dtype(values.dtype())?;
    keys.slice_set(&k, 1, step.start)?;
    values.slice_set(&v, 1, step.start)?;
    Ok(())
}

/// As [`super::host::mix`].
pub(super) fn mix(sight: Sight<'_>, q: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
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
    let scores = scores
        .reshape((shape.n_heads, step.len, total))?
        .broadcast_add(&added(sight, scores.device())?)?;
    let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
    let mixed = weights
        .reshape((shape.kv_heads, shared * step.len, total))?
        .matmul(&values)?
        .reshape((shape.n_heads, step.len, shape.head_dim))?;
    Ok(mixed
        .transpose(0, 1)?
        .reshape((step.len, shape.n_heads * shape.head_dim))?)
}

/// What is added to the scores: −∞ where a key is not visible, the bias elsewhere;
/// `[n_heads or 1, T, S]`.
fn added(sight: Sight<'_>, device: &candle_core::Device) -> Result<Tensor> {
    let (len, total) = (sight.step.len, sight.total());
    let heads = sight.bias.map_or(1, |_| sight.shape.n_heads);
    let mut out = vec![f32::NEG_INFINITY; heads * len * total];
    for (row, scores) in out.chunks_exact_mut(total).enumerate() {
        let (head, i) = (row / len, row % len);
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
