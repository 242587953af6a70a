//! Checkpoints: readers of every format, and the canonical tensor names that the models use.
//!
//! A reader is a [`Checkpoint`]: names, shapes and bytes as stored. [`Weights`] lays a family's
//! tensor table ([`crate::arch::TensorTable`]) over it, so that everything above sees one set of
//! names (those of GGUF: `blk.3.attn_q.weight`), fused tensors already taken apart.

mod canonical;
mod data;
pub mod export;
mod folder;
pub mod gguf;
mod host;
mod index;
mod layout;
mod map;
pub mod packed;
mod parallel;
mod pattern;
mod pytorch;
mod safetensors;
mod sum;
pub mod xor;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use canonical::Weights;
pub use data::{Data, Mapped};
pub use folder::{NOT_WEIGHTS, open_file, open_folder};
pub use host::HostTensor;
pub use index::Index;
pub use map::Map;
pub use parallel::Parallel;
pub use pytorch::PyTorch;
pub use safetensors::Safetensors;
pub use sum::Sum;

use crate::quant::Encoding;
use crate::{Error, Result};

/// What a checkpoint says of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The checkpoint's own name for it.
    pub name: String,
    /// In which [`Checkpoint::read`] gives it: f32 for packed integers.
    pub encoding: Encoding,
    /// Outermost dimension first: a linear layer's is `[out, in]`.
    pub shape: Vec<usize>,
    /// Its size in that encoding.
    pub bytes: usize,
}

impl TensorInfo {
    /// `None` if the rows do not fill whole blocks or the size overflows.
    pub fn new(name: &str, encoding: Encoding, shape: Vec<usize>) -> Option<Self> {
        let n = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        let row = shape.last().copied().unwrap_or(1);
        if !row.is_multiple_of(encoding.block_len()) {
            return None;
        }
        Some(Self {
            name: name.to_string(),
            encoding,
            shape,
            bytes: encoding.bytes_of(n)?,
        })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A checkpoint that is open for reading; nothing is loaded before it is asked for.
pub trait Checkpoint: Send + Sync {
    /// The file or folder, for messages.
    fn path(&self) -> &Path;

    /// Every tensor, by its stored name.
    fn tensors(&self) -> &BTreeMap<String, TensorInfo>;

    /// One tensor's bytes, little-endian, row by row; in a memory map where possible.
    ///
    /// # Errors
    /// If there is no such tensor or its file cannot be read.
    fn read(&self, name: &str) -> Result<Data<'_>>;

    /// One tensor's numbers in f32.
    ///
    /// # Errors
    /// As [`Checkpoint::read`], or if they are no numbers.
    fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        let info = self.tensors().get(name);
        let info = info.ok_or_else(|| Error::tensor(self.path(), name, "missing"))?;
        let tensor = HostTensor {
            encoding: info.encoding,
            shape: info.shape.clone(),
            data: self.read(name)?,
        };
        tensor.to_f32()
    }

    /// Lets go of the memory that reading a tensor, and whatever its file gave before, took.
    fn release(&self, _name: &str) {}

    /// The files that hold the tensors.
    fn files(&self) -> Vec<PathBuf>;

    /// How a matrix is packed that [`Checkpoint::tensors`] presents as floats; `None` for others.
    fn packing(&self, _name: &str) -> Option<&str> {
        None
    }

    /// A matrix in blocks of `encoding`, if the checkpoint holds integers that fit them bit for
    /// bit although [`Checkpoint::tensors`] presents floats; `None` otherwise.
    ///
    /// # Errors
    /// If one of the tensors that it is packed in cannot be read.
    fn read_blocks(&self, _name: &str, _encoding: Encoding) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}
