//! From ids back to text, all at once or as they come: both are one machine, so that pieces
//! printed one by one spell exactly what decoding the whole would.

use super::Tokenizer;

/// What becomes of a space that the first piece begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstSpace {
    Kept,
    /// It was put there by the encoder (SentencePiece's dummy prefix).
    Dropped,
}

/// Turns ids into text one by one; never gives half a character.
pub struct TextStream {
    tokenizer: Tokenizer,
    keep_specials: bool,
    /// Whether nothing was printed yet and a leading space is to be dropped.
    drop_space: bool,
    /// Bytes of a character that has not ended.
    bytes: Vec<u8>,
    /// Text that may lose a space before punctuation.
    held: String,
}

/// Spaces that ChatGLM-6B's reference removes from its output (Hugging Face's
/// `clean_up_tokenization_spaces`).
const CLEANED: [(&str, &str); 10] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

impl TextStream {
    pub(super) fn new(tokenizer: Tokenizer, keep_specials: bool, first_space: FirstSpace) -> Self {
        Self {
            tokenizer,
            keep_specials,
            drop_space: first_space == FirstSpace::Dropped,
            bytes: Vec::new(),
            held: String::new(),
        }
    }

    /// The text that `id` completes; empty while a character is unfinished. An id that spells
    /// nothing (special, or outside the vocabulary) gives nothing.
    pub fn push(&mut self, id: u32) -> String {
        if !self.keep_specials && self.tokenizer.is_special(id) {
            return String::new();
        }
        let Some(bytes) = self.tokenizer.token_bytes(id) else {
            return String::new();
        };
        let mut bytes = bytes.as_slice();
        if self.drop_space && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            self.drop_space = false;
        }
        self.bytes.extend_from_slice(bytes);
        let text = self.characters(false);
        self.cleaned(text, false)
    }

    /// What is left at the end: an unfinished character as U+FFFD.
    pub fn finish(&mut self) -> String {
        let text = self.characters(true);
        self.cleaned(text, true)
    }

    /// Takes the finished characters; malformed ones become U+FFFD, as in
    /// [`String::from_utf8_lossy`].
    fn characters(&mut self, end: bool) -> String {
        let mut text = String::new();
        let mut used = 0;
        for chunk in self.bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            used += chunk.valid().len();
            if chunk.invalid().is_empty() {
                continue;
            }
            let last = used + chunk.invalid().len() == self.bytes.len();
            if last && !end && is_unfinished(chunk.invalid()) {
                break;
            }
            text.push(char::REPLACEMENT_CHARACTER);
            used += chunk.invalid().len();
        }
        self.bytes.drain(..used);
        text
    }

    /// Removes the spaces of [`CLEANED`] where the tokenizer wants it, holding back what may
    /// still become one.
    fn cleaned(&mut self, text: String, end: bool) -> String {
        if !self.tokenizer.cleans_spaces() {
            return text;
        }
        self.held.push_str(&text);
        let mut out = String::new();
        let mut rest = self.held.as_str();
        while let Some(c) = rest.chars().next() {
            if let Some((from, to)) = CLEANED.iter().find(|(from, _)| rest.starts_with(from)) {
                out.push_str(to);
                rest = &rest[from.len()..];
            } else if !end && CLEANED.iter().any(|(from, _)| from.starts_with(rest)) {
                break;
            } else {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        self.held = rest.to_string();
        out
    }
}

/// Whether `bytes` is the beginning of a character that more bytes may finish.
fn is_unfinished(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}
