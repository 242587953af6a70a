//! From files to a model: the one way in. [`Opened`] is a model whose configuration is read and
//! whose tensors are found; [`Opened::model`] loads it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use serde_json::{Map, Value, json};

use crate::arch::{self, AttentionBias, Config, Family, HeadWeight, Spec, Structure};
use crate::demo;
use crate::generate::Defaults;
use crate::model::{Decoder, Model, Seq2Seq};
use crate::nn::{Builder, Storage};
use crate::weights::gguf::{self, Gguf, Metadata};
use crate::weights::packed::{self, Packed, Scheme};
use crate::weights::{Checkpoint, Sum, Weights, open_file, open_folder};
use crate::{Error, Result};

/// The GGUF key under which wick keeps the original `config.json`.
pub const WICK_CONFIG: &str = "wick.config";

/// The GGUF key of the card's name.
pub const WICK_CARD: &str = "wick.card";

/// A model that is found and understood, but not loaded.
pub struct Opened {
    /// The folder, or the GGUF file; for the embedded demo model its name.
    pub path: PathBuf,
    /// The name of the card that it was opened by, or that its GGUF names.
    pub card: Option<String>,
    /// The one of [`arch::FAMILIES`] whose declaration it is.
    pub family: &'static Family,
    /// What the configuration declares; where it leaves the head or biases open, as the tensors
    /// have them.
    pub spec: Spec,
    /// Its tensors under canonical names, packed integers as ordinary weights.
    pub weights: Weights,
    /// What its configuration, generation defaults and vocabulary are read from.
    pub origin: Origin,
}

/// Where the configuration came from.
pub enum Origin {
    /// A folder in the Hub's layout or Meta's.
    Folder {
        /// Its path, also where one file in it was opened.
        folder: PathBuf,
        /// Text of its `config.json`, or JSON made of Meta's `params.json` or, where it has
        /// neither, of what its tensors tell.
        config: String,
    },
    /// A GGUF file.
    Gguf(Arc<Metadata>),
}

