//! One tensor in host memory, and the conversions between encodings.

use std::borrow::Cow;

use candle_core::Device;
use candle_core::quantized::{QStorage, QTensor};
use half::{bf16, f16};

use super::Data;
use crate::quant::{Encoding, iq4_nl_values, quantize};
use crate::{Error, Result};

/// A tensor's numbers as stored.
#[derive(Debug, Clone)]
pub struct HostTensor<'a> {
    /// How the data hold each number, or each block of numbers.
    pub encoding: Encoding,
    /// Outermost dimension first: a linear layer's is `[out, in]`.
    pub shape: Vec<usize>,
    /// Row by row, little-endian; as many bytes as shape and encoding make.
    pub data: Data<'a>,
}

impl HostTensor<'_> {
    /// An owned f32 tensor.
    pub fn from_f32(shape: Vec<usize>, values: &[f32]) -> HostTensor<'static> {
        HostTensor {
            encoding: Encoding::F32,
            shape,
            data: Data::Owned(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers as f32.
    ///
    /// # Errors
    /// For encodings that do not hold weights (booleans).
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        fn words<const N: usize, T>(data: &[u8], cast: impl Fn([u8; N]) -> T) -> Vec<T> {
            data.as_chunks::<N>().0.iter().map(|&w| cast(w)).collect()
        }
        let data = &self.data;
        Ok(match self.encoding {
            Encoding::F32 => words(data, f32::from_le_bytes),
            Encoding::F64 => words(data, |w| f64::from_le_bytes(w) as f32),
            Encoding::F16 => words(data, |w| f16::from_le_bytes(w).to_f32()),
            Encoding::BF16 => words(data, |w| bf16::from_le_bytes(w).to_f32()),
            Encoding::I8 => words(data, |w| f32::from(i8::from_le_bytes(w))),
            Encoding::U8 => words(data, |w: [u8; 1]| f32::from(w[0])),
            Encoding::I16 => words(data, |w| f32::from(i16::from_le_bytes(w))),
            Encoding::I32 => words(data, |w| i32::from_le_bytes(w) as f32),
            Encoding::I64 => words(data, |w| i64::from_le_bytes(w) as f32),
            Encoding::IQ4_NL => {
                let blocks = data.as_chunks().0.iter();
                blocks.flat_map(iq4_nl_values).collect()
            }
            Encoding::Bool => {
                return Err(Error::Unsupported("booleans are not weights".to_string()));
            }
            // candle wants aligned bytes, which those of an empty vector are not.
            _ if self.is_empty() => Vec::new(),
            encoding => {
                let dtype = encoding
                    .to_candle()
                    .ok_or_else(|| Error::Unsupported(format!("{encoding} is not read yet")))?;
                let storage = QStorage::from_data(Cow::Borrowed(data), &Device::Cpu, dtype)?;
                QTensor::new(storage, self.len())?
                    .dequantize(&Device::Cpu)?
                    .to_vec1()?
            }
        })
    }

    /// Whether every number is finite in f32, where they are plain floats; blocks are not looked
    /// into.
    pub fn is_finite(&self) -> bool {
        fn all<const N: usize>(data: &[u8], is_finite: impl Fn([u8; N]) -> bool) -> bool {
            // No early end within a piece, so that the compiler can test many numbers at once.
            let mut pieces = data.as_chunks::<N>().0.chunks(1024);
            pieces.all(|piece| piece.iter().fold(true, |all, &w| all & is_finite(w)))
        }
        let data = &self.data;
        match self.encoding {
            Encoding::F64 => all(data, |w| (f64::from_le_bytes(w) as f32).is_finite()),
            Encoding::F32 => all(data, |w| f32::from_le_bytes(w).is_finite()),
            Encoding::F16 => all(data, |w| f16::from_le_bytes(w).is_finite()),
            Encoding::BF16 => all(data, |w| bf16::from_le_bytes(w).is_finite()),
            _ => true,
        }
    }

    /// The same numbers in another encoding, rounded or quantized row by row.
    ///
    /// # Errors
    /// If the rows do not fill whole blocks of `encoding`, or it cannot be written.
    pub fn to_encoding(&self, encoding: Encoding) -> Result<HostTensor<'_>> {
        if encoding == self.encoding {
            return Ok(HostTensor {
                encoding,
                shape: self.shape.clone(),
                data: Data::Borrowed(&self.data),
            });
        }
        let values = self.to_f32()?;
        let data = match encoding {
            Encoding::F32 => return Ok(HostTensor::from_f32(self.shape.clone(), &values)),
            Encoding::F16 => values
                .iter()
                .flat_map(|&v| f16::from_f32(v).to_le_bytes())
                .collect(),
            Encoding::BF16 => values
                .iter()
                .flat_map(|&v| bf16::from_f32(v).to_le_bytes())
                .collect(),
            _ => self.to_blocks(values, encoding)?,
        };
        Ok(HostTensor {
            encoding,
            shape: self.shape.clone(),
            data: Data::Owned(data),
        })
    }

    /// `values`, the tensor's own, in blocks that no row shares with another.
    fn to_blocks(&self, values: Vec<f32>, encoding: Encoding) -> Result<Vec<u8>> {
        let row = self.shape.last().copied().unwrap_or(1);
        let whole = row > 0 && row.is_multiple_of(encoding.block_len());
        if !encoding.is_quantized() || !whole {
            return Err(Error::Unsupported(format!(
                "rows of {row} cannot be stored as {encoding}"
            )));
        }
        quantize(values, encoding)
    }

    /// Every number changed by `f`, in f32.
    ///
    /// # Errors
    /// As [`HostTensor::to_f32`].
    pub fn map(&self, f: impl Fn(f32) -> f32) -> Result<HostTensor<'static>> {
        let values: Vec<f32> = self.to_f32()?.into_iter().map(f).collect();
        Ok(HostTensor::from_f32(self.shape.clone(), &values))
    }

    /// The same without what it borrows; mapped bytes stay in their file.
    pub fn kept(self) -> HostTensor<'static> {
        HostTensor {
            encoding: self.encoding,
            shape: self.shape,
            data: self.data.kept(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_no_columns_are_read_and_not_quantized() {
        for encoding in [Encoding::Q4_0, Encoding::Q4_1, Encoding::Q6_K] {
            let none = HostTensor {
                encoding,
                shape: vec![4, 0],
                data: Data::Owned(Vec::new()),
            };
            assert_eq!(none.to_f32().unwrap(), [0f32; 0]);
            let none = HostTensor::from_f32(vec![4, 0], &[]);
            let error = none.to_encoding(encoding).err().unwrap().to_string();
            assert!(error.contains("rows of 0"), "{error}");
        }
    }
}
