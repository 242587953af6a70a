//! bitsandbytes as its `Linear8bitLt` and `Linear4bit` are saved.
//!
//! INT8: `X.weight` int8 with `X.SCB`, the largest magnitude of each output row:
//! `w = q · SCB / 127`. The library also rounds activations to int8; here they stay floats.
//!
//! NF4 and FP4: `X.weight` uint8, two weights per byte, the first in the high nibble, in the
//! order of the flattened matrix; `w = quant_map[q] · absmax[block]`. With nested quantization
//! `absmax` is uint8: `nested_quant_map[a] · nested_absmax[block of blocks] + nested_offset`. Sizes
//! stand as JSON in a tensor called `X.weight.quant_state.bitsandbytes__nf4` (or `fp4`). The
//! library rounds the result to the model's f16 or bf16; here it stays f32.

use std::borrow::Cow;

use serde::Deserialize;

use super::matrix::{Integers, Matrix, Values};
use super::{FLOATS, Open, Parts, stems};
use crate::Result;
use crate::quant::Encoding;
use crate::weights::Checkpoint;

/// Real ones have about 300 bytes.
const MAX_STATE: usize = 64 << 10;

pub(super) fn find(checkpoint: &dyn Checkpoint) -> Result<Vec<(String, super::Layer)>> {
    let mut out = Vec::new();
    for stem in stems(checkpoint, ".SCB") {
        out.push((stem.to_string(), int8(&Parts { checkpoint, stem })?));
    }
    for suffix in QUANT_STATES {
        for stem in stems(checkpoint, suffix) {
            out.push((stem.to_string(), four(&Parts { checkpoint, stem }, suffix)?));
        }
    }
    Ok(out)
}

const QUANT_STATES: [&str; 2] = [
    ".weight.quant_state.bitsandbytes__nf4",
    ".weight.quant_state.bitsandbytes__fp4",
];

#[derive(Debug, Clone)]
pub(super) struct Int8 {
    stem: String,
}

fn int8(parts: &Parts<'_>) -> Result<super::Layer> {
    let shape = parts.dims(".weight", &[Encoding::I8])?;
    parts.shaped(".SCB", FLOATS, &shape[..1])?;
    let mut names = vec![".weight", ".SCB"];
    if parts.has(".weight_format") {
        // Other formats are tiled for one GPU's instructions.
        let format = parts.bytes(".weight_format")?;
        if format.iter().any(|&b| b != 0) {
            let message = "only the row-major weight format 0 is read";
            return Err(parts.error(".weight_format", message));
        }
        names.push(".weight_format");
    }
    Ok(super::Layer {
        shape,
        parts: names.iter().map(|s| format!("{}{s}", parts.stem)).collect(),
        open: Open::Bnb8(Int8 {
            stem: parts.stem.to_string(),
        }),
    })
}

impl Int8 {
    pub fn open<'a>(&self, checkpoint: &'a dyn Checkpoint) -> Result<Matrix<'a>> {
        let parts = Parts {
            checkpoint,
            stem: &self.stem,
        };
        let scales = parts.f32s(".SCB")?.iter().map(|s| s / 127.0).collect();
        Ok(Matrix::Integers(Box::new(Int8Rows {
            scales,
            data: checkpoint.read(&format!("{}.weight", self.stem))?,
        })))
    }
}

struct Int8Rows<'a> {
    scales: Vec<f32>,
    data: Cow<'a, [u8]>,
}

impl Integers for Int8Rows<'_> {
    fn row(&self, row: usize, q: &mut [i32], scales: &mut [f32]) {
        scales.fill(self.scales[row]);
        for (q, &byte) in q.iter_mut().zip(&self.data[row * scales.len()..]) {
            *q = i32::from(byte as i8);
        }
    }
}

/// A 4-bit layer.
#[derive(Debug, Clone)]
pub(super) struct Four {
    stem: String,
    cols: usize,
    block_size: usize,
    nested: Option<Nested>,
}

/// How the scales themselves are quantized.
#[derive(Debug, Clone, Copy)]
struct Nested {
    block_size: usize,
    offset: f32,
}

/// The fields of the JSON that decide.
#[derive(Deserialize)]
struct State {
    blocksize: usize,
    shape: Vec<usize>,
    nested_blocksize: Option<usize>,
    nested_offset: Option<f64>,
}

