//! Room for packed weights and for caches, straight from the system.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;
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
        let bytes = Self::in_small_pages(len)?;
        // Without large pages it is slower, not wrong.
        #[cfg(target_os = "linux")]
        if let Some(map) = &bytes.map {
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        Ok(bytes)
    }

    /// [`Bytes::zeroed`] on the pages that the system gives anyway.
    fn in_small_pages(len: usize) -> Result<Self> {
        if len == 0 {
            return Ok(Self { map: None });
        }
        let map = MmapMut::map_anon(len)
            .map_err(|e| Error::Unsupported(format!("there is no memory for {len} bytes: {e}")))?;
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

/// Numbers that are zero at first, for room that may never be used: a small page of it takes memory
/// once something in it is written. (A zeroed `Vec` is often made of memory used before, and cleared.)
pub struct Zeros<T> {
    bytes: Bytes,
    kind: PhantomData<T>,
}

impl<T: Pod> Zeros<T> {
    /// `len` zeros.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn new(len: usize) -> Result<Self> {
        let bytes = Bytes::in_small_pages(len.saturating_mul(size_of::<T>()))?;
        Ok(Self {
            bytes,
            kind: PhantomData,
        })
    }
}

impl<T: Pod> Deref for Zeros<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // No bytes lie nowhere, and so not where the numbers might.
        match self.bytes.is_empty() {
            true => &[],
            false => bytemuck::cast_slice(&self.bytes),
        }
    }
}

impl<T: Pod> DerefMut for Zeros<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self.bytes.is_empty() {
            true => &mut [],
            false => bytemuck::cast_slice_mut(&mut self.bytes),
        }
    }
}

/// What `/proc/self/smaps` says of the memory at `address`, in KiB.
#[cfg(all(test, target_os = "linux"))]
pub(crate) fn resident(address: usize) -> Option<usize> {
    let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    let hex = |s: &str| usize::from_str_radix(s, 16).ok();
    let holds = |line: &&str| {
        let range = line.split(' ').next().and_then(|r| r.split_once('-'));
        let range = range.and_then(|(from, to)| Some(hex(from)?..hex(to)?));
        range.is_some_and(|r| r.contains(&address))
    };
    let mut lines = maps.lines().skip_while(|line| !holds(line));
    let rss = lines.find_map(|line| line.strip_prefix("Rss:"))?;
    rss.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_there_even_none_and_absurd_sizes_are_refused() {
        let mut some = Zeros::<f32>::new(5).unwrap();
        assert_eq!(*some, [0.0; 5]);
        some[4] = 1.5;
        assert_eq!(some[4], 1.5);
        let mut none = Zeros::<u16>::new(0).unwrap();
        assert!(none.is_empty() && none.iter_mut().next().is_none());
        assert!(Zeros::<f32>::new(usize::MAX / 2).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_not_written_takes_no_memory() {
        // Freed room of this size makes malloc keep, and clear, the next of it.
        drop(vec![1u8; 8 << 20]);
        let mut zeros = Zeros::<u16>::new(4 << 20).unwrap();
        let address = zeros.as_ptr() as usize;
        zeros[1 << 20] = 1;
        let kib = resident(address).unwrap();
        assert!(kib < 4 << 10, "{kib} of 8192 KiB");
    }
}
