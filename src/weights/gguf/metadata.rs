//! GGUF's key-value metadata.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Array, Value};
use crate::{Error, Result};

/// The metadata of one file. Getters answer `None` for a key that is absent and an error for one
/// of the wrong type, naming the file.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    pub(super) path: PathBuf,
    pub(super) values: BTreeMap<String, Value>,
}

impl Metadata {
    /// Entries that `path` is to hold.
    pub fn new(path: &std::path::Path, entries: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self {
            path: path.to_path_buf(),
            values: entries.into_iter().collect(),
        }
    }

    /// The file that this was read from.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// All keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// The value of `key`, of whatever type.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        cast: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(value) => match cast(value) {
                Some(v) => Ok(Some(v)),
                None => Err(self.error(key, format!("{} found, {wanted} wanted", value.brief()))),
            },
        }
    }

    /// An error about `key` of this file.
    pub fn error(&self, key: &str, message: impl Into<String>) -> Error {
        Error::config(&self.path, key, message)
    }

    /// A text.
    ///
    /// # Errors
    /// [`Error::Config`] for a value of another type.
    pub fn str(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", Value::as_str)
    }

    /// A truth value.
    ///
    /// # Errors
    /// [`Error::Config`] for a value of another type.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "a boolean", Value::as_bool)
    }

    /// A float of either width.
    ///
    /// # Errors
    /// [`Error::Config`] for a value of another type.
    pub fn f64(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a float", Value::as_f64)
    }

    /// A whole number, of any integer type.
    ///
    /// # Errors
    /// [`Error::Config`] for a value of another type, or a negative number.
    pub fn usize(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, "a whole number", |v| v.as_u64()?.try_into().ok())
    }

    /// A whole number below 2^32, of any integer type.
    ///
    /// # Errors
    /// [`Error::Config`] for a value of another type, or a number outside that.
    pub fn u32(&self, key: &str) -> Result<Option<u32>> {
        self.typed(key, "a 32-bit number", |v| v.as_u64()?.try_into().ok())
    }

    /// An array of texts.
    ///
    /// # Errors
    /// [`Error::Config`] for a value of another type.
    pub fn strings(&self, key: &str) -> Result<Option<&[String]>> {
        self.typed(key, "an array of strings", |v| match v {
            Value::Array(Array::Strings(v)) => Some(v.as_slice()),
            _ => None,
        })
    }

    /// An array of f32.
    ///
    /// # Errors
    /// [`Error::Config`] for a value of another type.
    pub fn f32s(&self, key: &str) -> Result<Option<&[f32]>> {
        self.typed(key, "an array of f32", |v| match v {
            Value::Array(Array::F32(v)) => Some(v.as_slice()),
            _ => None,
        })
    }

    /// Whole numbers of an array of u32 or non-negative i32.
    ///
    /// # Errors
    /// [`Error::Config`] for a value of another type, or a negative number.
    pub fn u32s(&self, key: &str) -> Result<Option<Vec<u32>>> {
        self.typed(key, "an array of whole numbers", |v| match v {
            Value::Array(Array::U32(v)) => Some(v.clone()),
            Value::Array(Array::I32(v)) => v.iter().map(|&x| x.try_into().ok()).collect(),
            _ => None,
        })
    }
}