fn four(parts: &Parts<'_>, state_suffix: &str) -> Result<super::Layer> {
    let u8s = &[Encoding::U8];
    let info = parts.info(state_suffix, u8s)?;
    let wrong = |message: String| parts.error(state_suffix, message);
    if info.bytes > MAX_STATE {
        return Err(wrong(format!("{} bytes of state", info.bytes)));
    }
    let state: State = serde_json::from_slice(&parts.bytes(state_suffix)?)
        .map_err(|e| wrong(format!("not a quantization state: {e}")))?;
    let &[rows, cols] = state.shape.as_slice() else {
        return Err(wrong(format!("shape {:?} is not a matrix's", state.shape)));
    };
    let n = rows
        .checked_mul(cols)
        .filter(|n| n.div_ceil(2) == parts.info(".weight", u8s).map_or(usize::MAX, |w| w.len()))
        .ok_or_else(|| {
            wrong(format!(
                "shape {:?} and the weight's size disagree",
                state.shape
            ))
        })?;
    let size = |n: usize, key: &str| match n {
        0 => Err(wrong(format!("{key} is 0"))),
        n => Ok(n),
    };
    let block_size = size(state.blocksize, "blocksize")?;
    let blocks = n.div_ceil(block_size);
    let mut names = vec![
        ".weight",
        ".weight.absmax",
        ".weight.quant_map",
        state_suffix,
    ];
    let nested = match state.nested_blocksize {
        None => None,
        Some(inner) => Some(Nested {
            block_size: size(inner, "nested_blocksize")?,
            offset: state.nested_offset.unwrap_or(0.0) as f32,
        }),
    };
    parts.shaped(".weight.quant_map", FLOATS, &[16])?;
    match nested {
        None => parts.shaped(".weight.absmax", FLOATS, &[blocks])?,
        Some(nested) => {
            parts.shaped(".weight.absmax", u8s, &[blocks])?;
            let nested_blocks = blocks.div_ceil(nested.block_size);
            parts.shaped(".weight.nested_absmax", FLOATS, &[nested_blocks])?;
            parts.shaped(".weight.nested_quant_map", FLOATS, &[256])?;
            names.extend([".weight.nested_absmax", ".weight.nested_quant_map"]);
        }
    }
    Ok(super::Layer {
        shape: [rows, cols],
        parts: names.iter().map(|s| format!("{}{s}", parts.stem)).collect(),
        open: Open::Bnb4(Four {
            stem: parts.stem.to_string(),
            cols,
            block_size,
            nested,
        }),
    })
}

impl Four {
    pub fn open<'a>(&self, checkpoint: &'a dyn Checkpoint) -> Result<Matrix<'a>> {
        let parts = Parts {
            checkpoint,
            stem: &self.stem,
        };
        let map = parts.f32s(".weight.quant_map")?;
        let mut quant_map = [0.0; 16];
        quant_map.copy_from_slice(map.get(..16).unwrap_or(&[0.0; 16]));
        let absmax = match self.nested {
            None => parts.f32s(".weight.absmax")?,
            Some(nested) => {
                let map = parts.f32s(".weight.nested_quant_map")?;
                let scales = parts.f32s(".weight.nested_absmax")?;
                let absmax = parts.bytes(".weight.absmax")?;
                let of_block = |(block, &a): (usize, &u8)| {
                    map[usize::from(a)] * scales[block / nested.block_size] + nested.offset
                };
                absmax.iter().enumerate().map(of_block).collect()
            }
        };
        Ok(Matrix::Values(Box::new(FourRows {
            cols: self.cols,
            block_size: self.block_size,
            quant_map,
            absmax,
            data: checkpoint.read(&format!("{}.weight", self.stem))?,
        })))
    }
}

struct FourRows<'a> {
    cols: usize,
    block_size: usize,
    quant_map: [f32; 16],
    absmax: Vec<f32>,
    data: Cow<'a, [u8]>,
}

impl Values for FourRows<'_> {
    fn row(&self, row: usize, out: &mut [f32]) {
        for (col, value) in out.iter_mut().enumerate() {
            let at = row * self.cols + col;
            let byte = self.data[at / 2];
            let q = byte >> (4 * (1 - at % 2)) & 15;
            *value = self.quant_map[usize::from(q)] * self.absmax[at / self.block_size];
        }
    }
}
