//! GGUF: the container of llama.cpp. Specification: `docs/gguf.md` in the ggml repository.

mod json;
mod metadata;
mod read;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use json::{from_json, to_json};
pub use metadata::Metadata;
pub use read::Gguf;
pub use value::{Array, Value, ValueType};
pub use write::{TensorHeader, Writer};

/// The key that says to what tensor data are aligned.
const ALIGNMENT: &str = "general.alignment";
/// What they are aligned to unless it says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;
