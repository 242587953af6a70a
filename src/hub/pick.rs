//! Which files of a repository loading needs, decided on their names alone.

pub(crate) mod gguf;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::error::{HubError, Result};
use super::name::FileSpec;
use crate::weights::NOT_WEIGHTS;
use crate::weights::xor::plain_name;

/// Small files at the root of a repository that configuration and tokenizer may need.
const SMALL_FILES: [&str; 14] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "quantize_config.json",
    "quant_config.json",
    "params.json",
];
/// Tokenizers whose files carry the model's own name (`ice_text.model`, `qwen.tiktoken`).
const SMALL_EXTENSIONS: [&str; 2] = ["model", "tiktoken"];

/// What is to be opened once the files are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Folder,
    /// The first (or only) part.
    Gguf(String),
    /// A safetensors or PyTorch file.
    Safetensors(String),
}

/// The files to fetch, weights last, and what to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    pub kind: Kind,
    pub files: Vec<String>,
}

/// The extension of a weights file, `None` for any other name.
pub(crate) fn weight_extension(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    ["safetensors", "gguf", "bin", "pt", "pth"]
        .into_iter()
        .find(|known| *known == extension)
}

/// A name of the form `STEM-00001-of-00003.EXT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SplitName {
    pub stem: String,
    pub index: u32,
    pub total: u32,
    total_text: String,
    extension: String,
}

impl SplitName {
    pub fn parse(name: &str) -> Option<Self> {
        let (left, extension) = name.rsplit_once('.')?;
        let (left, total_text) = left.rsplit_once("-of-")?;
        let (stem, index_text) = left.rsplit_once('-')?;
        let number = |text: &str| {
            let digits = (5..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u32>().ok()).flatten()
        };
        let (index, total) = (number(index_text)?, number(total_text)?);
        // Index and total may differ in width (`00001-of-000002`); parts share the index's.
        (1 <= index && index <= total && index_text.len() == 5).then(|| Self {
            stem: stem.to_string(),
            index,
            total,
            total_text: total_text.to_string(),
            extension: extension.to_string(),
        })
    }

    /// The name of part `index`, counted from 1.
    pub fn part(&self, index: u32) -> String {
        format!(
            "{}-{index:05}-of-{}.{}",
            self.stem, self.total_text, self.extension
        )
    }

    pub fn parts(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.total).map(|index| self.part(index))
    }
}

/// Picks from a repository's `names` what loading needs.
///
/// # Errors
/// The file or quantization is not there, several fit, or nothing can be loaded.
pub fn pick(repo: &str, names: &[String], file: Option<&FileSpec>) -> Result<Picked> {
    match file {
        Some(FileSpec::Quant(quant)) => gguf::by_quant(repo, names, quant),
        Some(FileSpec::Path(path)) => by_path(repo, names, path),
        None => {
            let encrypted: Vec<String> = names
                .iter()
                .filter(|n| !n.contains('/') && plain_name(n).is_some())
                .cloned()
                .collect();
            if !encrypted.is_empty() {
                return Ok(folder(names, encrypted));
            }
            let weights = folder_weights(names);
            // A bare .pt is how families without any configuration are published.
            let is_described = names
                .iter()
                .any(|n| n == "config.json" || n == "params.json")
                || weights.iter().any(|n| n.ends_with(".pt"));
            if !weights.is_empty() && is_described {
                return Ok(folder(names, weights));
            }
            gguf::usual(repo, names)
        }
    }
}

/// What `--include` asks for (everything loading needs, if nothing), less what `--exclude` names.
/// A glob's `*` also spans `/`, as in Python's tools.
pub fn pick_globs(
    repo: &str,
    names: &[String],
    file: Option<&FileSpec>,
    include: &[String],
    exclude: &[String],
) -> Result<Picked> {
    let excluded = globs("--exclude", exclude)?;
    let mut picked = if include.is_empty() {
        pick(repo, names, file)?
    } else {
        let included = globs("--include", include)?;
        let files: Vec<String> = names
            .iter()
            .filter(|n| included.is_match(n))
            .cloned()
            .collect();
        if files.is_empty() {
            return Err(HubError::FileNotFound {
                repo: repo.to_string(),
                file: include.join(" "),
                near_names: Vec::new(),
            });
        }
        let first_gguf = files.iter().find(|n| weight_extension(n) == Some("gguf"));
        let kind = match first_gguf {
            Some(gguf) if !files.iter().any(|n| n == "config.json") => Kind::Gguf(gguf.clone()),
            _ => Kind::Folder,
        };
        Picked { kind, files }
    };
    picked.files.retain(|n| !excluded.is_match(n));
    Ok(picked)
}

