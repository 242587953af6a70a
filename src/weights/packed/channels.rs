//! INT8 with one scale for each output, as Baichuan-13B's `quantizer.py` (`QLinear`) has it:
//! `X.weight` int8, transposed to `[in, out]` there, and `X.scale` `[out]` in f32;
//! `w = q · scale`. Files with the matrix as `[out, in]` are read too.

use super::matrix::{Int8Rows, Matrix};
use super::{FLOATS, Open, Parts, stems};
use crate::quant::Encoding;
use crate::weights::layout::transpose;
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
            Order::InOut => {
                let cols = data.len() / self.rows.max(1);
                Data::Owned(transpose(&data, Encoding::I8, cols))
            }
        };
        Ok(Matrix::Integers(Box::new(Int8Rows {
            scales: parts.f32s(SCALE)?,
            data,
        })))
    }
}
