//! Vocabularies as GGUF stores them: pieces, scores and kinds, with the rules that llama.cpp
//! goes by. Keys: `docs/gguf.md` in the ggml repository.

use super::hf::{ByteLevelParts, Hf, added_token};
use super::pieces::Kind;
use super::pretokenize;
use super::spm::{Algorithm, Charsmap, Piece, Spm, UserDefined, Vocabulary};
use super::tokenizer::{END_TEXTS, Engine, Inner, Tokenizer};
use crate::Result;
use crate::weights::gguf::{Array, Metadata, Value};

const MODEL: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";
const PRE: &str = "tokenizer.ggml.pre";
const CHARSMAP: &str = "tokenizer.ggml.precompiled_charsmap";
/// Whether a text is brought to NFC first, for which llama.cpp has no key.
pub(super) const NFC: &str = "wick.tokenizer.nfc";

/// Opens the vocabulary in `meta`; `None` if it has none.
pub(super) fn open(meta: &Metadata) -> Result<Option<Tokenizer>> {
    let Some(model) = meta.str(MODEL)? else {
        return Ok(None);
    };
    let (engine, add_bos, add_eos) = match model {
        "no_vocab" | "none" => return Ok(None),
        "llama" => (spm(meta, Algorithm::Bpe)?, true, false),
        "t5" => (spm(meta, Algorithm::Unigram)?, false, true),
        "gpt2" => bpe(meta)?,
        other => {
            return Err(meta.error(
                MODEL,
                format!("`{other}`; llama, gpt2 and t5 vocabularies are read"),
            ));
        }
    };
    let size = size(meta)?;
    let id = |name: &str| -> Result<Option<u32>> {
        let id = meta.u32(&format!("tokenizer.ggml.{name}_token_id"))?;
        Ok(id.filter(|&id| (id as usize) < size))
    };
    let flag = |name: &str, default| -> Result<bool> {
        let flag = meta.bool(&format!("tokenizer.ggml.add_{name}_token"))?;
        Ok(flag.unwrap_or(default))
    };
    // llama.cpp's ids for files that do not say.
    let spm = model == "llama";
    let bos = id("bos")?.or_else(|| (spm && size > 1).then_some(1));
    let eos = match (id("eos")?, model) {
        (None, "llama") if size > 2 => Some(2),
        (None, "t5") if size > 1 => Some(1),
        (eos, _) => eos,
    };
    let mut ends = engine.end_ids();
    ends.extend(id("eot")?);
    ends.extend(id("eom")?);
    let mut prefix = Vec::new();
    let glm = meta
        .str("general.architecture")?
        .is_some_and(|a| a == "chatglm" || a == "glm4");
    match glm.then(|| glm_prefix(&engine)).flatten() {
        Some(ids) => prefix.extend(ids),
        None if flag("bos", add_bos)? => prefix.extend(bos),
        None => {}
    }
    let suffix = if flag("eos", add_eos)? { eos } else { None };
    Ok(Some(Tokenizer::new(Inner {
        prefix,
        suffix: suffix.into_iter().collect(),
        bos,
        eos,
        ends,
        vocab_size: size,
        engine,
    })))
}

/// What ChatGLM2, ChatGLM3 and GLM-4 put before every text.
fn glm_prefix(engine: &Engine) -> Option<[u32; 2]> {
    let sop = engine.id_of("<sop>").or_else(|| engine.id_of("sop"))?;
    Some([engine.id_of("[gMASK]")?, sop])
}

fn tokens(meta: &Metadata) -> Result<&[String]> {
    let tokens = meta.strings(TOKENS)?.filter(|t| !t.is_empty());
    tokens.ok_or_else(|| meta.error(TOKENS, "missing or empty; the vocabulary is wanted"))
}

/// What fills the vocabulary up to the embedding's rows, as llama.cpp's converter spells it.
pub(super) fn padding(id: usize) -> String {
    format!("[PAD{id}]")
}

/// Whether a piece is such a filling: it spells nothing.
fn is_padding(id: usize, text: &str, kind: Kind) -> bool {
    kind == Kind::Unused && text.starts_with("[PAD") && text == padding(id)
}

/// One more than the last id that is not padding.
fn size(meta: &Metadata) -> Result<usize> {
    let tokens = tokens(meta)?;
    let kinds = kinds(meta, tokens)?;
    let mut pieces = tokens.iter().zip(kinds).enumerate();
    let last = pieces.rposition(|(id, (text, kind))| !is_padding(id, text, kind));
    Ok(last.map_or(0, |id| id + 1))
}

/// The kind of each piece; normal where the file does not say. Marks that end a turn are control
/// tokens whatever it says: some converters gave them another type (so does `llama-vocab.cpp`).
fn kinds(meta: &Metadata, tokens: &[String]) -> Result<Vec<Kind>> {
    let n = tokens.len();
    let Some(types) = meta.u32s(TYPES)? else {
        return Ok(vec![Kind::Normal; n]);
    };
    if types.len() != n {
        return Err(meta.error(TYPES, format!("{} types for {n} tokens", types.len())));
    }
    types
        .iter()
        .zip(tokens)
        .map(|(&t, text)| match Kind::from_number(t.into()) {
            Some(_) if END_TEXTS.contains(&text.as_str()) => Ok(Kind::Control),
            Some(kind) => Ok(kind),
            None => Err(meta.error(TYPES, format!("type {t}; 1 to 6 are known"))),
        })
        .collect()
}

