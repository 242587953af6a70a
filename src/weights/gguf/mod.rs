//! GGUF: the container of llama.cpp. Specification: `docs/gguf.md` in the ggml repository.

mod json;
mod metadata;
mod read;
mod write;

pub use json::{from_json, to_json};
pub use metadata::{Array, Metadata, Value};
pub use read::Gguf;
pub use write::{TensorHeader, Writer};

/// Tensor data is aligned to this unless `general.alignment` says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;