impl Opened {
    /// Opens a folder in the Hub's layout or Meta's, a GGUF by whatever name, or a `.safetensors`,
    /// `.bin`, `.pt` or `.pth` with its `config.json` or `params.json` beside it.
    ///
    /// # Errors
    /// Names the file, key or tensor that is missing, malformed or not supported.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Self::folder(path, open_folder(path)?);
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        match path.extension().and_then(|e| e.to_str()) {
            Some("gguf") => Self::gguf(path, Gguf::open(path)?),
            _ if is_gguf(path) => Self::gguf(path, Gguf::open(path)?),
            Some("safetensors" | "bin" | "pt" | "pth") => Self::folder(folder, open_file(path)?),
            _ if !path.exists() => Err(Error::io(path, std::io::ErrorKind::NotFound.into())),
            _ => Err(Error::format(
                path,
                "not a model: a folder with config.json, a .gguf, .safetensors, .bin, .pt or .pth is wanted",
            )),
        }
    }

    /// Opens the folder `path`, which holds only the difference from the model in the folder
    /// `base`, as the sum of both.
    ///
    /// # Errors
    /// As [`Opened::open`], and if the two do not go together.
    pub fn difference(path: &Path, base: &Path) -> Result<Self> {
        let sum = Sum::new(open_folder(base)?, open_folder(path)?)?;
        Self::folder(path, Box::new(sum))
    }

    fn folder(folder: &Path, checkpoint: Box<dyn Checkpoint>) -> Result<Self> {
        let (config, text) = configuration(folder, checkpoint.as_ref())?;
        let scheme = match Scheme::of(&config, folder)? {
            Some(scheme) => Some(scheme),
            None => Scheme::of_tensors(checkpoint.as_ref())?,
        };
        let checkpoint = match scheme {
            Some(scheme) => Box::new(Packed::new(checkpoint, &scheme)?),
            None => checkpoint,
        };
        let family = arch::family_of(&config)?;
        let mut spec = declared(family, family.declare, &config)?;
        let weights = Weights::new(checkpoint, &(family.tensors)(&spec))?;
        if spec.head.weight == HeadWeight::Tied {
            spec.head.weight = stored_head(&weights)?;
        }
        Ok(Self {
            path: folder.to_path_buf(),
            card: None,
            family,
            spec,
            weights,
            origin: Origin::Folder {
                folder: folder.to_path_buf(),
                config: text,
            },
        })
    }

    /// Opens the embedded demo model where it lies in the binary.
    ///
    /// # Errors
    /// [`Error::Unsupported`] in a build without the feature `demo`.
    pub fn demo() -> Result<Self> {
        let file = Gguf::from_static(demo::NAME, demo::gguf()?)?;
        Self::gguf(Path::new(demo::NAME), file)
    }

    fn gguf(path: &Path, file: Gguf) -> Result<Self> {
        let metadata = file.metadata();
        let keys = Config::from_object(path, keys(&file)?);
        let (family, mut spec, table) = match metadata.str(WICK_CONFIG)? {
            Some(text) => {
                let config = Config::parse(path, text)?;
                // The file's own blocks have taken the place of any packing.
                config.get(packed::KEY);
                let family = arch::family_of(&config)?;
                let spec = declared(family, family.declare, &config)?;
                let table = match &family.gguf {
                    Some(gguf) => (gguf.tensors)(&spec),
                    None => (family.tensors)(&spec).canonical(),
                };
                (family, spec, table)
            }
            None => {
                let (family, gguf) = arch::gguf_family_of(&keys)?;
                let spec = declared(family, gguf.declare, &keys)?;
                let table = (gguf.tensors)(&spec);
                (family, spec, table)
            }
        };
        let weights = Weights::new(Box::new(file), &table)?;
        add_biases(&mut spec, &weights);
        spec.head.weight = match weights.has("output.weight") {
            true => HeadWeight::Own,
            // One that its configuration declares and the file lacks is missing.
            false if metadata.get(WICK_CONFIG).is_some() => spec.head.weight,
            false => HeadWeight::Tied,
        };
        Ok(Self {
            path: path.to_path_buf(),
            card: metadata.str(WICK_CARD)?.map(str::to_string),
            family,
            spec,
            weights,
            origin: Origin::Gguf(metadata),
        })
    }

    /// Loads the weights, telling `progress` how many layers of all are done.
    ///
    /// # Errors
    /// If a tensor is missing, spare, of the wrong shape or of a type that `device` cannot
    /// multiply, RoPE turns more than a head has, or there is no memory.
    pub fn model(
        &self,
        device: &Device,
        storage: Storage,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Arc<dyn Model>> {
        let builder = Builder::new(&self.weights, device.clone(), storage);
        Ok(match self.spec.structure {
            Structure::EncoderDecoder(sides) => {
                Arc::new(Seq2Seq::load(&builder, &self.spec, sides, progress)?)
            }
            _ => Arc::new(Decoder::load(&builder, &self.spec, progress)?),
        })
    }

    /// The generation defaults that come with the model.
    ///
    /// # Errors
    /// As [`Defaults::from_folder`] and [`Defaults::from_gguf`].
    pub fn defaults(&self) -> Result<Defaults> {
        match &self.origin {
            Origin::Folder { folder, .. } => Defaults::from_folder(folder),
            Origin::Gguf(metadata) => Defaults::from_gguf(metadata, metadata.str(WICK_CONFIG)?),
        }
    }

    /// Bytes of the model's files; of its tensors where there are no files.
    pub fn file_bytes(&self) -> u64 {
        let files = self.weights.checkpoint().files();
        if files.is_empty() {
            let tensors = self.weights.checkpoint().tensors().values();
            return tensors.map(|t| t.bytes as u64).sum();
        }
        let size = |p: &PathBuf| std::fs::metadata(p).map_or(0, |m| m.len());
        files.iter().map(size).sum()
    }
}

/// A declaration under its family's name: GGUF's architectures have names of their own.
fn declared(
    family: &Family,
    declare: fn(&Config) -> Result<Spec>,
    config: &Config,
) -> Result<Spec> {
    Ok(Spec {
        family: family.name,
        ..declare(config)?
    })
}

/// Whether a file begins as GGUF does, whatever it is called.
pub(crate) fn is_gguf(path: &Path) -> bool {
    let mut magic = [0u8; 4];
    let is_read = path.is_file()
        && File::open(path).is_ok_and(|mut file| file.read_exact(&mut magic).is_ok());
    is_read && magic == *b"GGUF"
}

