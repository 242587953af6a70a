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
use super::header::{Header, gguf_header, safetensors_header};
use super::http::{Answer, Http, Span};
use super::options::HubOptions;
use super::pick::weight_extension;
use super::place::Place;
use super::progress::{Event, Progress, Quiet};
use super::refusal::{Asked, Failure};
use super::shards::forgotten_shards;
use super::size::readable_bytes;
use super::transfer::{self, Source};

/// The longest header that is read; vocabularies of GGUF files stay far below.
const LONGEST_HEADER: u64 = 64 << 20;

/// The largest small file that is fetched; configurations and indices stay far below.
const LARGEST_SMALL: u64 = 64 << 20;

/// The largest configuration that is read for one number; they have a few kilobytes.
const LARGEST_CONFIG: u64 = 1 << 20;

/// Small files that say what the tensors are; the last two of older GPTQ and AWQ checkpoints.
const DECLARING: [&str; 3] = ["config.json", "quantize_config.json", "quant_config.json"];

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

/// Fetches the outline of a planned model; `None` for PyTorch files and encrypted ones, which have
/// no header.
///
/// # Errors
/// As for fetching; a temporary folder that cannot be written ([`HubError::Io`]); a file that is
/// too large for an outline or whose header is none ([`HubError::Format`]).
pub fn hollow(
    plan: &Plan,
    options: &HubOptions,
    progress: &dyn Progress,
) -> Result<Option<Hollow>> {
    let folder = tempfile::tempdir().map_err(|e| HubError::io(std::env::temp_dir(), e))?;
    progress.event(Event::Temporary {
        folder: folder.path(),
    });
    let place = Place::Folder(folder.path().to_path_buf());
    let http = Http::new(options, progress)?;
    let (weights, small): (Vec<&RemoteFile>, Vec<&RemoteFile>) = plan
        .files
        .iter()
        .map(|file| &file.remote)
        .partition(|file| weight_extension(&file.path).is_some());
    let headed =
        |file: &&RemoteFile| matches!(weight_extension(&file.path), Some("safetensors" | "gguf"));
    if weights.is_empty() || !weights.iter().all(headed) {
        return Ok(None);
    }
    for file in small {
        if DECLARING.contains(&file.path.as_str()) || file.path.ends_with(".index.json") {
            check_small(file)?;
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
    let forgotten = forgotten_shards(plan, &place, &options.exclude)?;
    for file in weights.into_iter().chain(forgotten) {
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

/// Refuses what cannot be a configuration or an index: nobody asked whether the temporary folder
/// has room for it.
fn check_small(file: &RemoteFile) -> Result<()> {
    if file.size <= LARGEST_SMALL {
        return Ok(());
    }
    Err(HubError::Format {
        file: file.path.clone(),
        message: format!(
            "it has {}, and the largest that is read has {}",
            readable_bytes(file.size),
            readable_bytes(LARGEST_SMALL)
        ),
    })
}

/// In how many bits a planned model's `config.json` says that its matrices are packed; `None`
/// where it does not say so.
///
/// # Errors
/// As for fetching.
pub(crate) fn packed_bits(plan: &Plan, options: &HubOptions) -> Result<Option<u64>> {
    let config = plan.all.get("config.json");
    let Some(file) = config.filter(|file| file.size <= LARGEST_CONFIG) else {
        return Ok(None);
    };
    let http = Http::new(options, &Quiet)?;
    let source = Source {
        repo: &plan.model.repo,
        commit: &plan.commit,
        file,
    };
    let text = http.retrying(|| ask(&http, source, Span::ALL)?.body(LARGEST_CONFIG as usize))?;
    // What is wrong with it is said where it is needed.
    Ok(serde_json::from_slice(&text).ok().and_then(declared_bits))
}

/// The bits that a configuration declares: ChatGLM's key, which is 0 for floats, or GPTQ's.
fn declared_bits(config: serde_json::Value) -> Option<u64> {
    let of_chatglm = config.get("quantization_bit");
    let of_others = || config.get("quantization_config")?.get("bits");
    let bits = of_chatglm.or_else(of_others)?.as_u64()?;
    (1..16).contains(&bits).then_some(bits)
}

/// Asks for a file or a part of it.
fn ask<'h>(http: &'h Http<'_>, source: Source<'_>, span: Span) -> Result<Answer<'h>, Failure> {
    let id = source.repo.to_string();
    let asked = Asked::File {
        repo: &id,
        file: &source.file.path,
    };
    let answer = http.get(source.url(http)?, span, asked)?;
    answer.refuse_html("a file")?;
    Ok(answer)
}

/// The bytes of a weights file up to where its data begin.
fn header(http: &Http<'_>, source: Source<'_>) -> Result<Vec<u8>, Failure> {
    let file = source.file;
    let span = Span {
        from: 0,
        to: Some(LONGEST_HEADER.min(file.size).saturating_sub(1)),
    };
    let mut answer = ask(http, source, span)?;
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
