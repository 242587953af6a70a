//! Finding and reading the tokenizer of a folder in the hub's layout.

use std::path::Path;

use super::config::Config;
use super::files::Files;
use super::hf::{ByteLevelParts, Hf, added_token};
use super::spm::{self, Piece, Spm, UserDefined};
use super::tokenizer::{Engine, Inner, Tokenizer};
use super::{glm, pieces, pretokenize, tiktoken};
use crate::{Error, Result};

/// What holds unless the configuration says otherwise.
#[derive(Default)]
pub(super) struct Defaults {
    /// Put before a text.
    pub prefix: Vec<u32>,
    /// Put after a text.
    pub suffix: Vec<u32>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    /// Ids that end an answer, besides EOS and the marks known by their texts.
    pub ends: Vec<u32>,
}

/// Opens the tokenizer among `files`; `None` if there is none.
pub(super) fn open(files: &Files) -> Result<Option<Tokenizer>> {
    let config = Config::read(files)?;
    let json = "tokenizer.json";
    if let Some(bytes) = files.read(json)? {
        return tokenizer_json(&files.path(json), &bytes, &config).map(Some);
    }
    if let Some(name) = files.with_extension("tiktoken")?
        && let Some(bytes) = files.read(&name)?
    {
        return tiktoken::open(&files.path(&name), &bytes, &config).map(Some);
    }
    if let Some(tokenizer) = model(files, &config)? {
        return Ok(Some(tokenizer));
    }
    match (files.read("vocab.json")?, files.read("merges.txt")?) {
        (Some(v), Some(m)) => vocab_and_merges(files, &v, &m, &config).map(Some),
        _ => Ok(None),
    }
}

/// Opens the `*.model` among `files`, whatever else there is.
pub(super) fn model(files: &Files, config: &Config) -> Result<Option<Tokenizer>> {
    for name in [
        "tokenizer.model",
        "ice_text.model",
        "spiece.model",
        "sentencepiece.bpe.model",
        "cog-pretrain.model",
    ] {
        let path = files.path(name);
        if let Some(bytes) = files.read(name)? {
            if tiktoken::looks_like(&bytes) {
                return tiktoken::open(&path, &bytes, config).map(Some);
            }
            let mut added = config.added();
            if is_glm_chinese(config) {
                added.extend(added_tokens_json(files)?);
                added.sort();
                added.dedup_by_key(|(id, ..)| *id);
            }
            return sentencepiece(&path, &bytes, added, config).map(Some);
        }
    }
    Ok(None)
}

/// Puts the tokenizer together, the configuration's wishes applied to the defaults.
pub(super) fn finish(
    engine: Engine,
    mut defaults: Defaults,
    vocab_size: usize,
    config: &Config,
) -> Tokenizer {
    let bos = config.id(&engine, "bos").or(defaults.bos);
    let eos = config.id(&engine, "eos").or(defaults.eos);
    match (config.flag("add_bos_token"), bos) {
        (Some(true), Some(id)) if !defaults.prefix.contains(&id) => defaults.prefix.insert(0, id),
        (Some(false), Some(id)) => defaults.prefix.retain(|&other| other != id),
        _ => {}
    }
    // That it be put there is for training: what is to be gone on with has not ended.
    if config.flag("add_eos_token") == Some(false) {
        defaults.suffix.retain(|&other| Some(other) != eos);
    }
    let mut ends = engine.end_ids();
    ends.extend(defaults.ends);
    Tokenizer::new(Inner {
        prefix: defaults.prefix,
        suffix: defaults.suffix,
        bos,
        eos,
        ends,
        vocab_size,
        engine,
    })
}

fn tokenizer_json(path: &Path, bytes: &[u8], config: &Config) -> Result<Tokenizer> {
    let error = |message: String| Error::format(path, message);
    let mut hf = Hf::from_json(bytes).map_err(error)?;
    for (id, text, special) in config.added() {
        if hf.id_of(&text).is_none() {
            hf.add(added_token(&text, special), id).map_err(error)?;
        }
    }
    let (prefix, suffix) = hf.affixes().map_err(error)?;
    let size = hf.vocab_size();
    let engine = Engine::Hf(Box::new(hf));
    let defaults = Defaults {
        prefix,
        suffix,
        ..Defaults::default()
    };
    Ok(finish(engine, defaults, size, config))
}

