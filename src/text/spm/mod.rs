//! SentencePiece, encoded here rather than by the `tokenizers` crate: its BPE merges by score
//! (not by a list of merges), its normaliser takes the longest rule (not grapheme by grapheme).
//! Vocabularies come from `*.model` files and from GGUF's `llama` and `t5`.
//! Specification: the sources of `google/sentencepiece`.

mod bpe;
mod ice;
mod normalize;
mod proto;
mod unigram;

use std::collections::HashMap;

pub(super) use normalize::{Charsmap, Normalizer};
pub(super) use proto::parse;

use super::Specials;
use super::decode::FirstSpace;
use super::pieces::{Kind, Matcher, Part, byte_of};
use crate::{Error, Result};

/// One piece of a vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub text: String,
    pub score: f32,
    pub kind: Kind,
}

/// How a text is cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// Neighbours are merged, the best-scored pair first.
    Bpe,
    /// The segmentation with the greatest sum of scores.
    Unigram,
}

/// A vocabulary as its file describes it.
pub(super) struct Vocabulary {
    pub pieces: Vec<Piece>,
    pub algorithm: Algorithm,
    /// Characters without a piece are spelled with byte pieces.
    pub byte_fallback: bool,
    pub charsmap: Option<Charsmap>,
    pub add_dummy_prefix: bool,
    pub remove_extra_whitespaces: bool,
    pub escape_whitespaces: bool,
    pub unk: Option<u32>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
}

/// Which pieces are looked for before a text is segmented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UserDefined {
    /// Inside a text, as SentencePiece does.
    Inside,
    /// They cut the text into texts of their own, as llama.cpp does.
    Cut,
}

/// What the text goes through before SentencePiece sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Plain,
    /// ChatGLM-6B's: line ends, tabs and runs of spaces have pieces of their own, and its
    /// reference tidies spaces when it decodes.
    Ice,
}

/// An engine for SentencePiece vocabularies.
pub(super) struct Spm {
    pieces: Vec<Piece>,
    /// Ids of the pieces that occur in texts.
    ids: HashMap<String, u32>,
    /// Ids of control, unknown and byte pieces.
    reserved: HashMap<String, u32>,
    bytes: Vec<Option<u32>>,
    unk: Option<u32>,
    normalizer: Normalizer,
    segmenter: Segmenter,
    plain: Matcher,
    parsed: Matcher,
    dialect: Dialect,
    /// White space after these is dropped (Phi-3's marks).
    greedy: Vec<u32>,
    /// Added to every id of the file (ChatGLM-6B's image tokens come first).
    id_offset: u32,
    byte_fallback: bool,
}

enum Segmenter {
    Bpe,
    Unigram(unigram::Index),
}

/// A stretch of normalised text and its piece, if it has one.
struct Segment<'a> {
    text: &'a str,
    id: Option<u32>,
}

impl Spm {
    /// # Errors
    /// A message without the file's name, if a score is not a number or the byte pieces are
    /// incomplete where they are needed.
    pub fn new(vocabulary: Vocabulary, user_defined: UserDefined) -> Result<Self, String> {
        let v = vocabulary;
        let (mut ids, mut reserved) = (HashMap::new(), HashMap::new());
        let mut bytes = vec![None; 256];
        let (mut user, mut control) = (Vec::new(), Vec::new());
        for (id, piece) in (0u32..).zip(&v.pieces) {
            if piece.score.is_nan() {
                return Err(format!("the score of piece {id} is not a number"));
            }
            let mark = || (piece.text.clone(), vec![id]);
            let map = match piece.kind {
                Kind::Normal | Kind::Unused => {
                    if is_reserved(&piece.text) {
                        control.push(mark());
                    }
                    &mut ids
                }
                Kind::UserDefined => {
                    user.push(mark());
                    &mut ids
                }
                Kind::Control | Kind::Unknown => {
                    control.push(mark());
                    &mut reserved
                }
                Kind::Byte => {
                    let byte = byte_of(&piece.text)
                        .ok_or_else(|| format!("byte piece {id} is called {}", piece.text))?;
                    bytes[usize::from(byte)] = Some(id);
                    &mut reserved
                }
            };
            map.entry(piece.text.clone()).or_insert(id);
        }
        if !v.byte_fallback {
            bytes.fill(None);
        }
        let cut = match user_defined {
            UserDefined::Inside => Vec::new(),
            UserDefined::Cut => std::mem::take(&mut user),
        };
        let segmenter = match v.algorithm {
            Algorithm::Bpe => Segmenter::Bpe,
            Algorithm::Unigram => Segmenter::Unigram(unigram::Index::new(&v.pieces)),
        };
        Ok(Self {
            ids,
            reserved,
            bytes,
            unk: v.unk.filter(|&id| (id as usize) < v.pieces.len()),
            normalizer: Normalizer {
                charsmap: v.charsmap,
                add_dummy_prefix: v.add_dummy_prefix,
                remove_extra_whitespaces: v.remove_extra_whitespaces,
                escape_whitespaces: v.escape_whitespaces,
                verbatim: Matcher::new(user),
            },
            segmenter,
            parsed: Matcher::new(cut.iter().cloned().chain(control)),
            plain: Matcher::new(cut),
            pieces: v.pieces,
            dialect: Dialect::Plain,
            greedy: Vec::new(),
            id_offset: 0,
            byte_fallback: v.byte_fallback,
        })
    }

