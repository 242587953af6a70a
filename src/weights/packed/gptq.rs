//! GPTQ as AutoGPTQ and GPTQModel store it: `X.qweight` int32 `[in·bits/32, out]` and `X.qzeros`
//! int32 `[groups, out·bits/32]` are streams of `bits` each, lowest bit first, down the first and
//! along the second; `X.scales` `[groups, out]`; `X.g_idx` `[in]` gives each input's group (any
//! order with act-order, absent in some files). `w = (q − zero) · scale`.
//!
//! Format v1 stores the zero point less one (modulo `2^bits`), v2 stores it as it is.

use super::matrix::{Integers, Matrix, word};
use super::{FLOATS, Open, Parts, stems};
use crate::Result;
use crate::quant::Encoding;
use crate::weights::{Checkpoint, Data};

/// What the configuration says of all layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// 2, 3, 4 or 8.
    pub bits: u32,
    /// Inputs that share a scale; `None` for all of them.
    pub group_size: Option<usize>,
    /// Key `checkpoint_format`: `gptq` or `gptq_v2`.
    pub zeros: Zeros,
}

/// How zero points are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zeros {
    /// Format v1.
    LessOne,
    /// Format v2.
    AsIs,
}

/// The options that the shapes of the first matrix amount to, if there is one with `g_idx`: its
/// length is the number of inputs. Such files (GPTQ-for-LLaMa) are of format v1.
pub(super) fn options_of(checkpoint: &dyn Checkpoint) -> Result<Option<Options>> {
    let Some(stem) = stems(checkpoint, ".g_idx").next() else {
        return Ok(None);
    };
    let parts = Parts { checkpoint, stem };
    let &[cols] = parts.info(".g_idx", &[Encoding::I32])?.shape.as_slice() else {
        return Err(parts.error(".g_idx", "a vector is wanted"));
    };
    let [words, _] = parts.dims(".qweight", &[Encoding::I32])?;
    let [groups, _] = parts.dims(".scales", FLOATS)?;
    let bits = words.checked_mul(32).and_then(|n| n.checked_div(cols));
    let bits = match bits {
        Some(n @ (2 | 3 | 4 | 8)) => n as u32,
        _ => {
            let message = format!("{words} words for {cols} inputs are not of 2, 3, 4 or 8 bits");
            return Err(parts.error(".qweight", message));
        }
    };
    Ok(Some(Options {
        bits,
        group_size: (groups > 1).then(|| cols.div_ceil(groups)),
        zeros: Zeros::LessOne,
    }))
}

#[derive(Debug, Clone)]
pub(super) struct Layer {
    stem: String,
    options: Options,
    cols: usize,
    rows: usize,
    groups: usize,
    has_g_idx: bool,
}

pub(super) fn find(
    checkpoint: &dyn Checkpoint,
    options: Options,
) -> Result<Vec<(String, super::Layer)>> {
    let layers = stems(checkpoint, ".qweight").map(|stem| {
        let layer = layer(&Parts { checkpoint, stem }, options)?;
        let mut parts = vec![".qweight", ".qzeros", ".scales"];
        if layer.has_g_idx {
            parts.push(".g_idx");
        }
        let layer = super::Layer {
            shape: [layer.rows, layer.cols],
            parts: parts.iter().map(|s| format!("{stem}{s}")).collect(),
            open: Open::Gptq(layer),
        };
        Ok((stem.to_string(), layer))
    });
    layers.collect()
}

