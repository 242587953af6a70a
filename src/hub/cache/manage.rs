//! What the cache holds and making room in it. The scan is hf-hub's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hf_hub::HFClient;

use crate::hub::error::{HubError, Result};
use crate::hub::name::RepoId;

/// A model in the cache, whoever fetched it.
#[derive(Debug, Clone)]
pub struct CachedModel {
    pub repo: RepoId,
    /// Bytes on the disk, blobs that revisions share counted once, unfinished downloads included.
    pub bytes: u64,
    /// Bytes of unfinished downloads alone.
    pub unfinished: u64,
    pub last_used: SystemTime,
    pub revisions: Vec<CachedRevision>,
}

impl CachedModel {
    /// The revision of a branch, tag or commit.
    pub fn revision(&self, name: &str) -> Option<&CachedRevision> {
        self.revisions.iter().find(|revision| revision.is(name))
    }
}

impl CachedRevision {
    fn is(&self, name: &str) -> bool {
        self.commit == name || self.refs.iter().any(|known| known == name)
    }
}

/// One commit of a cached model.
#[derive(Debug, Clone)]
pub struct CachedRevision {
    pub commit: String,
    /// Branches and tags that stand for it.
    pub refs: Vec<String>,
    /// Bytes of its files, those it shares with other revisions included.
    pub bytes: u64,
    /// Files by their names in the repository.
    pub files: Vec<String>,
    blobs: BTreeSet<PathBuf>,
    snapshot: PathBuf,
}

/// What a removal did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    pub revisions: usize,
    /// Bytes given back.
    pub bytes: u64,
}

/// Every model in the cache, by name. A cache that does not exist is empty.
///
/// # Errors
/// The folder cannot be read.
pub fn list(cache: &Path) -> Result<Vec<CachedModel>> {
    let failed = |e: hf_hub::HFError| HubError::io(cache, std::io::Error::other(e.to_string()));
    // No request is made; without an address of its own the client would read the environment.
    let client = HFClient::builder()
        .cache_dir(cache)
        .endpoint("https://huggingface.co")
        .build_sync()
        .map_err(failed)?;
    let found = client.scan_cache().send().map_err(failed)?;
    let mut models: Vec<CachedModel> = found
        .repos
        .into_iter()
        .filter(|repo| repo.repo_type == "model")
        .filter_map(|repo| {
            let id = RepoId::parse(&repo.repo_id).ok()?;
            let unfinished = unfinished(&repo.repo_path.join("blobs"));
            let revisions = repo
                .revisions
                .into_iter()
                .map(|revision| CachedRevision {
                    commit: revision.commit_hash,
                    refs: revision.refs,
                    bytes: revision.size_on_disk,
                    files: revision.files.iter().map(|f| f.file_name.clone()).collect(),
                    blobs: revision.files.into_iter().map(|f| f.blob_path).collect(),
                    snapshot: revision.snapshot_path,
                })
                .collect();
            Some(CachedModel {
                repo: id,
                bytes: repo.size_on_disk + unfinished,
                unfinished,
                last_used: repo.last_accessed,
                revisions,
            })
        })
        .collect();
    models.sort_by(|a, b| a.repo.cmp(&b.repo));
    Ok(models)
}

/// Ids of the models that the cache has a folder of, by name; quick, for nothing else is looked at.
pub fn names(cache: &Path) -> Vec<String> {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let id = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let id = name.strip_prefix("models--")?.replacen("--", "/", 1);
        let has_content = entry.path().join("snapshots").is_dir();
        (has_content && RepoId::parse(&id).is_ok()).then_some(id)
    };
    let mut names: Vec<String> = entries.filter_map(id).collect();
    names.sort();
    names
}

/// Removes a model from the cache, or one revision of it (a branch, tag or commit). Blobs that
/// another revision still links to stay.
///
/// # Errors
/// It is not in the cache, or its files cannot be removed.
pub fn remove(cache: &Path, repo: &RepoId, revision: Option<&str>) -> Result<Removed> {
    let models = list(cache)?;
    let Some(model) = models.iter().find(|m| m.repo == *repo) else {
        let ids: Vec<String> = models.iter().map(|m| m.repo.to_string()).collect();
        return Err(HubError::UnknownName {
            name: repo.to_string(),
            tried: vec![format!("the cache {}", cache.display())],
            near_names: crate::hub::card::nearest(&repo.to_string(), ids, 3),
        });
    };
    let folder = cache.join(repo.folder());
    let (gone, kept): (Vec<&CachedRevision>, Vec<&CachedRevision>) = match revision {
        None => (model.revisions.iter().collect(), Vec::new()),
        Some(name) => model.revisions.iter().partition(|r| r.is(name)),
    };
    if let (Some(name), true) = (revision, gone.is_empty()) {
        return Err(HubError::RevisionNotFound {
            repo: repo.to_string(),
            revision: name.to_string(),
            near_names: model
                .revisions
                .iter()
                .flat_map(|r| r.refs.clone())
                .collect(),
        });
    }
    if kept.is_empty() {
        remove_folder(&folder)?;
        let locks = cache.join(".locks").join(repo.folder());
        if locks.exists() {
            remove_folder(&locks)?;
        }
        return Ok(Removed {
            revisions: gone.len(),
            bytes: model.bytes,
        });
    }
    let used: BTreeSet<&PathBuf> = kept.iter().flat_map(|r| &r.blobs).collect();
    let blobs = fs::canonicalize(folder.join("blobs")).map_err(|e| HubError::io(&folder, e))?;
    let mut bytes = 0;
    for revision in &gone {
        for name in &revision.refs {
            let path = folder.join("refs").join(name);
            fs::remove_file(&path).map_err(|e| HubError::io(&path, e))?;
        }
        remove_folder(&revision.snapshot)?;
    }
    let freed: BTreeSet<&PathBuf> = gone.iter().flat_map(|r| &r.blobs).collect();
    for blob in freed.difference(&used) {
        // A link may lead anywhere; only this repository's own blobs are ours to remove.
        if blob.parent() == Some(&blobs) {
            bytes += fs::metadata(blob).map_or(0, |m| m.len());
            fs::remove_file(blob).map_err(|e| HubError::io(blob, e))?;
        }
    }
    Ok(Removed {
        revisions: gone.len(),
        bytes,
    })
}

fn remove_folder(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).map_err(|e| HubError::io(folder, e))
}

/// Bytes of downloads that have not ended.
fn unfinished(blobs: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(blobs) else {
        return 0;
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".incomplete"))
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}
