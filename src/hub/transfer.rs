//! One file's bytes: fetched from where the last attempt stopped, and checked before anyone may
//! see them.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::StatusCode;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::api::{Hash, RemoteFile};
use super::cache::layout::create_parent;
use super::error::{HubError, Result};
use super::http::{Asked, Backoff, Failure, Http, Retry};
use super::name::RepoId;
use super::progress::Event;

/// This much in one attempt, and the failures before it are forgotten.
const GOOD_PROGRESS: u64 = 1 << 20;

/// A file to fetch.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub repo: &'a RepoId,
    pub commit: &'a str,
    pub file: &'a RemoteFile,
}

/// Fetches into `part`, which may hold a beginning, until its content has the promised hash and
/// is on the disk. A wrong content is deleted; a broken transfer is kept for the next run.
pub(crate) fn fetch(
    http: &Http<'_>,
    source: Source<'_>,
    part: &Path,
    stop: &AtomicBool,
) -> Result<()> {
    let mut partial = Partial::open(part, source.file)?;
    http.progress.event(Event::Started {
        file: &source.file.path,
        size: source.file.size,
        at: partial.len,
    });
    let mut backoff = Backoff::new(http.options);
    while partial.len < source.file.size {
        if stop.load(Ordering::Relaxed) {
            return Err(stopped(source.file, partial.len));
        }
        let before = partial.len;
        match attempt(http, source, &mut partial, stop) {
            Ok(()) => {}
            Err(failure) => {
                if matches!(failure.error, HubError::WrongLength { .. }) {
                    partial.discard()?;
                }
                if partial.len.saturating_sub(before) >= GOOD_PROGRESS {
                    backoff.progressed();
                }
                let broke =
                    matches!(failure.error, HubError::Unreachable { .. }) && partial.len > 0;
                backoff
                    .wait(failure, http.progress)
                    .map_err(|error| match error {
                        HubError::Unreachable { reason, .. } if broke => HubError::Interrupted {
                            file: source.file.path.clone(),
                            attempts: backoff.failures(),
                            at: partial.len,
                            size: source.file.size,
                            reason,
                        },
                        other => other,
                    })?;
            }
        }
    }
    partial.check()
}

/// One request, from where the part ends.
fn attempt(
    http: &Http<'_>,
    source: Source<'_>,
    partial: &mut Partial<'_>,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let file = source.file;
    let id = source.repo.to_string();
    let names = [
        source.repo.org(),
        source.repo.name(),
        "resolve",
        source.commit,
    ];
    let url = http.url(names.into_iter().chain(file.path.split('/')))?;
    let mut answer = http.get(
        url,
        partial.len,
        Asked::File {
            repo: &id,
            file: &file.path,
        },
    )?;
    if answer.is_html() && !file.path.ends_with(".html") {
        return Err(HubError::NotTheHub {
            url: answer.url(),
            found: "a web page".to_string(),
            wanted: "a file",
        }
        .into());
    }
    let goes_on = answer.status() == StatusCode::PARTIAL_CONTENT
        && answer.header("content-range").and_then(range_start) == Some(partial.len);
    if !goes_on {
        if answer.status() != StatusCode::OK {
            // 416, or a range that was not asked for: our beginning is of no use to this server.
            partial.restart()?;
            http.progress.event(Event::Restarted { file: &file.path });
            let error = HubError::Status {
                url: answer.url(),
                status: answer.status().as_u16(),
                message: "a range that cannot be used".to_string(),
            };
            return Err(Failure {
                error,
                retry: Retry::Later,
            });
        }
        if partial.len > 0 {
            partial.restart()?;
            http.progress.event(Event::Restarted { file: &file.path });
        }
    }
    if let Some(length) = answer.content_length()
        && length.checked_add(partial.len) != Some(file.size)
    {
        return Err(wrong_length(file, length.saturating_add(partial.len)).into());
    }
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(stopped(file, partial.len).into());
        }
        match answer.chunk()? {
            Some(chunk) => {
                let chunk = chunk.as_ref();
                let room = file.size - partial.len;
                if chunk.len() as u64 > room {
                    return Err(wrong_length(file, partial.len + chunk.len() as u64).into());
                }
                partial.write(chunk)?;
                http.progress.event(Event::Advanced {
                    file: &file.path,
                    bytes: chunk.len() as u64,
                });
            }
            None if partial.len == file.size => return Ok(()),
            None => {
                let error = HubError::Unreachable {
                    endpoint: http.options.endpoint.clone(),
                    reason: "the answer ended early".to_string(),
                };
                return Err(Failure {
                    error,
                    retry: Retry::Later,
                });
            }
        }
    }
}

fn wrong_length(file: &RemoteFile, found: u64) -> HubError {
    HubError::WrongLength {
        file: file.path.clone(),
        wanted: file.size,
        found,
    }
}

