//! One linear layer for every encoding of its weights.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, Module, Tensor};

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
    /// Plain floats on a GPU.
    Dense(Tensor),
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
        Ok(Self::Dense(Tensor::from_raw_buffer(
            &tensor.data,
            dtype,
            &shape,
            device,
        )?))
    }

    pub(super) fn matmul(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Host(matrix) => matrix.matmul(x)?,
            Self::Dense(w) => x
                .to_dtype(w.dtype())?
                .matmul(&w.t()?)?
                .to_dtype(DType::F32)?,
            Self::Blocks(blocks) => blocks.forward(x)?,
        })
    }

    pub(super) fn gather(&self, ids: &[u32], device: &Device) -> Result<Tensor> {
        Ok(match self {
            Self::Host(matrix) => matrix.gather(ids)?,
            Self::Dense(w) => w
                .index_select(&Tensor::new(ids, device)?, 0)?
                .to_dtype(DType::F32)?,
            Self::Blocks(blocks) => blocks
                .embedding(&Tensor::new(ids, device)?)?
                .to_dtype(DType::F32)?,
        })
    }
}

impl Linear {
    /// A layer from its matrix `[out, in]` and its bias `[out]`.
    pub fn new(weight: HostTensor<'_>, bias: Option<Tensor>, device: &Device) -> Result<Self> {
        Ok(Self {
            weight: Weight::new(weight, device)?,
            bias,
        })
    }

    /// `[T, in]` to `[T, out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.add_bias(self.weight.matmul(x)?)
    }

    /// Several layers on the same input; in host memory it is quantized once for all of them.
    pub fn forward_many<const N: usize>(layers: [&Self; N], x: &Tensor) -> Result<[Tensor; N]> {
        let matrices = layers.map(|l| match &l.weight {
            Weight::Host(matrix) => Some(matrix),
            _ => None,
        });
        let on_host: Vec<&Matrix> = matrices.into_iter().flatten().collect();
        let products = match on_host.len() == N {
            true => Matrix::matmul_many(&on_host, x)?,
            false => layers
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
