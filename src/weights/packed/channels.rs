//! INT8 with one scale for each output, as Baichuan-13B's `quantizer.py` (`QLinear`) has it:
//! `X.weight` int8, transposed to `[in, out]` there, and `X.scale` `[out]` in f32;
//! `w = q · scale`. Files with the matrix as `[out, in]` are read too.

use super::matrix::{Integers, Matrix};
use super::{FLOATS, Open, Parts, stems};
use crate::quant::Encoding;
use crate::weights::{Checkpoint, Data};
use crate::{Error, Result};

#[derive(Debug, Clone)]
pub(super) struct Layer {
    stem: String,
    rows: usize,
    order: Order,
}

/// How a matrix is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    OutIn,
    InOut,
}

pub(super) fn find(checkpoint: &dyn Checkpoint) -> Result<Vec<(String, super::Layer)>> {
    let order = order(checkpoint)?;
    let layers = stems(checkpoint, SCALE).filter_map(|stem| {
        let parts = Parts { checkpoint, stem };
        is_int8(&parts).then(|| {
            let mut shape = parts.dims(WEIGHT, &[Encoding::I8])?;
            if order == Some(Order::InOut) {
                shape.reverse();
            }
            let [rows, _] = shape;
            let found = parts.info(SCALE, FLOATS)?;
            if found.len() != rows {
                let message = format!("{} scales found, {rows} wanted", found.len());
                return Err(parts.error(SCALE, message));
            }
            let open = Open::Channels(Layer {
                stem: stem.to_string(),
                rows,
                order: order.unwrap_or(Order::OutIn),
            });
            let parts = [WEIGHT, SCALE].map(|s| format!("{stem}{s}")).to_vec();
            Ok((stem.to_string(), super::Layer { shape, parts, open }))
        })
    });
    layers.collect()
}

const WEIGHT: &str = ".weight";
const SCALE: &str = ".scale";

/// Whether any matrix of a checkpoint is of this kind.
pub(super) fn is_there(checkpoint: &dyn Checkpoint) -> bool {
    stems(checkpoint, SCALE).any(|stem| is_int8(&Parts { checkpoint, stem }))
}

fn is_int8(parts: &Parts<'_>) -> bool {
    parts.info(WEIGHT, &[Encoding::I8]).is_ok()
}

/// The order of all matrices: that of the first which is not square, for there are as many scales
/// as outputs. `None` if there is no matrix.
fn order(checkpoint: &dyn Checkpoint) -> Result<Option<Order>> {
    let mut square = None;
    for stem in stems(checkpoint, SCALE) {
        let parts = Parts { checkpoint, stem };
        if !is_int8(&parts) {
            continue;
        }
        let [a, b] = parts.dims(WEIGHT, &[Encoding::I8])?;
        let scales = parts.info(SCALE, FLOATS)?.len();
        match (a == scales, b == scales) {
            (true, false) => return Ok(Some(Order::OutIn)),
            (false, true) => return Ok(Some(Order::InOut)),
            (true, true) => square = Some(stem),
            (false, false) => {
                let message = format!("{scales} scales found, {a} or {b} wanted");
                return Err(parts.error(SCALE, message));
            }
        }
    }
    match square {
        None => Ok(None),
        Some(stem) => Err(Error::tensor(
            checkpoint.path(),
            &format!("{stem}{WEIGHT}"),
            "every packed matrix is square, which does not tell rows from columns",
        )),
    }
}

impl Layer {
    pub fn open<'a>(&self, checkpoint: &'a dyn Checkpoint) -> Result<Matrix<'a>> {
        let parts = Parts {
            checkpoint,
            stem: &self.stem,
        };
        let data = checkpoint.read(&format!("{}{WEIGHT}", self.stem))?;
        let data = match self.order {
            Order::OutIn => data,
            Order::InOut => Data::Owned(transposed(&data, self.rows)),
        };
        Ok(Matrix::Integers(Box::new(Rows {
            scales: parts.f32s(SCALE)?,
            data,
        })))
    }
}

/// Bytes `[in, out]` as `[out, in]`, tile by tile so that both stay in the cache.
fn transposed(data: &[u8], out: usize) -> Vec<u8> {
    const TILE: usize = 64;
    let inputs = data.len() / out.max(1);
    let mut rows = vec![0; data.len()];
    for i in (0..inputs).step_by(TILE) {
        for o in (0..out).step_by(TILE) {
            for i in i..(i + TILE).min(inputs) {
                for o in o..(o + TILE).min(out) {
                    rows[o * inputs + i] = data[i * out + o];
                }
            }
        }
    }
    rows
}

struct Rows<'a> {
    scales: Vec<f32>,
    data: Data<'a>,
}

impl Integers for Rows<'_> {
    fn row(&self, row: usize, q: &mut [i32], scales: &mut [f32]) {
        scales.fill(self.scales[row]);
        for (q, &byte) in q.iter_mut().zip(&self.data[row * scales.len()..]) {
            *q = i32::from(byte as i8);
        }
    }
}
