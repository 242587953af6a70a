//! The other way round: canonical tensors into the layout that a table describes.

use std::collections::BTreeMap;

use super::canonical::SUFFIXES;
use super::layout::join_rope_pairs;
use super::pattern::{fill, matches};
use super::{Data, HostTensor, TensorInfo, Weights};
use crate::arch::{Change, Rule, TensorTable};
use crate::quant::Encoding;
use crate::{Error, Result};

/// One tensor of the file to be written and the canonical tensors that it is made of.
#[derive(Debug, Clone)]
pub struct Export {
    /// In the file to be written.
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// As its parts are stored; f32 where they differ.
    pub encoding: Encoding,
    rule: Rule,
    /// The canonical tensors that it is made of.
    parts: Vec<Source>,
}

/// A canonical tensor's name and shape.
#[derive(Debug, Clone)]
struct Source {
    name: String,
    shape: Vec<usize>,
}

/// What `table`'s layout consists of, for the tensors that `weights` has: those without a layer
/// first, by name; then layer by layer.
///
/// # Errors
/// Names a canonical tensor that the table has no place for, or a fused one with a part missing.
pub fn plan(weights: &Weights, table: &TensorTable) -> Result<Vec<Export>> {
    let mut exports: BTreeMap<(usize, String), Export> = BTreeMap::new();
    let infos: BTreeMap<&str, &TensorInfo> = weights.tensors().collect();
    for (&name, &info) in &infos {
        let error = |message: &str| Error::tensor(weights.checkpoint().path(), name, message);
        let (rule, numbers, suffix) =
            place(table, name).ok_or_else(|| error("has no place in this family's GGUF layout"))?;
        let stored = format!("{}{suffix}", fill(rule.stored, &numbers));
        let order = numbers.first().map_or(0, |n| n + 1);
        if exports.contains_key(&(order, stored.clone())) {
            continue;
        }
        let mut encoding = info.encoding;
        let parts = rule
            .parts
            .iter()
            .map(|part| {
                let name = format!("{}{suffix}", fill(part.canonical, &numbers));
                match infos.get(name.as_str()) {
                    Some(part) => {
                        if part.encoding != encoding {
                            encoding = Encoding::F32;
                        }
                        Ok(Source {
                            name,
                            shape: part.shape.clone(),
                        })
                    }
                    None => Err(error(&format!(
                        "{stored} needs {name} too, which is missing"
                    ))),
                }
            })
            .collect::<Result<Vec<_>>>()?;
        let mut shape = info.shape.clone();
        if let Some(rows) = shape.first_mut() {
            *rows = parts.iter().filter_map(|s| s.shape.first()).sum();
        }
        let export = Export {
            name: stored.clone(),
            shape,
            encoding,
            rule: rule.clone(),
            parts,
        };
        exports.insert((order, stored), export);
    }
    Ok(exports.into_values().collect())
}

/// The rule and numbers that a canonical name belongs to.
fn place<'t>(table: &'t TensorTable, name: &str) -> Option<(&'t Rule, Vec<usize>, &'static str)> {
    SUFFIXES.iter().find_map(|suffix| {
        let stem = name.strip_suffix(suffix)?;
        table.rules.iter().find_map(|rule| {
            let part = |p: &crate::arch::Part| matches(p.canonical, stem);
            Some((rule, rule.parts.iter().find_map(part)?, *suffix))
        })
    })
}

impl Export {
    /// Reads the parts and lays them out.
    ///
    /// # Errors
    /// If a part cannot be read.
    pub fn read<'w>(&self, weights: &'w Weights) -> Result<HostTensor<'w>> {
        let parts = self.parts.iter().map(|s| weights.read(&s.name, &s.shape));
        self.lay_out(parts.collect::<Result<Vec<_>>>()?, self.encoding)
    }

    /// As [`Export::read`], in blocks of `encoding` that hold every part bit for bit
    /// ([`Weights::read_blocks`]); `None` where they do not.
    ///
    /// # Errors
    /// As [`Export::read`].
    pub fn read_blocks<'w>(
        &self,
        weights: &'w Weights,
        encoding: Encoding,
    ) -> Result<Option<HostTensor<'w>>> {
        if matches!(self.rule.change, Change::PlusOne) {
            return Ok(None);
        }
        let mut parts = Vec::new();
        for part in &self.parts {
            match weights.read_blocks(&part.name, &part.shape, encoding)? {
                Some(blocks) => parts.push(blocks),
                None => return Ok(None),
            }
        }
        self.lay_out(parts, encoding).map(Some)
    }

    /// The parts in this layout; several are joined in `encoding`.
    fn lay_out<'a>(
        &self,
        mut parts: Vec<HostTensor<'a>>,
        encoding: Encoding,
    ) -> Result<HostTensor<'a>> {
        let joined = match parts.len() {
            1 => parts.remove(0),
            _ => self.join(parts, encoding)?,
        };
        self.change(joined)
    }

    /// Rows of the parts, group by group.
    fn join(&self, parts: Vec<HostTensor<'_>>, encoding: Encoding) -> Result<HostTensor<'static>> {
        let parts = parts
            .iter()
            .map(|p| Ok(p.to_encoding(encoding)?.kept()))
            .collect::<Result<Vec<_>>>()?;
        let mut data = Vec::new();
        for group in 0..self.rule.groups {
            for part in &parts {
                let bytes = part.data.len() / self.rule.groups;
                data.extend_from_slice(&part.data[group * bytes..(group + 1) * bytes]);
            }
        }
        Ok(HostTensor {
            encoding,
            shape: self.shape.clone(),
            data: Data::Owned(data),
        })
    }

    fn change<'a>(&self, tensor: HostTensor<'a>) -> Result<HostTensor<'a>> {
        Ok(match self.rule.change {
            // No GGUF layout is transposed, and rows that are to have unit length have it already.
            Change::None | Change::Transpose | Change::UnitRows => tensor,
            Change::RopePairs { heads, rotary } => {
                let rows = self.shape.first().copied().unwrap_or(1).max(1);
                let row_bytes = tensor.data.len() / rows;
                HostTensor {
                    data: Data::Owned(join_rope_pairs(
                        &tensor.data,
                        row_bytes,
                        rows / heads,
                        rotary,
                    )),
                    ..tensor
                }
            }
            Change::PlusOne => tensor.map(|v| v - 1.0)?,
        })
    }
}
