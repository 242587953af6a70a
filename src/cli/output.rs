//! stdout: generated text and results, nothing else.

use std::borrow::Cow;
use std::io::{self, IsTerminal, StdoutLock, Write};

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Nobody reads any more; that is no failure of ours.
    #[error("standard output is closed")]
    Closed,
    #[error("standard output: {0}")]
    Io(io::Error),
}

impl From<io::Error> for OutputError {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io(e),
        }
    }
}

type Result<T> = std::result::Result<T, OutputError>;

/// Standard output, flushed after every piece. On a terminal, control characters in what a model
/// says are made visible, so that they cannot command the terminal; a pipe gets every byte.
pub struct Output {
    out: StdoutLock<'static>,
    terminal: bool,
    /// Whether the last character was a line's end.
    at_line_start: bool,
}

impl Output {
    pub fn new() -> Self {
        let out = io::stdout().lock();
        Self {
            terminal: out.is_terminal(),
            out,
            at_line_start: true,
        }
    }

    /// Writes a piece of text.
    pub fn text(&mut self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.at_line_start = text.ends_with('\n');
        let text = match self.terminal {
            true => visible(text),
            false => Cow::Borrowed(text),
        };
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.flush()?)
    }

    /// Writes a line.
    pub fn line(&mut self, text: &str) -> Result<()> {
        self.text(text)?;
        self.out.write_all(b"\n")?;
        self.at_line_start = true;
        Ok(self.out.flush()?)
    }

    /// Ends an unfinished line on a terminal, so that the shell's prompt begins its own.
    pub fn end(&mut self) -> Result<()> {
        match self.terminal && !self.at_line_start {
            true => self.line(""),
            false => Ok(self.out.flush()?),
        }
    }

    /// Ends an unfinished line.
    pub fn end_line(&mut self) -> Result<()> {
        match self.at_line_start {
            true => Ok(self.out.flush()?),
            false => self.line(""),
        }
    }
}

/// `text` with every control character but newline and tab replaced by its picture (U+2400 and
/// on), C1 controls by U+FFFD.
pub fn visible(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let picture = |c: char| match c {
        c if harmless(c) => c,
        '\u{7f}' => '\u{2421}',
        c => char::from_u32(0x2400 + u32::from(c))
            .filter(|_| c < ' ')
            .unwrap_or(char::REPLACEMENT_CHARACTER),
    };
    Cow::Owned(text.chars().map(picture).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_lose_their_power_and_text_stays() {
        assert_eq!(visible("你好\n\tok"), "你好\n\tok");
        assert_eq!(visible("\x1b]0;x\x07\x7f\u{9b}2J\r"), "␛]0;x␇␡\u{fffd}2J␍");
    }

    proptest! {
        #[test]
        fn nothing_visible_is_a_command(text in any::<String>()) {
            let out = visible(&text);
            prop_assert!(out.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
            prop_assert_eq!(out.chars().count(), text.chars().count());
        }
    }
}
