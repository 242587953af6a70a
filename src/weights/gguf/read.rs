//! Reading GGUF (versions 2 and 3, little-endian) from a memory map, every length checked
//! against what is left of the file before anything is allocated.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ALIGNMENT, Array, DEFAULT_ALIGNMENT, Metadata, Value, ValueType};
use crate::quant::Encoding;
use crate::weights::{Checkpoint, Data, Map, Mapped, TensorInfo};
use crate::{Error, Result};

/// ggml's own limit (`GGML_MAX_DIMS`).
const MAX_DIMS: u32 = 4;
/// Arrays of arrays deeper than this are refused.
const MAX_DEPTH: usize = 8;
/// Elements of all metadata arrays of a file that are not kept flat: in memory one takes up to 32
/// times its room in the file. Models have a few for each layer.
pub(super) const MAX_LOOSE: usize = 1 << 20;

/// An open GGUF file, or all the files of a split one.
pub struct Gguf {
    metadata: Arc<Metadata>,
    tensors: BTreeMap<String, TensorInfo>,
    places: BTreeMap<String, Place>,
    parts: Vec<Map>,
    /// The files on disk; none for bytes that the binary carries.
    files: Vec<PathBuf>,
}

/// Where a tensor's bytes begin.
#[derive(Clone, Copy)]
struct Place {
    part: usize,
    offset: usize,
}

impl Gguf {
    /// Opens `path`, checking the header, every metadata entry and every tensor's bounds. Of a
    /// split file (`NAME-00001-of-00003.gguf`) any part names the whole.
    ///
    /// # Errors
    /// Names the file and what is wrong with it: not GGUF, an unsupported version, cut short,
    /// a tensor of an unknown type or reaching past the end, a part that is missing.
    pub fn open(path: &Path) -> Result<Self> {
        let one = Self::parse(path, Map::open(path)?, vec![path.to_path_buf()])?;
        match one.metadata.usize("split.count")? {
            None | Some(0 | 1) => Ok(one),
            Some(count) => Self::split(path, count),
        }
    }

    /// Opens a GGUF that the binary carries; `name` stands for the path in messages.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self> {
        Self::parse(Path::new(name), Map::from_static(bytes), Vec::new())
    }

    fn parse(path: &Path, map: Map, files: Vec<PathBuf>) -> Result<Self> {
        let (metadata, tensors, offsets) = Parser {
            path,
            data: map.bytes(),
            at: 0,
            loose: 0,
        }
        .file()?;
        let place = |(name, offset)| (name, Place { part: 0, offset });
        Ok(Self {
            metadata: Arc::new(metadata),
            tensors,
            places: offsets.into_iter().map(place).collect(),
            parts: vec![map],
            files,
        })
    }

    /// All `count` parts; the first one's metadata are the model's.
    fn split(path: &Path, count: usize) -> Result<Self> {
        let names = split_names(path, count).ok_or_else(|| {
            let message =
                format!("one of {count} parts, but not called NAME-00001-of-{count:05}.gguf");
            Error::format(path, message)
        })?;
        let mut parts = names.iter().map(|name| {
            let file = path.with_file_name(name);
            Self::parse(&file, Map::open(&file)?, vec![file.clone()])
        });
        let mut whole = match parts.next() {
            Some(first) => first?,
            None => return Err(Error::format(path, "a split into no parts")),
        };
        for part in parts {
            let part = part?;
            let number = whole.parts.len();
            for (name, info) in part.tensors {
                if whole.tensors.insert(name.clone(), info).is_some() {
                    return Err(Error::tensor(path, &name, "stands in two parts"));
                }
            }
            let moved = |(name, place): (String, Place)| {
                let offset = place.offset;
                (
                    name,
                    Place {
                        part: number,
                        offset,
                    },
                )
            };
            whole.places.extend(part.places.into_iter().map(moved));
            whole.parts.extend(part.parts);
            whole.files.extend(part.files);
        }
        Ok(whole)
    }

    /// The file's key-value metadata.
    pub fn metadata(&self) -> Arc<Metadata> {
        self.metadata.clone()
    }

    /// The part and the range of one tensor's bytes.
    fn range(&self, name: &str) -> Option<(&Map, Range<usize>)> {
        let (info, place) = (self.tensors.get(name)?, self.places.get(name)?);
        let map = self.parts.get(place.part)?;
        Some((map, place.offset..place.offset + info.bytes))
    }
}

/// The names of all parts of the split file that `path` is a part of.
fn split_names(path: &Path, count: usize) -> Option<Vec<String>> {
    // llama.cpp writes five digits.
    let stem = path.file_name()?.to_str()?;
    let stem = stem.strip_suffix(&format!("-of-{count:05}.gguf"))?;
    let (stem, number) = stem.rsplit_once('-')?;
    let known = number.len() == 5 && number.bytes().all(|b| b.is_ascii_digit());
    (known && count < 100_000).then(|| {
        (1..=count)
            .map(|i| format!("{stem}-{i:05}-of-{count:05}.gguf"))
            .collect()
    })
}

