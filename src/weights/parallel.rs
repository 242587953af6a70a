//! Several files of one checkpoint, each with its part of every matrix, seen as one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Checkpoint, Data, TensorInfo};
use crate::arch::{Join, ParallelFiles};
use crate::{Error, Result};

/// The parts, in the order of their processes, and what they make up.
pub struct Parallel {
    path: PathBuf,
    parts: Vec<Box<dyn Checkpoint>>,
    tensors: BTreeMap<String, TensorInfo>,
    joins: BTreeMap<String, Join>,
}

impl Parallel {
    /// Joins `parts`, of the folder `path`, as `files` says.
    ///
    /// # Errors
    /// Names a tensor that a part lacks, or whose parts differ where they must be alike.
    pub fn new(
        path: &Path,
        parts: Vec<Box<dyn Checkpoint>>,
        files: &ParallelFiles,
    ) -> Result<Self> {
        let Some(first) = parts.first() else {
            return Err(Error::format(path, "no part of a checkpoint is there"));
        };
        let shape = |t: &TensorInfo| (t.name.clone(), t.shape.clone());
        let shapes = first.tensors().values().map(shape).collect();
        let mut tensors = BTreeMap::new();
        let mut joins = BTreeMap::new();
        for (name, info) in first.tensors() {
            let join = match parts.len() {
                1 => Join::Copies,
                _ => (files.join)(name, &shapes),
            };
            for part in &parts {
                let error = |message| Error::tensor(part.path(), name, message);
                let Some(other) = part.tensors().get(name) else {
                    let first = first.path().display();
                    return Err(error(format!("missing, but in {first}")));
                };
                if (other.encoding, &other.shape) != (info.encoding, &info.shape) {
                    return Err(error(format!(
                        "{} {:?} found, {} {:?} wanted as in {}",
                        other.encoding,
                        other.shape,
                        info.encoding,
                        info.shape,
                        first.path().display()
                    )));
                }
            }
            let whole = whole(info, join, parts.len()).ok_or_else(|| {
                let message = format!(
                    "{} parts of shape {:?} do not go together",
                    parts.len(),
                    info.shape
                );
                Error::tensor(first.path(), name, message)
            })?;
            tensors.insert(name.clone(), whole);
            joins.insert(name.clone(), join);
        }
        for part in &parts {
            if let Some(spare) = part.tensors().keys().find(|k| !tensors.contains_key(*k)) {
                let message = format!("missing in {}", first.path().display());
                return Err(Error::tensor(part.path(), spare, message));
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            parts,
            tensors,
            joins,
        })
    }
}

/// What `n` parts like `part` make up; `None` if they cannot.
fn whole(part: &TensorInfo, join: Join, n: usize) -> Option<TensorInfo> {
    let mut shape = part.shape.clone();
    match (join, shape.as_mut_slice()) {
        (Join::Copies, _) => {}
        (Join::Halves, [rows, ..]) if !rows.is_multiple_of(2) => return None,
        (Join::Rows | Join::Halves, [rows, ..]) => *rows = rows.checked_mul(n)?,
        (Join::Columns, [_, cols]) => *cols = cols.checked_mul(n)?,
        _ => return None,
    }
    TensorInfo::new(&part.name, part.encoding, shape)
}

impl Checkpoint for Parallel {
    fn path(&self) -> &Path {
        &self.path
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<Data<'_>> {
        let parts = self.parts.iter().map(|part| part.read(name));
        let mut parts = parts.collect::<Result<Vec<_>>>()?;
        let (Some(join), Some(info)) = (self.joins.get(name), self.tensors.get(name)) else {
            return Err(Error::tensor(&self.path, name, "not in the checkpoint"));
        };
        let mut out = Vec::new();
        match join {
            Join::Copies => {
                let first = parts.remove(0);
                if let Some(i) = parts.iter().position(|part| **part != *first) {
                    let message =
                        format!("differs from that of {}", self.parts[0].path().display());
                    return Err(Error::tensor(self.parts[i + 1].path(), name, message));
                }
                return Ok(first);
            }
            Join::Rows => parts.iter().for_each(|part| out.extend_from_slice(part)),
            Join::Halves => {
                let half = |part: &Data<'_>| part.len() / 2;
                parts
                    .iter()
                    .for_each(|p| out.extend_from_slice(&p[..half(p)]));
                parts
                    .iter()
                    .for_each(|p| out.extend_from_slice(&p[half(p)..]));
            }
            Join::Columns => {
                let rows = info.shape.first().copied().unwrap_or(1).max(1);
                let bytes = info.bytes / rows / self.parts.len();
                for row in 0..rows {
                    for part in &parts {
                        out.extend_from_slice(&part[row * bytes..(row + 1) * bytes]);
                    }
                }
            }
        }
        Ok(Data::Owned(out))
    }

    fn release(&self, name: &str) {
        self.parts.iter().for_each(|part| part.release(name));
    }

    fn files(&self) -> Vec<PathBuf> {
        self.parts.iter().flat_map(|part| part.files()).collect()
    }
}
