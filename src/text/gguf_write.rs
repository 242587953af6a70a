//! A folder's vocabulary and chat template as GGUF stores them, so that llama.cpp reads them too.
//! Keys: `docs/gguf.md` in the ggml repository.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Deserialize;

use super::config::{Config, read};
use super::pieces::{Kind, byte_of};
use super::spm::{self, Algorithm, Piece};
use super::{ChatTemplate, Tokenizer, pretokenize, tiktoken};
use crate::weights::gguf::{Array, Value};
use crate::{Error, Result};

type Entries = Vec<(String, Value)>;

/// The metadata entries that hold the vocabulary of `folder`; `no_vocab` if it has none.
///
/// # Errors
/// If the vocabulary is of a kind that GGUF cannot hold exactly.
pub fn gguf_entries(folder: &Path) -> Result<Entries> {
    let Some(tokenizer) = Tokenizer::from_folder(folder)? else {
        return Ok(vec![entry("model", text("no_vocab"))]);
    };
    let mut entries = vocabulary(folder)?;
    let id = |name: &str, id: Option<u32>| id.map(|id| entry(name, Value::U32(id)));
    let (bos, eos) = (tokenizer.bos(), tokenizer.eos());
    entries.extend(id("bos_token_id", bos));
    entries.extend(id("eos_token_id", eos));
    let added = |ids: &[u32], id: Option<u32>| id.is_some_and(|id| ids.contains(&id));
    entries.push(entry(
        "add_bos_token",
        Value::Bool(added(tokenizer.prefix(), bos)),
    ));
    entries.push(entry(
        "add_eos_token",
        Value::Bool(added(tokenizer.suffix(), eos)),
    ));
    if let Some(template) = ChatTemplate::from_folder(folder)? {
        let key = "tokenizer.chat_template".to_string();
        entries.push((key, text(template.source())));
    }
    Ok(entries)
}

fn entry(name: &str, value: Value) -> (String, Value) {
    (format!("tokenizer.ggml.{name}"), value)
}

fn text(text: &str) -> Value {
    Value::String(text.to_string())
}

fn vocabulary(folder: &Path) -> Result<Entries> {
    for name in ["tokenizer.model", "spiece.model"] {
        let path = folder.join(name);
        match read(&path)? {
            Some(bytes) if !tiktoken::looks_like(&bytes) => return sentencepiece(&path, &bytes),
            _ => {}
        }
    }
    let path = folder.join("tokenizer.json");
    if let Some(bytes) = read(&path)? {
        return tokenizer_json(&path, &bytes, &Config::read(folder)?);
    }
    Err(Error::Unsupported(format!(
        "{}: its vocabulary cannot be written into GGUF: tokenizer.json or a SentencePiece \
         tokenizer.model is wanted",
        folder.display()
    )))
}

/// SentencePiece: pieces, scores and kinds as they are.
fn sentencepiece(path: &Path, bytes: &[u8]) -> Result<Entries> {
    let v = spm::parse(bytes).map_err(|e| Error::format(path, e))?;
    if v.charsmap.is_some() {
        return Err(Error::Unsupported(format!(
            "{}: its normalisation table cannot be written into GGUF",
            path.display()
        )));
    }
    let model = match v.algorithm {
        Algorithm::Bpe => "llama",
        Algorithm::Unigram => "t5",
    };
    let mut entries = pieces(model, &v.pieces);
    let flag = |name, on| entry(name, Value::Bool(on));
    entries.push(flag("add_space_prefix", v.add_dummy_prefix));
    entries.push(flag("remove_extra_whitespaces", v.remove_extra_whitespaces));
    entries.extend(v.unk.map(|id| entry("unknown_token_id", Value::U32(id))));
    Ok(entries)
}

fn pieces(model: &str, pieces: &[Piece]) -> Entries {
    let tokens = pieces.iter().map(|p| p.text.clone()).collect();
    let scores = pieces.iter().map(|p| p.score).collect();
    let kinds = pieces.iter().map(|p| p.kind.number()).collect();
    vec![
        entry("model", text(model)),
        entry("tokens", Value::Array(Array::Strings(tokens))),
        entry("scores", Value::Array(Array::F32(scores))),
        entry("token_type", Value::Array(Array::I32(kinds))),
    ]
}

/// What is read of a `tokenizer.json`.
#[derive(Deserialize)]
struct Json {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: serde_json::Value,
    #[serde(default)]
    pre_tokenizer: serde_json::Value,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    vocab: serde_json::Value,
    #[serde(default)]
    merges: Vec<Merge>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    unk_token: Option<String>,
}

/// A merge in the newer or the older spelling.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Line(String),
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    special: bool,
}

impl Merge {
    fn pair(&self) -> Option<(&str, &str)> {
        match self {
            Self::Pair(a, b) => Some((a, b)),
            Self::Line(line) => line.split_once(' '),
        }
    }
}

