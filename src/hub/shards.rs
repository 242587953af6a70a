//! Weights spread over several files, as `*.index.json` says.

use std::collections::BTreeSet;
use std::path::Path;

use super::api::RemoteFile;
use super::error::{HubError, Result};
use super::fetch::Plan;
use super::name::check_file;
use super::pick::{Picked, globs};
use super::place::Place;
use crate::Error;
use crate::weights::Index;

/// Shards that the index names and the names alone did not show, but for those that `exclude`
/// (`--exclude`) leaves out.
pub(crate) fn forgotten_shards<'a>(
    plan: &'a Plan,
    place: &Place,
    exclude: &[String],
) -> Result<Vec<&'a RemoteFile>> {
    let excluded = globs("--exclude", exclude)?;
    let picked = picked(plan);
    let folder = place.folder(&plan.commit);
    let mut forgotten = Vec::new();
    for shard in indexed_shards(&picked, &folder)? {
        if picked.files.contains(&shard) || excluded.is_match(&shard) {
            continue;
        }
        match plan.all.get(&shard) {
            Some(file) => forgotten.push(file),
            None => {
                return Err(HubError::FileNotFound {
                    repo: plan.model.repo.to_string(),
                    file: shard,
                    near_names: Vec::new(),
                });
            }
        }
    }
    Ok(forgotten)
}

/// Whether the plan's index names shards that are not in the folder.
pub(crate) fn lacks_shards(plan: &Plan, folder: &Path) -> Result<bool> {
    Ok(!missing_shards(&picked(plan), folder)?.is_empty())
}

fn picked(plan: &Plan) -> Picked {
    Picked {
        kind: plan.kind.clone(),
        files: plan.files.iter().map(|f| f.remote.path.clone()).collect(),
    }
}

/// Shards that the picked index names and that are not in the folder.
pub(crate) fn missing_shards(picked: &Picked, folder: &Path) -> Result<Vec<String>> {
    let shards = indexed_shards(picked, folder)?;
    Ok(shards
        .into_iter()
        .filter(|shard| !folder.join(shard).is_file())
        .collect())
}

/// The files that the picked index of shards, if there is one, spreads the weights over.
fn indexed_shards(picked: &Picked, folder: &Path) -> Result<BTreeSet<String>> {
    let Some(index) = picked.files.iter().find(|n| n.ends_with(".index.json")) else {
        return Ok(BTreeSet::new());
    };
    let path = folder.join(index);
    let bad = |message: String| HubError::Format {
        file: path.display().to_string(),
        message,
    };
    let index = Index::read(&path).map_err(|e| match e {
        Error::Io { path, source } => HubError::io(path, source),
        Error::Format { message, .. } => bad(message),
        other => bad(other.to_string()),
    })?;
    let shards = index.names();
    match shards.iter().find(|shard| check_file(shard).is_err()) {
        Some(shard) => Err(bad(format!(
            "it names the shard {:?}",
            super::error::clean(shard)
        ))),
        None => Ok(shards.into_iter().map(str::to_string).collect()),
    }
}