fn stopped(file: &RemoteFile, at: u64) -> HubError {
    HubError::Interrupted {
        file: file.path.clone(),
        attempts: 0,
        at,
        size: file.size,
        reason: "another file failed".to_string(),
    }
}

/// The first byte of `bytes 100-199/200`.
fn range_start(value: &str) -> Option<u64> {
    value
        .trim()
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .trim()
        .parse()
        .ok()
}

/// What is here of a file, with the hash of it so far.
struct Partial<'a> {
    path: &'a Path,
    file: &'a RemoteFile,
    out: File,
    len: u64,
    hasher: Hasher,
}

impl<'a> Partial<'a> {
    fn open(path: &'a Path, file: &'a RemoteFile) -> Result<Self> {
        create_parent(path)?;
        let out = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(|e| HubError::io(path, e))?;
        let mut partial = Self {
            path,
            file,
            out,
            len: 0,
            hasher: Hasher::new(file),
        };
        partial.read_back()?;
        Ok(partial)
    }

    /// Hashes what an earlier run left; more than the whole file cannot be its beginning.
    fn read_back(&mut self) -> Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = self
                .out
                .read(&mut buffer)
                .map_err(|e| HubError::io(self.path, e))?;
            if n == 0 {
                return Ok(());
            }
            self.len += n as u64;
            if self.len > self.file.size {
                return self.restart();
            }
            self.hasher.update(&buffer[..n]);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| self.failed(e))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn failed(&self, error: std::io::Error) -> HubError {
        if error.kind() == std::io::ErrorKind::StorageFull
            || error.kind() == std::io::ErrorKind::QuotaExceeded
        {
            let path = self.path.parent().unwrap_or(self.path).to_path_buf();
            return HubError::DiskFull {
                path,
                needed: self.file.size - self.len,
                free: 0,
            };
        }
        HubError::io(self.path, error)
    }

    fn restart(&mut self) -> Result<()> {
        self.out
            .set_len(0)
            .map_err(|e| HubError::io(self.path, e))?;
        self.out
            .seek(SeekFrom::Start(0))
            .map_err(|e| HubError::io(self.path, e))?;
        self.len = 0;
        self.hasher = Hasher::new(self.file);
        Ok(())
    }

    fn discard(&mut self) -> Result<()> {
        self.restart()?;
        std::fs::remove_file(self.path).map_err(|e| HubError::io(self.path, e))
    }

    fn check(mut self) -> Result<()> {
        let found = std::mem::replace(&mut self.hasher, Hasher::new(self.file)).finish();
        if found != self.file.hash.hex() {
            self.discard()?;
            return Err(HubError::WrongHash {
                file: self.file.path.clone(),
                wanted: self.file.hash.hex().to_string(),
                found,
            });
        }
        // On the disk before its name is: a crash of the machine must not leave a hole under it.
        self.out.sync_all().map_err(|e| self.failed(e))
    }
}

/// SHA-256 of the content, or git's SHA-1 of the object that holds it.
enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    fn new(file: &RemoteFile) -> Self {
        match file.hash {
            Hash::Sha256(_) => Self::Sha256(Sha256::new()),
            Hash::Git(_) => Self::Git(Sha1::new_with_prefix(format!("blob {}\0", file.size))),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::Git(hasher) => hex(&hasher.finalize()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Whether a file that is here has the promised content.
pub(crate) fn has_content(path: &Path, file: &RemoteFile) -> Result<bool> {
    if std::fs::metadata(path)
        .map_err(|e| HubError::io(path, e))?
        .len()
        != file.size
    {
        return Ok(false);
    }
    let mut reader = File::open(path).map_err(|e| HubError::io(path, e))?;
    let mut hasher = Hasher::new(file);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = reader
            .read(&mut buffer)
            .map_err(|e| HubError::io(path, e))?;
        if n == 0 {
            return Ok(hasher.finish() == file.hash.hex());
        }
        hasher.update(&buffer[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_gits_and_sha256() {
        // `printf hello | git hash-object --stdin`, `printf hello | sha256sum`.
        for (hash, wanted) in [
            (
                Hash::Git(String::new()),
                "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0",
            ),
            (
                Hash::Sha256(String::new()),
                "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            ),
        ] {
            let file = RemoteFile {
                path: "x".into(),
                size: 5,
                hash,
            };
            let mut hasher = Hasher::new(&file);
            hasher.update(b"he");
            hasher.update(b"llo");
            assert_eq!(hasher.finish(), wanted);
        }
    }

    #[test]
    fn ranges_are_read() {
        assert_eq!(range_start("bytes 100-199/200"), Some(100));
        assert_eq!(range_start("bytes */200"), None);
        assert_eq!(range_start("items 1-2/3"), None);
    }
}
