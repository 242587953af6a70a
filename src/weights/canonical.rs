//! A checkpoint seen through a family's tensor table: canonical names, fused tensors taken
//! apart, and a record of what was used.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::layout::{part_rope_pairs, transpose, unit_rows};
use super::pattern::{fill, matches};
use super::{Checkpoint, Data, HostTensor, TensorInfo};
use crate::arch::{Change, Rule, TensorTable};
use crate::quant::Encoding;
use crate::{Error, Result};

/// The suffixes that a rule's names stand for.
pub(super) const SUFFIXES: [&str; 3] = [".weight", ".bias", ""];

/// How one canonical tensor is made.
struct Recipe {
    stored: String,
    /// The stored tensors by their numbers, where it takes several, stacked.
    stack: BTreeMap<usize, String>,
    /// Rows of the stored tensor, in order; `None` for all of them.
    rows: Option<Vec<Range<usize>>>,
    change: Change,
    info: TensorInfo,
}

impl Recipe {
    /// The canonical tensor out of the stored one, whose rows are in `encoding`.
    fn make<'a>(&self, stored: Data<'a>, encoding: Encoding) -> Result<HostTensor<'a>> {
        let shape = self.info.shape.clone();
        let n_rows = n_rows(&shape);
        let row_bytes = encoding.bytes_of(self.info.len() / n_rows).unwrap_or(0);
        let stored = match self.change {
            Change::Transpose => Data::Owned(transpose(&stored, encoding, row_bytes)),
            _ => stored,
        };
        let data = match &self.rows {
            None => stored,
            Some(ranges) => {
                let mut out = Vec::with_capacity(n_rows * row_bytes);
                for range in ranges {
                    out.extend_from_slice(&stored[range.start * row_bytes..range.end * row_bytes]);
                }
                Data::Owned(out)
            }
        };
        let tensor = HostTensor {
            encoding,
            shape,
            data,
        };
        Ok(match self.change {
            Change::None | Change::Transpose => tensor,
            Change::RopePairs { heads, rotary } => HostTensor {
                data: Data::Owned(part_rope_pairs(
                    &tensor.data,
                    row_bytes,
                    n_rows / heads,
                    rotary,
                )),
                ..tensor
            },
            Change::PlusOne => tensor.map(|v| v + 1.0)?,
            Change::UnitRows => unit_rows(tensor)?,
        })
    }
}

/// A checkpoint under canonical names.
pub struct Weights {
    checkpoint: Box<dyn Checkpoint>,
    recipes: BTreeMap<String, Recipe>,
    /// Stored names that no rule matched and none ignores.
    unknown: Vec<String>,
    used: Mutex<BTreeSet<String>>,
    /// Packed matrices that did not fit the blocks that they were asked for in.
    rounded: AtomicUsize,
}

