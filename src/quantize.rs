//! A model into a GGUF file, tensor by tensor: memory for the largest tensor, not for the model.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use crate::arch::{Config, FACTORS, HeadWeight, RopeScaling};
use crate::files::{check_not_read, check_output, partial};
use crate::generate::WICK_GENERATION;
use crate::load::{Opened, Origin, WICK_CARD, WICK_CONFIG};
use crate::model::{ROPE_FREQS, check_tensors};
use crate::nn::{Rotary, Storage};
use crate::quant::Encoding;
use crate::text::{Held, gguf_entries};
use crate::weights::HostTensor;
use crate::weights::export::{self, Export};
use crate::weights::gguf::{self, TensorHeader, Value, Writer};
use crate::{Error, Result};

/// What became of one tensor.
#[derive(Debug, Clone)]
pub struct Written {
    /// In the file that is written.
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// As the model has it; f32 for packed integers, and where joined parts differ.
    pub from: Encoding,
    /// As the file has it.
    pub to: Encoding,
    /// Its size in the file.
    pub bytes: usize,
    /// Root mean square of the rounding relative to that of the weights; 0 where nothing was
    /// rounded.
    pub error: f64,
}

/// Writes `opened` to `out` as GGUF, matrices in the encodings that `storage` asks for, norms and
/// biases in f32. `progress` hears of each tensor as it is written, with how many there are.
/// The file appears under its name when it is complete. Returns how llama.cpp's keys hold the
/// vocabulary.
///
/// # Errors
/// If `out` cannot be a file, or is the model that is read; if the tensors are not those that the
/// configuration declares, one of them cannot be read, has no place in GGUF or holds numbers that
/// are infinite or NaN, or the file cannot be written; nothing is left behind then.
pub fn to_gguf(
    opened: &Opened,
    storage: Storage,
    out: &Path,
    progress: &mut dyn FnMut(&Written, usize),
) -> Result<Held> {
    check_output(out)?;
    check_not_read(out, &opened.weights.checkpoint().files())?;
    check_tensors(&opened.weights, &opened.spec)?;
    let part = partial(out);
    let file = File::create_new(&part).map_err(|e| Error::io(&part, e))?;
    let part = Growing(part);
    let held = write(opened, storage, (&part.0, file), progress)?;
    std::fs::rename(&part.0, out).map_err(|e| Error::io(out, e))?;
    Ok(held)
}

/// The file until it is complete and has its name; what there is of it goes with this.
struct Growing(PathBuf);

impl Drop for Growing {
    fn drop(&mut self) {
        // An error being reported matters more than one of removing the remains.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn write(
    opened: &Opened,
    storage: Storage,
    (out, file): (&Path, File),
    progress: &mut dyn FnMut(&Written, usize),
) -> Result<Held> {
    let exports = exports(opened)?;
    let settings = settings(opened, &exports);
    let encodings: Vec<Encoding> = exports.iter().map(|e| target(e, storage)).collect();
    let headers = headers(&exports, &encodings, &settings);
    let failed = |e| Error::io(out, e);
    let file = BufWriter::with_capacity(1 << 20, file);
    let (metadata, held) = metadata(opened, storage)?;
    let mut writer = Writer::new(file, &metadata, &headers).map_err(failed)?;
    for (export, encoding) in exports.iter().zip(encodings) {
        let tensor = read(opened, export, encoding)?;
        let not_finite = || not_finite(opened, export, &tensor, encoding);
        if !tensor.is_finite() {
            return Err(not_finite());
        }
        // Blocks whose scales are not numbers show it once they are read.
        let stored = tensor.to_encoding(encoding).map_err(|e| {
            let numbers = tensor.to_f32().unwrap_or_default();
            match numbers.iter().all(|v| v.is_finite()) {
                true => e,
                false => not_finite(),
            }
        })?;
        let error = rounding(&tensor, &stored)?;
        if !(stored.is_finite() && error.is_finite()) {
            return Err(not_finite());
        }
        writer.tensor(&export.name, &stored.data).map_err(failed)?;
        let written = Written {
            name: export.name.clone(),
            shape: export.shape.clone(),
            from: export.encoding,
            to: encoding,
            bytes: stored.data.len(),
            error,
        };
        progress(&written, exports.len());
    }
    for (name, numbers) in &settings {
        writer.tensor(name, &numbers.data).map_err(failed)?;
    }
    let file = writer.finish().map_err(failed)?;
    let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok(held)
}

/// The model's tensors as the file lays them out.
fn exports(opened: &Opened) -> Result<Vec<Export>> {
    let table = match &opened.family.gguf {
        Some(gguf) => (gguf.tensors)(&opened.spec),
        None => (opened.family.tensors)(&opened.spec).canonical(),
    };
    let mut exports = export::plan(&opened.weights, &table)?;
    if opened.spec.head.weight == HeadWeight::Tied {
        // Some repositories store the tied head too.
        exports.retain(|e| e.name != "output.weight");
    }
    Ok(exports)
}

/// The entries of the model's tensors, then of the settings.
fn headers(exports: &[Export], encodings: &[Encoding], settings: &[Setting]) -> Vec<TensorHeader> {
    let tensors = exports.iter().zip(encodings);
    let tensors = tensors.map(|(export, &encoding)| TensorHeader {
        name: export.name.clone(),
        encoding,
        shape: export.shape.clone(),
    });
    let settings = settings.iter().map(|(name, numbers)| TensorHeader {
        name: name.to_string(),
        encoding: Encoding::F32,
        shape: numbers.shape.clone(),
    });
    tensors.chain(settings).collect()
}

/// A tensor in blocks of `encoding` where integers are packed that these hold bit for bit, else as
/// it is.
fn read<'a>(opened: &'a Opened, export: &Export, encoding: Encoding) -> Result<HostTensor<'a>> {
    let exact = match encoding.is_quantized() && encoding != export.encoding {
        true => export.read_blocks(&opened.weights, encoding)?,
        false => None,
    };
    match exact {
        Some(blocks) => Ok(blocks),
        None => export.read(&opened.weights),
    }
}

