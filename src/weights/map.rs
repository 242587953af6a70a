//! Read-only bytes: a mapped file, or bytes that the binary itself carries.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use crate::{Error, Result};

/// Where the bytes live.
enum Source {
    File(memmap2::Mmap),
    Static(&'static [u8]),
}

/// A file mapped read-only, or what stands for one.
pub struct Map(Source);

impl Map {
    /// Bytes of the binary itself.
    pub fn from_static(bytes: &'static [u8]) -> Self {
        Self(Source::Static(bytes))
    }

    /// Maps the whole of `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let meta = file.metadata().map_err(|e| Error::io(path, e))?;
        if !meta.is_file() {
            return Err(Error::format(path, "not a file"));
        }
        if meta.len() == 0 {
            return Err(Error::format(path, "the file is empty"));
        }
        // SAFETY: the map is read-only and private to this value. As with every memory map, a
        // file that another process truncates meanwhile ends this process with SIGBUS; model
        // files are written once, under a temporary name, and renamed.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| Error::io(path, e))?;
        Ok(Self(Source::File(map)))
    }

    /// Lets the system take back the memory of `range`, whose bytes have been used; they come
    /// back from the file if they are read again.
    pub fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Source::File(map) = &self.0 {
            // Whole pages only, of any size that systems use.
            const PAGE: usize = 1 << 16;
            let begin = range.start.next_multiple_of(PAGE);
            let end = range.end / PAGE * PAGE;
            if begin < end {
                // SAFETY: the map is read-only and of a file, so a dropped page is read from the
                // file anew; no byte that anyone can see changes.
                let advised = unsafe {
                    map.unchecked_advise_range(
                        memmap2::UncheckedAdvice::DontNeed,
                        begin,
                        end - begin,
                    )
                };
                // Advice that is not taken costs memory, nothing else.
                drop(advised);
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }

    /// The file's content.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Source::File(map) => map,
            Source::Static(bytes) => bytes,
        }
    }
}
