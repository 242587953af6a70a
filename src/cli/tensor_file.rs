//! `--logits` and `--dump`: files that are opened before an answer is made and written after it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};

use super::exit::usage;
use super::interrupt::{Unfinished, remove_if_stopped};
use crate::files::{check_not_read, same_file};
use crate::generate::Session;
use crate::load::Opened;
use crate::nn::Trace;

/// What is written beside the answer.
pub struct Files {
    logits: Option<TensorFile>,
    dump: Option<TensorFile>,
}

impl Files {
    /// Opens the files that the flags name.
    pub fn open(logits: Option<&Path>, dump: Option<&Path>) -> Result<Self> {
        let files = Self {
            logits: TensorFile::open("--logits", logits)?,
            dump: TensorFile::open("--dump", dump)?,
        };
        // Both are there now, by whatever path.
        match (logits, dump) {
            (Some(logits), Some(dump)) if same_file(logits, dump) => Err(usage(format!(
                "--logits and --dump both name {}; give each a file of its own",
                dump.display()
            ))),
            _ => Ok(files),
        }
    }

    /// Refuses files of the model itself, which is read while the answer is made.
    pub fn check(&self, opened: &Opened) -> Result<()> {
        let mut files = self.logits.iter().chain(&self.dump);
        files.try_for_each(|file| file.check(opened))
    }

    /// Whether logits are to be kept.
    pub fn wants_logits(&self) -> bool {
        self.logits.is_some()
    }

    /// Whether intermediates are to be kept.
    pub fn wants_trace(&self) -> bool {
        self.dump.is_some()
    }

    /// Writes what was run, as far as anything was.
    pub fn write(self, session: &Session, trace: Option<&Trace>) -> Result<()> {
        if let (Some(file), Some(logits)) = (self.logits, session.logits()?) {
            let ids = session.tokens_run().iter().map(|&id| i64::from(id));
            let ids = Tensor::from_iter(ids, &Device::Cpu)?;
            file.write(HashMap::from([
                ("ids".to_string(), ids),
                ("logits".to_string(), logits),
            ]))?;
        }
        if let (Some(file), Some(trace)) = (self.dump, trace) {
            let tensors: HashMap<_, _> = trace.tensors().into_iter().collect();
            if !tensors.is_empty() {
                file.write(tensors)?;
            }
        }
        Ok(())
    }
}

/// A safetensors file in the making. One that this run has made is removed again unless it is
/// written.
struct TensorFile {
    flag: &'static str,
    path: PathBuf,
    file: File,
    /// Of a file that this run has made, until it is written.
    unwritten: Option<Unfinished>,
}

impl TensorFile {
    /// Opens the file that `flag` names, if it names one. A pipe or a device is written to as it
    /// is; what a file holds stays until there is something to write.
    fn open(flag: &'static str, path: Option<&Path>) -> Result<Option<Self>> {
        let Some(path) = path else {
            return Ok(None);
        };
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        let (file, is_new) = match made {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                let mut options = OpenOptions::new();
                // Through a link, the file may still have to be made.
                options.write(true).create(true).truncate(false);
                (options.open(path), false)
            }
            made => (made, true),
        };
        Ok(Some(Self {
            flag,
            path: path.to_path_buf(),
            file: file.with_context(|| said(flag, path))?,
            unwritten: is_new.then(|| remove_if_stopped(path.to_path_buf())),
        }))
    }

    /// Refuses a file of the model itself.
    fn check(&self, opened: &Opened) -> Result<()> {
        let files = opened.weights.checkpoint().files();
        check_not_read(&self.path, &files).context(self.flag)
    }

    /// Puts `tensors` in the place of what was in the file.
    fn write(mut self, tensors: HashMap<String, Tensor>) -> Result<()> {
        let name = said(self.flag, &self.path);
        let bytes = safetensors::serialize(tensors, None).with_context(|| name.clone())?;
        let mut put = || {
            if self.file.metadata()?.is_file() {
                self.file.set_len(0)?;
            }
            self.file.write_all(&bytes)
        };
        put().context(name)?;
        self.unwritten = None;
        Ok(())
    }
}

impl Drop for TensorFile {
    fn drop(&mut self) {
        if self.unwritten.is_some() {
            // Nobody wants it; if it cannot be removed, there is nobody to tell.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The flag with its value, for messages.
fn said(flag: &str, path: &Path) -> String {
    format!("{flag} {}", path.display())
}
