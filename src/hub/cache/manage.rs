//! What the cache holds and making room in it. The scan is hf-hub's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hf_hub::HFClient;

use crate::hub::error::{HubError, Result};
use crate::hub::name::RepoId;
use crate::hub::pick::pick;
use crate::hub::shards::missing_shards;

/// A model in the cache, whoever fetched it.
#[derive(Debug, Clone)]
pub struct CachedModel {
    /// Its hub id, read off the name of its folder.
    pub repo: RepoId,
    /// Bytes on the disk, blobs that revisions share counted once, unfinished downloads included.
    pub bytes: u64,
    /// Bytes of unfinished downloads alone.
    pub unfinished: u64,
    /// When a file of it was last read, or an unfinished one written, as far as the file system
    /// says; [`SystemTime::UNIX_EPOCH`] where it does not.
    pub last_used: SystemTime,
    /// Commits of which at least some files were fetched.
    pub revisions: Vec<CachedRevision>,
}

impl CachedModel {
    /// The revision of a branch, tag or commit.
    pub fn revision(&self, name: &str) -> Option<&CachedRevision> {
        self.revisions.iter().find(|revision| revision.is(name))
    }

    /// Whether a revision has weights that are whole, so that there is something to be opened.
    pub fn has_weights(&self) -> bool {
        let id = self.repo.to_string();
        self.revisions.iter().any(|r| r.has_weights(&id))
    }
}

impl CachedRevision {
    fn is(&self, name: &str) -> bool {
        self.commit == name || self.refs.iter().any(|known| known == name)
    }

    fn has_weights(&self, id: &str) -> bool {
        match pick(id, &self.files, None) {
            Ok(picked) => missing_shards(&picked, &self.snapshot).is_ok_and(|m| m.is_empty()),
            // There are several.
            Err(error) => matches!(error, HubError::Ambiguous { .. }),
        }
    }
}

/// One commit of a cached model.
#[derive(Debug, Clone)]
pub struct CachedRevision {
    /// The full hash, the name of its folder under `snapshots/`.
    pub commit: String,
    /// Branches and tags that stand for it.
    pub refs: Vec<String>,
    /// Bytes of its files, those it shares with other revisions included.
    pub bytes: u64,
    /// Files by their names in the repository.
    pub files: Vec<String>,
    /// Where their content is, and what stands in the repository's own `blobs` for it.
    blobs: BTreeSet<PathBuf>,
    snapshot: PathBuf,
}

/// What a removal did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Commits that are gone.
    pub revisions: usize,
    /// Bytes given back.
    pub bytes: u64,
    /// Bytes that stay in the store that Python's tools share between repositories.
    pub shared: u64,
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
            let begun = unfinished(&repo.repo_path.join("blobs"));
            let unfinished: u64 = begun.iter().map(fs::Metadata::len).sum();
            let written = begun.iter().filter_map(|file| file.modified().ok());
            let revisions = repo
                .revisions
                .into_iter()
                .map(|revision| CachedRevision {
                    commit: revision.commit_hash,
                    refs: revision.refs.iter().map(|r| with_slashes(r)).collect(),
                    bytes: revision.size_on_disk,
                    files: revision
                        .files
                        .iter()
                        .map(|f| with_slashes(&f.file_name))
                        .collect(),
                    blobs: revision
                        .files
                        .into_iter()
                        .flat_map(|f| first_hop(&f.file_path).into_iter().chain([f.blob_path]))
                        .collect(),
                    snapshot: revision.snapshot_path,
                })
                .collect();
            Some(CachedModel {
                repo: id,
                bytes: repo.size_on_disk + unfinished,
                unfinished,
                // Until the first file is whole, that it grew is all that is known.
                last_used: written.fold(repo.last_accessed, SystemTime::max),
                revisions,
            })
        })
        .collect();
    models.sort_by(|a, b| a.repo.cmp(&b.repo));
    Ok(models)
}

/// A path below a folder as the Hub writes it.
fn with_slashes(path: &str) -> String {
    path.replace(std::path::MAIN_SEPARATOR, "/")
}

/// What a snapshot's link leads to at once: from huggingface_hub 2 on that may be a link itself,
/// into the store `CACHE/blobs` that all repositories share.
fn first_hop(pointer: &Path) -> Option<PathBuf> {
    let target = pointer.parent()?.join(fs::read_link(pointer).ok()?);
    let folder = fs::canonicalize(target.parent()?).ok()?;
    Some(folder.join(target.file_name()?))
}

/// Ids of the models that the cache has a folder of, by name; quick, for nothing else is looked at.
pub fn names(cache: &Path) -> Vec<String> {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let id = |entry: fs::DirEntry| {
        let id = RepoId::from_folder(entry.file_name().to_str()?)?;
        let has_content = entry.path().join("snapshots").is_dir();
        has_content.then(|| id.to_string())
    };
    let mut names: Vec<String> = entries.filter_map(id).collect();
    names.sort();
    names
}

/// Removes a model from the cache, or one revision of it (a branch, tag or commit). Blobs that
/// another revision still links to stay, and so does what lies in the store that all share.
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
    let used: BTreeSet<&PathBuf> = kept.iter().flat_map(|r| &r.blobs).collect();
    let all: BTreeSet<&PathBuf> = gone.iter().flat_map(|r| &r.blobs).collect();
    let lost: Vec<&PathBuf> = all.difference(&used).copied().collect();
    let removed = Removed {
        revisions: gone.len(),
        bytes: bytes_below(&folder, &lost),
        shared: bytes_below(&cache.join("blobs"), &lost),
    };
    if kept.is_empty() {
        remove_folder(&folder)?;
        let locks = cache.join(".locks").join(repo.folder());
        if locks.exists() {
            remove_folder(&locks)?;
        }
        return Ok(Removed {
            bytes: removed.bytes + model.unfinished,
            ..removed
        });
    }
    let blobs = fs::canonicalize(folder.join("blobs")).map_err(|e| HubError::io(&folder, e))?;
    for revision in &gone {
        for name in &revision.refs {
            let path = folder.join("refs").join(name);
            fs::remove_file(&path).map_err(|e| HubError::io(&path, e))?;
        }
        remove_folder(&revision.snapshot)?;
    }
    for blob in lost {
        // A link may lead anywhere; only what is in this repository's own folder is ours to remove.
        if blob.parent() == Some(&blobs) {
            fs::remove_file(blob).map_err(|e| HubError::io(blob, e))?;
        }
    }
    Ok(removed)
}

/// Bytes of those files that lie below `folder`; a link is none.
fn bytes_below(folder: &Path, files: &[&PathBuf]) -> u64 {
    let Ok(folder) = fs::canonicalize(folder) else {
        return 0;
    };
    let below = files.iter().filter(|file| file.starts_with(&folder));
    let found = below.filter_map(|file| fs::symlink_metadata(file).ok());
    found.filter(|file| file.is_file()).map(|f| f.len()).sum()
}

fn remove_folder(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).map_err(|e| HubError::io(folder, e))
}

/// Downloads that have not ended.
fn unfinished(blobs: &Path) -> Vec<fs::Metadata> {
    let entries = fs::read_dir(blobs).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".incomplete"))
        .filter_map(|entry| entry.metadata().ok())
        .collect()
}
