//! Room for packed weights.

use std::ops::{Deref, DerefMut};

use crate::{Error, Result};

/// The length of a cache line: vectors loaded from multiples of it never cross one.
const ALIGN: usize = 64;

/// Bytes that begin at a multiple of a cache line.
pub struct Bytes {
    buffer: Vec<u8>,
    start: usize,
    len: usize,
}

impl Bytes {
    /// `len` zeros.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn zeroed(len: usize) -> Result<Self> {
        let total = len.saturating_add(ALIGN);
        // Asks before `vec!` would abort; zero pages cost nothing until they are written.
        Vec::<u8>::new().try_reserve_exact(total).map_err(|_| {
            Error::Unsupported(format!("there is no memory for {len} bytes of weights"))
        })?;
        let buffer = vec![0u8; total];
        let start = buffer.as_ptr().align_offset(ALIGN).min(ALIGN);
        Ok(Self { buffer, start, len })
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.len]
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.start + self.len]
    }
}
