//! Safetensors, single or sharded with an index (`model.safetensors.index.json`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

use super::{Checkpoint, Data, Index, Map, Mapped, TensorInfo};
use crate::quant::Encoding;
use crate::{Error, Result};

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

impl Safetensors {
    /// Opens one `.safetensors` file.
    ///
    /// # Errors
    /// If it cannot be read, is not safetensors, or has a tensor of a type that is not read or of
    /// another size than its shape.
    pub fn open_file(path: &Path) -> Result<Self> {
        Self::open_shards(path.to_path_buf(), &[path.to_path_buf()])
    }

    /// Opens the shards that an index names, all in the index's folder, and checks that each
    /// tensor is where the index says.
    ///
    /// # Errors
    /// As [`Safetensors::open_file`], or if the index cannot be read, names a file outside its
    /// folder or another place for a tensor, or a tensor stands in two shards.
    pub fn open_index(index: &Path) -> Result<Self> {
        let index = Index::read(index)?;
        let opened = Self::open_shards(index.folder().to_path_buf(), &index.files()?)?;
        index.check(|tensor| {
            let place = opened.places.get(tensor)?;
            Some(opened.shards[place.shard].0.as_path())
        })?;
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