/// The head of a model that says that it is tied. Some repositories store it too: as a copy, or, in
/// spite of what they say, as one of its own, which then counts (`tie_weights` in
/// `modeling_utils.py` of `transformers`).
fn stored_head(weights: &Weights) -> Result<HeadWeight> {
    let [head, embedding] = ["output.weight", "token_embd.weight"];
    let shape = |name: &str| {
        let found = weights.tensors().find(|(n, _)| *n == name);
        found.map(|(_, info)| info.shape.clone())
    };
    let (Some(shape), Some(other)) = (shape(head), shape(embedding)) else {
        return Ok(HeadWeight::Tied);
    };
    let same = shape == other && {
        let [a, b] = [head, embedding].map(|name| weights.read(name, &shape));
        let (a, b) = (a?, b?);
        a.encoding == b.encoding && *a.data == *b.data
    };
    weights.release(head);
    if !same {
        return Ok(HeadWeight::Own);
    }
    weights.ignore(head);
    Ok(HeadWeight::Tied)
}

/// More pairs than any head has.
const MAX_FACTORS: usize = 1 << 16;

/// A GGUF's metadata and what else families declare themselves from: the tensors' names, and the
/// numbers of those that stand for settings.
fn keys(file: &Gguf) -> Result<Map<String, Value>> {
    let mut keys = gguf::to_json(&file.metadata());
    let names: Vec<&String> = file.tensors().keys().collect();
    keys.insert(arch::TENSORS.to_string(), json!(names));
    for name in arch::FACTORS {
        if let Some(info) = file.tensors().get(name) {
            if info.len() > MAX_FACTORS {
                let message = format!("{} numbers, too many for a head", info.len());
                return Err(Error::tensor(file.path(), name, message));
            }
            keys.insert(name.to_string(), json!(file.read_f32(name)?));
        }
    }
    Ok(keys)
}

/// GGUF's metadata do not say whether linear layers have biases: the first layer does.
fn add_biases(spec: &mut Spec, weights: &Weights) {
    let has = |part: &str| weights.has(&format!("blk.0.{part}.bias"));
    if spec.attention.bias == AttentionBias::None {
        spec.attention.bias = match (has("attn_q"), has("attn_output")) {
            (true, true) => AttentionBias::All,
            (true, false) => AttentionBias::Qkv,
            (false, true) => AttentionBias::Output,
            (false, false) => AttentionBias::None,
        };
    }
    spec.ffn.bias |= has("ffn_up");
}

/// The configuration of a folder, and its text: `config.json`, Meta's `params.json`, or what the
/// tensors tell of a family that is published without either.
fn configuration(folder: &Path, checkpoint: &dyn Checkpoint) -> Result<(Config, String)> {
    let (path, parameters) = (folder.join("config.json"), folder.join("params.json"));
    let is_meta = parameters.is_file() && checkpoint.tensors().contains_key(META_EMBEDDING);
    if path.is_file() && !is_meta {
        let text = Config::read(&path)?;
        return Ok((Config::parse(&path, &text)?, text));
    }
    let path = parameters;
    let object = match is_meta {
        true => Some(meta_parameters(&path, checkpoint)?),
        false => {
            let tensors = checkpoint.tensors().values();
            let shapes = tensors.map(|t| (t.name.clone(), t.shape.clone()));
            arch::bare_configuration(&shapes.collect())
        }
    };
    let object = object.ok_or_else(|| {
        let message = "no config.json or params.json, and the tensors are not those of a family that is published without (PaLM, GLM-130B)";
        Error::format(folder, message)
    })?;
    let text = serde_json::Value::Object(object.clone()).to_string();
    Ok((Config::from_object(&path, object), text))
}

/// The name by which Meta's checkpoints are known.
const META_EMBEDDING: &str = "tok_embeddings.weight";

/// Meta's parameters; the size of the vocabulary, which they leave to the tokenizer (−1), is that
/// of the embedding.
fn meta_parameters(
    path: &Path,
    checkpoint: &dyn Checkpoint,
) -> Result<serde_json::Map<String, serde_json::Value>> {
    let mut object: serde_json::Map<_, _> = serde_json::from_str(&Config::read(path)?)
        .map_err(|e| Error::format(path, format!("not a JSON object: {e}")))?;
    let open = |v: Option<&serde_json::Value>| v.is_none_or(|v| v.as_i64() == Some(-1));
    let embedding = checkpoint.tensors().get(META_EMBEDDING);
    if let (true, Some(&rows)) = (
        open(object.get("vocab_size")),
        embedding.and_then(|t| t.shape.first()),
    ) {
        object.insert("vocab_size".to_string(), rows.into());
    }
    Ok(object)
}
