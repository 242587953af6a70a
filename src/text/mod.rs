//! Text to tokens and back: tokenizers of every format behind one type, streaming output, stop
//! strings and chat templates.

mod byte_level;
mod config;
mod decode;
mod files;
mod folder;
mod gguf;
mod gguf_write;
mod glm;
mod hf;
mod hf_json;
mod pieces;
mod pretokenize;
mod spm;
mod stop;
mod template;
mod tiktoken;
mod tokenizer;

#[cfg(test)]
mod tests;

pub use decode::TextStream;
pub use gguf_write::{Held, Vocabulary, gguf_entries};
pub use stop::StopStrings;
pub use template::{ChatTemplate, Message, PromptError, PromptTemplate, Role};
pub use tokenizer::{Specials, Tokenizer};
