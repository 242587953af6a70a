//! A checkpoint seen through a family's tensor table: canonical names, fused tensors taken
//! apart, and a record of what was used.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Mutex;

use super::{Checkpoint, HostTensor, TensorInfo};
use crate::arch::{Change, Rule, TensorTable};
use crate::{Error, Result};

/// The suffixes that a rule's names stand for.
pub(super) const SUFFIXES: [&str; 3] = [".weight", ".bias", ""];

/// How one canonical tensor is made.
struct Recipe {
    stored: String,
    /// Rows of the stored tensor, in order; `None` for all of them.
    rows: Option<Vec<Range<usize>>>,
    change: Change,
    info: TensorInfo,
}

/// A checkpoint under canonical names.
pub struct Weights {
    checkpoint: Box<dyn Checkpoint>,
    recipes: BTreeMap<String, Recipe>,
    /// Stored names that no rule matched and none ignores.
    unknown: Vec<String>,
    used: Mutex<BTreeSet<String>>,
}

impl Weights {
    /// Lays `table` over `checkpoint`.
    ///
    /// # Errors
    /// If a fused tensor does not have the rows that the table divides, or two stored tensors
    /// claim one canonical name.
    pub fn new(checkpoint: Box<dyn Checkpoint>, table: &TensorTable) -> Result<Self> {
        let mut recipes = BTreeMap::new();
        let mut unknown = Vec::new();
        for info in checkpoint.tensors().values() {
            let name = match table.optional_prefix {
                Some(prefix) => info.name.strip_prefix(prefix).unwrap_or(&info.name),
                None => &info.name,
            };
            let matched = table.rules.iter().find_map(|rule| {
                SUFFIXES.iter().find_map(|suffix| {
                    let numbers = matches(rule.stored, name.strip_suffix(suffix)?)?;
                    Some((rule, *suffix, numbers))
                })
            });
            let Some((rule, suffix, numbers)) = matched else {
                if !table.ignored.iter().any(|p| matches(p, name).is_some()) {
                    unknown.push(info.name.clone());
                }
                continue;
            };
            for (canonical, recipe) in parts(checkpoint.as_ref(), rule, info)? {
                let canonical = format!("{}{suffix}", fill(canonical, &numbers));
                let other = recipes.insert(canonical.clone(), recipe);
                if let Some(other) = other {
                    return Err(Error::tensor(
                        checkpoint.path(),
                        &info.name,
                        format!("holds {canonical}, and so does {}", other.stored),
                    ));
                }
            }
        }
        Ok(Self {
            checkpoint,
            recipes,
            unknown,
            used: Mutex::default(),
        })
    }

    /// The checkpoint below.
    pub fn checkpoint(&self) -> &dyn Checkpoint {
        self.checkpoint.as_ref()
    }

    /// Every canonical tensor with its shape; `bytes` and `encoding` are as stored.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.recipes.iter().map(|(k, r)| (k.as_str(), &r.info))
    }

    /// Whether the checkpoint has a canonical tensor.
    pub fn has(&self, name: &str) -> bool {
        self.recipes.contains_key(name)
    }

    /// Reads one canonical tensor and marks it used; its shape must be `shape`.
    ///
    /// # Errors
    /// If it is missing, of another shape, or cannot be read.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<HostTensor<'_>> {
        let path = self.checkpoint.path();
        let Some(recipe) = self.recipes.get(name) else {
            return Err(Error::tensor(
                path,
                name,
                format!(
                    "missing; the configuration wants one of shape {shape:?}{}",
                    self.hint()
                ),
            ));
        };
        if recipe.info.shape != shape {
            return Err(Error::tensor(
                path,
                &recipe.stored,
                format!(
                    "{name} has shape {:?}, the configuration wants {shape:?}",
                    recipe.info.shape
                ),
            ));
        }
        let tensor = self.make(recipe)?;
        if let Ok(mut used) = self.used.lock() {
            used.insert(name.to_string());
        }
        Ok(tensor)
    }

    /// Leaves a tensor unused on purpose.
    pub fn ignore(&self, name: &str) {
        if let Ok(mut used) = self.used.lock() {
            used.insert(name.to_string());
        }
    }

    /// What is in the checkpoint instead of a missing tensor.
    fn hint(&self) -> String {
        match self.unknown.first() {
            Some(name) => format!("; not understood instead: {name}"),
            None => String::new(),
        }
    }

    fn make(&self, recipe: &Recipe) -> Result<HostTensor<'_>> {
        let stored = self.checkpoint.read(&recipe.stored)?;
        let encoding = recipe.info.encoding;
        let shape = recipe.info.shape.clone();
        let n_rows = shape.first().copied().unwrap_or(1).max(1);
        let row_bytes = recipe.info.bytes / n_rows;
        let data = match &recipe.rows {
            None => stored,
            Some(ranges) => {
                let mut out = Vec::with_capacity(recipe.info.bytes);
                for range in ranges {
                    out.extend_from_slice(&stored[range.start * row_bytes..range.end * row_bytes]);
                }
                Cow::Owned(out)
            }
        };
        let tensor = HostTensor {
            encoding,
            shape,
            data,
        };
        Ok(match recipe.change {
            Change::None => tensor,
            Change::RopePairs { heads, rotary } => HostTensor {
                data: Cow::Owned(part_rope_pairs(
                    &tensor.data,
                    row_bytes,
                    n_rows / heads,
                    rotary,
                )),
                ..tensor
            },
            Change::PlusOne => tensor.map(|v| v + 1.0)?,
        })
    }

    /// Checks that the model used every tensor of the checkpoint.
    ///
    /// # Errors
    /// Names the tensors that were left over.
    pub fn finish(&self) -> Result<()> {
        let used = self
            .used
            .lock()
            .map_or_else(|e| e.into_inner().clone(), |u| u.clone());
        let spare: Vec<&str> = self
            .unknown
            .iter()
            .map(String::as_str)
            .chain(
                self.recipes
                    .iter()
                    .filter(|(name, _)| !used.contains(*name))
                    .map(|(_, recipe)| recipe.stored.as_str()),
            )
            .collect();
        let Some(first) = spare.first() else {
            return Ok(());
        };
        Err(Error::tensor(
            self.checkpoint.path(),
            first,
            format!(
                "not used by the model that the configuration declares{}",
                match spare.len() {
                    1 => String::new(),
                    n => format!(", nor are {} others", n - 1),
                }
            ),
        ))
    }
}

