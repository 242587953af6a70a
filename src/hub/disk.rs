//! Free space where files are to go.

use std::path::{Path, PathBuf};

use super::error::{HubError, Result};
use super::fetch::Plan;
use super::options::HubOptions;
use super::place::Place;

/// What a plan asks of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Where the files go; it need not exist yet.
    pub folder: PathBuf,
    /// Bytes still to come; beginnings that earlier runs left are not counted.
    pub needed: u64,
    /// Bytes free, `None` where the system does not say.
    pub free: Option<u64>,
}

impl Disk {
    /// What a plan still needs and what is free, in `local_dir` or else in the cache.
    pub fn new(plan: &Plan, options: &HubOptions) -> Self {
        let place = Place::new(options, &plan.model.repo);
        let to_come = plan.files.iter().filter(|f| !f.is_here());
        let begun = to_come.map(|f| place.begun(&f.remote));
        let begun = begun.fold(0, u64::saturating_add);
        let folder = options.local_dir.as_ref().unwrap_or(&options.cache);
        Self {
            folder: folder.clone(),
            needed: plan.missing_bytes().saturating_sub(begun),
            free: free_bytes(folder),
        }
    }

    /// Refuses what the disk cannot hold; where the system does not say what is free, nothing.
    ///
    /// # Errors
    /// [`HubError::DiskFull`] if less is free than needed.
    pub fn check(&self) -> Result<()> {
        match self.free {
            Some(free) if free < self.needed => Err(HubError::DiskFull {
                path: self.folder.clone(),
                needed: self.needed,
                free,
            }),
            _ => Ok(()),
        }
    }
}

/// Bytes that this user may still write below `path`, which need not exist yet; `None` where the
/// system does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let existing = path
        .ancestors()
        .find(|p| p.exists() || p.as_os_str().is_empty())?;
    let existing = if existing.as_os_str().is_empty() {
        Path::new(".")
    } else {
        existing
    };
    of(existing)
}

#[cfg(unix)]
fn of(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(not(unix))]
fn of(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_folder_that_is_still_to_be_made_counts_as_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(&dir.path().join("a/b/c")).unwrap() > 0);
    }
}
