//! Turns from the keyboard, with history and several lines, or from a pipe.

use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::super::interrupt::Interrupt;
use super::super::ui::Ui;
use super::folder::state_folder;
use super::lines::Lines;

/// Where turns come from.
pub enum Reader {
    Keyboard(Box<Keyboard>),
    Pipe(io::StdinLock<'static>),
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    Text(String),
    /// Ctrl-C took back what was typed.
    Empty,
    End,
}

/// The longest line of a pipe, and the longest text of an editor.
pub const LONGEST: u64 = 16 << 20;

impl Reader {
    /// The keyboard if standard input is a terminal.
    pub fn open(interrupt: &Interrupt, ui: &Ui) -> Result<Self> {
        let stdin = io::stdin();
        match stdin.is_terminal() {
            true => Ok(Self::Keyboard(Box::new(Keyboard::open(interrupt, ui)?))),
            false => Ok(Self::Pipe(stdin.lock())),
        }
    }

    pub fn is_interactive(&self) -> bool {
        matches!(self, Self::Keyboard(_))
    }

    /// The next turn.
    pub fn read(&mut self) -> Result<Input> {
        match self {
            Self::Keyboard(keyboard) => keyboard.read(),
            Self::Pipe(pipe) => line(pipe),
        }
    }
}

/// One line of what is read as it is.
pub fn line(pipe: &mut impl BufRead) -> Result<Input> {
    use io::Read;
    let mut bytes = Vec::new();
    let n = pipe
        .take(LONGEST)
        .read_until(b'\n', &mut bytes)
        .context("standard input")?;
    if n as u64 == LONGEST {
        bail!("standard input: a line is longer than {LONGEST} bytes");
    }
    if n == 0 {
        return Ok(Input::End);
    }
    let text = String::from_utf8(bytes).context("standard input: not UTF-8 text")?;
    Ok(Input::Text(text.trim_end_matches(['\n', '\r']).to_string()))
}

/// Turns of one line or several, with a history on disk where lines are edited.
pub struct Keyboard {
    lines: Lines,
    history: Option<PathBuf>,
    /// Whether the last thing typed was Ctrl-C.
    asked_to_leave: bool,
    ui: Ui,
}

const PROMPT: &str = "> ";
const MORE: &str = ". ";
const BLOCK: &str = "\"\"\"";

impl Keyboard {
    fn open(interrupt: &Interrupt, ui: &Ui) -> Result<Self> {
        let mut lines = Lines::open(interrupt)?;
        let history = state_folder().map(|folder| folder.join("history"));
        if let (Some(editor), Some(path)) = (lines.editor(), &history) {
            // There is none the first time.
            let _ = editor.load_history(path);
        }
        Ok(Self {
            lines,
            history,
            asked_to_leave: false,
            ui: *ui,
        })
    }

    fn read(&mut self) -> Result<Input> {
        let mut text = String::new();
        let mut block = false;
        loop {
            let begins = text.is_empty() && !block;
            let prompt = if begins { PROMPT } else { MORE };
            let line = match self.lines.read(prompt)? {
                Input::Text(line) => line,
                Input::Empty => return Ok(self.interrupted(begins)),
                Input::End => return Ok(Input::End),
            };
            self.asked_to_leave = false;
            let more = add_line(&mut text, &mut block, &line);
            if !more {
                break;
            }
        }
        self.remember(&text);
        Ok(Input::Text(text))
    }

    /// Ctrl-C at the prompt: the second in a row leaves.
    fn interrupted(&mut self, at_beginning: bool) -> Input {
        if at_beginning && self.asked_to_leave {
            return Input::End;
        }
        self.asked_to_leave = at_beginning;
        if at_beginning {
            self.ui.line("(Ctrl-C again, or Ctrl-D, leaves)");
        }
        Input::Empty
    }

    /// Keeps the turn in the history; a disk that is full or read-only is no reason to stop.
    fn remember(&mut self, text: &str) {
        let Some(editor) = self.lines.editor() else {
            return;
        };
        let _ = editor.add_history_entry(text);
        if let Some(path) = &self.history {
            if let Some(folder) = path.parent() {
                let _ = std::fs::create_dir_all(folder);
            }
            // What other chats have added meanwhile stays.
            let _ = editor.append_history(path);
        }
    }
}

/// Adds a typed line to `text`; whether more lines follow.
fn add_line(text: &mut String, block: &mut bool, line: &str) -> bool {
    if *block {
        if let Some(last) = line.trim_end().strip_suffix(BLOCK) {
            text.push_str(last);
            return false;
        }
        text.push_str(line);
        text.push('\n');
        return true;
    }
    if let Some(first) = line
        .trim_start()
        .strip_prefix(BLOCK)
        .filter(|_| text.is_empty())
    {
        if let Some(whole) = first.trim_end().strip_suffix(BLOCK) {
            text.push_str(whole);
            return false;
        }
        *block = true;
        if !first.is_empty() {
            text.push_str(first);
            text.push('\n');
        }
        return true;
    }
    match line.strip_suffix('\\') {
        Some(line) => {
            text.push_str(line);
            text.push('\n');
            true
        }
        None => {
            text.push_str(line);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(lines: &[&str]) -> (String, bool) {
        let (mut text, mut block, mut more) = (String::new(), false, true);
        for line in lines {
            assert!(more, "the turn ended before {line:?}");
            more = add_line(&mut text, &mut block, line);
        }
        (text, more)
    }

    #[test]
    fn several_lines_are_one_turn() {
        assert_eq!(typed(&["a\\", "b"]), ("a\nb".to_string(), false));
        assert_eq!(
            typed(&["\"\"\"a", "b\\", "c\"\"\""]),
            ("a\nb\\\nc".to_string(), false)
        );
        assert_eq!(typed(&["\"\"\"a\"\"\""]), ("a".to_string(), false));
        assert_eq!(typed(&["\"\"\"", "a"]), ("a\n".to_string(), true));
    }

    #[test]
    fn a_pipe_gives_a_turn_for_each_line() {
        let mut pipe = io::Cursor::new("a\r\n\nb");
        let mut next = || line(&mut pipe).unwrap();
        assert_eq!(next(), Input::Text("a".into()));
        assert_eq!(next(), Input::Text(String::new()));
        assert_eq!(next(), Input::Text("b".into()));
        assert_eq!(next(), Input::End);
    }
}
