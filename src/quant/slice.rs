//! Tensors in host memory as slices.

use candle_core::{Storage, Tensor};

use crate::{Error, Result};

/// Calls `f` with the numbers of `x`, f32 on the CPU, in order.
///
/// # Errors
/// If it is of another type or on another device.
pub(crate) fn with_slice<R>(x: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return Err(Error::Unsupported(
            "a tensor on a GPU where one on the CPU is wanted".to_string(),
        ));
    };
    let from = layout.start_offset();
    Ok(f(&storage.as_slice::<f32>()?[from..from + x.elem_count()]))
}
