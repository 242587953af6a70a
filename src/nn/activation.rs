//! Activations.

use candle_core::Tensor;

use super::host::{change, change_with};
use crate::Result;
use crate::arch::Activation;
use crate::quant::Isa;
use crate::quant::kernels::elementwise;

/// The activation of each element of `x`, times that of `up` if there is one. On the CPU the
/// memory of `x` is reused: nothing else may hold it.
pub fn activate(x: Tensor, up: Option<&Tensor>, activation: Activation) -> Result<Tensor> {
    if x.device().is_cpu() {
        let isa = Isa::best();
        match up {
            Some(up) => change_with(&x, up, |x, up| {
                elementwise::activate(isa, x, Some(up), activation);
            })?,
            None => change(&x, |x| elementwise::activate(isa, x, None, activation))?,
        }
        return Ok(x);
    }
    let y = match activation {
        Activation::Silu => x.silu()?,
        Activation::Gelu => x.gelu_erf()?,
        Activation::GeluTanh => x.gelu()?,
        Activation::Relu => x.relu()?,
    };
    Ok(match up {
        Some(up) => (y * up)?,
        None => y,
    })
}
