//! Where fetched files go: the shared cache, or a folder of plain files (`--local-dir`).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use super::api::RemoteFile;
use super::cache::layout::{Here, Repo, create_parent};
use super::cache::lock::Lock;
use super::error::{HubError, Result};
use super::http::Http;
use super::name::RepoId;
use super::options::HubOptions;
use super::partial::has_content;
use super::progress::Event;
use super::transfer::{self, Source};

pub(crate) enum Place {
    Cache(Repo),
    /// Files under their own names; what is unfinished, and what each file was fetched as, lies in
    /// `.cache/huggingface/download`, as Python's tools have it.
    Folder(PathBuf),
}

impl Place {
    pub fn new(options: &HubOptions, repo: &RepoId) -> Self {
        match &options.local_dir {
            Some(folder) => Self::Folder(folder.clone()),
            None => Self::Cache(Repo::new(&options.cache, repo)),
        }
    }

    /// The folder in which a commit's files are seen.
    pub fn folder(&self, commit: &str) -> PathBuf {
        match self {
            Self::Cache(repo) => repo.snapshot(commit),
            Self::Folder(folder) => folder.clone(),
        }
    }

    pub fn here(&self, commit: &str, file: &RemoteFile) -> Here {
        match self {
            Self::Cache(repo) => repo.has(commit, &file.path, file.hash.hex(), file.size),
            Self::Folder(folder) => {
                let path = folder.join(&file.path);
                let same_size = fs::metadata(&path).is_ok_and(|m| m.len() == file.size);
                let noted =
                    || noted_hash(folder, &file.path).is_some_and(|hash| hash == file.hash.hex());
                if same_size && (noted() || has_content(&path, file).unwrap_or(false)) {
                    Here::Visible
                } else {
                    Here::Not
                }
            }
        }
    }

    /// Where a file grows until it is whole.
    fn part(&self, file: &RemoteFile) -> PathBuf {
        match self {
            Self::Cache(repo) => repo.incomplete(file.hash.hex()),
            Self::Folder(folder) => notes(folder, &file.path)
                .with_added_extension(format!("{}.incomplete", file.hash.hex())),
        }
    }

    /// Bytes of a file that an earlier run left.
    pub fn begun(&self, file: &RemoteFile) -> u64 {
        fs::metadata(self.part(file)).map_or(0, |m| m.len().min(file.size))
    }

    /// Fetches what is missing of a file and makes it visible.
    pub fn fetch(&self, http: &Http<'_>, source: Source<'_>, stop: &AtomicBool) -> Result<()> {
        let Source { commit, file, .. } = source;
        match self {
            Self::Cache(repo) => {
                let hash = file.hash.hex();
                if self.here(commit, file) != Here::Visible {
                    let _lock = repo.lock(hash, http.progress)?;
                    // Another process may have fetched it while we waited.
                    let was = self.here(commit, file);
                    if was == Here::Not {
                        let part = self.part(file);
                        transfer::fetch(http, source, &part, stop)?;
                        publish(&part, &repo.blob(hash))?;
                    }
                    if was != Here::Visible {
                        repo.link(commit, &file.path, hash, was)?;
                    }
                }
            }
            Self::Folder(folder) => {
                if self.here(commit, file) != Here::Visible {
                    let notes = notes(folder, &file.path);
                    let _lock = Lock::acquire(&notes.with_added_extension("lock"), http.progress)?;
                    let part = self.part(file);
                    transfer::fetch(http, source, &part, stop)?;
                    publish(&part, &folder.join(&file.path))?;
                }
                note(folder, commit, file)?;
            }
        }
        http.progress.event(Event::Finished { file: &file.path });
        Ok(())
    }
}

/// Moves a checked file to its name, in one step.
fn publish(part: &Path, to: &Path) -> Result<()> {
    create_parent(to)?;
    fs::rename(part, to).map_err(|e| HubError::io(to, e))?;
    // The folder's entry too; a file system that cannot do this has nothing to be told.
    if let Some(Ok(folder)) = to.parent().map(fs::File::open) {
        let _ = folder.sync_all();
    }
    Ok(())
}

fn notes(folder: &Path, file: &str) -> PathBuf {
    folder.join(".cache/huggingface/download").join(file)
}

/// The hash that a local folder's file had when it was fetched, if the file was not touched since.
fn noted_hash(folder: &Path, file: &str) -> Option<String> {
    let text = fs::read_to_string(notes(folder, file).with_added_extension("metadata")).ok()?;
    let mut lines = text.lines().skip(1);
    let (hash, at) = (
        lines.next()?.trim(),
        lines.next()?.trim().parse::<f64>().ok()?,
    );
    let modified = fs::metadata(folder.join(file)).ok()?.modified().ok()?;
    let modified = modified.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    (modified <= at + 1.0).then(|| hash.to_string())
}

/// Commit, hash and time, line by line, as Python's tools write and read them.
fn note(folder: &Path, commit: &str, file: &RemoteFile) -> Result<()> {
    let path = notes(folder, &file.path).with_added_extension("metadata");
    create_parent(&path)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64();
    fs::write(&path, format!("{commit}\n{}\n{now}\n", file.hash.hex()))
        .map_err(|e| HubError::io(&path, e))
}
