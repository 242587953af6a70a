//! Read-only memory maps.

use std::fs::File;
use std::path::Path;

use crate::{Error, Result};

/// A file mapped read-only.
pub struct Map(memmap2::Mmap);

impl Map {
    /// Maps the whole of `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let meta = file.metadata().map_err(|e| Error::io(path, e))?;
        if !meta.is_file() {
            return Err(Error::format(path, "not a file"));
        }
        if meta.len() == 0 {
            return Err(Error::format(path, "the file is empty"));
        }
        // SAFETY: the map is read-only and private to this value. As with every memory map, a
        // file that another process truncates meanwhile ends this process with SIGBUS; model
        // files are written once, under a temporary name, and renamed.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| Error::io(path, e))?;
        Ok(Self(map))
    }

    /// The file's content.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}
