//! Paths of one repository in the cache, and the few writes that make a file visible.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::lock::Lock;
use crate::hub::api::is_commit;
use crate::hub::error::{HubError, Result};
use crate::hub::name::RepoId;
use crate::hub::progress::Progress;

/// Folders in a snapshot that are looked into, and entries of each.
const DEEPEST: usize = 8;
const MOST_ENTRIES: usize = 100_000;

/// One repository's place in the cache.
#[derive(Debug, Clone)]
pub(crate) struct Repo {
    root: PathBuf,
    locks: PathBuf,
}

impl Repo {
    pub fn new(cache: &Path, id: &RepoId) -> Self {
        Self {
            root: cache.join(id.folder()),
            locks: cache.join(".locks").join(id.folder()),
        }
    }

    pub fn blob(&self, hash: &str) -> PathBuf {
        self.root.join("blobs").join(hash)
    }

    /// Where a blob grows. Python's older versions use the same name, and resume each other's.
    pub fn incomplete(&self, hash: &str) -> PathBuf {
        self.root.join("blobs").join(format!("{hash}.incomplete"))
    }

    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    pub fn lock(&self, hash: &str, progress: &dyn Progress) -> Result<Lock> {
        Lock::acquire(&self.locks.join(format!("{hash}.lock")), progress)
    }

    /// The commit that a revision stood for when it was last fetched.
    pub fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_string());
        }
        let text = fs::read_to_string(self.root.join("refs").join(revision)).ok()?;
        let commit = text.trim().to_string();
        is_commit(&commit).then_some(commit)
    }

    /// Notes what a revision stands for, in one step.
    pub fn set_ref(&self, revision: &str, commit: &str, progress: &dyn Progress) -> Result<()> {
        if is_commit(revision) || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.root.join("refs").join(revision);
        let _lock = Lock::acquire(&self.locks.join("refs.lock"), progress)?;
        // Beside the locks, for Python would read any file under refs/ as a ref.
        let draft = self.locks.join("refs.new");
        create_parent(&path)?;
        fs::write(&draft, commit).map_err(|e| HubError::io(&draft, e))?;
        fs::rename(&draft, &path).map_err(|e| HubError::io(&path, e))
    }

    /// Makes a blob visible under its name: a relative link, as Python makes it, or the file itself
    /// where links cannot be. `was` is where the content was before this run.
    pub fn link(&self, commit: &str, file: &str, hash: &str, was: Here) -> Result<()> {
        let pointer = self.snapshot(commit).join(file);
        create_parent(&pointer)?;
        // Out of snapshots/COMMIT and of the file's own folders. Windows follows links with its own
        // separator only.
        let up = std::iter::repeat_n("..", 1 + file.split('/').count());
        let target: PathBuf = up.chain(["blobs", hash]).collect();
        if fs::read_link(&pointer).is_ok_and(|found| found == target) {
            return Ok(());
        }
        match fs::remove_file(&pointer) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(HubError::io(&pointer, e)),
            _ => {}
        }
        match symlink(&target, &pointer) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(_) => self.put(&pointer, hash, was),
        }
    }

    /// Puts a blob's content where a link cannot be, as Python does: what has just been fetched is
    /// moved there; to what was here before something else may lead, and it is copied.
    fn put(&self, pointer: &Path, hash: &str, was: Here) -> Result<()> {
        let blob = self.blob(hash);
        let content = match was {
            Here::Not => blob,
            Here::Blob | Here::Visible => {
                let draft = self.incomplete(&format!("{hash}.copy"));
                fs::copy(blob, &draft).map_err(|e| HubError::io(&draft, e))?;
                draft
            }
        };
        fs::rename(&content, pointer).map_err(|e| HubError::io(pointer, e))
    }

    /// The files of a snapshot that are really here.
    pub fn files(&self, commit: &str) -> Vec<String> {
        let mut files = Vec::new();
        walk(&self.snapshot(commit), "", 0, &mut files);
        files.sort();
        files
    }

    /// Whether a file of this size is here, as a pointer or as a blob to point to.
    pub fn has(&self, commit: &str, file: &str, hash: &str, size: u64) -> Here {
        let sized = |path: &Path| fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == size);
        if sized(&self.snapshot(commit).join(file)) {
            Here::Visible
        } else if sized(&self.blob(hash)) {
            Here::Blob
        } else {
            Here::Not
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Here {
    Visible,
    /// Fetched, checked, and not linked under this commit yet.
    Blob,
    Not,
}

pub(crate) fn create_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(|e| HubError::io(parent, e)),
        None => Ok(()),
    }
}

#[cfg(unix)]
fn symlink(target: &Path, pointer: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, pointer)
}

/// Users of Windows may do this who are in its developer mode, or administrators.
#[cfg(windows)]
fn symlink(target: &Path, pointer: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target, pointer)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::Error::from(ErrorKind::Unsupported))
}

fn walk(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let (path, name) = (entry.path(), format!("{prefix}{name}"));
        if files.len() >= MOST_ENTRIES {
            return;
        }
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            if depth < DEEPEST {
                walk(&path, &format!("{name}/"), depth + 1, files);
            }
        } else if path.is_file() {
            files.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::cache::remove;

    #[test]
    fn where_links_cannot_be_nothing_is_twice_on_the_disk_and_all_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let id = RepoId::parse("org/name").unwrap();
        let repo = Repo::new(dir.path(), &id);
        let (old, new) = ("1".repeat(40), "2".repeat(40));
        let put = |commit: &str, hash: &str, was: Here| {
            let pointer = repo.snapshot(commit).join("model.safetensors");
            create_parent(&pointer).unwrap();
            create_parent(&repo.blob(hash)).unwrap();
            fs::write(repo.blob(hash), hash).unwrap();
            repo.put(&pointer, hash, was).unwrap();
            assert_eq!(fs::read_to_string(pointer).unwrap(), hash);
        };
        put(&old, "a", Here::Not);
        assert!(!repo.blob("a").exists());
        // Another commit's link may lead to it.
        put(&new, "bb", Here::Blob);
        assert!(repo.blob("bb").exists());

        let removed = remove(dir.path(), &id, Some(&old)).unwrap();
        assert_eq!(removed.bytes, 1);
        assert!(!repo.snapshot(&old).exists() && repo.snapshot(&new).exists());
        remove(dir.path(), &id, None).unwrap();
        assert!(!dir.path().join(id.folder()).exists());
    }
}