fn spm(meta: &Metadata, algorithm: Algorithm) -> Result<Engine> {
    let tokens = tokens(meta)?;
    let kinds = kinds(meta, tokens)?;
    let scores = meta.f32s(SCORES)?.filter(|s| s.len() == tokens.len());
    let scores =
        scores.ok_or_else(|| meta.error(SCORES, format!("{} scores are wanted", tokens.len())))?;
    let pieces = tokens.iter().zip(scores).zip(kinds).enumerate();
    let pieces = pieces
        .map(
            |(id, ((text, &score), kind))| match is_padding(id, text, kind) {
                true => Piece {
                    text: String::new(),
                    score: 0.0,
                    kind: Kind::Control,
                },
                false => Piece {
                    text: text.clone(),
                    score,
                    kind,
                },
            },
        )
        .collect();
    let flag = |name: &str, default| -> Result<bool> {
        Ok(meta
            .bool(&format!("tokenizer.ggml.{name}"))?
            .unwrap_or(default))
    };
    let architecture = meta.str("general.architecture")?.unwrap_or_default();
    let vocabulary = Vocabulary {
        pieces,
        algorithm,
        byte_fallback: true,
        charsmap: charsmap(meta)?,
        // Older Baichuan files do not say; its vocabulary was trained without.
        add_dummy_prefix: flag("add_space_prefix", architecture != "baichuan")?,
        remove_extra_whitespaces: flag("remove_extra_whitespaces", false)?,
        escape_whitespaces: true,
        unk: meta
            .u32("tokenizer.ggml.unknown_token_id")?
            .or(Some(if algorithm == Algorithm::Bpe { 0 } else { 2 })),
        bos: None,
        eos: None,
    };
    let mut spm = Spm::new(vocabulary, UserDefined::Cut).map_err(|e| meta.error(TOKENS, e))?;
    let name = meta.str("general.name")?.unwrap_or_default().to_lowercase();
    if architecture == "phi3" || name.contains("phi-3") || name.contains("phi3") {
        // The file has no place for `rstrip`; the marks of tokenizer.json that lack it are these.
        spm = spm.with_greedy_marks(&["<unk>", "<s>", "<|endoftext|>"]);
    }
    Ok(Engine::Spm(Box::new(spm)))
}

fn charsmap(meta: &Metadata) -> Result<Option<Charsmap>> {
    let blob: Option<Vec<u8>> = match meta.get(CHARSMAP) {
        None => return Ok(None),
        Some(Value::Array(Array::U8(bytes))) => Some(bytes.clone()),
        Some(Value::Array(Array::Other(values))) => values
            .iter()
            .map(|v| match *v {
                Value::I8(byte) => Some(byte.cast_unsigned()),
                _ => None,
            })
            .collect(),
        Some(_) => None,
    };
    let blob = blob.ok_or_else(|| meta.error(CHARSMAP, "an array of bytes is wanted"))?;
    Charsmap::parse(&blob).map_err(|e| meta.error(CHARSMAP, e))
}

/// Byte-level BPE, and whether BOS and EOS are put around a text unless the file says otherwise.
fn bpe(meta: &Metadata) -> Result<(Engine, bool, bool)> {
    let tokens = tokens(meta)?;
    let kinds = kinds(meta, tokens)?;
    let rule = pretokenize::rule(meta.str(PRE)?.unwrap_or_default())
        .map_err(|e| meta.error(PRE, e.to_string()))?;
    let merges = meta
        .strings(MERGES)?
        .ok_or_else(|| meta.error(MERGES, "missing; a gpt2 vocabulary needs them"))?;
    let merges = merges
        .iter()
        .map(|line| {
            // A piece may itself begin with a space.
            let rest = line.get(1..).and_then(|rest| rest.find(' '));
            rest.map(|at| (line[..at + 1].to_string(), line[at + 2..].to_string()))
                .or_else(|| {
                    let (a, b) = line.split_once(' ')?;
                    Some((a.to_string(), b.to_string()))
                })
                .ok_or_else(|| meta.error(MERGES, format!("`{line}` is not a pair of pieces")))
        })
        .collect::<Result<_>>()?;
    let added = tokens.iter().zip(&kinds).filter_map(|(text, kind)| {
        let special = match kind {
            Kind::Control | Kind::Unknown => true,
            Kind::UserDefined => false,
            _ => return None,
        };
        (!text.is_empty()).then(|| added_token(text, special))
    });
    let pieces = tokens.iter().zip(&kinds).enumerate();
    let pieces = pieces
        .filter(|&(id, (text, &kind))| !is_padding(id, text, kind))
        .map(|(id, (text, _))| (text.clone(), id as u32));
    let hf = Hf::byte_level(ByteLevelParts {
        vocab: pieces.collect(),
        merges,
        patterns: rule.patterns,
        ignore_merges: rule.ignore_merges,
        nfc: meta.bool(NFC)?.unwrap_or(false),
        added: added.collect(),
    })
    .map_err(|e| meta.error(MERGES, e.to_string()))?;
    Ok((Engine::Hf(Box::new(hf)), rule.add_bos, false))
}
