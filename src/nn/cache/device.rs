//! Keys or values on a GPU.

use candle_core::{DType, Device, Tensor};

use super::no_memory;
use crate::{Error, Result};

/// Positions that there is room for at first.
const FIRST: usize = 1024;

/// Vectors of all heads, `[kv_heads, room, head_dim]`. A GPU takes the memory at once, so there is
/// room for what is written, about, and not for the whole context.
pub struct DevicePlane {
    vectors: Tensor,
    capacity: usize,
}

impl DevicePlane {
    /// Of `[kv_heads, capacity, head_dim]`.
    ///
    /// # Errors
    /// If there is no memory for the first of them, or the device has no such type.
    pub fn new(dtype: DType, shape: [usize; 3], device: &Device) -> Result<Self> {
        let [heads, capacity, dim] = shape;
        let room = capacity.min(FIRST);
        Ok(Self {
            vectors: zeros([heads, room, dim], dtype, device)?,
            capacity,
        })
    }

    /// Puts `vectors`, `[kv_heads, T, head_dim]`, at positions `start..start + T`.
    ///
    /// # Errors
    /// If they are beyond the capacity, or there is no memory for more.
    pub fn write(&mut self, vectors: &Tensor, start: usize) -> Result<()> {
        let (_, len, _) = vectors.dims3()?;
        self.make_room(start + len)?;
        let vectors = vectors.to_dtype(self.vectors.dtype())?;
        Ok(self.vectors.slice_set(&vectors, 1, start)?)
    }

    fn make_room(&mut self, needed: usize) -> Result<()> {
        let (heads, room, dim) = self.vectors.dims3()?;
        if needed > self.capacity {
            return Err(Error::ContextFull {
                needed,
                limit: self.capacity,
            });
        }
        if needed > room {
            let more = needed.max(2 * room).min(self.capacity);
            let (dtype, device) = (self.vectors.dtype(), self.vectors.device());
            let vectors = zeros([heads, more, dim], dtype, device)?;
            vectors.slice_set(&self.vectors, 1, 0)?;
            self.vectors = vectors;
        }
        Ok(())
    }

    /// The vectors of the first `n` positions in f32, `[kv_heads, n, head_dim]`.
    ///
    /// # Errors
    /// If so many are not there.
    pub fn first(&self, n: usize) -> Result<Tensor> {
        let vectors = self.vectors.narrow(1, 0, n)?.to_dtype(DType::F32)?;
        Ok(vectors.contiguous()?)
    }
}

/// Room on the device, or an error that says what wants it.
fn zeros(shape: [usize; 3], dtype: DType, device: &Device) -> Result<Tensor> {
    let [heads, room, dim] = shape;
    // candle multiplies unchecked.
    let numbers = heads.checked_mul(room).and_then(|n| n.checked_mul(dim));
    if numbers.is_none_or(|n| n > isize::MAX as usize / dtype.size_in_bytes()) {
        return Err(no_memory(room, "more than there are addresses"));
    }
    Tensor::zeros((heads, room, dim), dtype, device).map_err(|e| no_memory(room, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_grows_with_what_is_written_up_to_the_capacity() {
        let shape = [2, 3000, 4];
        let mut plane = DevicePlane::new(DType::F16, shape, &Device::Cpu).unwrap();
        let room = |plane: &DevicePlane| plane.vectors.dim(1).unwrap();
        assert_eq!(room(&plane), 1024);
        // Whole numbers that f16 holds, a different one in each place.
        let number = |head: usize, at: usize, i: usize| ((head + at) % 500 * 4 + i) as f32;
        let vectors = |at: std::ops::Range<usize>| {
            let numbers: Vec<f32> = (0..2)
                .flat_map(|head| at.clone().map(move |at| (head, at)))
                .flat_map(|(head, at)| (0..4).map(move |i| number(head, at, i)))
                .collect();
            Tensor::from_vec(numbers, (2, at.len(), 4), &Device::Cpu).unwrap()
        };
        for (written, wanted) in [
            (0..700, 1024),
            (700..1024, 1024),
            (1024..1025, 2048),
            (1025..2600, 3000),
            (2600..3000, 3000),
        ] {
            plane
                .write(&vectors(written.clone()), written.start)
                .unwrap();
            assert_eq!(room(&plane), wanted, "{written:?}");
            let found = plane.first(written.end).unwrap().to_vec3::<f32>().unwrap();
            let all = vectors(0..written.end).to_vec3::<f32>().unwrap();
            assert!(found == all, "{written:?}");
        }
        let error = plane.write(&vectors(0..1), 3000).unwrap_err();
        assert!(matches!(error, Error::ContextFull { needed: 3001, .. }));
    }

    #[test]
    fn what_there_is_no_memory_for_names_the_flag() {
        let shape = [1, usize::MAX, 1 << 60];
        let error = DevicePlane::new(DType::F32, shape, &Device::Cpu).err();
        let error = error.unwrap().to_string();
        assert!(error.contains("lower --ctx-size"), "{error}");
    }
}
