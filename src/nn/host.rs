//! Tensors in host memory, changed in place.

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Tensor};

use crate::Result;

/// Changes the numbers of `x`, f32 on the CPU and in order. Everything that shares its memory
/// changes too, so it must be fresh.
///
/// # Errors
/// If it is not so.
pub(super) fn change(x: &Tensor, f: impl Fn(&mut [f32])) -> Result<()> {
    Ok(x.inplace_op1(&InPlace(f))?)
}

/// [`change`] with the numbers of another tensor of the same kind.
///
/// # Errors
/// If one of them is not so.
pub(super) fn change_with(x: &Tensor, y: &Tensor, f: impl Fn(&mut [f32], &[f32])) -> Result<()> {
    Ok(x.inplace_op2(y, &InPlace(f))?)
}

struct InPlace<F>(F);

fn range(layout: &Layout) -> candle_core::Result<std::ops::Range<usize>> {
    let range = layout.contiguous_offsets();
    let (from, to) = range.ok_or_else(|| candle_core::Error::msg("a tensor in order is wanted"))?;
    Ok(from..to)
}

fn numbers<'a>(x: &'a mut CpuStorage, layout: &Layout) -> candle_core::Result<&'a mut [f32]> {
    match x {
        CpuStorage::F32(x) => Ok(&mut x[range(layout)?]),
        _ => Err(candle_core::Error::msg("a tensor of f32 is wanted")),
    }
}

impl<F: Fn(&mut [f32])> InplaceOp1 for InPlace<F> {
    fn name(&self) -> &'static str {
        "in-place"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        (self.0)(numbers(x, layout)?);
        Ok(())
    }
}

impl<F: Fn(&mut [f32], &[f32])> InplaceOp2 for InPlace<F> {
    fn name(&self) -> &'static str {
        "in-place"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> candle_core::Result<()> {
        let y = &y.as_slice::<f32>()?[range(y_layout)?];
        (self.0)(numbers(x, layout)?, y);
        Ok(())
    }
}
