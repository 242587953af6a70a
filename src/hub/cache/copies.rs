//! Quantized copies of fetched models, so that a second start with the same `--quant` need not
//! quantize again.
//!
//! They lie beside the shared cache, not in it, for Python's tools take everything in there for a
//! repository: `CACHE.wick/copies-2/models--ORG--NAME/COMMIT/FILE.LAYERS-ENDS.gguf`. The number
//! changes when the same settings come to mean other bytes; copies of an earlier one are listed and
//! removed, and never read.

use std::fs;
use std::path::{Path, PathBuf};

use super::lock::Lock;
use crate::hub::ModelFiles;
use crate::hub::api::is_commit;
use crate::hub::error::{HubError, Result};
use crate::hub::name::RepoId;
use crate::hub::progress::Progress;

const VERSION: &str = "copies-2";

/// What a fetched model's files are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Read off the name of its folder in the cache.
    pub repo: RepoId,
    /// The full hash, 40 hexadecimal digits.
    pub commit: String,
    /// The weights file that was named, with its path in the repository; `None` for the folder.
    pub file: Option<String>,
}

impl Snapshot {
    /// `None` for files that are not in the cache.
    pub fn of(cache: &Path, files: &ModelFiles) -> Option<Self> {
        let inner = files.path().strip_prefix(cache).ok()?;
        let mut parts = inner.iter().map(|part| part.to_str());
        let repo = RepoId::from_folder(parts.next()??)?;
        let (Some("snapshots"), commit) = (parts.next()?, parts.next()??) else {
            return None;
        };
        let file: Vec<&str> = parts.collect::<Option<_>>()?;
        is_commit(commit).then(|| Self {
            repo,
            commit: commit.to_string(),
            file: (!file.is_empty()).then(|| file.join("/")),
        })
    }

    /// Where its copy with these settings lies or would lie.
    pub fn copy(&self, cache: &Path, settings: &str) -> PathBuf {
        let stem = match &self.file {
            Some(file) => file.replace('/', "--"),
            None => "model".to_string(),
        };
        folder(cache)
            .join(self.repo.folder())
            .join(&self.commit)
            .join(format!("{stem}.{settings}.gguf"))
    }
}

/// One quantized copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantizedCopy {
    /// The model that was quantized.
    pub repo: RepoId,
    /// The full hash of the commit that its files were of.
    pub commit: String,
    /// The quantization, as the file is named: `Q4_0-Q8_0`.
    pub settings: String,
    /// The GGUF file.
    pub path: PathBuf,
    /// Its size on the disk.
    pub bytes: u64,
}

/// Every quantized copy that is whole, of whichever version. None where there is no folder of them.
pub fn copies(cache: &Path) -> Vec<QuantizedCopy> {
    let mut found = Vec::new();
    let repos = folders(cache).into_iter().flat_map(|of| entries(&of));
    for repo in repos {
        let Some(id) = file_name(&repo).and_then(RepoId::from_folder) else {
            continue;
        };
        for commit in entries(&repo) {
            for path in entries(&commit) {
                let copy = file_name(&path).and_then(|name| name.strip_suffix(".gguf"));
                let settings = copy.and_then(|name| name.rsplit_once('.'));
                let (Some((_, settings)), Some(of)) = (settings, file_name(&commit)) else {
                    continue;
                };
                found.push(QuantizedCopy {
                    repo: id.clone(),
                    commit: of.to_string(),
                    settings: settings.to_string(),
                    bytes: fs::metadata(&path).map_or(0, |m| m.len()),
                    path,
                });
            }
        }
    }
    found.sort_by(|a, b| (&a.repo, &a.path).cmp(&(&b.repo, &b.path)));
    found
}

/// Removes a model's quantized copies, or those of one commit, unfinished ones too, and gives the
/// bytes that were freed.
///
/// # Errors
/// The files cannot be removed.
pub fn remove_copies(cache: &Path, repo: &RepoId, commit: Option<&str>) -> Result<u64> {
    let mut bytes = 0;
    for folder in folders(cache) {
        bytes += remove_below(&folder.join(repo.folder()), commit)?;
    }
    Ok(bytes)
}

