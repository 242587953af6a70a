//! Ctrl-C: stops an answer softly where one is being made, the process otherwise.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};

use super::exit;

/// Files and folders to be removed when Ctrl-C ends the process at once.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// While this lives, Ctrl-C removes a file or a folder when it ends the process.
#[must_use]
pub struct Unfinished(PathBuf);

/// Removes `path`, a file or a folder, if Ctrl-C ends the process.
pub fn remove_if_stopped(path: PathBuf) -> Unfinished {
    if let Ok(mut unfinished) = UNFINISHED.lock() {
        unfinished.push(path.clone());
    }
    Unfinished(path)
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Ok(mut unfinished) = UNFINISHED.lock() {
            unfinished.retain(|path| *path != self.0);
        }
    }
}

/// What is said when Ctrl-C ends the process at once.
static LAST_WORDS: Mutex<Option<&'static str>> = Mutex::new(None);

/// Says `words` if Ctrl-C ends the process.
pub fn last_words(words: Option<&'static str>) {
    if let Ok(mut last) = LAST_WORDS.lock() {
        *last = words;
    }
}

/// The process's handler of Ctrl-C. Other signals end the process as they always do.
#[derive(Clone, Default)]
pub struct Interrupt {
    /// Set by a Ctrl-C that is soft.
    flag: Arc<AtomicBool>,
    /// Whether Ctrl-C only sets `flag`.
    soft: Arc<AtomicBool>,
    /// Whether Ctrl-C does nothing.
    ignored: Arc<AtomicBool>,
}

impl Interrupt {
    /// Installs the handler; once per process.
    pub fn install() -> Result<Self> {
        let this = Self::default();
        let handler = this.clone();
        ctrlc::set_handler(move || handler.signalled()).context("Ctrl-C cannot be handled")?;
        Ok(this)
    }

    fn signalled(&self) {
        if self.ignored.load(Ordering::SeqCst) {
            return;
        }
        // The second Ctrl-C ends what does not stop after the first.
        if self.soft.load(Ordering::SeqCst) && !self.flag.swap(true, Ordering::SeqCst) {
            return;
        }
        let unfinished = UNFINISHED.lock().map(|f| f.clone());
        for path in unfinished.unwrap_or_default() {
            // The process is on its way out; there is nobody to tell.
            let _ = match path.is_dir() {
                true => std::fs::remove_dir_all(path),
                false => std::fs::remove_file(path),
            };
        }
        if let Some(words) = LAST_WORDS.lock().ok().and_then(|mut w| w.take()) {
            let _ = writeln!(std::io::stderr(), "\n{words}");
        }
        std::process::exit(i32::from(exit::INTERRUPTED));
    }

    /// Set when the answer is to stop.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.flag.clone()
    }

    /// Whether there was a soft Ctrl-C, which is forgotten with this.
    pub fn take(&self) -> bool {
        self.flag.swap(false, Ordering::SeqCst)
    }

    /// Makes Ctrl-C soft until the guard is dropped, then as it was before. Forgets an earlier
    /// Ctrl-C; the guard's end forgets those of its time.
    pub fn softly(&self) -> Softly {
        self.take();
        Softly {
            before: self.soft.swap(true, Ordering::SeqCst),
            interrupt: self.clone(),
        }
    }

    /// Makes Ctrl-C do nothing until the guard is dropped: another program has the terminal, and
    /// hears it too.
    pub fn ignored(&self) -> Ignored {
        self.ignored.store(true, Ordering::SeqCst);
        Ignored(self.clone())
    }
}

/// While this lives, Ctrl-C is meant for another program.
#[must_use]
pub struct Ignored(Interrupt);

impl Drop for Ignored {
    fn drop(&mut self) {
        self.0.ignored.store(false, Ordering::SeqCst);
    }
}

/// While this lives, Ctrl-C stops the answer and not the process.
#[must_use]
pub struct Softly {
    interrupt: Interrupt,
    /// Whether Ctrl-C was soft already.
    before: bool,
}

impl Drop for Softly {
    fn drop(&mut self) {
        self.interrupt.soft.store(self.before, Ordering::SeqCst);
        self.interrupt.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_the_answers_of_a_chat_ctrl_c_is_soft_and_none_outlives_its_answer() {
        // A Ctrl-C that is not soft would end the tests.
        let interrupt = Interrupt::default();
        let chat = interrupt.softly();
        {
            let _answer = interrupt.softly();
            interrupt.signalled();
            assert!(interrupt.flag().load(Ordering::SeqCst));
        }
        assert!(!interrupt.take());
        interrupt.signalled();
        // The next answer is not stopped by what was meant for the last one.
        let answer = interrupt.softly();
        assert!(!interrupt.take());
        drop(answer);
        assert!(interrupt.soft.load(Ordering::SeqCst));
        drop(chat);
        assert!(!interrupt.soft.load(Ordering::SeqCst));
    }

    #[test]
    fn ctrl_c_is_not_heard_while_it_is_another_programs() {
        let interrupt = Interrupt::default();
        let _chat = interrupt.softly();
        let editor = interrupt.ignored();
        // Heard, the second would end the tests.
        interrupt.signalled();
        interrupt.signalled();
        assert!(!interrupt.take());
        drop(editor);
        interrupt.signalled();
        assert!(interrupt.take());
    }
}
