//! Room for packed weights and for caches, straight from the system.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytemuck::Pod;
use memmap2::{MmapMut, MmapRaw};

use crate::{Error, Result};

/// Bytes that begin at a multiple of a page, on large pages where the system has them: weights
/// are read from end to end for every token, and small pages cost a walk of the page table each.
///
/// Several share a map: the system makes large pages only of what lies inside one, and the ends of
/// maps as small as a matrix would be a third of a model.
pub struct Bytes {
    map: Arc<MmapRaw>,
    /// This one's part of the map, which no other has.
    part: Range<usize>,
}

/// Bytes of a map that several share: so many that the large pages at the maps' ends, which are in memory
/// as a whole, hardly count.
const MAP: usize = 256 << 20;
/// Bytes that are worth a map of their own.
const LARGE: usize = MAP / 4;
/// Parts begin at multiples of this: a page of most systems.
const PAGE: usize = 4 << 10;

/// The map that is being dealt out, if somebody still has a part of it, and how much of it is taken.
static SHARED: Mutex<(Weak<MmapRaw>, usize)> = Mutex::new((Weak::new(), 0));

impl Bytes {
    /// `len` zeros; they take no memory until they, or what lies on the same large page, are written.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn zeroed(len: usize) -> Result<Self> {
        if len > LARGE {
            let map = Arc::new(mapped(len)?);
            return Ok(Self { map, part: 0..len });
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let (map, taken) = match (shared.0.upgrade(), shared.1) {
            (Some(map), taken) if len <= MAP - taken => (map, taken),
            _ => (Arc::new(mapped(MAP)?), 0),
        };
        let end = taken + len;
        *shared = (Arc::downgrade(&map), end.next_multiple_of(PAGE));
        Ok(Self {
            map,
            part: taken..end,
        })
    }
}

/// A map of `len` zeros, on large pages as far as the system has them.
fn mapped(len: usize) -> Result<MmapRaw> {
    let map = small_pages(len)?;
    // Without large pages it is slower, not wrong.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    Ok(map.into())
}

/// A map of `len` zeros, more than none, on the pages that the system gives anyway.
fn small_pages(len: usize) -> Result<MmapMut> {
    MmapMut::map_anon(len)
        .map_err(|e| Error::Unsupported(format!("there is no memory for {len} bytes: {e}")))
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = self.map.as_ptr().wrapping_add(self.part.start);
        // SAFETY: the part lies in the map, which lives as long as `self.map`, and holds zeros from the
        // beginning; nobody else has the part, so that it is written through `&mut self` alone.
        unsafe { std::slice::from_raw_parts(start, self.part.len()) }
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        let start = self.map.as_mut_ptr().wrapping_add(self.part.start);
        // SAFETY: as in `deref`.
        unsafe { std::slice::from_raw_parts_mut(start, self.part.len()) }
    }
}

/// Numbers that are zero at first, for room that may never be used: a small page of it takes memory
/// once something in it is written. (A zeroed `Vec` is often made of memory used before, and cleared.)
pub struct Zeros<T> {
    /// `None` where there are no bytes: an empty map is an error.
    map: Option<MmapMut>,
    kind: PhantomData<T>,
}

impl<T: Pod> Zeros<T> {
    /// `len` zeros.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn new(len: usize) -> Result<Self> {
        let bytes = len.saturating_mul(size_of::<T>());
        let map = match bytes {
            0 => None,
            _ => Some(small_pages(bytes)?),
        };
        let kind = PhantomData;
        Ok(Self { map, kind })
    }
}

impl<T: Pod> Deref for Zeros<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.map.as_deref().map_or(&[], bytemuck::cast_slice)
    }
}

impl<T: Pod> DerefMut for Zeros<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let map = self.map.as_deref_mut();
        map.map_or(&mut [], bytemuck::cast_slice_mut)
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
    fn parts_of_a_map_are_zeros_and_apart() {
        let sizes = [0, 1, 5000, PAGE, 3 << 20, 7, PAGE + 1];
        let mut all = sizes.map(|n| Bytes::zeroed(n).unwrap());
        for (bytes, size) in all.iter().zip(sizes) {
            assert_eq!(bytes.len(), size);
            assert!((bytes.as_ptr() as usize).is_multiple_of(PAGE));
        }
        for (i, bytes) in (1..).zip(&mut all) {
            assert!(bytes.iter().all(|&b| b == 0), "part {i}");
            bytes.fill(i);
        }
        for (i, bytes) in (1..).zip(&all) {
            assert!(bytes.iter().all(|&b| b == i), "part {i}");
        }
        // One that does not fit what is left of the map, and one with a map of its own.
        let ends = [LARGE, LARGE, LARGE, LARGE, LARGE + 1].map(|n| Bytes::zeroed(n).unwrap());
        for mut bytes in ends {
            let last = bytes.len() - 1;
            assert_eq!((bytes[0], bytes[last]), (0, 0));
            (bytes[0], bytes[last]) = (1, 1);
        }
        assert!(Bytes::zeroed(usize::MAX / 2).is_err());
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
