//! The two containers of `torch.save`, down to each tensor's bytes in the file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::state_dict::{Entry, state_dict};
use super::unpickle::{Pickle, unpickle};
use super::value::{Value, View};
use super::zip::Archive;
use crate::quant::Encoding;
use crate::weights::TensorInfo;
use crate::{Error, Result};

/// A pickle describes tensors and does not hold them: real ones are far smaller.
const MAX_PICKLE: usize = 64 << 20;
/// `MAGIC_NUMBER` of `torch/serialization.py`.
const LEGACY_MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// `PROTOCOL_VERSION` of `torch/serialization.py`.
const LEGACY_PROTOCOL: i128 = 1001;

/// Where a tensor's numbers are.
pub(super) enum Content {
    /// The bytes from its first element to the end of its storage, and its strides in elements
    /// unless it lies row by row without gaps.
    Stored {
        bytes: Range<usize>,
        strides: Option<Vec<usize>>,
    },
    /// Data of the pickle itself.
    Made(Vec<u8>),
}

/// One tensor: what it is and where.
pub(super) type Found = (TensorInfo, Content);

/// The tensors of `data`, the content of `path`.
pub(super) fn tensors(path: &Path, data: &[u8]) -> Result<Vec<Found>> {
    match data {
        [b'P', b'K', ..] => zipped(path, data),
        [0x80, ..] => legacy(path, data),
        _ => Err(Error::format(
            path,
            "not a PyTorch checkpoint: neither a zip archive nor a pickle",
        )),
    }
}

fn zipped(path: &Path, data: &[u8]) -> Result<Vec<Found>> {
    let archive = Archive::open(path, data)?;
    let name = archive.find("/data.pkl")?;
    let prefix = name.strip_suffix("data.pkl").unwrap_or_default();
    let order = archive.content(&format!("{prefix}byteorder"));
    if order.is_some_and(|order| order != b"little") {
        return Err(Error::format(path, "big-endian checkpoints are not read"));
    }
    let content = archive.content(name).unwrap_or_default();
    let pickle = unpickle(path, bounded(path, content)?)?;
    let storage = |key: &str| archive.range(&format!("{prefix}data/{key}"));
    found(path, data.len(), &pickle, storage)
}

/// Pickles of the magic number, the protocol, the machine, the object, and the storages' keys;
/// then each storage as a count and its numbers.
fn legacy(path: &Path, data: &[u8]) -> Result<Vec<Found>> {
    let mut at = 0;
    let mut next = || -> Result<Pickle<'_>> {
        let rest = &data[at..];
        let pickle = unpickle(path, &rest[..rest.len().min(MAX_PICKLE)])?;
        at += pickle.len;
        Ok(pickle)
    };
    let (magic, protocol, machine) = (next()?, next()?, next()?);
    if magic.values[magic.root] != Value::Int(LEGACY_MAGIC)
        || protocol.values[protocol.root] != Value::Int(LEGACY_PROTOCOL)
    {
        return Err(Error::format(
            path,
            "a pickle, but not one of torch.save; only checkpoints of tensors are read",
        ));
    }
    if !is_little_endian(&machine) {
        return Err(Error::format(path, "big-endian checkpoints are not read"));
    }
    let (object, keys) = (next()?, next()?);
    let sizes = storage_sizes(&object);
    let Value::List(keys_list) = &keys.values[keys.root] else {
        return Err(Error::format(path, "no list of storages where one belongs"));
    };
    let mut ranges = BTreeMap::new();
    for &key in keys_list {
        let Value::Str(key) = keys.values[key] else {
            return Err(Error::format(path, "a storage whose key is not text"));
        };
        let cut_short = || {
            Error::format(
                path,
                format!("cut short in storage {key:?}; fetch the file again"),
            )
        };
        let unit = *sizes
            .get(key)
            .ok_or_else(|| Error::format(path, format!("storage {key:?} belongs to no tensor")))?;
        let count = data[at..].first_chunk().ok_or_else(cut_short)?;
        at += count.len();
        let end = usize::try_from(u64::from_le_bytes(*count))
            .ok()
            .and_then(|n| n.checked_mul(unit)?.checked_add(at))
            .filter(|&end| end <= data.len())
            .ok_or_else(cut_short)?;
        ranges.insert(key, at..end);
        at = end;
    }
    found(path, data.len(), &object, |key| ranges.get(key).cloned())
}