/// Why `tensor`, of which something infinite or NaN came out, is not written.
fn not_finite(opened: &Opened, export: &Export, tensor: &HostTensor<'_>, to: Encoding) -> Error {
    let numbers = tensor.to_f32().unwrap_or_default();
    let message = match numbers.iter().filter(|v| !v.is_finite()).count() {
        0 => format!("has numbers too large for {to}; choose another --quant, such as bf16"),
        n => format!(
            "{n} of its {} numbers are infinite or NaN, so that no answer can be computed; fetch or convert the model again",
            numbers.len()
        ),
    };
    Error::tensor(opened.weights.checkpoint().path(), &export.name, message)
}

/// A tensor that stands for a setting.
type Setting = (&'static str, HostTensor<'static>);

/// The architectures for which llama.cpp reads LongRoPE's.
const LONG_ROPE: [&str; 2] = ["llama", "phi3"];

/// Settings that llama.cpp wants as tensors: Llama 3's and LongRoPE's divisors of the frequencies.
fn settings(opened: &Opened, exports: &[Export]) -> Vec<Setting> {
    let vector = |v: &[f32]| HostTensor::from_f32(vec![v.len()], v);
    let Some((rope, gguf)) = opened.spec.position.rope().zip(opened.family.gguf) else {
        return Vec::new();
    };
    match &rope.scaling {
        RopeScaling::Llama3 { .. } if exports.iter().all(|e| e.name != ROPE_FREQS) => {
            vec![(ROPE_FREQS, vector(&Rotary::new(rope).divisors()))]
        }
        RopeScaling::Long(long) if LONG_ROPE.contains(&gguf.architecture) => {
            let [long_name, short_name] = FACTORS;
            vec![
                (long_name, vector(&long.long)),
                (short_name, vector(&long.short)),
            ]
        }
        _ => Vec::new(),
    }
}

/// In which encoding a tensor is written: vectors in f32, matrices as `storage` asks.
fn target(export: &Export, storage: Storage) -> Encoding {
    match storage.target(export.encoding, &export.shape, &export.name) {
        _ if export.shape.len() < 2 && !export.encoding.is_quantized() => Encoding::F32,
        Encoding::F64 => Encoding::F32,
        encoding => encoding,
    }
}

