//! Where the header of a weights file ends, from its first bytes.

use crate::weights::gguf::ValueType;

/// What the first bytes say of where the header ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Ends(usize),
    /// More bytes are wanted to say.
    Unknown,
    None,
}

/// Eight bytes of length, then that much JSON.
pub(crate) fn safetensors_header(bytes: &[u8]) -> Header {
    let Some(length) = bytes.first_chunk::<8>() else {
        return Header::Unknown;
    };
    match usize::try_from(u64::from_le_bytes(*length))
        .ok()
        .and_then(|n| n.checked_add(8))
    {
        Some(end) => Header::Ends(end),
        None => Header::None,
    }
}

/// Metadata and tensor entries, walked over; their meaning is the reader's to check.
pub(crate) fn gguf_header(bytes: &[u8]) -> Header {
    if !bytes.starts_with(b"GGUF") {
        return if bytes.len() < 4 {
            Header::Unknown
        } else {
            Header::None
        };
    }
    match (GgufWalk { bytes, at: 8 }).walk() {
        Ok(end) => Header::Ends(end),
        Err(header) => header,
    }
}

struct GgufWalk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl GgufWalk<'_> {
    fn walk(mut self) -> Result<usize, Header> {
        let tensors = self.u64()?;
        let values = self.u64()?;
        for _ in 0..values {
            self.text()?;
            let kind = self.value_type()?;
            self.value(kind)?;
        }
        for _ in 0..tensors {
            self.text()?;
            let dims = u64::from(self.u32()?);
            self.skip(dims.checked_mul(8).ok_or(Header::None)?)?;
            self.skip(4 + 8)?;
        }
        Ok(self.at)
    }

    fn skip(&mut self, n: u64) -> Result<(), Header> {
        let end = usize::try_from(n)
            .ok()
            .and_then(|n| self.at.checked_add(n))
            .ok_or(Header::None)?;
        if end > self.bytes.len() {
            return Err(Header::Unknown);
        }
        self.at = end;
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, Header> {
        let word = self
            .bytes
            .get(self.at..)
            .and_then(|b| b.first_chunk::<4>())
            .ok_or(Header::Unknown)?;
        self.at += 4;
        Ok(u32::from_le_bytes(*word))
    }

    fn u64(&mut self) -> Result<u64, Header> {
        let word = self
            .bytes
            .get(self.at..)
            .and_then(|b| b.first_chunk::<8>())
            .ok_or(Header::Unknown)?;
        self.at += 8;
        Ok(u64::from_le_bytes(*word))
    }

    fn text(&mut self) -> Result<(), Header> {
        let n = self.u64()?;
        self.skip(n)
    }

    fn value_type(&mut self) -> Result<ValueType, Header> {
        ValueType::from_id(self.u32()?).ok_or(Header::None)
    }

    fn value(&mut self, kind: ValueType) -> Result<(), Header> {
        match (kind.bytes(), kind) {
            (Some(size), _) => self.skip(size as u64),
            (None, ValueType::Array) => {
                let (kind, n) = (self.value_type()?, self.u64()?);
                match (kind.bytes(), kind) {
                    (Some(size), _) => self.skip(n.checked_mul(size as u64).ok_or(Header::None)?),
                    // Arrays of arrays: no model has them.
                    (None, ValueType::Array) => Err(Header::None),
                    (None, _) => (0..n).try_for_each(|_| self.text()),
                }
            }
            (None, _) => self.text(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_headers_end_the_walk() {
        let mut huge = b"GGUF\x03\0\0\0".to_vec();
        huge.extend([0xff; 16]);
        huge.extend([0; 64]);
        // Counts beyond the file cost no more than the file has.
        assert_eq!(gguf_header(&huge), Header::Unknown);
        assert_eq!(gguf_header(b"GGUF\x03\0\0\0\x01"), Header::Unknown);
        assert_eq!(gguf_header(b"<!DOCTYPE html>"), Header::None);
        assert_eq!(safetensors_header(&[0xff; 8]), Header::None);
        assert_eq!(
            safetensors_header(&[2, 0, 0, 0, 0, 0, 0, 0]),
            Header::Ends(10)
        );
    }
}
