//! The bytes of one tensor, wherever they are.

use std::fmt;
use std::ops::{Deref, Range};

use super::Map;

/// A tensor's bytes.
#[derive(Debug, Clone)]
pub enum Data<'a> {
    /// Someone else's, for a while.
    Borrowed(&'a [u8]),
    /// Made while reading: unpacked, converted or laid out anew.
    Owned(Vec<u8>),
    /// Part of a file that stays mapped for as long as this lives.
    Mapped(Mapped),
}

impl Data<'_> {
    /// Some of the bytes, mapped still if these are.
    ///
    /// # Panics
    /// If they do not lie inside.
    pub fn part(&self, range: Range<usize>) -> Data<'_> {
        match self {
            Self::Mapped(mapped) => {
                assert!(range.start <= range.end && range.end <= mapped.range.len());
                let at = mapped.range.start;
                Data::Mapped(Mapped {
                    map: mapped.map.clone(),
                    range: at + range.start..at + range.end,
                })
            }
            _ => Data::Borrowed(&self[range]),
        }
    }

    /// Bytes that need nobody else: mapped ones stay where they are.
    pub fn kept(self) -> Data<'static> {
        match self {
            Self::Borrowed(bytes) => Data::Owned(bytes.to_vec()),
            Self::Owned(bytes) => Data::Owned(bytes),
            Self::Mapped(mapped) => Data::Mapped(mapped),
        }
    }

    /// Bytes of one's own.
    pub fn into_owned(self) -> Vec<u8> {
        match self {
            Self::Owned(bytes) => bytes,
            _ => self.to_vec(),
        }
    }
}

impl Deref for Data<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
            Self::Mapped(mapped) => mapped,
        }
    }
}

/// Part of a map, which it keeps open.
#[derive(Clone)]
pub struct Mapped {
    map: Map,
    range: Range<usize>,
}

impl Mapped {
    /// The bytes of `range`; `None` if the map has fewer.
    pub fn new(map: &Map, range: Range<usize>) -> Option<Self> {
        map.bytes().get(range.clone())?;
        Some(Self {
            map: map.clone(),
            range,
        })
    }

    /// Asks the system to read these bytes soon.
    pub fn will_need(&self) {
        self.map.will_need(self.range.clone());
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.bytes().get(self.range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapped({:?})", self.range)
    }
}
