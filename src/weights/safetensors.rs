//! Safetensors, single or sharded with an index (`model.safetensors.index.json`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::{Checkpoint, Data, Map, Mapped, TensorInfo};
use crate::quant::Encoding;
use crate::{Error, Result};

/// The largest index that is read; real ones are below 10 MB.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Where one tensor's bytes are: the shard and the range in it.
struct Place {
    shard: usize,
    begin: usize,
}

/// An open safetensors checkpoint.
pub struct Safetensors {
    path: PathBuf,
    shards: Vec<(PathBuf, Map)>,
    tensors: BTreeMap<String, TensorInfo>,
    places: BTreeMap<String, Place>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Safetensors {
    /// Opens one `.safetensors` file.
    pub fn open_file(path: &Path) -> Result<Self> {
        Self::open_shards(path.to_path_buf(), &[path.to_path_buf()])
    }

    /// Opens the shards that an index names, all in the index's folder, and checks that each
    /// tensor is where the index says.
    pub fn open_index(index: &Path) -> Result<Self> {
        let weight_map = read_index(index)?;
        let folder = index.parent().unwrap_or(Path::new(""));
        let shards = shard_files(index, &weight_map)?;
        let opened = Self::open_shards(folder.to_path_buf(), &shards)?;
        for (tensor, shard) in &weight_map {
            let found = opened
                .places
                .get(tensor)
                .map(|p| opened.shards[p.shard].0.as_path());
            if found != Some(&folder.join(shard)) {
                return Err(Error::format(
                    index,
                    format!("tensor {tensor} is said to be in {shard}, where it is not"),
                ));
            }
        }
        Ok(opened)
    }

    fn open_shards(path: PathBuf, files: &[PathBuf]) -> Result<Self> {
        let mut out = Self {
            path,
            shards: Vec::new(),
            tensors: BTreeMap::new(),
            places: BTreeMap::new(),
        };
        for (shard, file) in files.iter().enumerate() {
            let map = Map::open(file)?;
            let (header, metadata) = SafeTensors::read_metadata(map.bytes())
                .map_err(|e| Error::format(file, format!("not valid safetensors: {e}")))?;
            for (name, info) in metadata.tensors() {
                let (begin, end) = info.data_offsets;
                let encoding = encoding(info.dtype).ok_or_else(|| {
                    Error::tensor(file, &name, format!("type {:?} is not read", info.dtype))
                })?;
                let stored = TensorInfo::new(&name, encoding, info.shape.clone())
                    .filter(|t| t.bytes == end - begin)
                    .ok_or_else(|| Error::tensor(file, &name, "shape and size disagree"))?;
                let begin = header + 8 + begin;
                if out.tensors.insert(name.clone(), stored).is_some() {
                    return Err(Error::tensor(file, &name, "stands in two shards"));
                }
                out.places.insert(name, Place { shard, begin });
            }
            out.shards.push((file.clone(), map));
        }
        Ok(out)
    }
}

/// The map from tensor names to shard files of an index (safetensors' or PyTorch's).
pub(super) fn read_index(path: &Path) -> Result<BTreeMap<String, String>> {
    let size = std::fs::metadata(path)
        .map_err(|e| Error::io(path, e))?
        .len();
    if size > MAX_INDEX_BYTES {
        return Err(Error::format(
            path,
            format!("{size} bytes are too many for an index"),
        ));
    }
    let text = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let index: Index = serde_json::from_slice(&text)
        .map_err(|e| Error::format(path, format!("not a weight index: {e}")))?;
    Ok(index.weight_map)
}

/// The files of an index, which must stand beside it.
pub(super) fn shard_files(
    index: &Path,
    weight_map: &BTreeMap<String, String>,
) -> Result<Vec<PathBuf>> {
    let folder = index.parent().unwrap_or(Path::new(""));
    let names: BTreeSet<&str> = weight_map.values().map(String::as_str).collect();
    if let Some(name) = names
        .iter()
        .find(|name| name.contains(['/', '\\']) || **name == "..")
    {
        return Err(Error::format(
            index,
            format!("shard {name:?} is not a plain file name"),
        ));
    }
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

fn encoding(dtype: Dtype) -> Option<Encoding> {
    Some(match dtype {
        Dtype::F64 => Encoding::F64,
        Dtype::F32 => Encoding::F32,
        Dtype::F16 => Encoding::F16,
        Dtype::BF16 => Encoding::BF16,
        Dtype::I8 => Encoding::I8,
        Dtype::U8 => Encoding::U8,
        Dtype::I16 => Encoding::I16,
        Dtype::I32 => Encoding::I32,
        Dtype::I64 => Encoding::I64,
        Dtype::BOOL => Encoding::Bool,
        _ => return None,
    })
}

impl Checkpoint for Safetensors {
    fn path(&self) -> &Path {
        &self.path
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<Data<'_>> {
        let (Some(info), Some(place)) = (self.tensors.get(name), self.places.get(name)) else {
            return Err(Error::tensor(&self.path, name, "not in the checkpoint"));
        };
        let (file, map) = &self.shards[place.shard];
        Mapped::new(map, place.begin..place.begin + info.bytes)
            .map(Data::Mapped)
            .ok_or_else(|| Error::tensor(file, name, "reaches past the end of the file"))
    }

    fn release(&self, name: &str) {
        if let Some(place) = self.places.get(name) {
            self.shards[place.shard].1.release();
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        self.shards.iter().map(|(p, _)| p.clone()).collect()
    }
}
