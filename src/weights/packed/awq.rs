//! AWQ as AutoAWQ's `gemm` version stores it: `X.qweight` int32 `[in, out/8]` and `X.qzeros`
//! int32 `[groups, out/8]` hold eight outputs per word in the order 0 2 4 6 1 3 5 7 from the
//! lowest nibble; `X.scales` `[groups, out]`. `w = (q − zero) · scale`.

use super::matrix::{Integers, Matrix, word};
use super::{FLOATS, Open, Parts, stems};
use crate::Result;
use crate::quant::Encoding;
use crate::weights::{Checkpoint, Data};

/// The bit at which each of eight outputs begins in its word.
const SHIFTS: [u32; 8] = [0, 16, 4, 20, 8, 24, 12, 28];

#[derive(Debug, Clone)]
pub(super) struct Layer {
    stem: String,
    rows: usize,
    group_size: usize,
}

pub(super) fn find(
    checkpoint: &dyn Checkpoint,
    group_size: Option<usize>,
) -> Result<Vec<(String, super::Layer)>> {
    let layers = stems(checkpoint, ".qweight").map(|stem| {
        let parts = Parts { checkpoint, stem };
        let [cols, words] = parts.dims(".qweight", &[Encoding::I32])?;
        let rows = words.saturating_mul(8);
        let group_size = group_size.unwrap_or(cols).max(1);
        let groups = cols.div_ceil(group_size);
        parts.shaped(".qzeros", &[Encoding::I32], &[groups, words])?;
        parts.shaped(".scales", FLOATS, &[groups, rows])?;
        let layer = super::Layer {
            shape: [rows, cols],
            parts: [".qweight", ".qzeros", ".scales"]
                .map(|s| format!("{stem}{s}"))
                .to_vec(),
            open: Open::Awq(Layer {
                stem: stem.to_string(),
                rows,
                group_size,
            }),
        };
        Ok((stem.to_string(), layer))
    });
    layers.collect()
}

impl Layer {
    pub fn open<'a>(&self, checkpoint: &'a dyn Checkpoint) -> Result<Matrix<'a>> {
        let parts = Parts {
            checkpoint,
            stem: &self.stem,
        };
        Ok(Matrix::Integers(Box::new(Rows {
            n_rows: self.rows,
            group_size: self.group_size,
            scales: parts.f32s(".scales")?,
            qweight: checkpoint.read(&format!("{}.qweight", self.stem))?,
            qzeros: checkpoint.read(&format!("{}.qzeros", self.stem))?,
        })))
    }
}

struct Rows<'a> {
    n_rows: usize,
    group_size: usize,
    scales: Vec<f32>,
    qweight: Data<'a>,
    qzeros: Data<'a>,
}

impl Integers for Rows<'_> {
    fn row(&self, row: usize, q: &mut [i32], scales: &mut [f32]) {
        let words = self.n_rows / 8;
        let nibble = |data: &[u8], line: usize| {
            (word(data, line * words + row / 8) >> SHIFTS[row % 8] & 15) as i32
        };
        let groups = q
            .chunks_mut(self.group_size)
            .zip(scales.chunks_mut(self.group_size));
        for (group, (q, scales)) in groups.enumerate() {
            let zero = nibble(&self.qzeros, group);
            scales.fill(self.scales[group * self.n_rows + row]);
            for (i, q) in q.iter_mut().enumerate() {
                *q = nibble(&self.qweight, group * self.group_size + i) - zero;
            }
        }
    }
}
