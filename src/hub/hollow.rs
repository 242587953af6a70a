//! A model's outline before it is fetched: real configuration and headers, and weights files of
//! full length that hold nothing.
//!
//! What opens a model opens the outline too, so that a family that is not supported, a
//! checkpoint that does not fit its configuration and the memory that it will take are known for
//! a few hundred kilobytes. The files are sparse: they take no room where the temporary folder
//! can do that (every common file system of Linux and macOS).

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::ModelFiles;
use super::api::RemoteFile;
use super::cache::layout::create_parent;
use super::error::{HubError, Result};
use super::fetch::{Plan, opened};
use super::http::{Http, Span};
use super::options::HubOptions;
use super::pick::weight_extension;
use super::place::Place;
use super::progress::{Progress, Quiet};
use super::refusal::{Asked, Failure};
use super::shards::forgotten_shards;
use super::transfer::{self, Source};

/// The longest header that is read; vocabularies of GGUF files stay far below.
const LONGEST_HEADER: u64 = 64 << 20;

/// An outline in a temporary folder, which goes with it.
#[derive(Debug)]
pub struct Hollow {
    folder: tempfile::TempDir,
    files: ModelFiles,
}

impl Hollow {
    /// The outline, as [`super::fetch`] would name the model.
    pub fn files(&self) -> &ModelFiles {
        &self.files
    }

    /// The temporary folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Fetches the outline of a planned model; `None` for PyTorch files, which have no header.
///
/// # Errors
/// As for fetching; a weights file whose header is none.
pub fn hollow(
    plan: &Plan,
    options: &HubOptions,
    progress: &dyn Progress,
) -> Result<Option<Hollow>> {
    let folder = tempfile::tempdir().map_err(|e| HubError::io(std::env::temp_dir(), e))?;
    let place = Place::Folder(folder.path().to_path_buf());
    let http = Http::new(options, progress)?;
    let (weights, small): (Vec<&RemoteFile>, Vec<&RemoteFile>) = plan
        .files
        .iter()
        .map(|file| &file.remote)
        .partition(|file| weight_extension(&file.path).is_some());
    let headed =
        |file: &&RemoteFile| matches!(weight_extension(&file.path), Some("safetensors" | "gguf"));
    if !weights.iter().all(headed) {
        return Ok(None);
    }
    for file in small {
        if file.path == "config.json" || file.path.ends_with(".index.json") {
            let part = folder.path().join(&file.path);
            let source = Source {
                repo: &plan.model.repo,
                commit: &plan.commit,
                file,
            };
            // A few kilobytes: no bar is to appear for them.
            let quiet = Http::new(options, &Quiet)?;
            transfer::fetch(&quiet, source, &part, &AtomicBool::new(false))?;
        }
    }
    for file in weights.into_iter().chain(forgotten_shards(plan, &place)?) {
        let source = Source {
            repo: &plan.model.repo,
            commit: &plan.commit,
            file,
        };
        let header = http.retrying(|| header(&http, source))?;
        let path = folder.path().join(&file.path);
        create_parent(&path)?;
        let write = || {
            let mut out = File::create(&path)?;
            out.write_all(&header)?;
            out.set_len(file.size)
        };
        write().map_err(|e| HubError::io(&path, e))?;
    }
    let files = opened(&plan.kind, folder.path());
    Ok(Some(Hollow { folder, files }))
}

/// The bytes of a weights file up to where its data begin.
fn header(http: &Http<'_>, source: Source<'_>) -> Result<Vec<u8>, Failure> {
    let file = source.file;
    let id = source.repo.to_string();
    let span = Span {
        from: 0,
        to: Some(LONGEST_HEADER.min(file.size).saturating_sub(1)),
    };
    let mut answer = http.get(
        source.url(http)?,
        span,
        Asked::File {
            repo: &id,
            file: &file.path,
        },
    )?;
    if answer.is_html() {
        return Err(HubError::NotTheHub {
            url: answer.url(),
            found: "a web page".to_string(),
            wanted: "a file",
        }
        .into());
    }
    let length = match weight_extension(&file.path) {
        Some("gguf") => gguf_header,
        _ => safetensors_header,
    };
    let bad = |message: &str| HubError::Format {
        file: file.path.clone(),
        message: message.to_string(),
    };
    let mut bytes = Vec::new();
    // Looked at again only once it has doubled, for the scan starts from the beginning.
    let mut next_look = 8;
    loop {
        if bytes.len() >= next_look {
            match length(&bytes) {
                Header::Ends(at) if at as u64 > file.size.min(LONGEST_HEADER) => {
                    return Err(bad("its header is longer than the file or 64 MiB").into());
                }
                Header::Ends(at) if at <= bytes.len() => {
                    bytes.truncate(at);
                    return Ok(bytes);
                }
                Header::Ends(at) => next_look = at,
                Header::Unknown => next_look = bytes.len() * 2,
                Header::None => return Err(bad("it does not begin as its name says").into()),
            }
        }
        match answer.chunk()? {
            Some(chunk) if (bytes.len() as u64) <= LONGEST_HEADER => {
                bytes.extend_from_slice(chunk.as_ref())
            }
            Some(_) => return Err(bad("its header is longer than 64 MiB").into()),
            // The whole file was too short for another look.
            None if bytes.len() >= next_look => {}
            None => match length(&bytes) {
                Header::Ends(at) if at <= bytes.len() => {
                    bytes.truncate(at);
                    return Ok(bytes);
                }
                _ => return Err(bad("it ends within its header").into()),
            },
        }
    }
}

/// What the first bytes say of where the header ends.
#[derive(Debug, PartialEq, Eq)]
enum Header {
    Ends(usize),
    /// More bytes are wanted to say.
    Unknown,
    None,
}

/// Eight bytes of length, then that much JSON.
fn safetensors_header(bytes: &[u8]) -> Header {
    let Some(length) = bytes.first_chunk::<8>() else {
        return Header::Unknown;
    };
    match usize::try_from(u64::from_le_bytes(*length))
        .ok()
        .and_then(|n| n.checked_add(8))
    {
        Some(end) => Header::Ends(end),
        None => Header::None,
    }
}

/// Metadata and tensor entries, walked over; their meaning is the reader's to check.
fn gguf_header(bytes: &[u8]) -> Header {
    if !bytes.starts_with(b"GGUF") {
        return if bytes.len() < 4 {
            Header::Unknown
        } else {
            Header::None
        };
    }
    match (GgufWalk { bytes, at: 8 }).walk() {
        Ok(end) => Header::Ends(end),
        Err(header) => header,
    }
}

struct GgufWalk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl GgufWalk<'_> {
    fn walk(mut self) -> Result<usize, Header> {
        let tensors = self.u64()?;
        let values = self.u64()?;
        for _ in 0..values {
            self.text()?;
            let kind = self.u32()?;
            self.value(kind)?;
        }
        for _ in 0..tensors {
            self.text()?;
            let dims = u64::from(self.u32()?);
            self.skip(dims.checked_mul(8).ok_or(Header::None)?)?;
            self.skip(4 + 8)?;
        }
        Ok(self.at)
    }

