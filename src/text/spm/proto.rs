//! `*.model` files: a protobuf message `ModelProto` (`sentencepiece_model.proto`), read here field
//! by field with every length checked.

use super::{Algorithm, Charsmap, Piece, Vocabulary};
use crate::text::pieces::Kind;

/// A field's content.
enum Field<'a> {
    Number(u64),
    Word(u32),
    Bytes(&'a [u8]),
}

/// The fields of a message, one by one.
struct Message<'a> {
    rest: &'a [u8],
}

const SHORT: &str = "cut short or not a SentencePiece model";

impl<'a> Message<'a> {
    fn take(&mut self, n: u64) -> Result<&'a [u8], String> {
        let n = usize::try_from(n).map_err(|_| SHORT)?;
        let (head, rest) = self.rest.split_at_checked(n).ok_or(SHORT)?;
        self.rest = rest;
        Ok(head)
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first().ok_or(SHORT)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(SHORT.to_string())
    }

    /// The next field's number and content; `None` at the end.
    fn field(&mut self) -> Result<Option<(u64, Field<'a>)>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Bytes(self.take(8)?),
            2 => {
                let n = self.varint()?;
                Field::Bytes(self.take(n)?)
            }
            5 => {
                let word = self.take(4)?;
                Field::Word(word.iter().rev().fold(0, |w, &b| w << 8 | u32::from(b)))
            }
            other => return Err(format!("wire type {other}: {SHORT}")),
        };
        Ok(Some((tag >> 3, field)))
    }
}

/// Reads a `*.model` file's content.
///
/// # Errors
/// A message without the file's name: cut short, not protobuf, or an algorithm other than BPE
/// and unigram.
pub(in crate::text) fn parse(data: &[u8]) -> Result<Vocabulary, String> {
    let mut v = Vocabulary {
        pieces: Vec::new(),
        algorithm: Algorithm::Unigram,
        byte_fallback: false,
        charsmap: None,
        add_dummy_prefix: true,
        remove_extra_whitespaces: true,
        escape_whitespaces: true,
        unk: Some(0),
        bos: Some(1),
        eos: Some(2),
    };
    let mut file = Message { rest: data };
    while let Some((number, field)) = file.field()? {
        let Field::Bytes(rest) = field else {
            continue;
        };
        let message = Message { rest };
        match number {
            1 => v.pieces.push(piece(message)?),
            2 => trainer(message, &mut v)?,
            3 => normalizer(message, &mut v)?,
            _ => {}
        }
    }
    if v.pieces.is_empty() {
        return Err(format!("no pieces: {SHORT}"));
    }
    let n = v.pieces.len();
    for id in [&mut v.unk, &mut v.bos, &mut v.eos] {
        *id = id.filter(|&id| (id as usize) < n);
    }
    Ok(v)
}

fn piece(mut message: Message) -> Result<Piece, String> {
    let mut piece = Piece {
        text: String::new(),
        score: 0.0,
        kind: Kind::Normal,
    };
    while let Some(field) = message.field()? {
        match field {
            (1, Field::Bytes(text)) => piece.text = String::from_utf8_lossy(text).into_owned(),
            (2, Field::Word(bits)) => piece.score = f32::from_bits(bits),
            (3, Field::Number(kind)) => {
                piece.kind = Kind::from_number(kind)
                    .ok_or_else(|| format!("a piece of unknown type {kind}"))?;
            }
            _ => {}
        }
    }
    Ok(piece)
}

fn trainer(mut message: Message, v: &mut Vocabulary) -> Result<(), String> {
    // Ids are int32: -1, for none, becomes a number that no vocabulary reaches.
    let id = |n: u64| u32::try_from(n).ok();
    while let Some((number, field)) = message.field()? {
        let Field::Number(n) = field else {
            continue;
        };
        match number {
            3 => {
                v.algorithm = match n {
                    1 => Algorithm::Unigram,
                    2 => Algorithm::Bpe,
                    _ => return Err(format!("model type {n}; BPE and unigram are read")),
                }
            }
            24 if n != 0 => return Err("spaces as suffixes are not supported".to_string()),
            35 => v.byte_fallback = n != 0,
            40 => v.unk = id(n),
            41 => v.bos = id(n),
            42 => v.eos = id(n),
            _ => {}
        }
    }
    Ok(())
}

fn normalizer(mut message: Message, v: &mut Vocabulary) -> Result<(), String> {
    while let Some(field) = message.field()? {
        match field {
            (2, Field::Bytes(blob)) => v.charsmap = Charsmap::parse(blob)?,
            (3, Field::Number(n)) => v.add_dummy_prefix = n != 0,
            (4, Field::Number(n)) => v.remove_extra_whitespaces = n != 0,
            (5, Field::Number(n)) => v.escape_whitespaces = n != 0,
            _ => {}
        }
    }
    Ok(())
}