impl Checkpoint for Gguf {
    fn path(&self) -> &Path {
        &self.metadata.path
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<Data<'_>> {
        self.range(name)
            .and_then(|(map, range)| Mapped::new(map, range))
            .map(Data::Mapped)
            .ok_or_else(|| Error::tensor(self.path(), name, "not in the file"))
    }

    fn release(&self, name: &str) {
        if let Some((map, _)) = self.range(name) {
            map.release();
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files.clone()
    }
}

type Parsed = (
    Metadata,
    BTreeMap<String, TensorInfo>,
    BTreeMap<String, usize>,
);

struct Parser<'a> {
    path: &'a Path,
    data: &'a [u8],
    at: usize,
    /// What counts towards [`MAX_LOOSE`].
    loose: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, message: impl Into<String>) -> Error {
        Error::format(self.path, message)
    }

    fn left(&self) -> usize {
        self.data.len() - self.at
    }

    fn bytes(&mut self, n: usize) -> Result<&'a [u8]> {
        if n > self.left() {
            return Err(self.error(format!(
                "cut short: {n} bytes wanted at offset {}, {} left; fetch the file again",
                self.at,
                self.left()
            )));
        }
        let bytes = &self.data[self.at..self.at + n];
        self.at += n;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N)?);
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A count of things of at least `min_bytes` each, so that it cannot exceed what is left.
    fn count(&mut self, what: &str, min_bytes: usize) -> Result<usize> {
        let n = self.u64()?;
        if n > (self.left() / min_bytes) as u64 {
            return Err(self.error(format!(
                "{n} {what} announced at offset {}, more than the file can hold",
                self.at - 8
            )));
        }
        Ok(n as usize)
    }

    fn string(&mut self) -> Result<String> {
        let n = self.count("bytes of text", 1)?;
        Ok(String::from_utf8_lossy(self.bytes(n)?).into_owned())
    }

    fn value_type(&mut self) -> Result<ValueType> {
        let id = self.u32()?;
        ValueType::from_id(id)
            .ok_or_else(|| self.error(format!("metadata value of unknown type {id}")))
    }

    fn value(&mut self, kind: ValueType, depth: usize) -> Result<Value> {
        Ok(match kind {
            ValueType::U8 => Value::U8(self.array::<1>()?[0]),
            ValueType::I8 => Value::I8(i8::from_le_bytes(self.array()?)),
            ValueType::U16 => Value::U16(u16::from_le_bytes(self.array()?)),
            ValueType::I16 => Value::I16(i16::from_le_bytes(self.array()?)),
            ValueType::U32 => Value::U32(self.u32()?),
            ValueType::I32 => Value::I32(i32::from_le_bytes(self.array()?)),
            ValueType::F32 => Value::F32(f32::from_le_bytes(self.array()?)),
            ValueType::Bool => Value::Bool(self.array::<1>()?[0] != 0),
            ValueType::String => Value::String(self.string()?),
            ValueType::Array => Value::Array(self.value_array(depth)?),
            ValueType::U64 => Value::U64(self.u64()?),
            ValueType::I64 => Value::I64(i64::from_le_bytes(self.array()?)),
            ValueType::F64 => Value::F64(f64::from_le_bytes(self.array()?)),
        })
    }

    fn value_array(&mut self, depth: usize) -> Result<Array> {
        if depth >= MAX_DEPTH {
            return Err(self.error(format!("metadata arrays nested deeper than {MAX_DEPTH}")));
        }
        let kind = self.value_type()?;
        let min_bytes = match kind {
            // A type and a length.
            ValueType::Array => 12,
            // Of a text, its length.
            _ => kind.bytes().unwrap_or(8),
        };
        let n = self.count("array elements", min_bytes)?;
        let words = |bytes: &'a [u8]| {
            bytes.chunks_exact(4).map(|c| {
                let mut word = [0; 4];
                word.copy_from_slice(c);
                word
            })
        };
        Ok(match kind {
            ValueType::U8 => Array::U8(self.bytes(n)?.to_vec()),
            ValueType::U32 => {
                Array::U32(words(self.bytes(n * 4)?).map(u32::from_le_bytes).collect())
            }
            ValueType::I32 => {
                Array::I32(words(self.bytes(n * 4)?).map(i32::from_le_bytes).collect())
            }
            ValueType::F32 => {
                Array::F32(words(self.bytes(n * 4)?).map(f32::from_le_bytes).collect())
            }
            ValueType::String => {
                Array::Strings((0..n).map(|_| self.string()).collect::<Result<_>>()?)
            }
            _ => Array::Other(self.loose_values(kind, n, depth)?),
        })
    }

    /// The `n` elements of an array that is not kept flat.
    fn loose_values(&mut self, kind: ValueType, n: usize, depth: usize) -> Result<Vec<Value>> {
        self.loose = self.loose.saturating_add(n);
        if self.loose > MAX_LOOSE {
            return Err(self.error(format!(
                "metadata arrays of more than {MAX_LOOSE} elements of a type that vocabularies do not use (at offset {})",
                self.at
            )));
        }
        (0..n).map(|_| self.value(kind, depth + 1)).collect()
    }

    fn file(mut self) -> Result<Parsed> {
        if self.data.len() < 24 || &self.array::<4>()? != b"GGUF" {
            return Err(self.error("not a GGUF file (it does not begin with GGUF)"));
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return Err(self.error(format!(
                "GGUF version {version}; versions 2 and 3 in little-endian order are read"
            )));
        }
        let n_tensors = self.count("tensors", 24)?;
        let n_values = self.count("metadata entries", 13)?;
        let metadata = self.metadata(n_values)?;
        let alignment = alignment(&metadata)?;
        let mut headers = Vec::new();
        for _ in 0..n_tensors {
            headers.push(self.tensor_header()?);
        }
        let start = (self.at as u64).next_multiple_of(alignment);
        let mut tensors = BTreeMap::new();
        let mut offsets = BTreeMap::new();
        for (info, offset) in headers {
            if !offset.is_multiple_of(alignment) {
                let message = format!(
                    "its data begin at offset {offset}, not at a multiple of {alignment}; convert the model again"
                );
                return Err(Error::tensor(self.path, &info.name, message));
            }
            let name = info.name.clone();
            offsets.insert(name.clone(), self.begin(&info, start, offset)?);
            if tensors.insert(name.clone(), info).is_some() {
                return Err(Error::tensor(self.path, &name, "stands twice in the file"));
            }
        }
        Ok((metadata, tensors, offsets))
    }

    /// The `n` entries of the metadata.
    fn metadata(&mut self, n: usize) -> Result<Metadata> {
        let mut values = BTreeMap::new();
        for _ in 0..n {
            let key = self.string()?;
            let kind = self.value_type()?;
            let value = self.value(kind, 0)?;
            if values.insert(key.clone(), value).is_some() {
                return Err(self.error(format!("metadata key {key} stands twice")));
            }
        }
        Ok(Metadata {
            path: self.path.to_path_buf(),
            values,
        })
    }

    /// Where a tensor's data begin: at `offset` from the `start` of all data, and whole.
    fn begin(&self, info: &TensorInfo, start: u64, offset: u64) -> Result<usize> {
        let error = |message: String| Error::tensor(self.path, &info.name, message);
        let begin = start.checked_add(offset);
        let end = begin.and_then(|b| b.checked_add(info.bytes as u64));
        let (Some(begin), Some(end)) = (begin, end) else {
            return Err(error("offset out of range".to_string()));
        };
        if end > self.data.len() as u64 {
            return Err(error(format!(
                "its data end at byte {end}, the file at {}; it is cut short: fetch it again",
                self.data.len()
            )));
        }
        Ok(begin as usize)
    }

    /// One tensor's entry: its description and its offset from the start of the data.
    fn tensor_header(&mut self) -> Result<(TensorInfo, u64)> {
        let name = self.string()?;
        let n_dims = self.u32()?;
        if n_dims > MAX_DIMS {
            return Err(Error::tensor(
                self.path,
                &name,
                format!("{n_dims} dimensions; at most {MAX_DIMS} are possible"),
            ));
        }
        // GGUF writes the innermost dimension first.
        let mut shape = (0..n_dims)
            .map(|_| Ok(self.u64()?.try_into().unwrap_or(usize::MAX)))
            .collect::<Result<Vec<usize>>>()?;
        shape.reverse();
        let kind = self.u32()?;
        let encoding = Encoding::from_ggml_id(kind).ok_or_else(|| {
            Error::tensor(
                self.path,
                &name,
                format!("ggml type {kind} is not supported; choose another quantization"),
            )
        })?;
        let info = TensorInfo::new(&name, encoding, shape).ok_or_else(|| {
            Error::tensor(
                self.path,
                &name,
                format!("its rows do not fill whole {encoding} blocks, or its size overflows"),
            )
        })?;
        Ok((info, self.u64()?))
    }
}

/// What the data of tensors are aligned to.
fn alignment(metadata: &Metadata) -> Result<u64> {
    let Some(value) = metadata.get(ALIGNMENT) else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    value
        .as_u64()
        .filter(|a| a.is_power_of_two() && (8..=1 << 20).contains(a))
        .ok_or_else(|| metadata.error(ALIGNMENT, "a power of two from 8 to 1048576 is wanted"))
}
