//! Token embedding and output head, which share a matrix where they are tied.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::linear::Weight;
use crate::arch::{HeadWeight, Spec};
use crate::nn::{Builder, Linear};
use crate::{Error, Result};

/// Looks tokens up and turns hidden states into logits, by the same matrix or by a head of its own.
pub struct Embedding {
    table: Arc<Weight>,
    /// From the table's width to the residual stream's.
    project_in: Option<Linear>,
    /// And back, before the head.
    project_out: Option<Linear>,
    head: Arc<Weight>,
    head_bias: Option<Tensor>,
    head_scale: Option<f32>,
    softcap: Option<f32>,
    vocab_size: usize,
    device: Device,
}

impl Embedding {
    /// Loads `token_embd` and, unless tied, `output`.
    ///
    /// # Errors
    /// If a tensor is missing, of the wrong shape or of a type that cannot be multiplied.
    pub fn load(builder: &Builder<'_>, spec: &Spec) -> Result<Self> {
        let (vocab_size, hidden_size) = (spec.vocab_size, spec.hidden_size);
        let width = spec.embedding.width.unwrap_or(hidden_size);
        let load = |name: &str| -> Result<Arc<Weight>> {
            let tensor = builder.matrix(name, vocab_size, width)?;
            let weight = Weight::new(tensor, &builder.device)?;
            builder.weights.release(name);
            Ok(Arc::new(weight))
        };
        let table = load("token_embd.weight")?;
        let head = match spec.head.weight {
            HeadWeight::Tied => table.clone(),
            HeadWeight::Own => load("output.weight")?,
        };
        let project = |name: &str, from: usize, to: usize| -> Result<Option<Linear>> {
            match spec.embedding.width {
                Some(_) => Ok(Some(builder.linear(name, from, to, false)?)),
                None => Ok(None),
            }
        };
        Ok(Self {
            table,
            project_in: project("token_embd_in", width, hidden_size)?,
            project_out: project("output_in", hidden_size, width)?,
            head,
            head_bias: match spec.head.bias {
                true => Some(builder.vector("output.bias", vocab_size)?),
                false => None,
            },
            head_scale: spec.head.scale,
            softcap: spec.head.softcap,
            vocab_size,
            device: builder.device.clone(),
        })
    }

    /// The vectors of `ids`, `[T, hidden]`.
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
        let rows = self.table.gather(ids, &self.device)?;
        match &self.project_in {
            Some(project) => project.forward(&rows),
            None => Ok(rows),
        }
    }

    /// Logits `[T, vocab]` of hidden states `[T, hidden]`.
    ///
    /// # Errors
    /// If `hidden` is of another shape.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let mut x = hidden.clone();
        if let Some(project) = &self.project_out {
            x = project.forward(&x)?;
        }
        if let Some(scale) = self.head_scale {
            x = (x * f64::from(scale))?;
        }
        let mut logits = self.head.matmul(&x)?;
        if let Some(bias) = &self.head_bias {
            logits = logits.broadcast_add(bias)?;
        }
        Ok(match self.softcap.map(f64::from) {
            Some(cap) => ((logits / cap)?.tanh()? * cap)?,
            None => logits,
        })
    }
}
