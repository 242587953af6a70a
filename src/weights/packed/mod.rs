//! Checkpoints whose matrices are packed integers (ChatGLM's, GPTQ, AWQ, bitsandbytes, Baichuan's
//! INT8), seen as if they held ordinary weights: `X.qweight`, `X.scales` and their like become one
//! `X.weight`.
//!
//! The weights are dequantized to f32, one matrix at a time, when they are read: nothing is lost,
//! where the reference implementations round to f16 or bf16. Where the integers fit GGUF's blocks
//! bit for bit, [`Checkpoint::read_blocks`] gives those.

mod awq;
mod bnb;
mod channels;
mod fit;
mod glm;
mod gptq;
mod matrix;
mod scheme;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use fit::Fit;
pub use glm::Bits;
pub use gptq::{Options as GptqOptions, Zeros};
pub use scheme::{KEY, Scheme};

use self::matrix::{Matrix, dequantize, exact_blocks};
use super::{Checkpoint, Data, TensorInfo};
use crate::quant::Encoding;
use crate::{Error, Result};

/// A checkpoint with its packed matrices as `X.weight` of `[out, in]` in f32, all other tensors
/// as they are.
pub struct Packed {
    inner: Box<dyn Checkpoint>,
    /// The packing, for people.
    name: String,
    tensors: BTreeMap<String, TensorInfo>,
    layers: BTreeMap<String, Layer>,
}

/// One packed matrix.
struct Layer {
    /// `[out, in]`.
    shape: [usize; 2],
    /// The stored tensors that it is made of.
    parts: Vec<String>,
    open: Open,
}

/// Which format's reader opens the matrix, with what it needs to know.
#[derive(Debug, Clone)]
enum Open {
    Glm(glm::Layer),
    Gptq(gptq::Layer),
    Awq(awq::Layer),
    Bnb8(bnb::Int8),
    Bnb4(bnb::Four),
    Channels(channels::Layer),
}

impl Packed {
    /// Lays `scheme` over `inner`.
    ///
    /// # Errors
    /// Names a packed tensor that lacks a part or has one of the wrong shape.
    pub fn new(inner: Box<dyn Checkpoint>, scheme: &Scheme) -> Result<Self> {
        let found = match *scheme {
            Scheme::Glm { bits } => glm::find(inner.as_ref(), bits),
            Scheme::Gptq(options) => gptq::find(inner.as_ref(), options),
            Scheme::Awq { group_size } => awq::find(inner.as_ref(), group_size),
            Scheme::Bnb => bnb::find(inner.as_ref()),
            Scheme::Channels => channels::find(inner.as_ref()),
        }?;
        let mut tensors = inner.tensors().clone();
        let mut layers = BTreeMap::new();
        for (stem, layer) in found {
            for part in &layer.parts {
                tensors.remove(part);
            }
            layers.insert(stem, layer);
        }
        let mut weights = BTreeMap::new();
        for (stem, layer) in layers {
            let name = format!("{stem}.weight");
            if layer.shape.contains(&0) {
                return Err(Error::tensor(inner.path(), &name, "has no elements"));
            }
            let info = TensorInfo::new(&name, Encoding::F32, layer.shape.to_vec());
            let info = info.ok_or_else(|| too_large(inner.as_ref(), &name))?;
            if tensors.insert(name.clone(), info).is_some() {
                let message = "stands beside its packed form";
                return Err(Error::tensor(inner.path(), &name, message));
            }
            weights.insert(name, layer);
        }
        Ok(Self {
            inner,
            name: scheme.to_string(),
            tensors,
            layers: weights,
        })
    }
}

fn too_large(checkpoint: &dyn Checkpoint, name: &str) -> Error {
    Error::tensor(checkpoint.path(), name, "its shape is too large")
}

impl Layer {
    fn matrix<'a>(&self, checkpoint: &'a dyn Checkpoint) -> Result<Matrix<'a>> {
        match &self.open {
            Open::Glm(layer) => layer.open(checkpoint),
            Open::Gptq(layer) => layer.open(checkpoint),
            Open::Awq(layer) => layer.open(checkpoint),
            Open::Bnb8(layer) => layer.open(checkpoint),
            Open::Bnb4(layer) => layer.open(checkpoint),
            Open::Channels(layer) => layer.open(checkpoint),
        }
    }
}