/// Removes the copies in one folder of a repository, or those of one commit, and gives their bytes.
fn remove_below(of_repo: &Path, commit: Option<&str>) -> Result<u64> {
    let commits = match commit {
        Some(commit) => vec![of_repo.join(commit)],
        None => entries(of_repo),
    };
    let mut bytes = 0;
    for commit in commits.iter().filter(|path| path.is_dir()) {
        bytes += entries(commit)
            .iter()
            .filter_map(|path| fs::metadata(path).ok())
            .map(|m| m.len())
            .sum::<u64>();
        fs::remove_dir_all(commit).map_err(|e| HubError::io(commit, e))?;
    }
    // Goes if it is empty; if not, another commit's copies are in it.
    let _ = fs::remove_dir(of_repo);
    Ok(bytes)
}

/// Holds the place of a copy while it is made, so that two processes do not both write it.
pub struct CopyLock {
    _lock: Lock,
}

impl CopyLock {
    /// Waits for as long as another process holds the place of `copy`.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn acquire(copy: &Path, progress: &dyn Progress) -> Result<Self> {
        let path = copy.with_added_extension("lock");
        let lock = Lock::acquire(&path, progress)?;
        Ok(Self { _lock: lock })
    }
}

fn folder(cache: &Path) -> PathBuf {
    cache.with_added_extension("wick").join(VERSION)
}

/// The folders of this version's copies and of earlier ones'.
fn folders(cache: &Path) -> Vec<PathBuf> {
    let mut found = entries(&cache.with_added_extension("wick"));
    found.retain(|path| file_name(path).is_some_and(|name| name.starts_with("copies-")));
    found
}

fn file_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_found_by_repository_commit_and_settings() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("hub");
        let commit = "ab".repeat(20);
        let root = cache.join("models--org--name/snapshots").join(&commit);
        let of = |files| Snapshot::of(&cache, &files).unwrap();
        let folder = of(ModelFiles::Folder(root.clone()));
        let file = of(ModelFiles::Gguf(root.join("f16/m.gguf")));
        assert_eq!(file.file.as_deref(), Some("f16/m.gguf"));
        assert_eq!(folder.file, None);
        assert_ne!(folder.copy(&cache, "Q8_0"), folder.copy(&cache, "Q4_0"));
        for (snapshot, len) in [(&folder, 5), (&file, 7)] {
            let path = snapshot.copy(&cache, "Q4_0-Q8_0");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![0; len]).unwrap();
        }
        let found = copies(&cache);
        let sizes: Vec<u64> = found.iter().map(|c| c.bytes).collect();
        assert_eq!(sizes, [7, 5]);
        assert!(found.iter().all(|c| c.settings == "Q4_0-Q8_0"));
        assert_eq!(found[0].repo, folder.repo);
        assert_eq!(
            remove_copies(&cache, &folder.repo, Some(&commit)).unwrap(),
            12
        );
        assert!(copies(&cache).is_empty());
    }

    #[test]
    fn copies_of_an_earlier_version_are_removed_and_never_read() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("hub");
        let snapshot = Snapshot {
            repo: RepoId::parse("org/name").unwrap(),
            commit: "ab".repeat(20),
            file: None,
        };
        let now = snapshot.copy(&cache, "Q8_0-Q8_0");
        let parts = now.strip_prefix(folder(&cache)).unwrap();
        let old = cache.with_added_extension("wick").join("copies-1");
        let old = old.join(parts);
        assert_ne!(old, now);
        fs::create_dir_all(old.parent().unwrap()).unwrap();
        fs::write(&old, [0u8; 9]).unwrap();
        assert_eq!(copies(&cache).len(), 1);
        assert_eq!(remove_copies(&cache, &snapshot.repo, None).unwrap(), 9);
        assert!(!old.exists() && copies(&cache).is_empty());
    }

    #[test]
    fn files_elsewhere_have_no_copy() {
        let cache = Path::new("/c/hub");
        for path in ["/home/me/model", "/c/hub/models--o--n/blobs/x", "/c/hub"] {
            let files = ModelFiles::Folder(PathBuf::from(path));
            assert_eq!(Snapshot::of(cache, &files), None, "{path}");
        }
    }
}
