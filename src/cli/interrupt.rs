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

/// The process's handler of Ctrl-C (and SIGTERM, SIGHUP).
#[derive(Clone, Default)]
pub struct Interrupt {
    /// Set by Ctrl-C while an answer is being made.
    flag: Arc<AtomicBool>,
    /// Whether Ctrl-C only sets `flag`.
    soft: Arc<AtomicBool>,
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

    /// Makes Ctrl-C stop softly until the guard is dropped; forgets an earlier Ctrl-C.
    pub fn softly(&self) -> Softly {
        self.flag.store(false, Ordering::SeqCst);
        self.soft.store(true, Ordering::SeqCst);
        Softly(self.clone())
    }
}

/// While this lives, Ctrl-C stops the answer and not the process.
pub struct Softly(Interrupt);

impl Drop for Softly {
    fn drop(&mut self) {
        self.0.soft.store(false, Ordering::SeqCst);
    }
}
