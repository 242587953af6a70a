//! What a caller may show while a model is fetched.

use std::path::Path;

/// One thing that happened. `file` is the path within the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// What is to be had: all files, the bytes of all, and how many of those are here already.
    Planned { files: usize, bytes: u64, here: u64 },
    /// A file's transfer begins at byte `at` of `size`.
    Started { file: &'a str, size: u64, at: u64 },
    /// `bytes` more of a file came.
    Advanced { file: &'a str, bytes: u64 },
    /// A file starts again from byte 0: the server cannot go on where it stopped.
    Restarted { file: &'a str },
    /// A file is checked and in its place.
    Finished { file: &'a str },
    /// A folder that goes when the work is done: whoever ends the process before is to remove it.
    Temporary { folder: &'a Path },
    /// Something worth a line: a wait, a retry, another process that fetches the same file.
    Note(&'a str),
}

/// Receives events, from several threads at once.
pub trait Progress: Sync {
    fn event(&self, event: Event<'_>);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn event(&self, _: Event<'_>) {}
}