    fn skip(&mut self, n: u64) -> Result<(), Header> {
        let end = usize::try_from(n)
            .ok()
            .and_then(|n| self.at.checked_add(n))
            .ok_or(Header::None)?;
        if end > self.bytes.len() {
            return Err(Header::Unknown);
        }
        self.at = end;
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, Header> {
        let word = self
            .bytes
            .get(self.at..)
            .and_then(|b| b.first_chunk::<4>())
            .ok_or(Header::Unknown)?;
        self.at += 4;
        Ok(u32::from_le_bytes(*word))
    }

    fn u64(&mut self) -> Result<u64, Header> {
        let word = self
            .bytes
            .get(self.at..)
            .and_then(|b| b.first_chunk::<8>())
            .ok_or(Header::Unknown)?;
        self.at += 8;
        Ok(u64::from_le_bytes(*word))
    }

    fn text(&mut self) -> Result<(), Header> {
        let n = self.u64()?;
        self.skip(n)
    }

    fn value(&mut self, kind: u32) -> Result<(), Header> {
        match kind {
            8 => self.text(),
            9 => {
                let (kind, n) = (self.u32()?, self.u64()?);
                match (scalar_bytes(kind), kind) {
                    (Some(size), _) => self.skip(n.checked_mul(size).ok_or(Header::None)?),
                    (None, 8) => (0..n).try_for_each(|_| self.text()),
                    // Arrays of arrays: no model has them.
                    _ => Err(Header::None),
                }
            }
            _ => self.skip(scalar_bytes(kind).ok_or(Header::None)?),
        }
    }
}

fn scalar_bytes(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_headers_end_the_walk() {
        let mut huge = b"GGUF\x03\0\0\0".to_vec();
        huge.extend([0xff; 16]);
        huge.extend([0; 64]);
        assert_eq!(gguf_header(&huge), Header::None);
        assert_eq!(gguf_header(b"GGUF\x03\0\0\0\x01"), Header::Unknown);
        assert_eq!(gguf_header(b"<!DOCTYPE html>"), Header::None);
        assert_eq!(safetensors_header(&[0xff; 8]), Header::None);
        assert_eq!(
            safetensors_header(&[2, 0, 0, 0, 0, 0, 0, 0]),
            Header::Ends(10)
        );
    }
}