pub(crate) fn globs(flag: &'static str, patterns: &[String]) -> Result<GlobSet> {
    let bad = |e: globset::Error| HubError::Option {
        name: flag,
        message: e.to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        // Python's tools read a folder's name as all that is in it.
        let pattern = if pattern.ends_with('/') {
            format!("{pattern}*")
        } else {
            pattern.clone()
        };
        set.add(
            GlobBuilder::new(&pattern)
                .literal_separator(false)
                .build()
                .map_err(bad)?,
        );
    }
    set.build().map_err(bad)
}

fn is_small(name: &str) -> bool {
    let by_extension = name
        .rsplit_once('.')
        .is_some_and(|(_, extension)| SMALL_EXTENSIONS.contains(&extension));
    !name.contains('/') && (SMALL_FILES.contains(&name) || by_extension)
}

fn folder(names: &[String], weights: Vec<String>) -> Picked {
    let mut files: Vec<String> = names.iter().filter(|n| is_small(n)).cloned().collect();
    files.extend(weights);
    Picked {
        kind: Kind::Folder,
        files,
    }
}

/// Safetensors where there are any, else PyTorch files; of each the `model` rather than copies
/// in another layout (`consolidated`) or precision (`model.fp16`).
fn folder_weights(names: &[String]) -> Vec<String> {
    for (extensions, stem) in [
        (&["safetensors"][..], "model"),
        (&["bin", "pt", "pth"][..], "pytorch_model"),
    ] {
        let root: Vec<&String> = names
            .iter()
            .filter(|n| {
                !n.contains('/') && weight_extension(n).is_some_and(|e| extensions.contains(&e))
            })
            .filter(|n| !NOT_WEIGHTS.iter().any(|other| n.starts_with(other)))
            .collect();
        let main = extensions[0];
        let single = format!("{stem}.{main}");
        let index = format!("{single}.index.json");
        if root.contains(&&single) {
            return vec![single];
        }
        let of_stem = |n: &&&String| SplitName::parse(n).is_some_and(|split| split.stem == stem);
        let shards: Vec<String> = root.iter().filter(of_stem).map(|n| n.to_string()).collect();
        let chosen = if shards.is_empty() {
            let others = |n: &&&String| !n.starts_with("consolidated");
            let others: Vec<String> = root.iter().filter(others).map(|n| n.to_string()).collect();
            if others.is_empty() {
                root.iter().map(|n| n.to_string()).collect()
            } else {
                others
            }
        } else {
            shards
        };
        if !chosen.is_empty() {
            let mut files: Vec<String> = names.iter().filter(|n| **n == index).cloned().collect();
            if files.is_empty() {
                files.extend(
                    names
                        .iter()
                        .filter(|n| !n.contains('/') && n.ends_with(&format!(".{main}.index.json")))
                        .cloned(),
                );
            }
            files.extend(chosen);
            return files;
        }
    }
    Vec::new()
}

fn by_path(repo: &str, names: &[String], path: &str) -> Result<Picked> {
    if !names.iter().any(|n| n == path) {
        return Err(HubError::FileNotFound {
            repo: repo.to_string(),
            file: path.to_string(),
            near_names: super::card::nearest(path, names, 3),
        });
    }
    match weight_extension(path) {
        Some("gguf") => gguf::whole(repo, names, path),
        // Not the folder, of which the usual file would be opened instead.
        Some(_) => Ok(Picked {
            kind: Kind::Safetensors(path.to_string()),
            ..folder(names, vec![path.to_string()])
        }),
        None => Err(HubError::bad_name(
            path,
            "it is not a weights file (.gguf, .safetensors, .bin)",
        )),
    }
}

#[cfg(test)]
mod tests;
