//! GGUF repositories: many quantizations of one model, some of them split.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Picked, SplitName, weight_extension};
use crate::hub::api::RemoteFile;
use crate::hub::error::{HubError, Result};

/// GGUF files that are not a language model's weights.
const NOT_A_MODEL: [&str; 2] = ["mmproj", "imatrix"];

/// Taken where a GGUF repository is named without a quantization, first found first.
const USUAL_QUANTS: [&str; 3] = ["Q4_K_M", "Q4_0", "Q8_0"];

/// The models of a repository by their first files; of split ones the other parts are left out.
fn models(names: &[String]) -> BTreeSet<String> {
    names
        .iter()
        .filter(|name| weight_extension(name) == Some("gguf"))
        .filter(|name| {
            let lower = name.to_ascii_lowercase();
            !NOT_A_MODEL.iter().any(|other| lower.contains(other))
        })
        .map(|name| SplitName::parse(name).map_or_else(|| name.clone(), |split| split.part(1)))
        .collect()
}

/// The GGUF models among `files`: what to write after the colon, and bytes of all parts.
pub(crate) fn sizes(files: &BTreeMap<String, RemoteFile>) -> Vec<(String, u64)> {
    let names: Vec<String> = files.keys().cloned().collect();
    let size = |first: &String| -> Option<u64> {
        let parts = match SplitName::parse(first) {
            Some(split) => split.parts().collect(),
            None => vec![first.clone()],
        };
        let mut sizes = parts.iter().map(|part| Some(files.get(part)?.size));
        sizes.try_fold(0u64, |sum, size| Some(sum.saturating_add(size?)))
    };
    let firsts = models(&names);
    let mut found: Vec<(String, u64)> = firsts
        .iter()
        .filter_map(|first| Some((quant_of(first), size(first)?)))
        .collect();
    found.sort_by_key(|(_, size)| *size);
    found
}

/// Whether a file's name holds the quantization as a word: `Q4_K` is not in `m-Q4_K_M.gguf`.
fn has_quant(name: &str, quant: &str) -> bool {
    let (name, quant) = (name.to_ascii_uppercase(), quant.to_ascii_uppercase());
    name.match_indices(&quant).any(|(at, found)| {
        let before = name[..at].chars().next_back();
        let after = name[at + found.len()..].chars().next();
        before.is_none_or(|c| !c.is_alphanumeric())
            && after.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

/// The quantization in a file's name, or the name itself.
pub(super) fn quant_of(name: &str) -> String {
    let stem = SplitName::parse(name)
        .map_or_else(|| name.trim_end_matches(".gguf").to_string(), |s| s.stem);
    let base = stem.rsplit('/').next().unwrap_or_default();
    let starts = ["Q", "IQ", "TQ", "F16", "F32", "BF16", "MXFP"];
    base.split(['-', '.'])
        .rev()
        .map(str::to_ascii_uppercase)
        .find(|word| {
            starts.iter().any(|s| {
                word.strip_prefix(s).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit())
                })
            })
        })
        .unwrap_or_else(|| name.to_string())
}

pub(super) fn by_quant(repo: &str, names: &[String], quant: &str) -> Result<Picked> {
    let models = models(names);
    let fits: Vec<&String> = models
        .iter()
        .filter(|first| has_quant(first, quant))
        .collect();
    match fits.as_slice() {
        [one] => whole(repo, names, one),
        [] => Err(HubError::QuantNotFound {
            repo: repo.to_string(),
            quant: quant.to_string(),
            available: models.iter().map(|name| quant_of(name)).collect(),
        }),
        several => Err(HubError::Ambiguous {
            what: format!("{repo}:{quant}"),
            names: several
                .iter()
                .map(|name| format!("{repo}:{name}"))
                .collect(),
        }),
    }
}

pub(super) fn usual(repo: &str, names: &[String]) -> Result<Picked> {
    let models = models(names);
    let mut firsts = models.iter();
    match (firsts.next(), firsts.next()) {
        (None, _) => Err(HubError::NoWeights {
            repo: repo.to_string(),
            found: names.iter().take(10).cloned().collect(),
        }),
        (Some(only), None) => whole(repo, names, only),
        _ => {
            for quant in USUAL_QUANTS {
                let mut fits = models.iter().filter(|first| has_quant(first, quant));
                if let (Some(one), None) = (fits.next(), fits.next()) {
                    return whole(repo, names, one);
                }
            }
            Err(HubError::Ambiguous {
                what: repo.to_string(),
                names: models
                    .iter()
                    .map(|name| format!("{repo}:{}", quant_of(name)))
                    .collect(),
            })
        }
    }
}

/// One GGUF model with all its parts, given any of them.
pub(super) fn whole(repo: &str, names: &[String], any: &str) -> Result<Picked> {
    let Some(split) = SplitName::parse(any) else {
        return Ok(Picked {
            kind: Kind::Gguf(any.to_string()),
            files: vec![any.to_string()],
        });
    };
    let here = names
        .iter()
        .filter(|n| {
            SplitName::parse(n).is_some_and(|s| s.stem == split.stem && s.total == split.total)
        })
        .count();
    if here != split.total as usize {
        return Err(HubError::Format {
            file: format!("{repo}: {any}"),
            message: format!("the repository has {here} of its {} parts", split.total),
        });
    }
    Ok(Picked {
        kind: Kind::Gguf(split.part(1)),
        files: split.parts().collect(),
    })
}
