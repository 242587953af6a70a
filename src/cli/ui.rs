//! What is said on stderr besides errors.

use std::io::{self, IsTerminal, Write};

use super::output::visible;

/// Notes and figures; silent with `--quiet`.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    quiet: bool,
    terminal: bool,
}

impl Ui {
    pub fn new(quiet: bool) -> Self {
        Self {
            quiet,
            terminal: io::stderr().is_terminal(),
        }
    }

    /// Whether moving progress is wanted: stderr is a terminal and nobody asked for silence.
    pub fn shows_progress(&self) -> bool {
        self.terminal && !self.quiet
    }

    /// Whether only errors are wanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A line that a user should know.
    pub fn note(&self, message: impl AsRef<str>) {
        self.line(&format!("note: {}", message.as_ref()));
    }

    /// A line of figures.
    pub fn line(&self, message: &str) {
        if !self.quiet {
            self.reply(message);
        }
    }

    /// What was asked for, or what failed: also with `--quiet`.
    pub fn reply(&self, message: &str) {
        // A closed stderr has nobody to tell.
        let _ = writeln!(io::stderr(), "{}", visible(message));
    }
}
