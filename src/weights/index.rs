//! The index of a checkpoint in several files (`*.index.json`): which of them holds which tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::files::read_at_most;
use crate::{Error, Result};

/// The largest index that is read; real ones are below 10 MB.
const MAX_BYTES: u64 = 64 << 20;

/// An index of shards, safetensors' or PyTorch's.
pub struct Index {
    path: PathBuf,
    /// The file of each tensor.
    weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Reads an index.
    ///
    /// # Errors
    /// If it cannot be read, is too long or is none.
    pub fn read(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Content {
            weight_map: BTreeMap<String, String>,
        }
        let content: Content = serde_json::from_slice(&read_at_most(path, MAX_BYTES)?)
            .map_err(|e| Error::format(path, format!("not an index of shards: {e}")))?;
        Ok(Self {
            path: path.to_path_buf(),
            weight_map: content.weight_map,
        })
    }

    /// The files' names as the index has them; nothing says that they stay in its folder.
    pub fn names(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }

    /// The folder that the index is in.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The files, which must stand beside the index.
    ///
    /// # Errors
    /// Names one that does not.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let names = self.names();
        let elsewhere = |name: &&&str| name.contains(['/', '\\', ':']) || **name == "..";
        if let Some(name) = names.iter().find(elsewhere) {
            return Err(Error::format(
                &self.path,
                format!("shard {name:?} is not a plain file name"),
            ));
        }
        let folder = self.folder();
        Ok(names.iter().map(|name| folder.join(name)).collect())
    }

    /// Checks that each tensor is in the file that the index says; `place` tells in which it is.
    ///
    /// # Errors
    /// Names a tensor that is not.
    pub fn check<'a>(&self, place: impl Fn(&str) -> Option<&'a Path>) -> Result<()> {
        let folder = self.folder();
        for (tensor, file) in &self.weight_map {
            if place(tensor) != Some(folder.join(file).as_path()) {
                return Err(Error::format(
                    &self.path,
                    format!("tensor {tensor} is said to be in {file}, where it is not"),
                ));
            }
        }
        Ok(())
    }
}