    /// Makes this ChatGLM-6B's vocabulary, with `id_offset` ids before the file's first.
    pub fn with_ice(mut self, id_offset: u32) -> Self {
        self.dialect = Dialect::Ice;
        self.id_offset = id_offset;
        self
    }

    /// The pieces by their ids, less [`Self::with_ice`]'s offset.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub fn algorithm(&self) -> Algorithm {
        match self.segmenter {
            Segmenter::Bpe => Algorithm::Bpe,
            Segmenter::Unigram(_) => Algorithm::Unigram,
        }
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub fn normalizer(&self) -> &Normalizer {
        &self.normalizer
    }

    pub fn has_byte_fallback(&self) -> bool {
        self.byte_fallback
    }

    /// The piece for characters that have none.
    pub fn unk(&self) -> Option<u32> {
        self.unk
    }

    /// Replaces the texts that become ids when special tokens are parsed.
    pub fn with_parsed(mut self, texts: impl IntoIterator<Item = (String, Vec<u32>)>) -> Self {
        self.parsed = Matcher::new(texts);
        self
    }

    /// Drops the white space after every mark but those spelled in `except`.
    pub fn with_greedy_marks(mut self, except: &[&str]) -> Self {
        let marks = (0u32..).zip(&self.pieces).filter(|(_, p)| {
            matches!(p.kind, Kind::Control | Kind::UserDefined)
                && !except.contains(&p.text.as_str())
        });
        self.greedy = marks.map(|(id, _)| id).collect();
        self
    }

    /// The ids of `text`.
    pub fn encode(&self, text: &str, specials: Specials) -> Result<Vec<u32>> {
        let matcher = match specials {
            Specials::Parse => &self.parsed,
            Specials::Plain => &self.plain,
        };
        let mut ids = Vec::new();
        for part in matcher.split(text) {
            match part {
                Part::Ids(found) => ids.extend_from_slice(found),
                Part::Text(text) => match self.dialect {
                    Dialect::Plain if ids.last().is_some_and(|id| self.greedy.contains(id)) => {
                        self.encode_text(text.trim_ascii_start(), &mut ids)?;
                    }
                    Dialect::Plain => self.encode_text(text, &mut ids)?,
                    Dialect::Ice => self.encode_text(&ice::spell(text), &mut ids)?,
                },
            }
        }
        Ok(ids)
    }

    fn encode_text(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let text = self.normalizer.normalize(text);
        let segments = match &self.segmenter {
            Segmenter::Bpe => self.bpe(&text),
            Segmenter::Unigram(index) => index.segment(&text, &self.pieces),
        };
        let mut was_unknown = false;
        for segment in segments {
            let unknown = segment.id.is_none();
            if let Some(id) = segment.id {
                ids.push(id + self.id_offset);
            } else if let Some(bytes) = self.byte_ids(segment.text) {
                ids.extend(bytes.iter().map(|id| id + self.id_offset));
            } else if let Some(unk) = self.unk {
                // Unknown characters in a row are one unknown piece.
                if !was_unknown {
                    ids.push(unk + self.id_offset);
                }
            } else {
                return Err(Error::Text(format!(
                    "the vocabulary has no piece for {:?}, no byte pieces and no unknown piece",
                    segment.text
                )));
            }
            was_unknown = unknown;
        }
        Ok(())
    }

    fn byte_ids(&self, text: &str) -> Option<Vec<u32>> {
        text.bytes()
            .map(|b| self.bytes.get(usize::from(b)).copied().flatten())
            .collect()
    }

    fn file_id(&self, id: u32) -> Option<usize> {
        Some(id.checked_sub(self.id_offset)? as usize)
    }

    fn entry(&self, id: u32) -> Option<&Piece> {
        self.pieces.get(self.file_id(id)?)
    }

    pub fn piece(&self, id: u32) -> Option<String> {
        self.entry(id).map(|p| p.text.clone())
    }

    pub fn id_of(&self, piece: &str) -> Option<u32> {
        let id = self.ids.get(piece).or_else(|| self.reserved.get(piece))?;
        Some(id + self.id_offset)
    }

    pub fn is_special(&self, id: u32) -> bool {
        self.entry(id)
            .is_some_and(|p| matches!(p.kind, Kind::Control | Kind::Unknown))
    }

    /// The bytes that a token adds to a text.
    pub fn bytes(&self, id: u32) -> Option<Vec<u8>> {
        let piece = self.entry(id)?;
        if piece.kind == Kind::Byte {
            return byte_of(&piece.text).map(|b| vec![b]);
        }
        if self.dialect == Dialect::Ice
            && let Some(text) = ice::text_of(&piece.text)
        {
            return Some(text.into_bytes());
        }
        Some(match piece.kind {
            Kind::Normal | Kind::UserDefined | Kind::Unused
                if self.normalizer.escape_whitespaces =>
            {
                piece.text.replace('▁', " ").into_bytes()
            }
            _ => piece.text.clone().into_bytes(),
        })
    }

    pub fn first_space(&self) -> FirstSpace {
        match self.normalizer.add_dummy_prefix {
            true => FirstSpace::Dropped,
            false => FirstSpace::Kept,
        }
    }

    pub fn cleans_spaces(&self) -> bool {
        self.dialect == Dialect::Ice
    }
}

/// Pieces like `<reserved_102>`: ordinary ones by their kind, but a template means them as marks
/// (Baichuan's roles).
fn is_reserved(piece: &str) -> bool {
    let number = piece
        .strip_prefix("<reserved_")
        .and_then(|p| p.strip_suffix('>'));
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}
