//! The lock beside a blob, the one that Python's filelock takes (flock).

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::layout::create_parent;
use crate::hub::error::{HubError, Result};
use crate::hub::progress::{Event, Progress};

/// Held until dropped, or until the process ends in whatever way.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for as long as another process holds it. Where the file system has no locks,
    /// goes on without: the content's hash still guards what is made visible.
    pub fn acquire(path: &Path, progress: &dyn Progress) -> Result<Self> {
        create_parent(path)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(|e| HubError::io(path, e))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        progress.event(Event::Note(
                            "another process is fetching the same file; waiting for it",
                        ));
                        told = true;
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(TryLockError::Error(_)) => {
                    progress.event(Event::Note("the cache's file system has no locks; do not fetch the same model twice at once"));
                    break;
                }
            }
        }
        Ok(Self { _file: file })
    }
}
