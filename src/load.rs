//! From files to a model: the one way in. [`Opened`] is a model whose configuration is read and
//! whose tensors are found; [`Opened::model`] loads it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;

use crate::arch::{self, AttentionBias, Config, Family, HeadWeight, Spec, Structure};
use crate::demo;
use crate::generate::Defaults;
use crate::model::{Decoder, Model, Seq2Seq};
use crate::nn::{Builder, Storage};
use crate::weights::gguf::{self, Gguf, Metadata};
use crate::weights::packed::{self, Packed, Scheme};
use crate::weights::{Checkpoint, PyTorch, Safetensors, Sum, Weights};
use crate::{Error, Result};

/// The GGUF key under which wick keeps the original `config.json`.
pub const WICK_CONFIG: &str = "wick.config";

/// A model that is found and understood, but not loaded.
pub struct Opened {
    pub path: PathBuf,
    pub family: &'static Family,
    pub spec: Spec,
    pub weights: Weights,
    pub origin: Origin,
}

/// Where the configuration came from.
pub enum Origin {
    /// A folder in the Hub's layout; `config` is the text of its `config.json`.
    Folder { folder: PathBuf, config: String },
    /// A GGUF file.
    Gguf(Arc<Metadata>),
}

impl Opened {
    /// Opens a folder in the Hub's layout, a `.gguf`, or a `.safetensors`, `.bin`, `.pt` or `.pth`
    /// with its `config.json` beside it.
    ///
    /// # Errors
    /// Names the file, key or tensor that is missing, malformed or not supported.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Self::folder(path, checkpoint(path)?);
        }
        match path.extension().and_then(|e| e.to_str()) {
            Some("gguf") => Self::gguf(path, Gguf::open(path)?),
            Some("safetensors") => {
                let folder = path.parent().unwrap_or(Path::new(""));
                Self::folder(folder, Box::new(Safetensors::open_file(path)?))
            }
            Some("bin" | "pt" | "pth") => {
                let folder = path.parent().unwrap_or(Path::new(""));
                Self::folder(folder, Box::new(PyTorch::open_file(path)?))
            }
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
        let sum = Sum::new(checkpoint(base)?, checkpoint(path)?)?;
        Self::folder(path, Box::new(sum))
    }

    fn folder(folder: &Path, checkpoint: Box<dyn Checkpoint>) -> Result<Self> {
        let path = folder.join("config.json");
        let config = Config::open(&path)?;
        let checkpoint = match Scheme::of(&config, folder)? {
            Some(scheme) => Box::new(Packed::new(checkpoint, &scheme)?),
            None => checkpoint,
        };
        let family = arch::family_of(&config)?;
        let spec = (family.declare)(&config)?;
        let weights = Weights::new(checkpoint, &(family.tensors)(&spec))?;
        if spec.head.weight == HeadWeight::Tied {
            // Some repositories store the tied head too; the reference then ignores it.
            weights.ignore("output.weight");
        }
        Ok(Self {
            path: folder.to_path_buf(),
            family,
            spec,
            weights,
            origin: Origin::Folder {
                folder: folder.to_path_buf(),
                config: std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?,
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
        let keys = Config::from_object(path, gguf::to_json(&metadata));
        let (family, mut spec, table) = match metadata.str(WICK_CONFIG)? {
            Some(text) => {
                let config = Config::parse(path, text)?;
                // The file's own blocks have taken the place of any packing.
                config.get(packed::KEY);
                let family = arch::family_of(&config)?;
                let spec = (family.declare)(&config)?;
                let table = match &family.gguf {
                    Some(gguf) => (gguf.tensors)(&spec),
                    None => (family.tensors)(&spec).canonical(),
                };
                (family, spec, table)
            }
            None => {
                let (family, gguf) = arch::gguf_family_of(&keys)?;
                let spec = (gguf.declare)(&keys)?;
                let table = (gguf.tensors)(&spec);
                (family, spec, table)
            }
        };
        let weights = Weights::new(Box::new(file), &table)?;
        add_biases(&mut spec, &weights);
        spec.head.weight = match weights.has("output.weight") {
            true => HeadWeight::Own,
            false => HeadWeight::Tied,
        };
        Ok(Self {
            path: path.to_path_buf(),
            family,
            spec,
            weights,
            origin: Origin::Gguf(metadata),
        })
    }

    /// Loads the weights, telling `progress` how many layers of all are done.
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
    pub fn defaults(&self) -> Result<Defaults> {
        match &self.origin {
            Origin::Folder { folder, .. } => Defaults::from_folder(folder),
            Origin::Gguf(metadata) => Defaults::from_gguf(metadata),
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

/// The checkpoint of a folder: safetensors before PyTorch files, sharded before single.
///
/// # Errors
/// If there are no weights, or several files and no sign of which to take.
fn checkpoint(folder: &Path) -> Result<Box<dyn Checkpoint>> {
    let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    if let Some(index) = file("model.safetensors.index.json") {
        return Ok(Box::new(Safetensors::open_index(&index)?));
    }
    if let Some(single) = file("model.safetensors") {
        return Ok(Box::new(Safetensors::open_file(&single)?));
    }
    if let Some(index) = file("pytorch_model.bin.index.json") {
        return Ok(Box::new(PyTorch::open_index(&index)?));
    }
    if let Some(single) = file("pytorch_model.bin") {
        return Ok(Box::new(PyTorch::open_file(&single)?));
    }
    let mut others: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|e| Error::io(folder, e))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "pt" || e == "pth"))
        .collect();
    others.sort();
    match others.as_slice() {
        [single] => Ok(Box::new(PyTorch::open_file(single)?)),
        [] => Err(Error::format(
            folder,
            "no weights: no model.safetensors, pytorch_model.bin, their indexes, .pt or .pth",
        )),
        [first, ..] => Err(Error::format(
            folder,
            format!(
                "{} .pt and .pth files are there and no index says which to take; name one, such as {}",
                others.len(),
                first.display()
            ),
        )),
    }
}
