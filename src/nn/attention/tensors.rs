//! Attention in tensor operations, for devices whose memory we do not read.

use candle_core::{D, DType, Tensor};

use super::Shape;
use crate::Result;
use crate::arch::{Pairing, QueryScale};
use crate::nn::{RotaryTable, Step};

/// As [`super::host::attend`], with keys and values `[kv_heads, capacity, head_dim]`.
pub(super) fn attend(
    shape: Shape,
    [q, k, v]: [&Tensor; 3],
    step: &Step<'_>,
    keys: &mut Tensor,
    values: &mut Tensor,
) -> Result<Tensor> {
    let total = step.start + step.len;
    // [T, heads, d] → [heads, T, d]
    let by_head = |x: &Tensor| x.transpose(0, 1)?.contiguous();
    let mut q = turn(&step.rotary, &by_head(q)?)?;
    if shape.query_scale != QueryScale::None {
        let scale: Vec<f32> = (step.start..total)
            .map(|p| shape.query_scale.at(p))
            .collect();
        q = q.broadcast_mul(&Tensor::from_vec(scale, (1, step.len, 1), q.device())?)?;
    }
    let k = turn(&step.rotary, &by_head(k)?)?.to_dtype(keys.dtype())?;
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
    let scores = (q.matmul(&keys.t()?)? * f64::from(shape.scale))?;
    let mask = step.mask(shape.window, scores.device())?;
    let scores = scores
        .reshape((shape.kv_heads, shared, step.len, total))?
        .broadcast_add(&mask)?;
    let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
    let mixed = weights
        .reshape((shape.kv_heads, shared * step.len, total))?
        .matmul(&values)?
        .reshape((shape.n_heads, step.len, shape.head_dim))?;
    Ok(mixed
        .transpose(0, 1)?
        .reshape((step.len, shape.n_heads * shape.head_dim))?)
}

/// Turns `x`, `[heads, T, d]`; dimensions past the rotary ones pass through.
fn turn(table: &RotaryTable, x: &Tensor) -> Result<Tensor> {
    let Some((cos, sin)) = table.tensors(x.device())? else {
        return Ok(x.clone());
    };
    let (_, _, dim) = x.dims3()?;
    let rotary = 2 * cos.dim(D::Minus1)?;
    let turning = x.narrow(2, 0, rotary)?.unsqueeze(0)?.contiguous()?;
    let turned = match table.pairing() {
        Pairing::Half => candle_nn::rotary_emb::rope(&turning, &cos, &sin)?,
        Pairing::Interleaved => candle_nn::rotary_emb::rope_i(&turning, &cos, &sin)?,
    }
    .squeeze(0)?;
    if rotary == dim {
        return Ok(turned);
    }
    Ok(Tensor::cat(
        &[&turned, &x.narrow(2, rotary, dim - rotary)?],
        2,
    )?)
}
