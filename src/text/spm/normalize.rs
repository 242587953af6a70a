//! SentencePiece's normaliser: a rule table, the dummy prefix, and spaces spelled `▁`.

use crate::text::pieces::Matcher;

/// Bytes that a rule may write; Unicode's longest composition has 33.
const MAX_REPLACEMENT: usize = 256;

/// Replacement rules as SentencePiece compiles them (`precompiled_charsmap`): a double-array
/// trie (darts-clone) from UTF-8 bytes to offsets of NUL-terminated texts.
#[derive(Debug, Clone)]
pub(in crate::text) struct Charsmap {
    units: Vec<u32>,
    texts: String,
}

/// A unit of the trie.
#[derive(Clone, Copy)]
struct Unit(u32);

impl Unit {
    fn has_leaf(self) -> bool {
        self.0 >> 8 & 1 == 1
    }

    fn value(self) -> usize {
        (self.0 & 0x7fff_ffff) as usize
    }

    fn label(self) -> u32 {
        self.0 & 0x8000_00ff
    }

    fn offset(self) -> usize {
        ((self.0 >> 10) << ((self.0 & 1 << 9) >> 6)) as usize
    }
}

impl Charsmap {
    /// Reads the table; `None` if it is empty.
    ///
    /// # Errors
    /// A message, if the sizes contradict each other, or a rule writes more than any real one.
    pub fn parse(blob: &[u8]) -> Result<Option<Self>, String> {
        if blob.is_empty() {
            return Ok(None);
        }
        let error = || {
            format!(
                "the normaliser's table of {} bytes is malformed",
                blob.len()
            )
        };
        let (size, rest) = blob.split_first_chunk::<4>().ok_or_else(error)?;
        let size = u32::from_le_bytes(*size) as usize;
        let trie = rest
            .get(..size)
            .filter(|t| t.len() % 4 == 0)
            .ok_or_else(error)?;
        let units = trie
            .chunks_exact(4)
            .map(|c| c.iter().rev().fold(0, |unit, &b| unit << 8 | u32::from(b)))
            .collect();
        let texts = std::str::from_utf8(&rest[size..]).map_err(|_| error())?;
        let longest = texts.split('\0').map(str::len).max().unwrap_or(0);
        if longest > MAX_REPLACEMENT {
            return Err(format!(
                "the normaliser's table has a replacement of {longest} bytes, at most \
                 {MAX_REPLACEMENT} are possible"
            ));
        }
        Ok(Some(Self {
            units,
            texts: texts.to_string(),
        }))
    }

    /// The table as [`Self::parse`] reads it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let size = 4 * self.units.len() as u32;
        let units = self.units.iter().flat_map(|u| u.to_le_bytes());
        let bytes = size.to_le_bytes().into_iter().chain(units);
        bytes.chain(self.texts.bytes()).collect()
    }

    fn unit(&self, at: usize) -> Option<Unit> {
        self.units.get(at).copied().map(Unit)
    }

    /// The longest rule that `input` begins with: its length in bytes and what replaces it.
    fn longest(&self, input: &str) -> Option<(usize, &str)> {
        let mut at = self.unit(0)?.offset();
        let mut found = None;
        for (i, &byte) in input.as_bytes().iter().enumerate() {
            at ^= usize::from(byte);
            let Some(unit) = self.unit(at).filter(|u| u.label() == u32::from(byte)) else {
                break;
            };
            at ^= unit.offset();
            if unit.has_leaf() {
                found = Some((i + 1, self.unit(at)?.value()));
            }
        }
        let (len, offset) = found.filter(|&(len, _)| input.is_char_boundary(len))?;
        let text = self.texts.get(offset..)?;
        let end = text.find('\0')?;
        Some((len, &text[..end]))
    }

    /// How many bytes one byte of a text can become.
    ///
    /// # Errors
    /// A message, if the trie leads out of the table, where the `tokenizers` crate would follow.
    pub fn growth(&self) -> Result<f64, String> {
        let outside = || "the trie leads out of the normaliser's table".to_string();
        let mut seen = vec![false; self.units.len()];
        let mut growth = 1.0f64;
        let mut nodes = vec![self.unit(0).ok_or_else(outside)?.offset()];
        let mut depth = 0.0;
        while !nodes.is_empty() {
            depth += 1.0;
            let mut next = Vec::new();
            for node in nodes {
                for byte in 1..=255u32 {
                    let at = node ^ byte as usize;
                    let unit = self.unit(at).ok_or_else(outside)?;
                    if unit.label() != byte || std::mem::replace(&mut seen[at], true) {
                        continue;
                    }
                    let child = at ^ unit.offset();
                    if unit.has_leaf() {
                        let offset = self.unit(child).ok_or_else(outside)?.value();
                        let text = self.texts.get(offset..).ok_or_else(outside)?;
                        let len = text.split('\0').next().map_or(0, str::len);
                        growth = growth.max(len as f64 / depth);
                    }
                    next.push(child);
                }
            }
            nodes = next;
        }
        Ok(growth)
    }
}

/// What a text goes through before it is cut into pieces.
#[derive(Debug, Clone)]
pub(in crate::text) struct Normalizer {
    pub charsmap: Option<Charsmap>,
    /// A space is put first, so that a word is spelled alike wherever it stands.
    pub add_dummy_prefix: bool,
    /// Spaces at the ends go, runs of them become one.
    pub remove_extra_whitespaces: bool,
    /// Spaces are spelled `▁`.
    pub escape_whitespaces: bool,
    /// Pieces that are left as they are (user-defined ones).
    pub verbatim: Matcher,
}

impl Normalizer {
    /// The rule that applies at the beginning of `input`: bytes read and what they become.
    fn step<'a>(&'a self, input: &'a str) -> (usize, &'a str) {
        if let Some((len, _)) = self.verbatim.prefix(input) {
            return (len, &input[..len]);
        }
        if let Some(found) = self.charsmap.as_ref().and_then(|c| c.longest(input)) {
            return found;
        }
        let len = input.chars().next().map_or(0, char::len_utf8);
        (len, &input[..len])
    }

    /// `input` as the vocabulary spells it; nothing stays nothing.
    pub fn normalize(&self, input: &str) -> String {
        let mut rest = input;
        if self.remove_extra_whitespaces {
            while let (len @ 1.., " ") = self.step(rest) {
                rest = &rest[len..];
            }
        }
        let mut out = String::with_capacity(input.len() * 3 / 2 + 3);
        if rest.is_empty() {
            return out;
        }
        let space = if self.escape_whitespaces { "▁" } else { " " };
        if self.add_dummy_prefix {
            out.push_str(space);
        }
        let mut after_space = self.remove_extra_whitespaces;
        while !rest.is_empty() {
            let (len, mut text) = self.step(rest);
            if after_space {
                text = text.trim_start_matches(' ');
            }
            if !text.is_empty() {
                if self.escape_whitespaces {
                    out.push_str(&text.replace(' ', space));
                } else {
                    out.push_str(text);
                }
                after_space = text.ends_with(' ');
            }
            if !self.remove_extra_whitespaces {
                after_space = false;
            }
            rest = &rest[len..];
        }
        if self.remove_extra_whitespaces {
            out.truncate(out.trim_end_matches(space).len());
        }
        out
    }
}
