//! What ChatGLM's three generations add to their SentencePiece files.

use super::config::Config;
use super::folder::{Defaults, finish, mark};
use super::pieces::Kind;
use super::spm::{Spm, UserDefined, Vocabulary};
use super::tokenizer::{Engine, Tokenizer};

/// Image tokens that come before the text's in the first revision of ChatGLM-6B and in GLM-130B;
/// the reference's default.
const IMAGE_TOKENS: u32 = 20_000;

/// ChatGLM-6B: a text is followed by `[gMASK] <sop>`.
pub(super) fn chatglm1(vocabulary: Vocabulary, config: &Config) -> Result<Tokenizer, String> {
    let offset = config.number("num_image_tokens").unwrap_or(IMAGE_TOKENS);
    if offset > IMAGE_TOKENS {
        return Err(format!(
            "num_image_tokens: {offset}; 0 or {IMAGE_TOKENS} is wanted"
        ));
    }
    let marks = [
        "[MASK]",
        "[gMASK]",
        "[sMASK]",
        "<sop>",
        "<eop>",
        "<|endoftext|>",
    ];
    let found: Vec<(String, u32)> = vocabulary
        .pieces
        .iter()
        .zip(offset..)
        .filter(|(piece, _)| marks.contains(&piece.text.as_str()))
        .map(|(piece, id)| (piece.text.clone(), id))
        .collect();
    let id = |text: &str| {
        let id = found.iter().find(|(t, _)| t == text).map(|&(_, id)| id);
        id.ok_or_else(|| format!("{text}: not in the vocabulary"))
    };
    let defaults = Defaults {
        prefix: Vec::new(),
        suffix: vec![id("[gMASK]")?, id("<sop>")?],
        bos: Some(id("<sop>")?),
        eos: Some(id("<eop>")?),
        ends: Vec::new(),
    };
    let size = vocabulary.pieces.len() + offset as usize;
    let parsed: Vec<_> = found.iter().map(|(t, id)| (t.clone(), vec![*id])).collect();
    let spm = Spm::new(vocabulary, UserDefined::Inside)?
        .with_ice(offset)
        .with_parsed(parsed);
    Ok(finish(Engine::Spm(Box::new(spm)), defaults, size, config))
}

/// ChatGLM2 and ChatGLM3: marks follow the file's pieces, and `[gMASK] sop` begins a text.
pub(super) fn chatglm2(mut vocabulary: Vocabulary, config: &Config) -> Result<Tokenizer, String> {
    let first = vocabulary.pieces.len() as u32;
    // The roles are ChatGLM3's; ChatGLM2 has the same rows, unused.
    let marks = [
        "[MASK]",
        "[gMASK]",
        "[sMASK]",
        "sop",
        "eop",
        "<|system|>",
        "<|user|>",
        "<|assistant|>",
        "<|observation|>",
    ];
    let id = |text: &str| {
        let at = marks.iter().position(|m| *m == text).unwrap_or_default();
        first + at as u32
    };
    for text in marks {
        vocabulary.pieces.push(mark(text, Kind::Control));
    }
    let prefix = vec![id("[gMASK]"), id("sop")];
    // `sop` alone is a syllable; only after [gMASK] is it the mark.
    let parsed = marks
        .iter()
        .filter(|text| text.starts_with(['[', '<']))
        .map(|text| (text.to_string(), vec![id(text)]))
        .chain([("[gMASK]sop".to_string(), prefix.clone())]);
    let size = vocabulary.pieces.len();
    let defaults = Defaults {
        prefix,
        suffix: Vec::new(),
        bos: vocabulary.bos,
        eos: vocabulary.eos,
        ends: vec![id("<|user|>"), id("<|observation|>")],
    };
    let spm = Spm::new(vocabulary, UserDefined::Inside)?.with_parsed(parsed);
    Ok(finish(Engine::Spm(Box::new(spm)), defaults, size, config))
}
