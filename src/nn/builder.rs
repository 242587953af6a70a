//! What layers are built from: the checkpoint's weights, the device they go to and the encoding
//! they are kept in.

use std::cell::Cell;

use candle_core::{Device, Tensor};

use super::{Linear, Norm};
use crate::arch::{self, NormKind};
use crate::quant::Encoding;
use crate::weights::{HostTensor, Weights};
use crate::{Error, Result};

/// In which encoding matrices are kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// As the checkpoint has them.
    AsStored,
    /// Plain floats are converted; blocks stay blocks.
    Float(Encoding),
    /// Plain floats are quantized while loading. Rows that do not fill whole blocks are kept as
    /// stored.
    Quantized {
        /// For the linear layers.
        layers: Encoding,
        /// For the embedding and the head, which lose more.
        ends: Encoding,
    },
}

/// Small tensors that are never quantized (nor are they by llama.cpp): rounding a router changes
/// which experts run, and tables of positions are looked up, not multiplied.
const DELICATE: &[&str] = &["ffn_gate_inp", "position_embd", "attn_rel_b"];

impl Storage {
    /// The encoding in which the matrix `name` (canonical) of `shape` is kept in memory: blocks
    /// stay as they are stored.
    pub fn encoding(self, stored: Encoding, shape: &[usize], name: &str) -> Encoding {
        match stored.is_quantized() {
            true => stored,
            false => self.target(stored, shape, name),
        }
    }

    /// The encoding that is asked for, whatever the stored one; `stored` where the rows do not
    /// fill whole blocks, and for small tensors that are never quantized.
    pub fn target(self, stored: Encoding, shape: &[usize], name: &str) -> Encoding {
        let wanted = match self {
            Self::AsStored => stored,
            Self::Float(encoding) => encoding,
            Self::Quantized { layers, ends } => match name {
                "token_embd.weight" | "output.weight" => ends,
                _ if DELICATE.iter().any(|part| name.contains(part)) => stored,
                _ => layers,
            },
        };
        match shape.last() {
            Some(cols) if cols.is_multiple_of(wanted.block_len()) => wanted,
            _ => stored,
        }
    }
}

/// Builds layers by their canonical names.
pub struct Builder<'a> {
    /// Where tensors are read, and marked used.
    pub weights: &'a Weights,
    /// Where the layers run.
    pub device: Device,
    /// What matrices are converted to.
    pub storage: Storage,
    bytes: Cell<usize>,
    params: Cell<usize>,
}

impl<'a> Builder<'a> {
    /// A builder that has built nothing yet.
    pub fn new(weights: &'a Weights, device: Device, storage: Storage) -> Self {
        Self {
            weights,
            device,
            storage,
            bytes: Cell::new(0),
            params: Cell::new(0),
        }
    }

    /// Bytes of all that was built.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Number of weights of all that was built.
    pub fn params(&self) -> usize {
        self.params.get()
    }

    fn count(&self, encoding: Encoding, n: usize) {
        self.params.set(self.params.get() + n);
        let bytes = encoding.bytes_of(n).unwrap_or(0);
        self.bytes.set(self.bytes.get() + bytes);
    }

