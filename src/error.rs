//! The library's error: every case that a caller tells apart, each message naming the file or
//! key, what was found and what was wanted.

use std::path::{Path, PathBuf};

/// What can go wrong while a model is opened or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file's content is not what its format promises.
    #[error("{}: {message}", path.display())]
    Format {
        /// The file, or the folder where no one file is at fault.
        path: PathBuf,
        /// What was found and what was wanted.
        message: String,
    },
    /// A key of a model's configuration is missing, malformed or not supported.
    #[error("{}: {key}: {message}", path.display())]
    Config {
        /// The configuration's file, or the GGUF that holds it.
        path: PathBuf,
        /// With the objects around it: `rope_scaling.factor`.
        key: String,
        /// What was found and what was wanted.
        message: String,
    },
    /// A tensor is missing, spare, of the wrong shape or of a type that cannot be used.
    #[error("{}: tensor {name}: {message}", path.display())]
    Tensor {
        /// The checkpoint's file or folder.
        path: PathBuf,
        /// As stored, or canonical (`blk.3.attn_q.weight`).
        name: String,
        /// What was found and what was wanted.
        message: String,
    },
    /// The context is full.
    #[error(
        "the context is full: {needed} tokens are needed, {limit} fit; shorten the prompt, or raise --ctx-size if the model has more positions"
    )]
    ContextFull {
        /// Tokens that the sequence would have.
        needed: usize,
        /// Tokens that the cache, or a table of learned positions, has room for.
        limit: usize,
    },
    /// A token id outside the model's vocabulary.
    #[error("token id {id} is outside the vocabulary of {vocab_size}; give ids below {vocab_size}")]
    TokenId {
        /// The first such id of those given.
        id: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// Stopped from outside (Ctrl-C).
    #[error("interrupted")]
    Interrupted,
    /// Text could not be turned into tokens, or a template could not be rendered.
    #[error("{0}")]
    Text(String),
    /// A template that works longer or takes more memory than any honest one does. Its work goes
    /// on and cannot be stopped: whoever gets this should end the process soon, and render nothing
    /// more before.
    #[error("{0}")]
    Runaway(String),
    /// Anything that a user asked for and this build or model cannot do.
    #[error("{0}")]
    Unsupported(String),
    /// A model could not be found or fetched.
    #[error(transparent)]
    Hub(#[from] crate::hub::HubError),
    /// The tensor library failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An I/O error with the file it happened on.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }

    /// A malformed file.
    pub fn format(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::Format {
            path: path.as_ref().to_path_buf(),
            message: message.into(),
        }
    }

    /// A configuration key that cannot be used.
    pub fn config(path: impl AsRef<Path>, key: &str, message: impl Into<String>) -> Self {
        Self::Config {
            path: path.as_ref().to_path_buf(),
            key: key.to_string(),
            message: message.into(),
        }
    }

    /// A tensor that cannot be used.
    pub fn tensor(path: impl AsRef<Path>, name: &str, message: impl Into<String>) -> Self {
        Self::Tensor {
            path: path.as_ref().to_path_buf(),
            name: name.to_string(),
            message: message.into(),
        }
    }
}
