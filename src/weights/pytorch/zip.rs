//! The zip container of `torch.save` since 1.6: stored (uncompressed) entries, found through the
//! central directory and lent straight from the memory map. Layout: PKWARE's APPNOTE.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use crate::{Error, Result};

const LOCAL_HEADER: u32 = 0x0403_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const END_64_LOCATOR: u32 = 0x0706_4b50;
/// Fixed bytes of each record.
const LOCAL_BYTES: u64 = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: usize = 22;
const LOCATOR_BYTES: usize = 20;
/// A comment follows the end record; its length has 16 bits.
const MAX_COMMENT: usize = u16::MAX as usize;

/// The entries of an archive: their byte ranges in the file.
pub(super) struct Archive<'a> {
    path: &'a Path,
    data: &'a [u8],
    entries: BTreeMap<String, Range<usize>>,
}

impl<'a> Archive<'a> {
    /// Reads the central directory of `data`, the content of `path`.
    ///
    /// # Errors
    /// If the archive is cut short, an entry is compressed or encrypted, or reaches past the end.
    pub fn open(path: &'a Path, data: &'a [u8]) -> Result<Self> {
        let mut archive = Self {
            path,
            data,
            entries: BTreeMap::new(),
        };
        let (mut at, count) = archive.directory()?;
        for _ in 0..count {
            at = archive.entry(at)?;
        }
        Ok(archive)
    }

    /// The name of the one entry that ends in `suffix`.
    pub fn find(&self, suffix: &str) -> Result<&str> {
        let mut found = self.entries.keys().filter(|name| name.ends_with(suffix));
        match (found.next(), found.next()) {
            (Some(name), None) => Ok(name),
            (None, _) => Err(self.error(format!("not a PyTorch checkpoint: no {suffix} in it"))),
            _ => Err(self.error(format!("several entries are called {suffix}"))),
        }
    }

    /// The byte range of an entry.
    pub fn range(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(name).cloned()
    }

    /// The content of an entry.
    pub fn content(&self, name: &str) -> Option<&'a [u8]> {
        self.data.get(self.range(name)?)
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::format(self.path, message)
    }

    fn cut_short(&self) -> Error {
        self.error("the zip archive is cut short or damaged; fetch the file again")
    }

    fn u16(&self, at: usize) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    fn u32(&self, at: usize) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    fn u64(&self, at: usize) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(at)?))
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        self.data
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .copied()
            .ok_or_else(|| self.cut_short())
    }

    /// Offset of the central directory and the number of its entries.
    fn directory(&self) -> Result<(usize, u64)> {
        let last = self
            .data
            .len()
            .checked_sub(END_BYTES)
            .ok_or_else(|| self.cut_short())?;
        let first = last.saturating_sub(MAX_COMMENT);
        let end = (first..=last)
            .rev()
            .find(|&at| self.u32(at).is_ok_and(|magic| magic == END))
            .ok_or_else(|| self.cut_short())?;
        let (mut count, mut offset) = (
            u64::from(self.u16(end + 10)?),
            u64::from(self.u32(end + 16)?),
        );
        let locator = end.checked_sub(LOCATOR_BYTES);
        if let Some(locator) = locator
            && self.u32(locator)? == END_64_LOCATOR
        {
            let end_64 = usize::try_from(self.u64(locator + 8)?).map_err(|_| self.cut_short())?;
            let fits = end_64.checked_add(56).is_some_and(|e| e <= locator);
            if !fits || self.u32(end_64)? != END_64 {
                return Err(self.cut_short());
            }
            (count, offset) = (self.u64(end_64 + 32)?, self.u64(end_64 + 48)?);
        }
        let offset = usize::try_from(offset).map_err(|_| self.cut_short())?;
        let room = end.checked_sub(offset).ok_or_else(|| self.cut_short())?;
        if count > (room / CENTRAL_BYTES) as u64 {
            return Err(self.error(format!(
                "{count} zip entries announced, more than the file can hold"
            )));
        }
        Ok((offset, count))
    }

    /// Reads the entry whose central record is at `at`; answers where the next one begins.
    fn entry(&mut self, at: usize) -> Result<usize> {
        if self.u32(at)? != CENTRAL_HEADER {
            return Err(self.cut_short());
        }
        let flags = self.u16(at + 8)?;
        let method = self.u16(at + 10)?;
        let name_len = usize::from(self.u16(at + 28)?);
        let extra_len = usize::from(self.u16(at + 30)?);
        let comment_len = usize::from(self.u16(at + 32)?);
        let name_at = at + CENTRAL_BYTES;
        let extra_at = name_at + name_len;
        let name = self
            .data
            .get(name_at..extra_at)
            .ok_or_else(|| self.cut_short())?;
        let name = String::from_utf8_lossy(name).into_owned();
        let extra = self
            .data
            .get(extra_at..extra_at + extra_len)
            .ok_or_else(|| self.cut_short())?;
        if method != 0 || flags & 1 != 0 {
            let how = if method != 0 {
                "compressed"
            } else {
                "encrypted"
            };
            return Err(self.error(format!(
                "entry {name:?} is {how}; torch.save stores entries plainly"
            )));
        }
        let (packed, size, header) = zip64(
            extra,
            [self.u32(at + 20)?, self.u32(at + 24)?, self.u32(at + 42)?],
        )
        .ok_or_else(|| self.cut_short())?;
        let range = self.content_range(size, header)?;
        if packed != size {
            return Err(self.error(format!("entry {name:?} states two sizes")));
        }
        if self.entries.insert(name.clone(), range).is_some() {
            return Err(self.error(format!("two entries are called {name:?}")));
        }
        Ok(extra_at + extra_len + comment_len)
    }

    /// Where the `size` bytes of an entry are whose local header is at `header`.
    fn content_range(&self, size: u64, header: u64) -> Result<Range<usize>> {
        let header_at = usize::try_from(header).map_err(|_| self.cut_short())?;
        if header_at >= self.data.len() || self.u32(header_at)? != LOCAL_HEADER {
            return Err(self.cut_short());
        }
        let names = u64::from(self.u16(header_at + 26)?) + u64::from(self.u16(header_at + 28)?);
        // The header is inside the file, so this sum cannot overflow.
        let begin = header + LOCAL_BYTES + names;
        let end = begin.checked_add(size).ok_or_else(|| self.cut_short())?;
        if end > self.data.len() as u64 {
            return Err(self.cut_short());
        }
        Ok(begin as usize..end as usize)
    }
}

/// Packed size, size and header offset, each from the zip64 extra field where its 32 bits are
/// all ones. `None` if that field lacks one.
fn zip64(extra: &[u8], narrow: [u32; 3]) -> Option<(u64, u64, u64)> {
    let [packed, size, header] = narrow;
    let mut field = extra;
    let mut wide: &[u8] = &[];
    while let Some((head, rest)) = field.split_first_chunk::<4>() {
        let (id, len) = (
            u16::from_le_bytes([head[0], head[1]]),
            usize::from(u16::from_le_bytes([head[2], head[3]])),
        );
        let content = rest.get(..len)?;
        if id == 1 {
            wide = content;
            break;
        }
        field = &rest[len..];
    }
    // The field holds those that did not fit, in this order.
    let mut next = |narrow: u32| {
        if narrow != u32::MAX {
            return Some(u64::from(narrow));
        }
        let (word, rest) = wide.split_first_chunk::<8>()?;
        wide = rest;
        Some(u64::from_le_bytes(*word))
    };
    let size = next(size)?;
    let packed = next(packed)?;
    let header = next(header)?;
    Some((packed, size, header))
}
