//! A weight matrix as the CPU kernels read it.

use candle_core::{Device, Tensor};

use super::kernels::Isa;
use super::kernels::product::{self, Layout, Stored, with_form};
use super::store::Bytes;
use super::{Encoding, pack, with_slice};
use crate::weights::{Data, HostTensor, Mapped};
use crate::{Error, Result};

/// A matrix of `rows` × `cols` weights in host memory.
pub struct Matrix {
    rows: usize,
    cols: usize,
    encoding: Encoding,
    layout: Layout,
    weights: Weights,
}

/// Where the weights are.
enum Weights {
    /// On pages of their own, as fast to read as the machine has them.
    Own(Bytes),
    /// In their file: they need neither time to load nor memory of their own.
    Mapped(Mapped),
}

impl Matrix {
    /// Takes over a tensor of two dimensions `[rows, cols]`. Q8_0 and floats stay as they are, in their
    /// file if it is mapped; all else is repacked.
    ///
    /// # Errors
    /// If it is not a matrix, its bytes are not those of its shape, or its encoding is not one for
    /// weights.
    pub fn new(tensor: HostTensor<'_>) -> Result<Self> {
        let &[rows, cols] = tensor.shape.as_slice() else {
            return Err(Error::Unsupported(format!(
                "a matrix has two dimensions, not {:?}",
                tensor.shape
            )));
        };
        let encoding = tensor.encoding;
        let unfit = |what: &str| {
            Error::Unsupported(format!("a {encoding} matrix of {rows} x {cols} {what}"))
        };
        let layout = Layout::of(encoding);
        let bytes = product::bytes(layout, rows, cols)
            .ok_or_else(|| unfit("cannot be multiplied; convert it to F32, Q8_0 or Q4_0"))?;
        let row = encoding
            .bytes_of(cols)
            .ok_or_else(|| unfit("has rows that do not fill whole blocks"))?;
        if row.checked_mul(rows) != Some(tensor.data.len()) {
            return Err(unfit(&format!("cannot have {} bytes", tensor.data.len())));
        }
        let weights = match (layout, tensor.data) {
            (Layout::Q8Rows | Layout::FloatRows(_), Data::Mapped(mapped)) => {
                mapped.will_need();
                Weights::Mapped(mapped)
            }
            (layout, data) => {
                let mut own = Bytes::zeroed(bytes)?;
                match layout {
                    Layout::Q8Rows | Layout::FloatRows(_) => pack::rows(&data, &mut own),
                    Layout::IntPanels(_) => with_form!(encoding, F => {
                        pack::int_panels::<F>(&data, rows, &mut own);
                    }, _ => unreachable!("there are bytes for the form")),
                }
                Weights::Own(own)
            }
        };
        Ok(Self {
            rows,
            cols,
            encoding,
            layout,
            weights,
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
        self.stored().data.len()
    }

    /// Where the weights begin.
    #[cfg(test)]
    pub(super) fn place(&self) -> *const u8 {
        self.stored().data.as_ptr()
    }

    fn stored(&self) -> Stored<'_> {
        Stored {
            layout: self.layout,
            rows: self.rows,
            cols: self.cols,
            data: match &self.weights {
                Weights::Own(own) => own,
                Weights::Mapped(mapped) => mapped,
            },
        }
    }

    /// `x` `[.., cols]` times the transposed matrix: `[.., rows]`, in f32.
    ///
    /// # Errors
    /// If `x` is not f32 on the CPU with `cols` columns.
    pub fn matmul(&self, x: &Tensor) -> Result<Tensor> {
        let mut products = Self::matmul_many(&[self], x)?;
        Ok(products.remove(0))
    }

    /// The products of `x` `[.., cols]` with several matrices of as many columns, as
    /// [`Matrix::matmul`] gives them, with one quantization of `x` and one start of the threads.
    ///
    /// # Errors
    /// As [`Matrix::matmul`].
    pub fn matmul_many(matrices: &[&Self], x: &Tensor) -> Result<Vec<Tensor>> {
        let cols = x.dims().last().copied().unwrap_or(0);
        for m in matrices {
            if m.cols != cols {
                return Err(Error::Unsupported(format!(
                    "activations {:?} do not fit a matrix of {} columns",
                    x.dims(),
                    m.cols
                )));
            }
        }
        let t = x.elem_count() / cols.max(1);
        let stored: Vec<_> = matrices.iter().map(|m| m.stored()).collect();
        let outs = with_slice(x, |x| product::multiply(Isa::best(), x, t, &stored))?;
        let outs = matrices.iter().zip(outs).map(|(m, out)| {
            let mut dims = x.dims().to_vec();
            if let Some(last) = dims.last_mut() {
                *last = m.rows;
            }
            Ok(Tensor::from_vec(out, dims, &Device::Cpu)?)
        });
        outs.collect()
    }

    /// [`Matrix::matmul`] on a slice, with the kernels of one instruction set: `x` `[t][cols]` to
    /// `[t][rows]`.
    ///
    /// # Panics
    /// If the slice is not as long as the shape says.
    pub fn matmul_on(&self, isa: Isa, x: &[f32], t: usize) -> Vec<f32> {
        product::multiply(isa, x, t, &[self.stored()]).remove(0)
    }

    /// The rows of `ids` as f32, `[ids.len(), cols]`: an embedding lookup.
    ///
    /// # Errors
    /// If an id is not that of a row.
    pub fn gather(&self, ids: &[u32]) -> Result<Tensor> {
        let mut out = vec![0f32; ids.len() * self.cols];
        for (&id, out) in ids.iter().zip(out.chunks_exact_mut(self.cols.max(1))) {
            let row = usize::try_from(id).ok().filter(|&r| r < self.rows);
            let row = row.ok_or(Error::TokenId {
                id,
                vocab_size: self.rows,
            })?;
            product::row(&self.stored(), row, out);
        }
        Ok(Tensor::from_vec(out, (ids.len(), self.cols), &Device::Cpu)?)
    }
}
