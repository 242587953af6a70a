//! The cache that Python's huggingface_hub shares: what is in it, and making room.
//!
//! `models--ORG--NAME/` holds `blobs/HASH` (content, under its hash), `snapshots/COMMIT/FILE`
//! (links to blobs), `refs/BRANCH` (a commit); `.locks/models--ORG--NAME/HASH.lock` is held
//! (flock) while a blob is written. From huggingface_hub 2 on a blob may be a link into the store
//! `CACHE/blobs` that all repositories share; wick reads it and leaves the store to Python's tools.

mod copies;
pub(crate) mod layout;
pub(crate) mod lock;
mod manage;

pub use copies::{CopyLock, QuantizedCopy, Snapshot, copies, remove_copies};
pub use manage::{CachedModel, CachedRevision, Removed, list, names, remove};
