//! Token embedding and output head, which share a matrix where they are tied.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::linear::Weight;
use crate::arch::{HeadWeight, Spec};
use crate::nn::Builder;
use crate::{Error, Result};

/// Looks tokens up and, if tied or with a head of its own, turns hidden states into logits.
pub struct Embedding {
    table: Arc<Weight>,
    head: Arc<Weight>,
    head_bias: Option<Tensor>,
    head_scale: Option<f32>,
    vocab_size: usize,
    device: Device,
}

impl Embedding {
    /// Loads `token_embd` and, unless tied, `output`.
    pub fn load(builder: &Builder<'_>, spec: &Spec) -> Result<Self> {
        let (vocab_size, hidden_size) = (spec.vocab_size, spec.hidden_size);
        let load = |name: &str| -> Result<Arc<Weight>> {
            let tensor = builder.matrix(name, vocab_size, hidden_size)?;
            Ok(Arc::new(Weight::new(tensor, &builder.device)?))
        };
        let table = load("token_embd.weight")?;
        let head = match spec.head.weight {
            HeadWeight::Tied => table.clone(),
            HeadWeight::Own => load("output.weight")?,
        };
        Ok(Self {
            table,
            head,
            head_bias: match spec.head.bias {
                true => Some(builder.vector("output.bias", vocab_size)?),
                false => None,
            },
            head_scale: spec.head.scale,
            vocab_size,
            device: builder.device.clone(),
        })
    }

    /// The rows of `ids`, `[T, hidden]`.
    ///
    /// # Errors
    /// For an id outside the vocabulary.
    pub fn lookup(&self, ids: &[u32]) -> Result<Tensor> {
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= self.vocab_size) {
            return Err(Error::TokenId {
                id,
                vocab_size: self.vocab_size,
            });
        }
        self.table.gather(ids, &self.device)
    }

    /// Logits `[T, vocab]` of hidden states `[T, hidden]`.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let logits = match self.head_scale {
            Some(scale) => self.head.matmul(&(hidden * f64::from(scale))?)?,
            None => self.head.matmul(hidden)?,
        };
        Ok(match &self.head_bias {
            Some(bias) => logits.broadcast_add(bias)?,
            None => logits,
        })
    }
}
