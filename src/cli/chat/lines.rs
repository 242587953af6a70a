//! Lines from a terminal: edited in place where the terminal can do that, else as they are typed.
//! Standard output gets nothing of it unless that is the terminal.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use anyhow::{Context, Result};
use rustyline::error::ReadlineError;
use rustyline::{Behavior, Config, DefaultEditor};

use super::super::interrupt::Interrupt;
use super::reader::{Input, line};

/// Where lines are typed.
pub enum Lines {
    Edited(Box<DefaultEditor>),
    Plain(Plain),
}

impl Lines {
    /// Those of this process's terminal.
    pub fn open(interrupt: &Interrupt) -> Result<Self> {
        let Some(behavior) = behavior() else {
            let next = || line(&mut io::stdin().lock());
            return Ok(Self::Plain(Plain::new(next, interrupt)));
        };
        let config = Config::builder().behavior(behavior).build();
        let editor = DefaultEditor::with_config(config).context("the terminal cannot be used")?;
        Ok(Self::Edited(Box::new(editor)))
    }

    /// The next line; [`Input::Empty`] of a Ctrl-C.
    pub fn read(&mut self, prompt: &str) -> Result<Input> {
        let editor = match self {
            Self::Edited(editor) => editor,
            Self::Plain(plain) => return plain.read(prompt),
        };
        match editor.readline(prompt) {
            Ok(line) => Ok(Input::Text(line)),
            Err(ReadlineError::Interrupted) => Ok(Input::Empty),
            Err(ReadlineError::Eof) => Ok(Input::End),
            Err(e) => Err(e).context("reading from the terminal"),
        }
    }

    /// The editor, which has a history.
    pub fn editor(&mut self) -> Option<&mut DefaultEditor> {
        match self {
            Self::Edited(editor) => Some(editor.as_mut()),
            Self::Plain(_) => None,
        }
    }
}

/// Terminals on which the editor does not edit: it would write its prompt to standard output.
const UNSUPPORTED: [&str; 3] = ["dumb", "cons25", "emacs"];

/// Where the editor draws; `None` where it has no terminal that it could draw on.
fn behavior() -> Option<Behavior> {
    let term = std::env::var("TERM").unwrap_or_default();
    if UNSUPPORTED.iter().any(|t| t.eq_ignore_ascii_case(&term)) {
        return None;
    }
    if io::stdout().is_terminal() {
        return Some(Behavior::Stdio);
    }
    // As the editor opens it, which draws on standard output where it cannot.
    let terminal = || OpenOptions::new().read(true).write(true).open("/dev/tty");
    let is_there = !cfg!(unix) || terminal().is_ok();
    is_there.then_some(Behavior::PreferTerm)
}

/// Lines without an editor. Another thread waits for them, so that Ctrl-C, which is a signal here
/// and no key, is heard meanwhile.
pub struct Plain {
    /// Asks for a line. None is read before: what runs between two lines may read the terminal.
    wanted: Sender<()>,
    lines: Receiver<Result<Input>>,
    /// Whether a line is asked for that has not come yet.
    is_asked: bool,
    interrupt: Interrupt,
}

/// How often a look is taken at whether there was a Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(50);

impl Plain {
    fn new(
        mut next: impl FnMut() -> Result<Input> + Send + 'static,
        interrupt: &Interrupt,
    ) -> Self {
        let (wanted, asked) = mpsc::channel();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for () in asked {
                let read = next();
                let is_last = !matches!(read, Ok(Input::Text(_)));
                if sender.send(read).is_err() || is_last {
                    return;
                }
            }
        });
        Self {
            wanted,
            lines,
            is_asked: false,
            interrupt: interrupt.clone(),
        }
    }

    fn read(&mut self, prompt: &str) -> Result<Input> {
        // One that came before the prompt was not meant for it.
        self.interrupt.take();
        let say = |text: &str| {
            // A closed stderr has nobody to tell.
            let _ = io::stderr().write_all(text.as_bytes());
        };
        say(prompt);
        if !self.is_asked {
            // After the last line nobody hears it, and the next one is the end.
            self.is_asked = self.wanted.send(()).is_ok();
        }
        loop {
            let input = match self.lines.recv_timeout(PATIENCE) {
                Err(RecvTimeoutError::Timeout) if self.interrupt.take() => Ok(Input::Empty),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => Ok(Input::End),
                Ok(read) => {
                    self.is_asked = false;
                    read
                }
            };
            if let Ok(Input::Empty | Input::End) = input {
                // Neither key ends the line that it is typed on.
                say("\n");
            }
            return input;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_ctrl_c_is_heard_while_nothing_is_typed_and_the_next_line_still_comes() {
        let interrupt = Interrupt::default();
        let (keys, typed) = mpsc::channel();
        let next = move || Ok(typed.recv().map_or(Input::End, Input::Text));
        let mut plain = Plain::new(next, &interrupt);
        let mut read = || plain.read("").unwrap();
        keys.send("a".to_string()).unwrap();
        assert_eq!(read(), Input::Text("a".into()));
        // Again and again, for one that comes before the prompt does not count.
        let flag = interrupt.flag();
        let heard = Arc::new(AtomicBool::new(false));
        let enough = heard.clone();
        let hand = std::thread::spawn(move || {
            while !enough.load(Ordering::SeqCst) {
                flag.store(true, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        assert_eq!(read(), Input::Empty);
        heard.store(true, Ordering::SeqCst);
        hand.join().unwrap();
        keys.send("b".to_string()).unwrap();
        assert_eq!(read(), Input::Text("b".into()));
        drop(keys);
        assert_eq!([read(), read()], [Input::End, Input::End]);
    }

    #[test]
    fn the_terminal_is_not_read_while_no_line_is_wanted() {
        let (sender, reads) = mpsc::channel();
        let next = move || {
            sender.send(()).unwrap();
            Ok(Input::Text("a".to_string()))
        };
        let mut plain = Plain::new(next, &Interrupt::default());
        assert_eq!(plain.read("").unwrap(), Input::Text("a".into()));
        assert_eq!(reads.recv(), Ok(()));
        let more = reads.recv_timeout(PATIENCE * 4);
        assert_eq!(more, Err(RecvTimeoutError::Timeout));
    }
}
