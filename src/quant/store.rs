//! Room for packed weights.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use crate::{Error, Result};

/// Bytes that begin at a multiple of a page, on large pages where the system has them: weights
/// are read from end to end for every token, and small pages cost a walk of the page table each.
pub struct Bytes {
    /// `None` where there are no bytes: an empty map is an error.
    map: Option<MmapMut>,
}

impl Bytes {
    /// `len` zeros; they take no memory until they are written.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn zeroed(len: usize) -> Result<Self> {
        if len == 0 {
            return Ok(Self { map: None });
        }
        let map = MmapMut::map_anon(len).map_err(|e| {
            Error::Unsupported(format!(
                "there is no memory for {len} bytes of weights: {e}"
            ))
        })?;
        // Without large pages it is slower, not wrong.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self { map: Some(map) })
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.map.as_deref_mut().unwrap_or_default()
    }
}
