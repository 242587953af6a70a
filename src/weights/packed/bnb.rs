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

use serde::Deserialize;

use super::matrix::{Int8Rows, Matrix, Values};
use super::{FLOATS, Open, Parts, stems};
use crate::Result;
use crate::quant::Encoding;
use crate::weights::{Checkpoint, Data};

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
    for stem in stems(checkpoint, LISTED.absmax) {
        out.push((stem.to_string(), listed(&Parts { checkpoint, stem })?));
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

/// How the tensors of a 4-bit layer are called after its name.
#[derive(Debug)]
struct Names {
    data: &'static str,
    absmax: &'static str,
    quant_map: &'static str,
    nested_absmax: &'static str,
    nested_quant_map: &'static str,
}

/// As the library itself saves them.
const SAVED: Names = Names {
    data: ".weight",
    absmax: ".weight.absmax",
    quant_map: ".weight.quant_map",
    nested_absmax: ".weight.nested_absmax",
    nested_quant_map: ".weight.nested_quant_map",
};

/// As Baichuan2's `-4bits` repositories have them: `X.weight.data` and the list that the library
/// kept until 0.41, `[absmax, shape, type, blocksize, [offset, [absmax, map, blocksize, …]],
/// "nf4", map]`.
const LISTED: Names = Names {
    data: ".weight.data",
    absmax: ".weight.quant_state.0",
    quant_map: ".weight.quant_state.6",
    nested_absmax: ".weight.quant_state.4.1.0",
    nested_quant_map: ".weight.quant_state.4.1.1",
};

/// A 4-bit layer.
#[derive(Debug, Clone)]
pub(super) struct Four {
    stem: String,
    names: &'static Names,
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
    let info = parts.info(state_suffix, U8S)?;
    let wrong = |message: String| parts.error(state_suffix, message);
    if info.bytes > MAX_STATE {
        return Err(wrong(format!("{} bytes of state", info.bytes)));
    }
    let state: State = serde_json::from_slice(&parts.bytes(state_suffix)?)
        .map_err(|e| wrong(format!("not a quantization state: {e}")))?;
    let mut names = vec![SAVED.data, SAVED.absmax, SAVED.quant_map, state_suffix];
    if state.nested_blocksize.is_some() {
        names.extend([SAVED.nested_absmax, SAVED.nested_quant_map]);
    }
    let names = names.iter().map(|s| format!("{}{s}", parts.stem)).collect();
    layer(parts, &SAVED, &state, state_suffix).map(|open| super::Layer {
        shape: [state.shape[0], state.shape[1]],
        parts: names,
        open,
    })
}

/// The layer whose state is a list.
fn listed(parts: &Parts<'_>) -> Result<super::Layer> {
    const LIST: &str = ".weight.quant_state.";
    let member = |at: &str| format!("{LIST}{at}");
    let nested = parts.has(&member("4.0"));
    let state = State {
        blocksize: parts.sizes(&member("3"))?.first().copied().unwrap_or(0),
        shape: parts.sizes(&member("1"))?,
        nested_blocksize: match nested {
            true => parts.sizes(&member("4.1.2"))?.first().copied(),
            false => None,
        },
        nested_offset: match nested {
            true => parts.f32s(&member("4.0"))?.first().copied().map(f64::from),
            false => None,
        },
    };
    let open = layer(parts, &LISTED, &state, &member("1"))?;
    let prefix = format!("{}{LIST}", parts.stem);
    let stored = parts.checkpoint.tensors().keys();
    let mut names: Vec<String> = stored.filter(|k| k.starts_with(&prefix)).cloned().collect();
    names.push(format!("{}{}", parts.stem, LISTED.data));
    Ok(super::Layer {
        shape: [state.shape[0], state.shape[1]],
        parts: names,
        open,
    })
}

/// Checks that the tensors of a layer are what `state`, told by `told_by`, makes them.
fn layer(parts: &Parts<'_>, names: &'static Names, state: &State, told_by: &str) -> Result<Open> {
    let wrong = |message: String| parts.error(told_by, message);
    let &[rows, cols] = state.shape.as_slice() else {
        return Err(wrong(format!("shape {:?} is not a matrix's", state.shape)));
    };
    let stored = parts.info(names.data, U8S)?.len();
    let n = rows
        .checked_mul(cols)
        .filter(|n| n.div_ceil(2) == stored)
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
    let nested = match state.nested_blocksize {
        None => None,
        Some(inner) => Some(Nested {
            block_size: size(inner, "nested_blocksize")?,
            offset: state.nested_offset.unwrap_or(0.0) as f32,
        }),
    };
    parts.shaped(names.quant_map, FLOATS, &[16])?;
    match nested {
        None => parts.shaped(names.absmax, FLOATS, &[blocks])?,
        Some(nested) => {
            parts.shaped(names.absmax, U8S, &[blocks])?;
            let nested_blocks = blocks.div_ceil(nested.block_size);
            parts.shaped(names.nested_absmax, FLOATS, &[nested_blocks])?;
            parts.shaped(names.nested_quant_map, FLOATS, &[256])?;
        }
    }
    Ok(Open::Bnb4(Four {
        stem: parts.stem.to_string(),
        names,
        cols,
        block_size,
        nested,
    }))
}

const U8S: &[Encoding] = &[Encoding::U8];

impl Four {
    pub fn open<'a>(&self, checkpoint: &'a dyn Checkpoint) -> Result<Matrix<'a>> {
        let names = self.names;
        let parts = Parts {
            checkpoint,
            stem: &self.stem,
        };
        let map = parts.f32s(names.quant_map)?;
        let mut quant_map = [0.0; 16];
        quant_map.copy_from_slice(map.get(..16).unwrap_or(&[0.0; 16]));
        let absmax = match self.nested {
            None => parts.f32s(names.absmax)?,
            Some(nested) => {
                let map = parts.f32s(names.nested_quant_map)?;
                let scales = parts.f32s(names.nested_absmax)?;
                let absmax = parts.bytes(names.absmax)?;
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
            data: checkpoint.read(&format!("{}{}", self.stem, names.data))?,
        })))
    }
}

struct FourRows<'a> {
    cols: usize,
    block_size: usize,
    quant_map: [f32; 16],
    absmax: Vec<f32>,
    data: Data<'a>,
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
