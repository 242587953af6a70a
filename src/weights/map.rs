//! Read-only bytes: a mapped file, or bytes that the binary itself carries.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::{Error, Result};

/// Where the bytes live.
enum Source {
    File(memmap2::Mmap),
    Static(&'static [u8]),
}

/// A file mapped read-only, or what stands for one; a clone is the same map.
#[derive(Clone)]
pub struct Map(Arc<Source>);

impl Map {
    /// Bytes of the binary itself.
    pub fn from_static(bytes: &'static [u8]) -> Self {
        Self(Arc::new(Source::Static(bytes)))
    }

    /// Maps the whole of `path`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened or mapped, [`Error::Format`] if it is empty or no file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let meta = file.metadata().map_err(|e| Error::io(path, e))?;
        if !meta.is_file() {
            return Err(Error::format(path, "not a file"));
        }
        if meta.len() == 0 {
            return Err(Error::format(path, "the file is empty"));
        }
        // SAFETY: the map is read-only and private to this value and its clones. As with every
        // memory map, a file that another process truncates meanwhile ends this process with
        // SIGBUS, for as long as weights are used in it; model files are written once, under a
        // temporary name, and renamed.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| Error::io(path, e))?;
        Ok(Self(Arc::new(Source::File(map))))
    }

    /// Lets the system take back the memory of all that has been read so far; it comes back from
    /// the file if it is read again. (Not only of one tensor: systems map what surrounds a page
    /// that is read, some of them megabytes, and hundreds of tensors have ends.)
    pub fn release(&self) {
        #[cfg(unix)]
        if let Source::File(map) = &*self.0 {
            // SAFETY: the map is read-only and of a file, so a dropped page is read from the file
            // anew; no byte that anyone can see changes.
            let advised = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
            // Advice that is not taken costs memory, nothing else.
            drop(advised);
        }
    }

    /// Asks the system to read `range` from the disk before it is used.
    pub(super) fn will_need(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Source::File(map) = &*self.0 {
            // Advice that is not taken costs time, nothing else.
            let _ = map.advise_range(memmap2::Advice::WillNeed, range.start, range.len());
        }
        #[cfg(not(unix))]
        drop(range);
    }

    /// The file's content.
    pub fn bytes(&self) -> &[u8] {
        match &*self.0 {
            Source::File(map) => map,
            Source::Static(bytes) => bytes,
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::quant::store::resident;

    #[test]
    fn released_tensors_leave_no_ends_in_memory() {
        const LEN: usize = 8 << 20;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![1u8; LEN]).unwrap();
        let map = Map::open(file.path()).unwrap();
        // As long as small tensors are, and never whole pages.
        for tensor in map.bytes().chunks(100_003) {
            assert!(tensor.iter().all(|&b| b == 1));
            map.release();
        }
        let kib = resident(map.bytes().as_ptr() as usize).unwrap();
        assert!(kib < 64, "{kib} of {} KiB", LEN >> 10);
        assert_eq!(map.bytes()[5], 1);
    }
}
