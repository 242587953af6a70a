//! A model by name: cards, the Hugging Face Hub and its shared cache.
//!
//! [`ModelRef::parse`] reads what a user typed, [`resolve`] turns it into files that can be
//! opened, fetching what is missing; [`plan`] and [`fetch`] are its two halves for `download`.
//! Nothing is printed here: a caller that wants to show something gives a [`Progress`].
//!
//! # What hf-hub does and what is done here
//! hf-hub 1.0 asks the Hub for a model's description (its commit at a revision) and scans the
//! cache. It does not resume a file, compare its hash, mind `Retry-After`, or keep the token from
//! the host that a list's next page points to; so these are sent here, with the client that it
//! uses (reqwest), into the same cache:
//! - the list of files ([`api`], page links stay with the endpoint);
//! - the content ([`transfer`]): from the byte where the last attempt stopped, checked against
//!   SHA-256 (large files) or git's hash (small ones) before it has a name;
//! - redirects by hand ([`http`]): the token goes to the endpoint's own scheme, host and port;
//! - configuration and headers before a download ([`hollow()`]), by ranges of the files.
//!
//! Beside the cache, never in it, lie wick's own quantized copies ([`cache::copies`]).
//!
//! # What a kill leaves
//! A blob grows as `blobs/HASH.incomplete` under a lock that ends with the process, is checked,
//! written through and renamed; then linked; a revision's ref is written last. Whatever the
//! moment, the next run finds a beginning that it goes on from, or a whole file.
//!
//! # Limits
//! The functions block, and must not be called from inside a tokio runtime. Files in xet storage
//! come through the Hub's plain-download bridge, not xet's own protocol.

mod api;
pub mod cache;
pub mod card;
mod disk;
mod error;
mod fetch;
mod header;
mod hollow;
mod http;
mod local;
mod name;
mod options;
mod partial;
mod pick;
mod place;
mod preflight;
mod progress;
mod refusal;
mod shards;
mod size;
mod transfer;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use api::{Hash, RemoteFile};
pub use disk::{Disk, free_bytes};
pub use error::{HubError, Result};
pub use fetch::{Plan, PlannedFile, fetch, plan};
pub use hollow::{Hollow, hollow};
pub use name::{FileSpec, HubRef, ModelRef, RepoId};
pub use options::{HubOptions, Token};
pub use preflight::{Alternative, LEAST_CONTEXT, Offer, Outline, Preflight, alternatives};
pub use progress::{Event, Progress, Quiet};
pub use size::readable_bytes;

/// A model that is here, by how it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelFiles {
    /// A folder in the hub's layout, with `config.json`.
    Folder(PathBuf),
    /// A GGUF file; of a split one, the first part, the others beside it.
    Gguf(PathBuf),
    /// A safetensors or PyTorch file with its configuration beside it.
    Safetensors(PathBuf),
}

impl ModelFiles {
    /// The folder or file, whichever it is, as the loader takes it.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Gguf(path) | Self::Safetensors(path) => path,
        }
    }
}

/// The files of a model: a local one as it is, one of the Hub after fetching what the cache lacks.
/// Where the Hub cannot be reached and the cache is complete, the cache is used, with a note, and
/// the Hub is asked only once.
///
/// # Errors
/// See [`HubError`]; when the Hub cannot be reached and the cache is not complete, the former.
pub fn resolve(
    model: &ModelRef,
    options: &HubOptions,
    progress: &dyn Progress,
) -> Result<ModelFiles> {
    resolve_after(model, options, progress, |_| Ok(()))
}

/// As [`resolve`]; `check` sees what is to be fetched before it is, and may refuse. Where nothing
/// is missing it is not asked.
///
/// # Errors
/// As [`resolve`], and those of `check`.
pub fn resolve_after<E: From<HubError>>(
    model: &ModelRef,
    options: &HubOptions,
    progress: &dyn Progress,
    check: impl FnOnce(&Plan) -> Result<(), E>,
) -> Result<ModelFiles, E> {
    let hub = match model {
        ModelRef::Folder(path) => return Ok(ModelFiles::Folder(path.clone())),
        ModelRef::Gguf(path) => return Ok(ModelFiles::Gguf(path.clone())),
        ModelRef::Safetensors(path) => return Ok(ModelFiles::Safetensors(path.clone())),
        ModelRef::Hub(hub) => hub,
    };
    if options.offline {
        return Ok(fetch::cached(hub, options)?);
    }
    let asking = match fetch::cached(hub, options) {
        Ok(_) => hurried(options),
        Err(_) => options.clone(),
    };
    let plan = match plan(hub, &asking, progress) {
        Ok(plan) => plan,
        Err(error) => return Ok(stand_in(hub, options, progress, error)?),
    };
    if plan.missing_bytes() > 0 {
        check(&plan)?;
    }
    match fetch(&plan, options, progress) {
        Ok(files) => Ok(files),
        Err(error) => Ok(stand_in(hub, options, progress, error)?),
    }
}

/// How long the Hub may keep silent where the cache can stand in for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Options to ask once, and not for long: where nothing is missing, a network that swallows
/// everything is not worth minutes.
fn hurried(options: &HubOptions) -> HubOptions {
    HubOptions {
        attempts: 1,
        timeout: options.timeout.min(PATIENCE),
        ..options.clone()
    }
}

/// What is cached, where the Hub could not be asked.
fn stand_in(
    hub: &HubRef,
    options: &HubOptions,
    progress: &dyn Progress,
    error: HubError,
) -> Result<ModelFiles> {
    if !error.is_network() {
        return Err(error);
    }
    let files = fetch::cached(hub, options).map_err(|_| error)?;
    progress.event(Event::Note(
        "the Hub cannot be reached; using what is cached",
    ));
    Ok(files)
}