/// Bytes of an element of each storage.
fn storage_sizes<'a>(pickle: &Pickle<'a>) -> BTreeMap<&'a str, usize> {
    let storages = pickle.values.iter().filter_map(|value| match value {
        Value::Storage(s) => Some((s.key, s.encoding.block_bytes())),
        _ => None,
    });
    storages.collect()
}

fn is_little_endian(machine: &Pickle<'_>) -> bool {
    let Value::Dict(pairs) = &machine.values[machine.root] else {
        return false;
    };
    pairs.iter().any(|&(key, value)| {
        machine.values[key] == Value::Str("little_endian")
            && machine.values[value] == Value::Bool(true)
    })
}

fn bounded<'a>(path: &Path, content: &'a [u8]) -> Result<&'a [u8]> {
    match content.len() > MAX_PICKLE {
        true => Err(Error::format(
            path,
            format!(
                "a pickle of {} bytes is too large for a checkpoint",
                content.len()
            ),
        )),
        false => Ok(content),
    }
}

/// Every tensor of the state dict with its bytes; `storage` finds those of a storage.
fn found(
    path: &Path,
    file_len: usize,
    pickle: &Pickle<'_>,
    storage: impl Fn(&str) -> Option<Range<usize>>,
) -> Result<Vec<Found>> {
    let mut out = Vec::new();
    for (name, entry) in state_dict(path, pickle)? {
        let name = name.as_str();
        let view = match entry {
            Entry::Tensor(view) => view,
            Entry::Plain(info, bytes) => {
                out.push((info, Content::Made(bytes)));
                continue;
            }
        };
        let bytes = storage(view.key).ok_or_else(|| {
            Error::tensor(
                path,
                name,
                format!("its storage {:?} is not in the file", view.key),
            )
        })?;
        let info = TensorInfo::new(name, view.encoding, view.shape.clone())
            .filter(|info| info.bytes <= file_len)
            .ok_or_else(|| {
                Error::tensor(
                    path,
                    name,
                    format!("shape {:?} is more than the file holds", view.shape),
                )
            })?;
        let begin = first_byte(view, info.is_empty(), bytes.len()).ok_or_else(|| {
            Error::tensor(
                path,
                name,
                format!(
                    "shape {:?} with strides {:?} from element {} does not fit its storage of {} \
                     bytes; the file is cut short or damaged",
                    view.shape,
                    view.strides,
                    view.offset,
                    bytes.len()
                ),
            )
        })?;
        let strides = (!is_contiguous(view)).then(|| view.strides.clone());
        let bytes = bytes.start + begin..bytes.end;
        out.push((info, Content::Stored { bytes, strides }));
    }
    Ok(out)
}

/// The view's first byte within its storage of `len` bytes. `None` if any element is outside.
fn first_byte(view: &View<'_>, is_empty: bool, len: usize) -> Option<usize> {
    if is_empty {
        return Some(0);
    }
    let size = Encoding::block_bytes(view.encoding);
    let steps = view.shape.iter().zip(&view.strides);
    let last = steps.clone().try_fold(view.offset, |at, (&n, &stride)| {
        at.checked_add((n - 1).checked_mul(stride)?)
    })?;
    let end = last.checked_add(1)?.checked_mul(size)?;
    (end <= len).then_some(view.offset * size)
}

/// Whether the elements lie row by row without gaps.
fn is_contiguous(view: &View<'_>) -> bool {
    let mut wanted = 1;
    view.shape.contains(&0)
        || view
            .shape
            .iter()
            .zip(&view.strides)
            .rev()
            .all(|(&n, &stride)| {
                let fits = n == 1 || stride == wanted;
                wanted *= n;
                fits
            })
}