/// GPT-2's `vocab.json` and `merges.txt` (OPT, GLM-10B, Qwen2).
fn vocab_and_merges(
    files: &Files,
    vocab: &[u8],
    merges: &[u8],
    config: &Config,
) -> Result<Tokenizer> {
    let path = files.path("vocab.json");
    let mut vocab: std::collections::HashMap<String, u32> =
        serde_json::from_slice(vocab).map_err(|e| Error::format(&path, e.to_string()))?;
    let mut special: Vec<String> = config
        .special_texts()
        .iter()
        .map(|t| t.to_string())
        .collect();
    let mut plain = Vec::new();
    let extra = added_tokens_json(files)?;
    for (id, text, is_special) in config.added().into_iter().chain(extra) {
        vocab.entry(text.clone()).or_insert(id);
        match is_special {
            true => special.push(text),
            false => plain.push(text),
        }
    }
    let path = files.path("merges.txt");
    let merges = String::from_utf8_lossy(merges);
    let merges = merges
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("#version"))
        .map(|line| {
            let (a, b) = line
                .split_once(' ')
                .ok_or_else(|| Error::format(&path, format!("`{line}` is not a pair of pieces")))?;
            Ok((a.to_string(), b.to_string()))
        })
        .collect::<Result<_>>()?;
    let qwen = config.class().starts_with("Qwen2");
    let rule = pretokenize::rule(if qwen { "qwen2" } else { "gpt-2" })?;
    let size = vocab.values().max().map_or(0, |&id| id as usize + 1);
    let known = |t: &&String| vocab.contains_key(t.as_str());
    let added = special.iter().filter(known).map(|t| added_token(t, true));
    let added = added.chain(plain.iter().filter(known).map(|t| added_token(t, false)));
    let added = added.collect();
    let hf = Hf::byte_level(ByteLevelParts {
        vocab: vocab.into_iter().collect(),
        merges,
        patterns: rule.patterns,
        ignore_merges: false,
        nfc: qwen,
        added,
    })
    .map_err(|e| Error::format(&path, e.to_string()))?;
    let engine = Engine::Hf(Box::new(hf));
    let mut defaults = Defaults::default();
    if config.class() == "GLMGPT2Tokenizer" {
        defaults.prefix.extend(engine.id_of("[CLS]"));
        defaults.suffix.extend(config.id(&engine, "eos"));
    }
    Ok(finish(engine, defaults, size, config))
}

/// The added tokens of `added_tokens.json`: id, text, and that they are special.
fn added_tokens_json(files: &Files) -> Result<Vec<(u32, String, bool)>> {
    let object = files.object("added_tokens.json")?;
    let tokens = object
        .iter()
        .filter_map(|(text, id)| Some((id.as_u64()?.try_into().ok()?, text.clone(), true)));
    Ok(tokens.collect())
}

/// GLM-10B's Chinese sister, whose marks are in `added_tokens.json` (`tokenization_glm.py`).
fn is_glm_chinese(config: &Config) -> bool {
    config.class() == "GLMChineseTokenizer"
}

/// A SentencePiece model with the tokens `added` to it.
fn sentencepiece(
    path: &Path,
    bytes: &[u8],
    added: Vec<(u32, String, bool)>,
    config: &Config,
) -> Result<Tokenizer> {
    let error = |message: String| Error::format(path, message);
    let mut vocabulary = spm::parse(bytes).map_err(error)?;
    if path.file_name().is_some_and(|n| n == "ice_text.model") {
        return glm::chatglm1(vocabulary, config).map_err(error);
    }
    if config.class() == "ChatGLMTokenizer" {
        return glm::chatglm2(vocabulary, config).map_err(error);
    }
    let t5 = path.file_name().is_some_and(|n| n == "spiece.model");
    let has_sentinels = vocabulary.pieces.iter().any(|p| p.text == "<extra_id_0>");
    if t5 && !has_sentinels {
        // The sentinels follow the file's pieces, the last first.
        for n in (0..config.number("extra_ids").unwrap_or(100).min(1000)).rev() {
            vocabulary
                .pieces
                .push(mark(&format!("<extra_id_{n}>"), pieces::Kind::Control));
        }
    }
    add(&mut vocabulary.pieces, added).map_err(error)?;
    let (bos, eos, size) = (vocabulary.bos, vocabulary.eos, vocabulary.pieces.len());
    let spm = Spm::new(vocabulary, UserDefined::Inside).map_err(error)?;
    let engine = Engine::Spm(Box::new(spm));
    let (prefix, suffix) = match t5 {
        _ if is_glm_chinese(config) => (engine.id_of("[CLS]"), config.id(&engine, "eos")),
        true => (None, eos),
        false => (bos, None),
    };
    let defaults = Defaults {
        prefix: prefix.into_iter().collect(),
        suffix: suffix.into_iter().collect(),
        bos,
        eos,
        ends: Vec::new(),
    };
    Ok(finish(engine, defaults, size, config))
}

/// Puts the tokens `added` after the file's pieces; those that are there already become marks
/// where they are special.
fn add(known: &mut Vec<Piece>, added: Vec<(u32, String, bool)>) -> Result<(), String> {
    for (id, text, special) in added {
        let kind = match special {
            true => pieces::Kind::Control,
            false => pieces::Kind::UserDefined,
        };
        let (id, n) = (id as usize, known.len());
        match known.get_mut(id) {
            Some(piece) if piece.text == text && special => piece.kind = kind,
            Some(_) => {}
            None if id == n => known.push(mark(&text, kind)),
            None => return Err(format!("added token {text}: id {id}, {n} is the next")),
        }
    }
    Ok(())
}

/// A piece that the vocabulary file lacks.
pub(super) fn mark(text: &str, kind: pieces::Kind) -> Piece {
    Piece {
        text: text.to_string(),
        score: 0.0,
        kind,
    }
}
