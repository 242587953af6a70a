//! One linear layer for every encoding of its weights.

mod f16_matrix;

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, Module, Tensor};

use f16_matrix::F16Matrix;

use crate::quant::{Encoding, Matrix};
use crate::weights::HostTensor;
use crate::{Error, Result};

/// `y = x·Wᵀ + b`, on f32 activations `[T, in]`.
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

/// Where the weights are and who multiplies.
pub(super) enum Weight {
    /// In host memory, multiplied by our kernels.
    Host(Matrix),
    /// f32 or bf16 on a GPU.
    Dense(Tensor),
    /// f16 on a GPU.
    F16(F16Matrix),
    /// Blocks on a GPU, multiplied by candle's kernels.
    Blocks(QMatMul),
}

impl Weight {
    pub(super) fn new(tensor: HostTensor<'_>, device: &Device) -> Result<Self> {
        if device.is_cpu() {
            return Ok(Self::Host(Matrix::new(tensor)?));
        }
        let shape = tensor.shape.clone();
        let dtype = match tensor.encoding {
            Encoding::F32 => DType::F32,
            Encoding::F16 => DType::F16,
            Encoding::BF16 => DType::BF16,
            encoding => {
                let dtype = encoding.to_candle().ok_or_else(|| {
                    Error::Unsupported(format!("{encoding} weights are not supported on a GPU"))
                })?;
                let storage = QStorage::from_data(Cow::Borrowed(&tensor.data), device, dtype)?;
                let blocks = Arc::new(QTensor::new(storage, shape)?);
                return Ok(Self::Blocks(QMatMul::from_arc(blocks)?));
            }
        };
        let dense = Tensor::from_raw_buffer(&tensor.data, dtype, &shape, device)?;
        Ok(match dtype {
            DType::F16 => Self::F16(F16Matrix::new(dense)?),
            _ => Self::Dense(dense),
        })
    }

    fn on_host(&self) -> Option<&Matrix> {
        match self {
            Self::Host(matrix) => Some(matrix),
            _ => None,
        }
    }

    fn in_f16(&self) -> Option<&F16Matrix> {
        match self {
            Self::F16(matrix) => Some(matrix),
            _ => None,
        }
    }

    pub(super) fn matmul(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Host(matrix) => matrix.matmul(x)?,
            Self::Dense(w) => x
                .to_dtype(w.dtype())?
                .matmul(&w.t()?)?
                .to_dtype(DType::F32)?,
            Self::F16(matrix) => matrix.matmul(x)?,
            Self::Blocks(blocks) => blocks.forward(x)?,
        })
    }

    pub(super) fn gather(&self, ids: &[u32], device: &Device) -> Result<Tensor> {
        Ok(match self {
            Self::Host(matrix) => matrix.gather(ids)?,
            Self::Dense(w) => w
                .index_select(&Tensor::new(ids, device)?, 0)?
                .to_dtype(DType::F32)?,
            Self::F16(matrix) => matrix.gather(ids, device)?,
            Self::Blocks(blocks) => blocks
                .embedding(&Tensor::new(ids, device)?)?
                .to_dtype(DType::F32)?,
        })
    }
}

impl Linear {
    /// A layer from its matrix `[out, in]` and its bias `[out]`.
    ///
    /// # Errors
    /// If the encoding cannot be multiplied on `device`, the bytes are not those of the shape, or
    /// there is no memory for the weights.
    pub fn new(weight: HostTensor<'_>, bias: Option<Tensor>, device: &Device) -> Result<Self> {
        Ok(Self {
            weight: Weight::new(weight, device)?,
            bias,
        })
    }

    /// `[T, in]` to `[T, out]`.
    ///
    /// # Errors
    /// If `x` is not f32 on the layer's device with `in` columns, or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.add_bias(self.weight.matmul(x)?)
    }

    /// Several layers on the same input; it is quantized, or rounded to f16, once for all of them.
    ///
    /// # Errors
    /// As [`Linear::forward`], of any of the layers.
    pub fn forward_many<const N: usize>(layers: [&Self; N], x: &Tensor) -> Result<[Tensor; N]> {
        let on_host: Option<Vec<_>> = layers.iter().map(|l| l.weight.on_host()).collect();
        let in_f16: Option<Vec<_>> = layers.iter().map(|l| l.weight.in_f16()).collect();
        let products = match (on_host, in_f16) {
            (Some(matrices), _) => Matrix::matmul_many(&matrices, x)?,
            (_, Some(matrices)) => F16Matrix::matmul_many(&matrices, x)?,
            _ => layers
                .iter()
                .map(|l| l.weight.matmul(x))
                .collect::<Result<_>>()?,
        };
        let outputs: Vec<Tensor> = layers
            .iter()
            .zip(products)
            .map(|(l, y)| l.add_bias(y))
            .collect::<Result<_>>()?;
        outputs
            .try_into()
            .map_err(|_| Error::Unsupported("a product for each layer is wanted".to_string()))
    }

    fn add_bias(&self, y: Tensor) -> Result<Tensor> {
        Ok(match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }
}
