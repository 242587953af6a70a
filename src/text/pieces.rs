//! What a vocabulary says of its pieces, and finding their texts in an input.

use std::collections::HashMap;

/// The kind of a piece, numbered alike by SentencePiece (`ModelProto.SentencePiece.Type`) and
/// GGUF (`tokenizer.ggml.token_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    /// Its number.
    pub fn number(self) -> i32 {
        match self {
            Self::Normal => 1,
            Self::Unknown => 2,
            Self::Control => 3,
            Self::UserDefined => 4,
            Self::Unused => 5,
            Self::Byte => 6,
        }
    }

    /// The kind numbered `n`.
    pub fn from_number(n: u64) -> Option<Self> {
        Some(match n {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }
}

/// The byte that a piece like `<0x0A>` stands for.
pub(super) fn byte_of(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() != 2 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

/// Texts that stand for ids wherever they occur, the longest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Matcher {
    /// By first byte, the longest text first.
    by_first: HashMap<u8, Vec<(String, Vec<u32>)>>,
}

/// A stretch of an input.
#[derive(Debug, PartialEq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Ids(&'a [u32]),
}

impl Matcher {
    pub fn new(texts: impl IntoIterator<Item = (String, Vec<u32>)>) -> Self {
        let mut by_first: HashMap<u8, Vec<(String, Vec<u32>)>> = HashMap::new();
        for (text, ids) in texts {
            if let Some(&first) = text.as_bytes().first() {
                by_first.entry(first).or_default().push((text, ids));
            }
        }
        for list in by_first.values_mut() {
            list.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        }
        Self { by_first }
    }

    /// The longest text that `input` begins with: its length in bytes and its ids.
    pub fn prefix(&self, input: &str) -> Option<(usize, &[u32])> {
        let list = self.by_first.get(input.as_bytes().first()?)?;
        let (text, ids) = list.iter().find(|(text, _)| input.starts_with(text))?;
        Some((text.len(), ids))
    }

    /// `input` cut at every match, from the left; empty stretches are left out.
    pub fn split<'a>(&'a self, input: &'a str) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        let (mut from, mut at) = (0, 0);
        while at < input.len() {
            let rest = &input[at..];
            if let Some((len, ids)) = self.prefix(rest) {
                if from < at {
                    parts.push(Part::Text(&input[from..at]));
                }
                parts.push(Part::Ids(ids));
                at += len;
                from = at;
            } else {
                at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
        if from < input.len() {
            parts.push(Part::Text(&input[from..]));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_wins() {
        let m = Matcher::new([
            ("<a>".to_string(), vec![1]),
            ("<a><b>".to_string(), vec![2]),
            (String::new(), vec![3]),
        ]);
        assert_eq!(
            m.split("x<a><b><a>你"),
            [
                Part::Text("x"),
                Part::Ids(&[2]),
                Part::Ids(&[1]),
                Part::Text("你")
            ]
        );
        assert!(m.split("").is_empty());
    }

    #[test]
    fn byte_pieces() {
        assert_eq!(byte_of("<0x0A>"), Some(10));
        assert_eq!(byte_of("<0x+1>"), None);
        assert_eq!(byte_of("<0x0A"), None);
    }
}
