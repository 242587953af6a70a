//! Where an answer ends, and why it did.

/// When an answer ends.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// At most this many tokens; the context's end otherwise.
    pub max_tokens: Option<usize>,
    /// Tokens that end the answer. They are neither returned nor run.
    pub stop_ids: Vec<u32>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// At a stop token or stop string.
    Stop,
    /// At the most tokens that were asked for.
    Length,
    /// The context is full.
    ContextFull,
    /// From outside.
    Interrupted,
}

impl FinishReason {
    /// As written into JSON output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length | Self::ContextFull => "length",
            Self::Interrupted => "interrupted",
        }
    }
}
