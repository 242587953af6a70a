//! A weight matrix as the CPU kernels read it.

use std::borrow::Cow;

use candle_core::quantized::{QStorage, QTensor};
use candle_core::{Device, Module, Tensor};

use super::Encoding;
use crate::weights::HostTensor;
use crate::{Error, Result};

/// A matrix of `rows` × `cols` weights in host memory, in any encoding that the kernels read.
pub struct Matrix {
    rows: usize,
    cols: usize,
    encoding: Encoding,
    store: Store,
}

enum Store {
    /// Plain f32 rows.
    Dense(Tensor),
    /// Blocks, or 16-bit floats, in candle's own types.
    Blocks(QTensor),
}

impl Matrix {
    /// Takes over a tensor of two dimensions `[rows, cols]`.
    ///
    /// # Errors
    /// If it is not a matrix or its encoding is not one for weights.
    pub fn new(tensor: HostTensor<'_>) -> Result<Self> {
        let &[rows, cols] = tensor.shape.as_slice() else {
            return Err(Error::Unsupported(format!(
                "a matrix has two dimensions, not {:?}",
                tensor.shape
            )));
        };
        let encoding = tensor.encoding;
        let store = match encoding {
            Encoding::F32 => Store::Dense(Tensor::from_vec(
                tensor.to_f32()?,
                (rows, cols),
                &Device::Cpu,
            )?),
            _ => {
                let dtype = encoding.to_candle().ok_or_else(|| {
                    Error::Unsupported(format!("{encoding} matrices are not supported"))
                })?;
                let storage =
                    QStorage::from_data(Cow::Borrowed(&tensor.data), &Device::Cpu, dtype)?;
                Store::Blocks(QTensor::new(storage, (rows, cols))?)
            }
        };
        Ok(Self {
            rows,
            cols,
            encoding,
            store,
        })
    }

    /// Number of rows: the outputs of the layer.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns: the inputs of the layer.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How the weights are stored.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Bytes that the weights take in memory.
    pub fn bytes(&self) -> usize {
        self.encoding.bytes_of(self.rows * self.cols).unwrap_or(0)
    }

    /// `x` `[t, cols]` times the transposed matrix: `[t, rows]`.
    pub fn matmul(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match &self.store {
            Store::Dense(w) => x.matmul(&w.t()?)?,
            Store::Blocks(q) => x.contiguous()?.apply_op1_no_bwd(q)?,
        })
    }

    /// The rows of `ids` as f32, `[ids.len(), cols]`: an embedding lookup.
    pub fn gather(&self, ids: &[u32]) -> Result<Tensor> {
        let ids = Tensor::new(ids, &Device::Cpu)?;
        Ok(match &self.store {
            Store::Dense(w) => w.index_select(&ids, 0)?,
            Store::Blocks(q) => q.embedding(&ids)?,
        })
    }
}

impl Module for Matrix {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.matmul(x).map_err(candle_core::Error::wrap)
    }
}