fn tokenizer_json(path: &Path, bytes: &[u8], config: &Config) -> Result<Entries> {
    let json: Json =
        serde_json::from_slice(bytes).map_err(|e| Error::format(path, e.to_string()))?;
    let refused = |what: String| {
        Error::Unsupported(format!(
            "{}: {what} cannot be written into GGUF",
            path.display()
        ))
    };
    if json.model.kind.as_deref().unwrap_or("BPE") != "BPE" {
        let kind = json.model.kind.unwrap_or_default();
        return Err(refused(format!("a vocabulary of type {kind}")));
    }
    let vocab: HashMap<String, u32> = serde_json::from_value(json.model.vocab.clone())
        .map_err(|e| Error::format(path, format!("model.vocab: {e}")))?;
    let tokens = by_id(path, &vocab, &json, config)?;
    if json.model.byte_fallback {
        return Ok(byte_fallback(&json, &vocab, &tokens));
    }
    let Some(pre) = pretokenize::name_of(&json.pre_tokenizer, json.model.ignore_merges) else {
        return Err(refused(
            "its way of cutting text before merging".to_string(),
        ));
    };
    let merges = json
        .model
        .merges
        .iter()
        .map(|m| m.pair().map(|(a, b)| format!("{a} {b}")))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Error::format(path, "a merge is not a pair of pieces"))?;
    let (texts, kinds): (Vec<_>, Vec<_>) = tokens.into_iter().map(|(t, k)| (t, k.number())).unzip();
    Ok(vec![
        entry("model", text("gpt2")),
        entry("pre", text(pre)),
        entry("tokens", Value::Array(Array::Strings(texts))),
        entry("token_type", Value::Array(Array::I32(kinds))),
        entry("merges", Value::Array(Array::Strings(merges))),
    ])
}

/// Every token with its kind, by id; gaps become unused pieces, as in llama.cpp's converter.
fn by_id(
    path: &Path,
    vocab: &HashMap<String, u32>,
    json: &Json,
    config: &Config,
) -> Result<Vec<(String, Kind)>> {
    let mut tokens: BTreeMap<u32, (String, Kind)> = vocab
        .iter()
        .map(|(text, &id)| {
            let kind = match byte_of(text) {
                Some(_) if json.model.byte_fallback => Kind::Byte,
                _ if Some(text) == json.model.unk_token.as_ref() => Kind::Unknown,
                _ => Kind::Normal,
            };
            (id, (text.clone(), kind))
        })
        .collect();
    let extra = config.added();
    let extra = extra
        .iter()
        .map(|(id, text, special)| (*id, text, *special));
    let added = json.added_tokens.iter();
    for (id, text, special) in added.map(|a| (a.id, &a.content, a.special)).chain(extra) {
        let kind = match special {
            _ if Some(text) == json.model.unk_token.as_ref() => Kind::Unknown,
            true => Kind::Control,
            false => Kind::UserDefined,
        };
        tokens.insert(id, (text.clone(), kind));
    }
    let size = tokens.keys().next_back().map_or(0, |&id| id as usize + 1);
    // Real vocabularies have few gaps; a lying id must not make a table of billions.
    if size > 2 * tokens.len() + 1024 {
        return Err(Error::format(
            path,
            format!("token id {} among {} tokens", size - 1, tokens.len()),
        ));
    }
    Ok((0..size as u32)
        .map(|id| {
            let gap = || (format!("[PAD{id}]"), Kind::Unused);
            tokens.remove(&id).unwrap_or_else(gap)
        })
        .collect())
}

/// SentencePiece's BPE in a `tokenizer.json`: a piece's score is the rank of the merge that makes
/// it, negated, so that the best-scored pair is the first in the list of merges.
fn byte_fallback(json: &Json, vocab: &HashMap<String, u32>, tokens: &[(String, Kind)]) -> Entries {
    let last = json.model.merges.len() as f32;
    let mut scores = vec![-last; tokens.len()];
    // From the last to the first: the first merge that makes a piece counts.
    for (rank, merge) in json.model.merges.iter().enumerate().rev() {
        if let Some((a, b)) = merge.pair()
            && let Some(&id) = vocab.get(&format!("{a}{b}"))
            && let Some(score) = scores.get_mut(id as usize)
        {
            *score = -(rank as f32);
        }
    }
    let with_scores: Vec<Piece> = tokens
        .iter()
        .zip(scores)
        .map(|((text, kind), score)| Piece {
            text: text.clone(),
            score,
            kind: *kind,
        })
        .collect();
    let mut entries = pieces("llama", &with_scores);
    let unknown = json.model.unk_token.as_ref().and_then(|t| vocab.get(t));
    entries.extend(unknown.map(|&id| entry("unknown_token_id", Value::U32(id))));
    let prepends = json.normalizer.to_string().contains("Prepend")
        || json
            .pre_tokenizer
            .to_string()
            .contains("\"prepend_scheme\":\"first\"")
        || json
            .pre_tokenizer
            .to_string()
            .contains("\"prepend_scheme\":\"always\"");
    entries.push(entry("add_space_prefix", Value::Bool(prepends)));
    entries
}