    /// A matrix `[rows, cols]`, in the encoding it is to be kept in.
    ///
    /// # Errors
    /// If it is missing, of another shape, cannot be read or cannot be converted.
    pub fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<HostTensor<'_>> {
        let shape = [rows, cols];
        let wanted = self.storage.target(Encoding::F32, &shape, name);
        if wanted.is_quantized()
            && let Some(blocks) = self.weights.read_blocks(name, &shape, wanted)?
        {
            self.count(wanted, rows * cols);
            return Ok(blocks);
        }
        self.convert(self.weights.read(name, &shape)?, name)
    }

    fn convert<'t>(&self, tensor: HostTensor<'t>, name: &str) -> Result<HostTensor<'t>> {
        let encoding = self.storage.encoding(tensor.encoding, &tensor.shape, name);
        self.count(encoding, tensor.len());
        if encoding == tensor.encoding {
            return Ok(tensor);
        }
        let converted = tensor.to_encoding(encoding);
        Ok(converted.map_err(|e| self.named(name, e))?.kept())
    }

    /// An error that does not say so yet is one of the tensor `name`.
    pub(super) fn named(&self, name: &str, error: Error) -> Error {
        match error {
            Error::Unsupported(message) => {
                Error::tensor(self.weights.checkpoint().path(), name, message)
            }
            error => error,
        }
    }

    /// The `count` matrices `[rows, cols]` that are stacked in `name`, as linear layers.
    ///
    /// # Errors
    /// As [`Builder::linear`].
    ///
    /// # Panics
    /// If `count` is 0.
    pub fn stack(&self, name: &str, count: usize, [rows, cols]: [usize; 2]) -> Result<Vec<Linear>> {
        let stack = self.weights.read(name, &[count, rows, cols])?;
        let bytes = stack.data.len() / count;
        (0..count)
            .map(|i| {
                let matrix = HostTensor {
                    encoding: stack.encoding,
                    shape: vec![rows, cols],
                    data: stack.data.part(i * bytes..(i + 1) * bytes),
                };
                let linear = Linear::new(self.convert(matrix, name)?, None, &self.device);
                linear.map_err(|e| self.named(name, e))
            })
            .collect()
    }

    /// A small tensor's numbers on the host.
    ///
    /// # Errors
    /// If it is missing, of another shape, cannot be read or does not hold numbers.
    pub fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let values = self.weights.read(name, shape)?.to_f32()?;
        self.count(Encoding::F32, values.len());
        Ok(values)
    }

    /// A vector of `len` f32 on the device: a norm's weight or a bias.
    ///
    /// # Errors
    /// As [`Builder::numbers`], or if the device has no room for it.
    pub fn vector(&self, name: &str, len: usize) -> Result<Tensor> {
        let values = self.numbers(name, &[len])?;
        Ok(Tensor::from_vec(values, len, &self.device)?)
    }

    /// A table `{name}.weight` of `rows` f32 vectors on the device.
    ///
    /// # Errors
    /// As [`Builder::vector`].
    pub fn table(&self, name: &str, rows: usize, cols: usize) -> Result<Tensor> {
        let values = self.numbers(&format!("{name}.weight"), &[rows, cols])?;
        Ok(Tensor::from_vec(values, (rows, cols), &self.device)?)
    }

    /// A linear layer `name` from `inputs` to `outputs`.
    ///
    /// # Errors
    /// As [`Builder::matrix`] and [`Builder::vector`], or if the matrix is of a type that the
    /// device cannot multiply.
    pub fn linear(&self, name: &str, inputs: usize, outputs: usize, bias: bool) -> Result<Linear> {
        let stored = format!("{name}.weight");
        let weight = self.matrix(&stored, outputs, inputs)?;
        let bias = match bias {
            true => Some(self.vector(&format!("{name}.bias"), outputs)?),
            false => None,
        };
        let linear = Linear::new(weight, bias, &self.device);
        let linear = linear.map_err(|e| self.named(&stored, e))?;
        self.weights.release(&stored);
        Ok(linear)
    }

    /// A norm `name` over `len` numbers.
    ///
    /// # Errors
    /// As [`Builder::vector`].
    pub fn norm(&self, name: &str, len: usize, norm: arch::Norm) -> Result<Norm> {
        let weight = self.vector(&format!("{name}.weight"), len)?;
        let bias = match norm.kind {
            NormKind::Layer => Some(self.vector(&format!("{name}.bias"), len)?),
            NormKind::Rms | NormKind::LayerNoBias | NormKind::LayerNoBiasPlusOne => None,
        };
        Norm::new(norm, weight, bias)
    }
}
