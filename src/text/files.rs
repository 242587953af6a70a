//! A tokenizer's files, in a model's folder or carried inside a GGUF file.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::files::read_at_most;
use crate::weights::gguf::{Array, Metadata, Value};
use crate::{Error, Result};

/// Larger tokenizer files are refused; real ones stay below 40 MB.
const MAX_FILE: u64 = 512 << 20;

/// GGUF keys of files that are carried whole begin with this; the file's name follows.
const CARRIED: &str = "wick.file.";

/// Where files are read, remembering which there were.
pub(super) struct Files<'a> {
    place: Place<'a>,
    read: RefCell<BTreeSet<String>>,
}

enum Place<'a> {
    Folder(&'a Path),
    Gguf(&'a Metadata),
}

impl<'a> Files<'a> {
    /// The files of a folder.
    pub fn folder(folder: &'a Path) -> Self {
        Self::new(Place::Folder(folder))
    }

    /// The files that a GGUF file carries; `None` if it carries none.
    pub fn carried(metadata: &'a Metadata) -> Option<Self> {
        let any = metadata.iter().any(|(key, _)| key.starts_with(CARRIED));
        any.then(|| Self::new(Place::Gguf(metadata)))
    }

    fn new(place: Place<'a>) -> Self {
        Self {
            place,
            read: RefCell::default(),
        }
    }

    /// What a file is called in messages.
    pub fn path(&self, name: &str) -> PathBuf {
        match self.place {
            Place::Folder(folder) => folder.join(name),
            Place::Gguf(metadata) => metadata.path().join(name),
        }
    }

    /// A file's content; `None` if it is not there.
    pub fn read(&self, name: &str) -> Result<Option<Cow<'a, [u8]>>> {
        match self.place {
            Place::Folder(folder) => {
                let bytes = read(&folder.join(name))?;
                if bytes.is_some() {
                    self.read.borrow_mut().insert(name.to_string());
                }
                Ok(bytes.map(Cow::Owned))
            }
            Place::Gguf(metadata) => {
                let key = format!("{CARRIED}{name}");
                match metadata.get(&key) {
                    None => Ok(None),
                    Some(Value::Array(Array::U8(bytes))) => Ok(Some(Cow::Borrowed(bytes))),
                    Some(_) => Err(metadata.error(&key, "an array of bytes is wanted")),
                }
            }
        }
    }

    /// A JSON object; empty if the file is not there.
    pub fn object(&self, name: &str) -> Result<Map<String, Json>> {
        match self.read(name)? {
            Some(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| Error::format(self.path(name), e.to_string())),
            None => Ok(Map::new()),
        }
    }

    /// The last of the files with this extension, by name.
    pub fn with_extension(&self, extension: &str) -> Result<Option<String>> {
        let names: Vec<String> = match self.place {
            Place::Folder(folder) => std::fs::read_dir(folder)
                .map_err(|e| Error::io(folder, e))?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<std::io::Result<_>>()
                .map_err(|e| Error::io(folder, e))?,
            Place::Gguf(metadata) => {
                let keys = metadata.iter().map(|(key, _)| key);
                let names = keys.filter_map(|key| key.strip_prefix(CARRIED));
                names.map(str::to_string).collect()
            }
        };
        let has = |name: &String| Path::new(name).extension().is_some_and(|e| e == extension);
        Ok(names.into_iter().filter(has).max())
    }

    /// The entries that carry every file that was read into a GGUF file.
    pub fn entries(&self) -> Result<Vec<(String, Value)>> {
        let names = self.read.borrow().clone();
        let entry = |name: &String| {
            let bytes = self.read(name)?.unwrap_or_default().into_owned();
            Ok((format!("{CARRIED}{name}"), Value::Array(Array::U8(bytes))))
        };
        names.iter().map(entry).collect()
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match read_at_most(path, MAX_FILE) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
