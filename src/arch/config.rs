//! `config.json`, read strictly: every key is used, known to be harmless, or refused by name.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::files::read_text_at_most;
use crate::{Error, Result};

/// Real files are a few kilobytes.
const MAX_BYTES: u64 = 16 << 20;

/// Keys that say nothing about the mathematics of inference.
const HARMLESS: &[&str] = &[
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_flash_attn_2_enabled",
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
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_cache",
];

/// Settings of generation, which older files keep here; `transformers` moves them to the generation
/// configuration (`GenerationConfig._get_default_generation_params`).
const GENERATION: &[&str] = &[
    "bad_words_ids",
    "begin_suppress_tokens",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "epsilon_cutoff",
    "eta_cutoff",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "min_new_tokens",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_scores",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict_in_generate",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
];

/// More heads, layers or experts than any model has. Lists of this length are made before a
/// tensor is seen.
const MAX_COUNT: u64 = 1 << 16;

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
    ///
    /// # Errors
    /// As [`Config::read`], or if the text is not a JSON object.
    pub fn open(path: &Path) -> Result<Self> {
        Self::parse(path, &Self::read(path)?)
    }

    /// The text of `path`, which must be no longer than a configuration can be.
    ///
    /// # Errors
    /// If the file cannot be read, is longer than 16 MiB, or is not UTF-8.
    pub fn read(path: &Path) -> Result<String> {
        read_text_at_most(path, MAX_BYTES)
    }

    /// Reads a configuration from its text; `path` is only for messages.
    ///
    /// # Errors
    /// If the text is not a JSON object.
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

    /// Whether a key is there as JSON's null, where that says something else than its absence.
    pub fn is_null(&self, key: &str) -> bool {
        self.object.get(key).is_some_and(Value::is_null)
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

    /// A whole number; `None` where the key is absent.
    ///
    /// # Errors
    /// If the value is not a whole number.
    pub fn opt_usize(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, "a whole number", |v| v.as_u64()?.try_into().ok())
    }

    /// A whole number.
    ///
    /// # Errors
    /// If the key is absent, or its value is not a whole number.
    pub fn usize(&self, key: &str) -> Result<usize> {
        self.required(key, self.opt_usize(key)?)
    }

    /// A size: a whole number from 1 to 2^31.
    ///
    /// # Errors
    /// If the key is absent, or its value is not such a size.
    pub fn size(&self, key: &str) -> Result<usize> {
        self.required(key, self.opt_size(key)?)
    }

    /// As [`Config::size`], where the key may be absent.
    ///
    /// # Errors
    /// If the value is not such a size.
    pub fn opt_size(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, "a size from 1 to 2147483648", |v| {
            let n = v.as_u64()?;
            (1..=1 << 31).contains(&n).then_some(n as usize)
        })
    }

    /// A number of heads, layers or the like: from 1 to 65536.
    ///
    /// # Errors
    /// If the key is absent, or its value is not such a number.
    pub fn count(&self, key: &str) -> Result<usize> {
        self.required(key, self.opt_count(key)?)
    }

    /// As [`Config::count`], where the key may be absent.
    ///
    /// # Errors
    /// If the value is not such a number.
    pub fn opt_count(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, "a number from 1 to 65536", |v| {
            let n = v.as_u64()?;
            (1..=MAX_COUNT).contains(&n).then_some(n as usize)
        })
    }

    /// How many heads of keys and values there are: a divisor of `n_heads`, which is also what
    /// holds where the key is absent.
    ///
    /// # Errors
    /// If the value is not a number from 1 to 65536, or does not divide `n_heads`.
    pub fn kv_heads(&self, key: &str, n_heads: usize) -> Result<usize> {
        let found = self.opt_count(key)?.unwrap_or(n_heads);
        match n_heads.is_multiple_of(found) {
            true => Ok(found),
            false => Err(self.error(
                key,
                format!("{found} found, a divisor of {n_heads} heads wanted"),
            )),
        }
    }

    /// The width of one of `n_heads` heads that make up `hidden_size`, which `key` gave.
    ///
    /// # Errors
    /// If `n_heads` does not divide `hidden_size`; it names `key`.
    pub fn head_dim(&self, key: &str, hidden_size: usize, n_heads: usize) -> Result<usize> {
        match hidden_size.is_multiple_of(n_heads) {
            true => Ok(hidden_size / n_heads),
            false => Err(self.error(
                key,
                format!("{hidden_size} is not a multiple of {n_heads} heads"),
            )),
        }
    }

    /// A token id, a whole number below 2^32; `None` where the key is absent.
    ///
    /// # Errors
    /// If the value is not such a number.
    pub fn opt_id(&self, key: &str) -> Result<Option<u32>> {
        self.typed(key, "a token id", id)
    }

    /// One token id, a list of them, or none.
    ///
    /// # Errors
    /// If the value, or an entry of the list, is not a whole number below 2^32.
    pub fn ids(&self, key: &str) -> Result<Vec<u32>> {
        let ids = self.typed(key, "a token id or a list of them", |v| match v {
            Value::Array(items) => items.iter().map(id).collect(),
            v => Some(vec![id(v)?]),
        });
        Ok(ids?.unwrap_or_default())
    }

    /// A number, whole or not; `None` where the key is absent.
    ///
    /// # Errors
    /// If the value is not a number.
    pub fn opt_f64(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", Value::as_f64)
    }

    /// A number, whole or not.
    ///
    /// # Errors
    /// If the key is absent, or its value is not a number.
    pub fn f64(&self, key: &str) -> Result<f64> {
        self.required(key, self.opt_f64(key)?)
    }

    /// A truth value; `None` where the key is absent.
    ///
    /// # Errors
    /// If the value is neither true nor false.
    pub fn opt_bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", Value::as_bool)
    }

    /// A string; `None` where the key is absent.
    ///
    /// # Errors
    /// If the value is not a string.
    pub fn opt_str(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", Value::as_str)
    }

    /// An array of numbers.
    ///
    /// # Errors
    /// If the value is not an array, or an entry is not a number.
    pub fn opt_f64s(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.typed(key, "an array of numbers", |v| {
            v.as_array()?.iter().map(Value::as_f64).collect()
        })
    }

    /// An array of strings.
    ///
    /// # Errors
    /// If the value is not an array, or an entry is not a string.
    pub fn opt_strs(&self, key: &str) -> Result<Option<Vec<&str>>> {
        self.typed(key, "an array of strings", |v| {
            v.as_array()?.iter().map(Value::as_str).collect()
        })
    }

    /// A nested object, to be finished on its own.
    ///
    /// # Errors
    /// If the value is not an object.
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
    ///
    /// # Errors
    /// If the key has any other value.
    pub fn only(&self, key: &str, allowed: &[Value]) -> Result<()> {
        match self.get(key) {
            Some(value) if !allowed.contains(value) => Err(self.error(
                key,
                format!("{} is not supported by this family", brief(value)),
            )),
            _ => Ok(()),
        }
    }

    /// Refuses, by name, every key that begins with `prefix` and that nobody read, unless it is
    /// listed in `harmless`, without the prefix. Unlike in [`Config::finish`], no other is excused.
    ///
    /// # Errors
    /// If there is such a key; it names one.
    pub fn finish_prefix(&self, prefix: &str, harmless: &[&str]) -> Result<()> {
        let read = self.read.borrow();
        for (key, value) in &self.object {
            let Some(name) = key.strip_prefix(prefix) else {
                continue;
            };
            if !read.contains(key) && !harmless.contains(&name) {
                return Err(self.not_understood(key, value));
            }
        }
        Ok(())
    }

    /// Refuses, by name, every key that nobody read, unless it is known to be harmless, listed in
    /// `harmless`, a setting of generation, or off (null, false).
    ///
    /// # Errors
    /// If there is such a key; it names one.
    pub fn finish(&self, harmless: &[&str]) -> Result<()> {
        let read = self.read.borrow();
        for (key, value) in &self.object {
            let known = read.contains(key)
                || HARMLESS.contains(&key.as_str())
                || GENERATION.contains(&key.as_str())
                || harmless.contains(&key.as_str());
            if !known && !matches!(value, Value::Null | Value::Bool(false)) {
                return Err(self.not_understood(key, value));
            }
        }
        Ok(())
    }

    fn not_understood(&self, key: &str, value: &Value) -> Error {
        let message = format!(
            "{} is not understood and may change the result; if it does not, remove the key",
            brief(value)
        );
        self.error(key, message)
    }
}

fn id(value: &Value) -> Option<u32> {
    value.as_u64()?.try_into().ok()
}

/// A value, short enough for a message.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