fn layer(parts: &Parts<'_>, options: Options) -> Result<Layer> {
    let bits = options.bits as usize;
    let [words, rows] = parts.dims(".qweight", &[Encoding::I32])?;
    let cols = words
        .checked_mul(32)
        .filter(|n| n.is_multiple_of(bits))
        .ok_or_else(|| {
            let message = format!("{words} words are not a whole number of {bits}-bit weights");
            parts.error(".qweight", message)
        })?
        / bits;
    let [groups, _] = parts.dims(".scales", FLOATS)?;
    let wanted = cols.div_ceil(options.group_size.unwrap_or(cols).max(1));
    if groups != wanted {
        let message = format!("{groups} groups found, {wanted} wanted for {cols} inputs");
        return Err(parts.error(".scales", message));
    }
    parts.shaped(".scales", FLOATS, &[groups, rows])?;
    if !rows.saturating_mul(bits).is_multiple_of(32) {
        let message = format!("{rows} zero points of {bits} bits do not fill whole words");
        return Err(parts.error(".qzeros", message));
    }
    parts.shaped(".qzeros", &[Encoding::I32], &[groups, rows * bits / 32])?;
    let has_g_idx = parts.has(".g_idx");
    if has_g_idx {
        parts.shaped(".g_idx", &[Encoding::I32], &[cols])?;
    }
    Ok(Layer {
        stem: parts.stem.to_string(),
        options,
        cols,
        rows,
        groups,
        has_g_idx,
    })
}

impl Layer {
    pub fn open<'a>(&self, checkpoint: &'a dyn Checkpoint) -> Result<Matrix<'a>> {
        let parts = Parts {
            checkpoint,
            stem: &self.stem,
        };
        let groups = match self.has_g_idx {
            true => self.groups_of(&parts)?,
            false => {
                let size = self.options.group_size.unwrap_or(self.cols).max(1);
                (0..self.cols).map(|col| col / size).collect()
            }
        };
        let qweight = checkpoint.read(&format!("{}.qweight", self.stem))?;
        let qzeros = checkpoint.read(&format!("{}.qzeros", self.stem))?;
        Ok(Matrix::Integers(Box::new(Rows {
            bits: self.options.bits,
            n_rows: self.rows,
            zeros: self.zeros(&qzeros),
            scales: parts.f32s(".scales")?,
            groups,
            qweight,
        })))
    }

    fn groups_of(&self, parts: &Parts<'_>) -> Result<Vec<usize>> {
        let bytes = parts.bytes(".g_idx")?;
        let words = bytes.as_chunks::<4>().0.iter();
        let groups = words.map(|&w| {
            let group = i32::from_le_bytes(w);
            usize::try_from(group)
                .ok()
                .filter(|&g| g < self.groups)
                .ok_or_else(|| {
                    let message = format!("group {group} of {} found", self.groups);
                    parts.error(".g_idx", message)
                })
        });
        groups.collect()
    }

    /// Zero points, `[groups, out]`.
    fn zeros(&self, qzeros: &[u8]) -> Vec<i32> {
        let words = self.rows * self.options.bits as usize / 32;
        let mask = (1 << self.options.bits) - 1;
        let mut out = Vec::with_capacity(self.groups * self.rows);
        for group in 0..self.groups {
            let word = |i: usize| word(qzeros, group * words + i);
            out.extend((0..self.rows).map(|row| {
                let stored = field(self.options.bits, row, word);
                match self.options.zeros {
                    Zeros::LessOne => (stored + 1) & mask,
                    Zeros::AsIs => stored,
                }
            }));
        }
        out
    }
}

struct Rows<'a> {
    bits: u32,
    n_rows: usize,
    /// `[groups, out]`.
    zeros: Vec<i32>,
    /// `[groups, out]`.
    scales: Vec<f32>,
    /// `[in]`.
    groups: Vec<usize>,
    qweight: Data<'a>,
}

impl Integers for Rows<'_> {
    fn row(&self, row: usize, q: &mut [i32], scales: &mut [f32]) {
        let word = |i: usize| word(&self.qweight, i * self.n_rows + row);
        for (col, &group) in self.groups.iter().enumerate() {
            let at = group * self.n_rows + row;
            q[col] = field(self.bits, col, word) - self.zeros[at];
            scales[col] = self.scales[at];
        }
    }
}

/// The `i`th field of `bits` in a stream of words; with 3 bits some lie across two words.
fn field(bits: u32, i: usize, word: impl Fn(usize) -> u32) -> i32 {
    let at = i * bits as usize;
    let (index, shift) = (at / 32, (at % 32) as u32);
    let low = word(index) >> shift;
    let value = match shift + bits > 32 {
        true => low | word(index + 1) << (32 - shift),
        false => low,
    };
    (value & ((1 << bits) - 1)) as i32
}
