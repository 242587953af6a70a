//! How a command ends: what is said on stderr, and the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use super::output::{OutputError, visible};
use crate::Error;

/// The work failed.
pub const FAILED: u8 = 1;
/// The command line was wrong.
pub const USAGE: u8 = 2;
/// Stopped by Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// Flags that do not go together, found after clap has done its part.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// An error of the command line.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// Says what went wrong and gives the exit code. A closed pipe is not an error.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if matches!(error.downcast_ref(), Some(OutputError::Closed)) {
        return ExitCode::SUCCESS;
    }
    if matches!(error.downcast_ref(), Some(Error::Interrupted)) {
        return ExitCode::from(INTERRUPTED);
    }
    // Names in messages may come from a file; a closed stderr has nobody to tell.
    let _ = writeln!(io::stderr(), "error: {}", visible(&chain(error)));
    ExitCode::from(match error.is::<Usage>() {
        true => USAGE,
        false => FAILED,
    })
}

/// The error with its causes, without repeating what a message already says.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let message = cause.to_string();
        if text.contains(&message) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&message);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_says_everything_once() {
        let source = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let error = anyhow::Error::new(Error::io("a.gguf", source)).context("opening");
        assert_eq!(chain(&error), "opening: a.gguf: no such file");
    }
}
