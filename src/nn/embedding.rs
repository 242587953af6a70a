//! From token ids to the residual stream and from it to logits; the matrix may be shared.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::linear::Weight;
use super::{Builder, Linear, Norm};
use crate::arch::{FinalNorm, HeadWeight, Position, Spec};
use crate::{Error, Result};

/// Looks tokens up and, if tied or with a head of its own, turns hidden states into logits.
pub struct Embedding {
    table: Arc<Weight>,
    scale: Option<f32>,
    positions: Option<Positions>,
    /// Leads from the table's width to the residual stream's.
    project_in: Option<Linear>,
    norm: Option<Norm>,
    head_norm: Option<Norm>,
    project_out: Option<Linear>,
    head: Arc<Weight>,
    softcap: Option<f32>,
    vocab_size: usize,
    device: Device,
}

/// A table of position vectors.
struct Positions {
    table: Weight,
    rows: usize,
    offset: usize,
}

impl Positions {
    /// The vectors of `positions`, `[T, hidden]`.
    fn lookup(&self, positions: &[usize], device: &Device) -> Result<Tensor> {
        let rows = positions
            .iter()
            .map(|p| p + self.offset)
            .map(|row| match u32::try_from(row) {
                Ok(id) if row < self.rows => Ok(id),
                _ => Err(Error::ContextFull {
                    needed: row - self.offset + 1,
                    limit: self.rows - self.offset,
                }),
            })
            .collect::<Result<Vec<_>>>()?;
        self.table.gather(&rows, device)
    }
}

impl Embedding {
    /// Loads `token_embd`, what is added to it and, unless tied, `output`.
    pub fn load(builder: &Builder<'_>, spec: &Spec) -> Result<Self> {
        let hidden = spec.hidden_size;
        let width = spec.embedding.width.unwrap_or(hidden);
        let load = |name: &str| -> Result<Arc<Weight>> {
            let tensor = builder.matrix(name, spec.vocab_size, width)?;
            Ok(Arc::new(Weight::new(tensor, &builder.device)?))
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
        let positions = match spec.position {
            Position::Learned { rows, offset } => {
                let tensor = builder.matrix("position_embd.weight", rows, hidden)?;
                let table = Weight::new(tensor, &builder.device)?;
                Some(Positions {
                    table,
                    rows,
                    offset,
                })
            }
            _ => None,
        };
        let norm = spec.embedding.norm;
        Ok(Self {
            table,
            scale: spec.embedding.scale,
            positions,
            project_in: project("token_embd_in", width, hidden)?,
            norm: norm
                .map(|norm| builder.norm("token_embd_norm", hidden, norm))
                .transpose()?,
            head_norm: match spec.head.norm {
                FinalNorm::Present => Some(builder.norm("output_norm", hidden, spec.norm)?),
                FinalNorm::Absent => None,
            },
            project_out: project("output_in", hidden, width)?,
            head,
            softcap: spec.head.softcap,
            vocab_size: spec.vocab_size,
            device: builder.device.clone(),
        })
    }

    /// The vectors of `ids` at `positions`, `[T, hidden]`.
    ///
    /// # Errors
    /// For an id outside the vocabulary or a position past the table's end.
    pub fn lookup(&self, ids: &[u32], positions: &[usize]) -> Result<Tensor> {
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= self.vocab_size) {
            return Err(Error::TokenId {
                id,
                vocab_size: self.vocab_size,
            });
        }
        let mut x = self.table.gather(ids, &self.device)?;
        if let Some(scale) = self.scale {
            x = (x * f64::from(scale))?;
        }
        if let Some(project) = &self.project_in {
            x = project.forward(&x)?;
        }
        if let Some(table) = &self.positions {
            x = (x + table.lookup(positions, &self.device)?)?;
        }
        match &self.norm {
            Some(norm) => norm.forward(&x),
            None => Ok(x),
        }
    }

    /// Logits `[T, vocab]` of the last layer's output `[T, hidden]`.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let mut x = hidden.clone();
        if let Some(norm) = &self.head_norm {
            x = norm.forward(&x)?;
        }
        if let Some(project) = &self.project_out {
            x = project.forward(&x)?;
        }
        let logits = self.head.matmul(&x)?;
        Ok(match self.softcap.map(f64::from) {
            Some(cap) => ((logits / cap)?.tanh()? * cap)?,
            None => logits,
        })
    }
}
