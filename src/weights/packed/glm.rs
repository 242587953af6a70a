//! ChatGLM's INT8 and INT4 (`quantization.py` of THUDM/chatglm-6b-int4): `X.weight` of int8 with
//! one `X.weight_scale` per output row. INT4 packs two signed nibbles per byte along the input,
//! the even column in the high nibble. `w = q · scale`.

use super::matrix::{Int8Rows, Integers, Matrix};
use super::{FLOATS, Open, Parts, stems};
use crate::Result;
use crate::quant::Encoding;
use crate::weights::{Checkpoint, Data};

#[derive(Debug, Clone)]
pub(super) struct Layer {
    stem: String,
    bits: Bits,
}

/// Bits of one weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// From −8 to 7, two in a byte.
    Four,
    /// From −128 to 127.
    Eight,
}

pub(super) fn find(checkpoint: &dyn Checkpoint, bits: Bits) -> Result<Vec<(String, super::Layer)>> {
    let layers = stems(checkpoint, ".weight_scale").map(|stem| {
        let parts = Parts { checkpoint, stem };
        let [rows, width] = parts.dims(".weight", &[Encoding::I8])?;
        parts.shaped(".weight_scale", FLOATS, &[rows])?;
        let cols = match bits {
            Bits::Four => width.saturating_mul(2),
            Bits::Eight => width,
        };
        let layer = super::Layer {
            shape: [rows, cols],
            parts: [".weight", ".weight_scale"]
                .map(|s| format!("{stem}{s}"))
                .to_vec(),
            open: Open::Glm(Layer {
                stem: stem.to_string(),
                bits,
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
        let scales = parts.f32s(".weight_scale")?;
        let data = checkpoint.read(&format!("{}.weight", self.stem))?;
        Ok(Matrix::Integers(match self.bits {
            Bits::Eight => Box::new(Int8Rows { scales, data }),
            Bits::Four => Box::new(Int4Rows { scales, data }),
        }))
    }
}

struct Int4Rows<'a> {
    scales: Vec<f32>,
    data: Data<'a>,
}

impl Integers for Int4Rows<'_> {
    fn row(&self, row: usize, q: &mut [i32], scales: &mut [f32]) {
        scales.fill(self.scales[row]);
        let bytes = &self.data[row * q.len() / 2..][..q.len() / 2];
        for (q, &byte) in q.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
            let byte = byte as i8;
            // Both shifts keep the sign.
            *q = [i32::from(byte >> 4), i32::from(byte << 4 >> 4)];
        }
    }
}
