//! One file's bytes: fetched from where the last attempt stopped, and checked before anyone may
//! see them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::{StatusCode, Url};

use super::api::RemoteFile;
use super::error::{HubError, Result};
use super::http::{Answer, Http, Span};
use super::name::RepoId;
use super::partial::Partial;
use super::progress::Event;
use super::refusal::{Asked, Backoff, Failure, Retry};

/// This much in one attempt, and the failures before it are forgotten.
const GOOD_PROGRESS: u64 = 1 << 20;

/// A file to fetch.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub repo: &'a RepoId,
    pub commit: &'a str,
    pub file: &'a RemoteFile,
}

impl Source<'_> {
    /// Where its content is asked for.
    pub fn url(&self, http: &Http<'_>) -> Result<Url> {
        let start = [self.repo.org(), self.repo.name(), "resolve", self.commit];
        http.url(start.into_iter().chain(self.file.path.split('/')))
    }
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
    if let Err(error) = complete(http, source, &mut partial, stop) {
        if partial.len == 0 {
            // Nothing to go on from; the error being reported matters more than one of this.
            let _ = std::fs::remove_file(part);
        }
        return Err(error);
    }
    partial.check()
}

/// Asks until all bytes are here or trying again has no use.
fn complete(
    http: &Http<'_>,
    source: Source<'_>,
    partial: &mut Partial<'_>,
    stop: &AtomicBool,
) -> Result<()> {
    let mut backoff = Backoff::new(http.options);
    while partial.len < source.file.size {
        if stop.load(Ordering::Relaxed) {
            return Err(stopped(source.file, partial.len));
        }
        let before = partial.len;
        match attempt(http, source, partial, stop) {
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
    Ok(())
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
    let span = Span {
        from: partial.len,
        to: None,
    };
    let asked = Asked::File {
        repo: &id,
        file: &file.path,
    };
    let mut answer = http.get(source.url(http)?, span, asked)?;
    if !file.path.ends_with(".html") {
        answer.refuse_html("a file")?;
    }
    agree(http, file, partial, &answer)?;
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

/// Makes the part end where the answer begins, which then has just what is missing.
fn agree(
    http: &Http<'_>,
    file: &RemoteFile,
    partial: &mut Partial<'_>,
    answer: &Answer<'_>,
) -> Result<(), Failure> {
    let status = answer.status();
    let goes_on = status == StatusCode::PARTIAL_CONTENT
        && answer.header("content-range").and_then(range_start) == Some(partial.len);
    let is_usable = goes_on || status == StatusCode::OK;
    if !is_usable || !goes_on && partial.len > 0 {
        partial.restart()?;
        http.progress.event(Event::Restarted { file: &file.path });
    }
    if !is_usable {
        // 416, or a range that was not asked for: our beginning is of no use to this server.
        let error = HubError::Status {
            url: answer.url(),
            status: status.as_u16(),
            message: "a range that cannot be used".to_string(),
        };
        return Err(Failure {
            error,
            retry: Retry::Later,
        });
    }
    match answer.content_length() {
        Some(length) if length.checked_add(partial.len) != Some(file.size) => {
            Err(wrong_length(file, length.saturating_add(partial.len)).into())
        }
        _ => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(range_start("bytes 100-199/200"), Some(100));
        assert_eq!(range_start("bytes */200"), None);
        assert_eq!(range_start("items 1-2/3"), None);
    }
}
