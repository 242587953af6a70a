//! PyTorch checkpoints (`.bin`, `.pt`, `.pth`), single or sharded with an index: the zip files of
//! `torch.save` and the streams that it wrote before version 1.6. Nothing in them is executed.

mod container;
mod rebuild;
mod state_dict;
mod unpickle;
mod value;
mod zip;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::container::Content;
use super::{Checkpoint, Data, Index, Map, Mapped, TensorInfo};
use crate::{Error, Result};

/// Where one tensor's numbers are, and in which file.
struct Place {
    file: usize,
    content: Content,
}

/// An open PyTorch checkpoint.
pub struct PyTorch {
    path: PathBuf,
    files: Vec<(PathBuf, Map)>,
    tensors: BTreeMap<String, TensorInfo>,
    places: BTreeMap<String, Place>,
}

impl PyTorch {
    /// Opens one file: a state dict, or a dict that holds one as `state_dict`, `model`,
    /// `model_state_dict` or `module`. The members of a list are tensors of their own,
    /// `NAME.0`, `NAME.1` ….
    ///
    /// # Errors
    /// Names what in the file is not data, does not fit into it, or is not a tensor.
    pub fn open_file(path: &Path) -> Result<Self> {
        Self::open_files(path.to_path_buf(), &[path.to_path_buf()])
    }

    /// Opens the files that an index (`pytorch_model.bin.index.json`) names, all in the index's
    /// folder, and checks that each tensor is where the index says.
    ///
    /// # Errors
    /// As [`PyTorch::open_file`], or if the index cannot be read, names a file outside its folder
    /// or another place for a tensor, or a tensor stands in two files.
    pub fn open_index(index: &Path) -> Result<Self> {
        let index = Index::read(index)?;
        let opened = Self::open_files(index.folder().to_path_buf(), &index.files()?)?;
        index.check(|tensor| {
            let place = opened.places.get(tensor)?;
            Some(opened.files[place.file].0.as_path())
        })?;
        Ok(opened)
    }

    fn open_files(path: PathBuf, files: &[PathBuf]) -> Result<Self> {
        let mut out = Self {
            path,
            files: Vec::new(),
            tensors: BTreeMap::new(),
            places: BTreeMap::new(),
        };
        for (file, path) in files.iter().enumerate() {
            let map = Map::open(path)?;
            for (info, content) in container::tensors(path, map.bytes())? {
                let name = info.name.clone();
                let place = Place { file, content };
                if out.places.insert(name.clone(), place).is_some() {
                    return Err(Error::tensor(path, &name, "stands in two files"));
                }
                out.tensors.insert(name, info);
            }
            out.files.push((path.clone(), map));
        }
        Ok(out)
    }
}

impl Checkpoint for PyTorch {
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
        let (path, map) = &self.files[place.file];
        let past_end = || Error::tensor(path, name, "reaches past the end of its storage");
        let (bytes, strides) = match &place.content {
            Content::Stored { bytes, strides } => (bytes, strides),
            Content::Made(bytes) => return Ok(Data::Borrowed(bytes)),
        };
        let data = map.bytes().get(bytes.clone()).ok_or_else(past_end)?;
        match strides {
            None if data.len() < info.bytes => Err(past_end()),
            None => Mapped::new(map, bytes.start..bytes.start + info.bytes)
                .map(Data::Mapped)
                .ok_or_else(past_end),
            Some(strides) => gather(data, info, strides)
                .map(Data::Owned)
                .ok_or_else(past_end),
        }
    }

    fn release(&self, name: &str) {
        if let Some(place) = self.places.get(name) {
            self.files[place.file].1.release();
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files.iter().map(|(path, _)| path.clone()).collect()
    }
}

/// Copies a strided view row by row. `None` if it reaches past `data`.
fn gather(data: &[u8], info: &TensorInfo, strides: &[usize]) -> Option<Vec<u8>> {
    let size = info.encoding.block_bytes();
    let mut out = Vec::with_capacity(info.bytes);
    let mut index = vec![0; info.shape.len()];
    let mut at = 0;
    for _ in 0..info.len() {
        out.extend_from_slice(data.get(at * size..(at + 1) * size)?);
        // The next index in row-major order, like an odometer.
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < info.shape[axis] {
                break;
            }
            at -= strides[axis] * info.shape[axis];
            index[axis] = 0;
        }
    }
    Some(out)
}
