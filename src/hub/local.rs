//! Models that lie on this machine under a path of their own.

use std::path::{Path, PathBuf};

use super::card;
use super::error::{HubError, Result};
use super::name::ModelRef;
use super::pick::{SplitName, weight_extension};
use crate::files::folder_of;
use crate::load::is_gguf;
use crate::weights::xor::is_encrypted;

/// What lies at a path.
pub(crate) enum Local {
    Model(ModelRef),
    /// Something else lies there, which hides no card of the same name.
    NoModel(&'static str),
    Nothing,
}

pub(crate) fn at(path: &Path) -> Result<Local> {
    if path.is_dir() {
        if is_described(path) || is_encrypted(path) {
            return Ok(Local::Model(ModelRef::Folder(path.to_path_buf())));
        }
        return folder_of_gguf(path);
    }
    if !path.is_file() {
        return Ok(Local::Nothing);
    }
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    match weight_extension(&name) {
        Some("gguf") => Ok(Local::Model(ModelRef::Gguf(first_part(path, &name)?))),
        _ if is_gguf(path) => Ok(Local::Model(ModelRef::Gguf(path.to_path_buf()))),
        Some("safetensors" | "bin" | "pt" | "pth") => {
            let folder = path.parent().unwrap_or(Path::new(""));
            if !is_described(folder) && name.ends_with(".safetensors") {
                return Err(HubError::Local {
                    path: path.to_path_buf(),
                    message: "there is no config.json beside it; a safetensors file alone does not say what model it is".to_string(),
                });
            }
            Ok(Local::Model(ModelRef::Safetensors(path.to_path_buf())))
        }
        _ => Ok(Local::NoModel(
            "this file is neither .gguf nor .safetensors, .bin, .pt or .pth; name the folder that holds its config.json",
        )),
    }
}

/// Whether a folder says what model it holds: by a configuration, or as the files of a family
/// that is published without one.
fn is_described(folder: &Path) -> bool {
    let configured = ["config.json", "params.json", "latest"];
    let alone = |extension: &str| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().ends_with(extension))
    };
    configured.iter().any(|name| folder.join(name).is_file()) || alone(".pt") || alone(".pth")
}

fn folder_of_gguf(folder: &Path) -> Result<Local> {
    let entries = std::fs::read_dir(folder).map_err(|e| HubError::io(folder, e))?;
    let mut models: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| weight_extension(name) == Some("gguf"))
        .filter(|name| SplitName::parse(name).is_none_or(|split| split.index == 1))
        .collect();
    models.sort();
    match models.as_slice() {
        [] => Ok(Local::NoModel(
            "this folder has neither config.json nor a .gguf file",
        )),
        [one] => Ok(Local::Model(ModelRef::Gguf(first_part(
            &folder.join(one),
            one,
        )?))),
        _ => Err(HubError::Ambiguous {
            what: format!("the folder {}", folder.display()),
            names: models,
        }),
    }
}

/// The first part of a split GGUF, all parts being here.
fn first_part(path: &Path, name: &str) -> Result<PathBuf> {
    let Some(split) = SplitName::parse(name) else {
        return Ok(path.to_path_buf());
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let missing: Vec<String> = split
        .parts()
        .filter(|part| !folder.join(part).is_file())
        .take(5)
        .collect();
    if !missing.is_empty() {
        return Err(HubError::Local {
            path: path.to_path_buf(),
            message: format!(
                "it is one of {} parts, and these are not beside it: {}",
                split.total,
                missing.join(", ")
            ),
        });
    }
    Ok(folder.join(split.part(1)))
}

/// Names in the same folder that look like the one that is not there.
pub(crate) fn siblings(path: &Path) -> Vec<String> {
    const MOST: usize = 1000;
    let folder = folder_of(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries
        .flatten()
        .take(MOST)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.chars().any(char::is_control));
    card::nearest(&name, names, 3)
        .into_iter()
        .map(|name| folder.join(name).display().to_string())
        .collect()
}