impl Weights {
    /// Lays `table` over `checkpoint`.
    ///
    /// # Errors
    /// If a fused tensor does not have the rows that the table divides, or two stored tensors
    /// claim one canonical name.
    pub fn new(checkpoint: Box<dyn Checkpoint>, table: &TensorTable) -> Result<Self> {
        let mut recipes: BTreeMap<String, Recipe> = BTreeMap::new();
        let mut unknown = Vec::new();
        let has = |name: &str| checkpoint.tensors().contains_key(&format!("{name}.weight"));
        let rules: Vec<Rule> = table.rules.iter().map(|rule| rule.settled(has)).collect();
        for info in checkpoint.tensors().values() {
            let name = match table.optional_prefix {
                Some(prefix) => info.name.strip_prefix(prefix).unwrap_or(&info.name),
                None => &info.name,
            };
            let matched = rules.iter().find_map(|rule| {
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
            for (pattern, mut recipe) in parts(checkpoint.as_ref(), rule, info, suffix)? {
                let canonical = format!("{}{suffix}", fill(pattern, &numbers));
                // A number that the canonical name lacks counts the pieces of a stack.
                if let Some(&piece) = numbers.get(pattern.matches("{}").count()) {
                    recipe.stack.insert(piece, info.name.clone());
                }
                match recipes.entry(canonical) {
                    Entry::Vacant(entry) => {
                        entry.insert(recipe);
                    }
                    Entry::Occupied(mut entry) => {
                        let name = entry.key().clone();
                        let joined = entry.get_mut().join(&name, recipe);
                        joined.map_err(|e| Error::tensor(checkpoint.path(), &info.name, e))?;
                    }
                }
            }
        }
        for recipe in recipes.values_mut().filter(|r| !r.stack.is_empty()) {
            recipe.close_stack(checkpoint.as_ref())?;
        }
        Ok(Self {
            checkpoint,
            recipes,
            unknown,
            used: Mutex::default(),
            rounded: AtomicUsize::new(0),
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
        let recipe = self.recipe(name, shape)?;
        let stored = match recipe.stack.is_empty() {
            true => self.checkpoint.read(&recipe.stored)?,
            false => {
                let mut all = Vec::with_capacity(recipe.info.bytes);
                for name in recipe.stack.values() {
                    all.extend_from_slice(&self.checkpoint.read(name)?);
                }
                Data::Owned(all)
            }
        };
        let tensor = recipe.make(stored, recipe.info.encoding)?;
        self.ignore(name);
        Ok(tensor)
    }

    /// Marks a canonical tensor used that is there in this shape, without reading it.
    ///
    /// # Errors
    /// If it is missing or of another shape.
    pub fn claim(&self, name: &str, shape: &[usize]) -> Result<()> {
        self.recipe(name, shape)?;
        self.ignore(name);
        Ok(())
    }

    /// As [`Weights::read`], in blocks of `encoding`, where the checkpoint holds integers that fit
    /// them bit for bit ([`Checkpoint::read_blocks`]); `None` where it does not.
    ///
    /// # Errors
    /// As [`Weights::read`].
    pub fn read_blocks(
        &self,
        name: &str,
        shape: &[usize],
        encoding: Encoding,
    ) -> Result<Option<HostTensor<'_>>> {
        let recipe = self.recipe(name, shape)?;
        let moves_rows = matches!(recipe.change, Change::None | Change::RopePairs { .. });
        let blocks = match moves_rows && recipe.stack.is_empty() {
            true => self.checkpoint.read_blocks(&recipe.stored, encoding)?,
            false => None,
        };
        let Some(blocks) = blocks else {
            let packed = self.checkpoint.packing(&recipe.stored).is_some();
            self.rounded
                .fetch_add(usize::from(packed), Ordering::Relaxed);
            return Ok(None);
        };
        let tensor = recipe.make(Data::Owned(blocks), encoding)?;
        self.ignore(name);
        Ok(Some(tensor))
    }

    /// The stored names of the packed matrices ([`Checkpoint::packing`]).
    pub fn packed(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for recipe in self.recipes.values() {
            let name = recipe.stored.as_str();
            if self.checkpoint.packing(name).is_some() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// How many packed matrices were asked for in blocks that do not hold them bit for bit, so
    /// that they had to be rounded once more.
    pub fn rounded(&self) -> usize {
        self.rounded.load(Ordering::Relaxed)
    }

    fn recipe(&self, name: &str, shape: &[usize]) -> Result<&Recipe> {
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
        Ok(recipe)
    }

    /// Lets go of the memory that reading a tensor took.
    pub fn release(&self, name: &str) {
        if let Some(recipe) = self.recipes.get(name) {
            self.checkpoint.release(&recipe.stored);
        }
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

    /// Whether a stored tensor is a bias of zeros, which some writers (AutoGPTQ) give to every
    /// layer: it changes nothing where the model has no place for it.
    fn is_zero_bias(&self, stored: &str) -> bool {
        stored.ends_with(".bias")
            && self
                .checkpoint
                .read(stored)
                .is_ok_and(|bytes| bytes.iter().all(|&b| b == 0))
    }

    /// Checks that the model used every tensor of the checkpoint, but for biases of zeros.
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
            .filter(|stored| !self.is_zero_bias(stored))
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
    suffix: &str,
) -> Result<Vec<(&'static str, Recipe)>> {
    let error = |message: String| Error::tensor(checkpoint.path(), &stored.name, message);
    let (change, whole) = change(rule, stored, suffix).map_err(error)?;
    let group: usize = rule.parts.iter().filter_map(|p| p.rows).sum();
    check_rows(rule, group, &whole, stored.encoding).map_err(error)?;
    let mut at = 0;
    let mut out = Vec::new();
    for part in &rule.parts {
        let mut shape = whole.clone();
        let rows = part.rows.map(|rows| {
            let ranges = (0..rule.groups)
                .map(|g| g * group + at..g * group + at + rows)
                .collect();
            match shape.as_mut_slice() {
                // Matrix by matrix.
                [_, in_each, _] => *in_each = rows,
                [all, ..] => *all = rows * rule.groups,
                [] => {}
            }
            at += rows;
            ranges
        });
        let info = TensorInfo::new(&stored.name, stored.encoding, shape)
            .ok_or_else(|| error("its parts do not fill whole blocks".to_string()))?;
        out.push((
            part.canonical,
            Recipe {
                stored: stored.name.clone(),
                stack: BTreeMap::new(),
                rows,
                change,
                info,
            },
        ));
    }
    Ok(out)
}

/// What is to be changed in a stored tensor, and its shape in the order that is read.
fn change(rule: &Rule, stored: &TensorInfo, suffix: &str) -> Result<(Change, Vec<usize>), String> {
    let mut shape = stored.shape.clone();
    match rule.change {
        // Vectors lie as they are.
        Change::Transpose | Change::UnitRows if shape.len() != 2 || suffix == ".bias" => {
            Ok((Change::None, shape))
        }
        Change::Transpose if stored.encoding.is_quantized() => Err(format!(
            "is stored transposed, which {} blocks cannot be",
            stored.encoding
        )),
        Change::Transpose => {
            shape.reverse();
            Ok((Change::Transpose, shape))
        }
        change => Ok((change, shape)),
    }
}

/// Checks that rows can be divided into groups of `group` and moved as `rule` wants it.
fn check_rows(
    rule: &Rule,
    group: usize,
    shape: &[usize],
    encoding: Encoding,
) -> Result<(), String> {
    let n_rows = n_rows(shape);
    if group > 0 && group.checked_mul(rule.groups) != Some(n_rows) {
        return Err(format!(
            "{n_rows} rows found, {} groups of {group} wanted",
            rule.groups
        ));
    }
    if let Change::RopePairs { heads, rotary } = rule.change {
        let fits =
            n_rows.is_multiple_of(heads) && rotary.is_multiple_of(2) && rotary <= n_rows / heads;
        if !fits {
            return Err(format!(
                "{n_rows} rows do not make {heads} heads with {rotary} rotating dimensions"
            ));
        }
    }
    let moves_rows = group > 0 || matches!(rule.change, Change::RopePairs { .. });
    let row = shape.iter().product::<usize>() / n_rows;
    match moves_rows && encoding.bytes_of(row).is_none_or(|n| n == 0) {
        true => Err(format!(
            "rows of {row} in {encoding} cannot be moved one by one; convert the model again"
        )),
        false => Ok(()),
    }
}

impl Recipe {
    /// Adds the piece of a stack that `other` is; both make the tensor `name`.
    fn join(&mut self, name: &str, other: Self) -> Result<(), String> {
        let mut pieces = other.stack.keys();
        if other.stack.is_empty() || pieces.any(|piece| self.stack.contains_key(piece)) {
            return Err(format!("holds {name}, and so does {}", self.stored));
        }
        if (&self.info.shape, self.info.encoding) != (&other.info.shape, other.info.encoding) {
            return Err(format!("differs in shape or type from {}", self.stored));
        }
        self.stack.extend(other.stack);
        Ok(())
    }

    /// Turns the shape of one piece into that of all of them.
    fn close_stack(&mut self, checkpoint: &dyn Checkpoint) -> Result<()> {
        let error = |message: String| Error::tensor(checkpoint.path(), &self.stored, message);
        let gap = (0..).zip(self.stack.keys()).find(|(i, piece)| i != *piece);
        if let Some((missing, _)) = gap {
            return Err(error(format!("number {missing} of its stack is missing")));
        }
        if self.change != Change::None || self.rows.is_some() {
            return Err(error("only whole tensors can be stacked".to_string()));
        }
        let mut shape = vec![self.stack.len()];
        shape.extend(&self.info.shape);
        self.info = TensorInfo::new(&self.stored, self.info.encoding, shape)
            .ok_or_else(|| error("the stack is absurdly large".to_string()))?;
        Ok(())
    }
}

/// How many rows there are, in all the matrices of a stack together.
fn n_rows(shape: &[usize]) -> usize {
    match shape {
        [stack @ .., _] if stack.len() > 1 => stack.iter().product::<usize>().max(1),
        shape => shape.first().copied().unwrap_or(1).max(1),
    }
}