/// The recipes of the canonical tensors in one stored tensor, with their name patterns.
fn parts(
    checkpoint: &dyn Checkpoint,
    rule: &Rule,
    stored: &TensorInfo,
) -> Result<Vec<(&'static str, Recipe)>> {
    let error = |message: String| Error::tensor(checkpoint.path(), &stored.name, message);
    let n_rows = stored.shape.first().copied().unwrap_or(1);
    let group: usize = rule.parts.iter().filter_map(|p| p.rows).sum();
    if group > 0 && group.checked_mul(rule.groups) != Some(n_rows) {
        return Err(error(format!(
            "{n_rows} rows found, {} groups of {group} wanted",
            rule.groups
        )));
    }
    if let Change::RopePairs { heads, rotary } = rule.change {
        let fits =
            n_rows.is_multiple_of(heads) && rotary.is_multiple_of(2) && rotary <= n_rows / heads;
        if !fits {
            return Err(error(format!(
                "{n_rows} rows do not make {heads} heads with {rotary} rotating dimensions"
            )));
        }
    }
    let mut at = 0;
    let mut out = Vec::new();
    for part in &rule.parts {
        let mut shape = stored.shape.clone();
        let rows = part.rows.map(|rows| {
            let ranges = (0..rule.groups)
                .map(|g| g * group + at..g * group + at + rows)
                .collect();
            shape[0] = rows * rule.groups;
            at += rows;
            ranges
        });
        let info = TensorInfo::new(&stored.name, stored.encoding, shape)
            .ok_or_else(|| error("its parts do not fill whole blocks".to_string()))?;
        out.push((
            part.canonical,
            Recipe {
                stored: stored.name.clone(),
                rows,
                change: rule.change,
                info,
            },
        ));
    }
    Ok(out)
}

/// Rows of each head with pairs side by side → pairs half of `rotary` apart.
fn part_rope_pairs(data: &[u8], row_bytes: usize, head_dim: usize, rotary: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for head in data.chunks_exact(head_dim * row_bytes) {
        let mut row = |i: usize| out.extend_from_slice(&head[i * row_bytes..(i + 1) * row_bytes]);
        (0..rotary).step_by(2).for_each(&mut row);
        (1..rotary).step_by(2).for_each(&mut row);
        (rotary..head_dim).for_each(&mut row);
    }
    out
}

/// The inverse of [`part_rope_pairs`].
pub(super) fn join_rope_pairs(
    data: &[u8],
    row_bytes: usize,
    head_dim: usize,
    rotary: usize,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for head in data.chunks_exact(head_dim * row_bytes) {
        let mut row = |i: usize| out.extend_from_slice(&head[i * row_bytes..(i + 1) * row_bytes]);
        for i in 0..rotary / 2 {
            row(i);
            row(i + rotary / 2);
        }
        (rotary..head_dim).for_each(&mut row);
    }
    out
}

/// Whether `name` fits `pattern`; the numbers that stand for its `{}`.
pub(super) fn matches(pattern: &str, name: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    let mut rest = name;
    for (i, piece) in pattern.split("{}").enumerate() {
        if i > 0 {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            numbers.push(rest[..digits].parse().ok()?);
            rest = &rest[digits..];
        }
        rest = rest.strip_prefix(piece)?;
    }
    rest.is_empty().then_some(numbers)
}

/// `pattern` with numbers for its `{}`.
pub(super) fn fill(pattern: &str, numbers: &[usize]) -> String {
    let mut out = String::new();
    for (i, piece) in pattern.split("{}").enumerate() {
        if i > 0
            && let Some(n) = numbers.get(i - 1)
        {
            out.push_str(&n.to_string());
        }
        out.push_str(piece);
    }
    out
}
