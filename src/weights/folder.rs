//! Which checkpoint a folder holds.

use std::path::{Path, PathBuf};

use super::{Checkpoint, Parallel, PyTorch, Safetensors, pattern, xor};
use crate::arch::{PARALLEL_FILES, ParallelFiles};
use crate::files::read_text_at_most;
use crate::{Error, Result};

/// How the names of what training leaves beside the weights begin.
pub const NOT_WEIGHTS: [&str; 4] = ["training_args", "optimizer", "scheduler", "rng_state"];
/// As many processes as one checkpoint may have been saved by.
const MAX_PARTS: usize = 4096;

/// The checkpoint of a folder: safetensors before PyTorch files, shards before single files, then
/// one file for each process that saved.
///
/// # Errors
/// If there are no weights, or several files and no sign of which to take.
pub fn open_folder(folder: &Path) -> Result<Box<dyn Checkpoint>> {
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
    if let Some(parallel) = open_parallel(folder)? {
        return Ok(parallel);
    }
    for extensions in [&["safetensors"][..], &["bin", "pt", "pth"]] {
        let others = others(folder, extensions)?;
        match others.as_slice() {
            [] => {}
            [single] => return open_single(single),
            [first, ..] => {
                return Err(Error::format(
                    folder,
                    format!(
                        "{} .{} files are there and no index says which to take; name one, such as {}",
                        others.len(),
                        extensions.join(", ."),
                        first.display()
                    ),
                ));
            }
        }
    }
    if xor::is_encrypted(folder) {
        return Err(Error::format(
            folder,
            "its files are encrypted with LLaMA's weights; `wick quantize MODEL --base FOLDER` with the folder of consolidated.00.pth makes a model of it",
        ));
    }
    Err(Error::format(
        folder,
        "no weights: no model.safetensors, pytorch_model.bin, their indexes, consolidated.00.pth, .pt or .pth",
    ))
}

/// One file of weights; with those of the other processes where it is one of theirs.
///
/// # Errors
/// If it cannot be read.
pub fn open_file(path: &Path) -> Result<Box<dyn Checkpoint>> {
    let folder = path.parent().unwrap_or(Path::new(""));
    if is_part(path)
        && let Some(parallel) = open_parallel(folder)?
    {
        return Ok(parallel);
    }
    open_single(path)
}

fn open_single(path: &Path) -> Result<Box<dyn Checkpoint>> {
    match path.extension().is_some_and(|e| e == "safetensors") {
        true => Ok(Box::new(Safetensors::open_file(path)?)),
        false => Ok(Box::new(PyTorch::open_file(path)?)),
    }
}

fn others(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let extension = path.extension().and_then(|e| e.to_str());
        extension.is_some_and(|e| extensions.contains(&e))
            && !NOT_WEIGHTS.iter().any(|n| name.starts_with(n))
    };
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut others: Vec<PathBuf> = paths.filter(fits).collect();
    others.sort();
    Ok(others)
}

/// Whether a file is one of several that make up a checkpoint together.
fn is_part(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part_of = |files: &&ParallelFiles| pattern::matches(files.pattern, &name).is_some();
    PARALLEL_FILES.iter().any(part_of)
}

/// The files of several processes, in `folder` or in the one below it that `latest` names.
fn open_parallel(folder: &Path) -> Result<Option<Box<dyn Checkpoint>>> {
    let latest = latest(folder);
    for folder in [Some(folder), latest.as_deref()].into_iter().flatten() {
        for &files in PARALLEL_FILES {
            let parts = parts(folder, files)?;
            if !parts.is_empty() {
                let parts = parts.iter().map(|path| open_single(path));
                let parts = parts.collect::<Result<Vec<_>>>()?;
                return Ok(Some(Box::new(Parallel::new(folder, parts, files)?)));
            }
        }
    }
    Ok(None)
}

/// The folder of the last iteration, as DeepSpeed and SwissArmyTransformer keep it.
fn latest(folder: &Path) -> Option<PathBuf> {
    const MAX_NAME: u64 = 256;
    let path = folder.join("latest");
    let name = read_text_at_most(&path, MAX_NAME).ok()?;
    let name = name.trim();
    let plain = !name.is_empty() && name != ".." && !name.contains(['/', '\\']);
    Some(folder.join(name)).filter(|path| plain && path.is_dir())
}

/// The files that fit the pattern, by their numbers, none of which may be missing.
fn parts(folder: &Path, files: &ParallelFiles) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut parts: Vec<(usize, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(&[number]) = pattern::matches(files.pattern, &name).as_deref() {
            parts.push((number, entry.path()));
        }
    }
    parts.sort();
    if parts.len() > MAX_PARTS {
        return Err(Error::format(
            folder,
            format!("{} parts of a checkpoint", parts.len()),
        ));
    }
    let gap = (0..).zip(&parts).find(|(i, (number, _))| i != number);
    if let Some((missing, _)) = gap {
        let name = files.pattern.replace("{}", &format!("{missing:02}"));
        return Err(Error::format(
            folder,
            format!("{name} is missing; {} other parts are here", parts.len()),
        ));
    }
    Ok(parts.into_iter().map(|(_, path)| path).collect())
}