impl Checkpoint for Packed {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<Data<'_>> {
        match self.layers.get(name) {
            None => self.inner.read(name),
            Some(layer) => {
                let matrix = layer.matrix(self.inner.as_ref())?;
                Ok(Data::Owned(dequantize(&matrix, layer.shape)))
            }
        }
    }

    fn read_blocks(&self, name: &str, encoding: Encoding) -> Result<Option<Vec<u8>>> {
        match self.layers.get(name) {
            None => self.inner.read_blocks(name, encoding),
            Some(layer) => {
                let matrix = layer.matrix(self.inner.as_ref())?;
                Ok(exact_blocks(&matrix, layer.shape, encoding))
            }
        }
    }

    fn packing(&self, name: &str) -> Option<&str> {
        self.layers.contains_key(name).then_some(&self.name)
    }

    fn release(&self, name: &str) {
        match self.layers.get(name) {
            None => self.inner.release(name),
            Some(layer) => layer.parts.iter().for_each(|part| self.inner.release(part)),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        self.inner.files()
    }
}

/// What the readers of the formats share: a part's information and numbers, refused by name.
struct Parts<'a> {
    checkpoint: &'a dyn Checkpoint,
    stem: &'a str,
}

impl<'a> Parts<'a> {
    fn error(&self, suffix: &str, message: impl Into<String>) -> Error {
        let name = format!("{}{suffix}", self.stem);
        Error::tensor(self.checkpoint.path(), &name, message)
    }

    fn has(&self, suffix: &str) -> bool {
        let name = format!("{}{suffix}", self.stem);
        self.checkpoint.tensors().contains_key(&name)
    }

    /// A part, which must be there in one of `encodings`.
    fn info(&self, suffix: &str, encodings: &[Encoding]) -> Result<&'a TensorInfo> {
        let name = format!("{}{suffix}", self.stem);
        let Some(info) = self.checkpoint.tensors().get(&name) else {
            return Err(self.error(suffix, "missing; the packed weights cannot be read"));
        };
        if !encodings.contains(&info.encoding) {
            let wanted: Vec<_> = encodings.iter().map(|e| e.name()).collect();
            return Err(self.error(
                suffix,
                format!("{} found, {} wanted", info.encoding, wanted.join(" or ")),
            ));
        }
        Ok(info)
    }

    /// A part of a known shape.
    fn shaped(&self, suffix: &str, encodings: &[Encoding], shape: &[usize]) -> Result<()> {
        let info = self.info(suffix, encodings)?;
        match info.shape == shape {
            true => Ok(()),
            false => Err(self.error(
                suffix,
                format!("shape {:?} found, {shape:?} wanted", info.shape),
            )),
        }
    }

    /// The two dimensions of a matrix.
    fn dims(&self, suffix: &str, encodings: &[Encoding]) -> Result<[usize; 2]> {
        let info = self.info(suffix, encodings)?;
        <[usize; 2]>::try_from(info.shape.as_slice()).map_err(|_| {
            self.error(
                suffix,
                format!("shape {:?} found, a matrix wanted", info.shape),
            )
        })
    }

    fn bytes(&self, suffix: &str) -> Result<Data<'a>> {
        self.checkpoint.read(&format!("{}{suffix}", self.stem))
    }

    /// Sizes, which are stored as i64.
    fn sizes(&self, suffix: &str) -> Result<Vec<usize>> {
        self.info(suffix, &[Encoding::I64])?;
        let bytes = self.bytes(suffix)?;
        let sizes = bytes.as_chunks::<8>().0.iter().map(|&word| {
            let n = i64::from_le_bytes(word);
            usize::try_from(n).map_err(|_| self.error(suffix, format!("{n} is not a size")))
        });
        sizes.collect()
    }

    fn f32s(&self, suffix: &str) -> Result<Vec<f32>> {
        self.info(suffix, FLOATS)?;
        let name = format!("{}{suffix}", self.stem);
        self.checkpoint.read_f32(&name)
    }
}

/// The types that scales come in.
const FLOATS: &[Encoding] = &[Encoding::F32, Encoding::F16, Encoding::BF16];

/// The names in `checkpoint` that end in `suffix`, without it.
fn stems<'a>(checkpoint: &'a dyn Checkpoint, suffix: &'a str) -> impl Iterator<Item = &'a str> {
    let names = checkpoint.tensors().keys();
    names.filter_map(move |name| name.strip_suffix(suffix))
}
