//! What a caller may show while a model is fetched.

use std::path::Path;

/// One thing that happened. `file` is the path within the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// What is to be had: all files, the bytes of all, and how many of those are here already.
    Planned {
        /// How many there are.
        files: usize,
        /// Of all of them.
        bytes: u64,
        /// Of those that are here whole.
        here: u64,
    },
    /// A file's transfer begins at byte `at` of `size`.
    Started {
        /// Its path in the repository.
        file: &'a str,
        /// Bytes of the whole file.
        size: u64,
        /// Bytes that an earlier run left.
        at: u64,
    },
    /// `bytes` more of a file came.
    Advanced {
        /// Its path in the repository.
        file: &'a str,
        /// Since the last event of this file.
        bytes: u64,
    },
    /// A file starts again from byte 0: the server cannot go on where it stopped.
    Restarted {
        /// Its path in the repository.
        file: &'a str,
    },
    /// A file is checked and in its place.
    Finished {
        /// Its path in the repository.
        file: &'a str,
    },
    /// A folder that goes when the work is done: whoever ends the process before is to remove it.
    Temporary {
        /// Made for this run, under a name of its own.
        folder: &'a Path,
    },
    /// Something worth a line: a wait, a retry, another process that fetches the same file.
    Note(&'a str),
}

/// Receives events, from several threads at once.
pub trait Progress: Sync {
    /// Takes one event; the transfer goes on when it returns.
    fn event(&self, event: Event<'_>);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn event(&self, _: Event<'_>) {}
}
