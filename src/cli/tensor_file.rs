//! `--logits` and `--dump`: files that are opened before an answer is made and written after it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candle_core::Tensor;

use crate::load::Opened;
use crate::quantize::same_file;

/// A safetensors file in the making.
pub struct TensorFile {
    flag: &'static str,
    path: PathBuf,
    file: File,
}

impl TensorFile {
    /// Opens the file that `flag` names, if it names one. A pipe or a device is written to as it
    /// is; what a file holds stays until there is something to write.
    pub fn open(flag: &'static str, path: Option<&Path>) -> Result<Option<Self>> {
        let Some(path) = path else {
            return Ok(None);
        };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = options.open(path);
        Ok(Some(Self {
            flag,
            path: path.to_path_buf(),
            file: file.with_context(|| said(flag, path))?,
        }))
    }

    /// Refuses a file of the model itself, which is read while the answer is made.
    pub fn check(&self, opened: &Opened) -> Result<()> {
        let files = opened.weights.checkpoint().files();
        if files.iter().any(|file| same_file(file, &self.path)) {
            bail!(
                "{}: this is the model that is read; write to another file",
                said(self.flag, &self.path)
            );
        }
        Ok(())
    }

    /// Puts `tensors` in the place of what was in the file.
    pub fn write(self, tensors: HashMap<String, Tensor>) -> Result<()> {
        let Self {
            flag,
            path,
            mut file,
        } = self;
        let bytes = safetensors::serialize(tensors, None).with_context(|| said(flag, &path))?;
        let mut write = || {
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            file.write_all(&bytes)
        };
        write().with_context(|| said(flag, &path))
    }
}

/// The flag with its value, for messages.
fn said(flag: &str, path: &Path) -> String {
    format!("{flag} {}", path.display())
}