/// The relative error that rounding `before` to `after` made.
fn rounding(before: &HostTensor<'_>, after: &HostTensor<'_>) -> Result<f64> {
    if before.encoding == after.encoding || after.encoding == Encoding::F32 {
        return Ok(0.0);
    }
    let (a, b) = (before.to_f32()?, after.to_f32()?);
    let (mut error, mut size) = (0.0f64, 0.0f64);
    for (&a, &b) in a.iter().zip(&b) {
        error += f64::from(a - b).powi(2);
        size += f64::from(a).powi(2);
    }
    Ok(match size {
        0.0 => 0.0,
        size => (error / size).sqrt(),
    })
}

/// The file's metadata: what llama.cpp needs, the vocabulary, and the original configuration; and
/// how well llama.cpp's keys hold the vocabulary.
fn metadata(opened: &Opened, storage: Storage) -> Result<(Vec<(String, Value)>, Held)> {
    let mut out: Vec<(String, Value)> = Vec::new();
    // A GGUF's vocabulary stays what it is.
    let mut held = Held::Exactly;
    match &opened.origin {
        Origin::Gguf(metadata) => {
            // The parts of a split file come together here.
            let kept = metadata
                .iter()
                .filter(|(key, _)| *key != FILE_TYPE && !key.starts_with("split."));
            out.extend(kept.map(|(key, value)| (key.to_string(), value.clone())));
        }
        Origin::Folder { folder, config } => {
            let architecture = match &opened.family.gguf {
                Some(gguf) => gguf.architecture.to_string(),
                None => format!("wick-{}", opened.family.name),
            };
            out.push((
                "general.architecture".to_string(),
                Value::String(architecture),
            ));
            out.push(("general.name".to_string(), Value::String(name_of(folder))));
            if let Some(gguf) = &opened.family.gguf {
                for (key, value) in (gguf.metadata)(&opened.spec) {
                    let value = gguf::from_json(&value).ok_or_else(|| {
                        Error::Unsupported(format!("{key}: {value} cannot be written into GGUF"))
                    })?;
                    out.push((key, value));
                }
            }
            out.push((WICK_CONFIG.to_string(), Value::String(config.clone())));
            if let Some(text) = generation_config(folder)? {
                out.push((WICK_GENERATION.to_string(), Value::String(text)));
            }
            let vocabulary = gguf_entries(folder, opened.spec.vocab_size)?;
            held = vocabulary.held;
            out.extend(vocabulary.entries);
        }
    }
    out.push(("general.quantization_version".to_string(), Value::U32(2)));
    out.push((FILE_TYPE.to_string(), Value::U32(file_type(storage))));
    if let Some(card) = &opened.card {
        out.push((WICK_CARD.to_string(), Value::String(card.clone())));
    }
    dedup(&mut out);
    Ok((out, held))
}

/// The text of `generation_config.json`, if it is there.
fn generation_config(folder: &Path) -> Result<Option<String>> {
    let path = folder.join("generation_config.json");
    match path.is_file() {
        true => Config::read(&path).map(Some),
        false => Ok(None),
    }
}

const FILE_TYPE: &str = "general.file_type";

/// Keeps the last value of each key.
fn dedup(entries: &mut Vec<(String, Value)>) {
    let mut seen = std::collections::BTreeSet::new();
    entries.reverse();
    entries.retain(|(key, _)| seen.insert(key.clone()));
    entries.reverse();
}

fn name_of(folder: &Path) -> String {
    let full = folder
        .canonicalize()
        .unwrap_or_else(|_| folder.to_path_buf());
    full.file_name()
        .map_or("model".to_string(), |n| n.to_string_lossy().into_owned())
}

/// llama.cpp's number for what most of the file is (`enum llama_ftype`).
fn file_type(storage: Storage) -> u32 {
    let main = match storage {
        Storage::AsStored => return 1024,
        Storage::Float(e) => e,
        Storage::Quantized { layers, .. } => layers,
    };
    match main {
        Encoding::F32 => 0,
        Encoding::F16 => 1,
        Encoding::Q4_0 => 2,
        Encoding::Q4_1 => 3,
        Encoding::Q8_0 => 7,
        Encoding::Q5_0 => 8,
        Encoding::Q5_1 => 9,
        Encoding::Q2_K => 10,
        Encoding::Q3_K => 12,
        Encoding::Q4_K => 15,
        Encoding::Q5_K => 17,
        Encoding::Q6_K => 18,
        Encoding::IQ4_NL => 25,
        Encoding::BF16 => 32,
        _ => 1024,
    }
}
