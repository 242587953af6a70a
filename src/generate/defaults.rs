//! Generation defaults that come with a model: `generation_config.json`, `config.json`, or GGUF
//! metadata.

use std::path::Path;

use super::Sampling;
use crate::arch::Config;
use crate::weights::gguf::Metadata;
use crate::{Error, Result};

/// The GGUF key under which wick keeps `generation_config.json`.
pub const WICK_GENERATION: &str = "wick.generation_config";

/// What a model's own files say about generating with it; `None` where they say nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Defaults {
    /// Ids that end an answer.
    pub stop_ids: Vec<u32>,
    /// Key `do_sample`: whether to sample; greedy otherwise.
    pub do_sample: Option<bool>,
    /// Key `temperature`, as [`Sampling::temperature`].
    pub temperature: Option<f32>,
    /// Key `top_k`, as [`Sampling::top_k`].
    pub top_k: Option<usize>,
    /// Key `top_p`, as [`Sampling::top_p`].
    pub top_p: Option<f32>,
    /// Key `min_p`, as [`Sampling::min_p`].
    pub min_p: Option<f32>,
    /// Key `repetition_penalty`, as [`Sampling::repeat_penalty`].
    pub repetition_penalty: Option<f32>,
}

impl Defaults {
    /// From `generation_config.json`, with the end ids of `config.json` where it names none. Where
    /// it is missing, older repositories have its keys in `config.json`. A folder may have neither
    /// file (Meta's has `params.json`).
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] for a file that cannot be read or is not a JSON object,
    /// [`Error::Config`] for a key whose value is of the wrong type.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let config = |name: &str| {
            let path = folder.join(name);
            path.is_file().then(|| Config::open(&path)).transpose()
        };
        let (own, model) = (config("generation_config.json")?, config("config.json")?);
        Self::of_either(own.as_ref(), model.as_ref())
    }

    fn of_either(own: Option<&Config>, model: Option<&Config>) -> Result<Self> {
        let mut defaults = match own.or(model) {
            Some(config) => Self::from_config(config)?,
            None => Self::default(),
        };
        if defaults.stop_ids.is_empty()
            && let Some(config) = model
        {
            defaults.stop_ids = config.ids("eos_token_id")?;
        }
        Ok(defaults)
    }

    fn from_config(c: &Config) -> Result<Self> {
        let float = |key| Ok::<_, Error>(c.opt_f64(key)?.map(|v| v as f32));
        Ok(Self {
            stop_ids: c.ids("eos_token_id")?,
            do_sample: c.opt_bool("do_sample")?,
            temperature: float("temperature")?,
            top_k: c.opt_usize("top_k")?,
            top_p: float("top_p")?,
            min_p: float("min_p")?,
            repetition_penalty: float("repetition_penalty")?,
        })
    }

    /// From GGUF metadata: the ids that end an answer, and `generation_config.json` where wick
    /// kept it; `config` is the text of the `config.json` that it kept.
    ///
    /// # Errors
    /// [`Error::Format`] for a kept text that is not a JSON object, [`Error::Config`] for a key
    /// whose value is of the wrong type.
    pub fn from_gguf(metadata: &Metadata, config: Option<&str>) -> Result<Self> {
        let parse = |text: Option<&str>| {
            let config = text.map(|text| Config::parse(metadata.path(), text));
            config.transpose()
        };
        let (own, model) = (parse(metadata.str(WICK_GENERATION)?)?, parse(config)?);
        let mut defaults = Self::of_either(own.as_ref(), model.as_ref())?;
        for name in ["eos", "eot", "eom"] {
            let id = metadata.u32(&format!("tokenizer.ggml.{name}_token_id"))?;
            defaults.stop_ids.extend(id);
        }
        Ok(defaults)
    }

    /// The sampling that the model's files ask for; greedy where they do not ask to sample. Their
    /// filters hold in any case, for whoever asks for a temperature.
    pub fn sampling(&self) -> Sampling {
        let base = Sampling::default();
        Sampling {
            temperature: match self.do_sample {
                Some(true) => self.temperature.unwrap_or(1.0),
                _ => base.temperature,
            },
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repeat_penalty: self.repetition_penalty.unwrap_or(base.repeat_penalty),
            ..base
        }
    }
}
