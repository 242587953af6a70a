//! `config.json`, read strictly: every key is used, known to be harmless, or refused by name.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::{Error, Result};

/// Real files are a few kilobytes.
const MAX_BYTES: u64 = 16 << 20;

/// Keys that say nothing about the mathematics of inference.
const HARMLESS: &[&str] = &[
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_name_or_path",
    "_commit_hash",
    "_from_model_config",
    "_num_labels",
    "architectures",
    "attention_dropout",
    "attn_dropout_prob",
    "attn_pdrop",
    "auto_map",
    "bos_token_id",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "custom_pipelines",
    "decoder_start_token_id",
    "dtype",
    "embd_pdrop",
    "embedding_dropout",
    "eos_token_id",
    "finetuning_task",
    "gradient_checkpointing",
    "hidden_dropout",
    "hidden_dropout_prob",
    "id2label",
    "initializer_factor",
    "initializer_range",
    "is_decoder",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "max_window_layers",
    "model_type",
    "pad_token_id",
    "pretraining_tp",
    "resid_pdrop",
    "return_dict",
    "router_aux_loss_coef",
    "output_router_logits",
    "task_specific_params",
    "tokenizer_class",
    "torch_dtype",
    "transformers_version",
    "unk_token_id",
    "unsloth_fixed",
    "use_cache",
];

/// A model's configuration. Getters remember what was asked for.
#[derive(Debug)]
pub struct Config {
    path: PathBuf,
    /// The path of keys above this object, with a trailing dot; empty at the top.
    scope: String,
    object: Map<String, Value>,
    read: RefCell<BTreeSet<String>>,
}

impl Config {
    /// Reads `path`, a JSON object.
    pub fn open(path: &Path) -> Result<Self> {
        Self::parse(path, &Self::read(path)?)
    }

    /// The text of `path`, which must be no longer than a configuration can be.
    pub fn read(path: &Path) -> Result<String> {
        let size = std::fs::metadata(path)
            .map_err(|e| Error::io(path, e))?
            .len();
        if size > MAX_BYTES {
            return Err(Error::format(
                path,
                format!("{size} bytes are too many for a configuration"),
            ));
        }
        std::fs::read_to_string(path).map_err(|e| Error::io(path, e))
    }

    /// Reads a configuration from its text; `path` is only for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let object = serde_json::from_str(text)
            .map_err(|e| Error::format(path, format!("not a JSON object: {e}")))?;
        Ok(Self {
            path: path.to_path_buf(),
            scope: String::new(),
            object,
            read: RefCell::default(),
        })
    }

    /// A configuration made of other metadata than `config.json`.
    pub fn from_object(path: &Path, object: Map<String, Value>) -> Self {
        Self {
            path: path.to_path_buf(),
            scope: String::new(),
            object,
            read: RefCell::default(),
        }
    }

    /// The file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error about one key.
    pub fn error(&self, key: &str, message: impl Into<String>) -> Error {
        Error::config(&self.path, &format!("{}{key}", self.scope), message)
    }

    /// A key's value; JSON's null counts as absent.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.read.borrow_mut().insert(key.to_string());
        self.object.get(key).filter(|v| !v.is_null())
    }

    /// Whether a key is there, which does not count as reading it.
    pub fn has(&self, key: &str) -> bool {
        self.object.get(key).is_some_and(|v| !v.is_null())
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        cast: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        self.get(key)
            .map(|value| {
                cast(value).ok_or_else(|| {
                    self.error(key, format!("{} found, {wanted} wanted", brief(value)))
                })
            })
            .transpose()
    }

    fn required<T>(&self, key: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.error(key, "missing"))
    }

    pub fn opt_usize(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, "a whole number", |v| v.as_u64()?.try_into().ok())
    }

    pub fn usize(&self, key: &str) -> Result<usize> {
        self.required(key, self.opt_usize(key)?)
    }

    /// A size: a whole number from 1 to 2^31.
    pub fn size(&self, key: &str) -> Result<usize> {
        self.required(key, self.opt_size(key)?)
    }

    /// As [`Config::size`], where the key may be absent.
    pub fn opt_size(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, "a size from 1 to 2147483648", |v| {
            let n = v.as_u64()?;
            (1..=1 << 31).contains(&n).then_some(n as usize)
        })
    }

    pub fn opt_f64(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", Value::as_f64)
    }

    pub fn f64(&self, key: &str) -> Result<f64> {
        self.required(key, self.opt_f64(key)?)
    }

    pub fn opt_bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub fn opt_str(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", Value::as_str)
    }

    /// An array of numbers.
    pub fn opt_f64s(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.typed(key, "an array of numbers", |v| {
            v.as_array()?.iter().map(Value::as_f64).collect()
        })
    }

    /// An array of strings.
    pub fn opt_strs(&self, key: &str) -> Result<Option<Vec<&str>>> {
        self.typed(key, "an array of strings", |v| {
            v.as_array()?.iter().map(Value::as_str).collect()
        })
    }

    /// A nested object, to be finished on its own.
    pub fn opt_object(&self, key: &str) -> Result<Option<Config>> {
        let object = self.typed(key, "an object", Value::as_object)?;
        Ok(object.map(|object| Config {
            path: self.path.clone(),
            scope: format!("{}{key}.", self.scope),
            object: object.clone(),
            read: RefCell::default(),
        }))
    }

    /// Demands that a key is absent or has one of the values that change nothing.
    pub fn only(&self, key: &str, allowed: &[Value]) -> Result<()> {
        match self.get(key) {
            Some(value) if !allowed.contains(value) => Err(self.error(
                key,
                format!("{} is not supported by this family", brief(value)),
            )),
            _ => Ok(()),
        }
    }

    /// As [`Config::finish`], for the keys that begin with `prefix`; `harmless` are written
    /// without it.
    pub fn finish_prefix(&self, prefix: &str, harmless: &[&str]) -> Result<()> {
        let read = self.read.borrow();
        for (key, value) in &self.object {
            let Some(name) = key.strip_prefix(prefix) else {
                continue;
            };
            if !read.contains(key) && !harmless.contains(&name) {
                return Err(self.error(
                    key,
                    format!(
                        "{} is not understood and may change the result",
                        brief(value)
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Refuses, by name, every key that nobody read, unless it is known to be harmless, listed in
    /// `harmless`, or off (null, false).
    pub fn finish(&self, harmless: &[&str]) -> Result<()> {
        let read = self.read.borrow();
        for (key, value) in &self.object {
            let known = read.contains(key)
                || HARMLESS.contains(&key.as_str())
                || harmless.contains(&key.as_str());
            if !known && !matches!(value, Value::Null | Value::Bool(false)) {
                return Err(self.error(
                    key,
                    format!(
                        "{} is not understood and may change the result; if it does not, remove the key",
                        brief(value)
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// A value, short enough for a message.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
