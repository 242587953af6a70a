//! BPE as a `tokenizer.json` has it.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value as Json;

use super::{Entries, Keys, entry, text, tokens};
use crate::text::gguf::NFC;
use crate::text::pieces::{Kind, byte_of};
use crate::text::{gguf, pretokenize};
use crate::weights::gguf::{Array, Value};
use crate::{Error, Result};

/// What is read of a `tokenizer.json`.
#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Json,
    #[serde(default)]
    pre_tokenizer: Json,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    vocab: Json,
    #[serde(default)]
    merges: Vec<(String, String)>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    unk_token: Option<String>,
    dropout: Option<f32>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    special: bool,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
}

/// A vocabulary of type BPE.
struct Bpe {
    file: File,
    ids: HashMap<String, u32>,
}

impl Bpe {
    /// Reads what the tokenizers crate wrote; `None` for another type of vocabulary.
    fn parse(json: &str) -> Result<Option<Self>> {
        let error = |e: serde_json::Error| Error::Text(format!("the vocabulary: {e}"));
        let kind: Json = serde_json::from_str(json).map_err(error)?;
        if kind.pointer("/model/type").and_then(Json::as_str) != Some("BPE") {
            return Ok(None);
        }
        let mut file: File = serde_json::from_value(kind).map_err(error)?;
        let ids = serde_json::from_value(file.model.vocab.take()).map_err(error)?;
        Ok(Some(Self { file, ids }))
    }

    /// Every token with its kind, by id; gaps become padding.
    fn tokens(&self) -> Result<Vec<(String, Kind)>> {
        let unk = self.file.model.unk_token.as_ref();
        let mut tokens: BTreeMap<u32, (String, Kind)> = BTreeMap::new();
        for (text, &id) in &self.ids {
            let kind = match byte_of(text) {
                Some(_) if self.file.model.byte_fallback => Kind::Byte,
                _ if Some(text) == unk => Kind::Unknown,
                _ => Kind::Normal,
            };
            tokens.insert(id, (text.clone(), kind));
        }
        for added in &self.file.added_tokens {
            let kind = match added.special {
                _ if Some(&added.content) == unk => Kind::Unknown,
                true => Kind::Control,
                false => Kind::UserDefined,
            };
            tokens.insert(added.id, (added.content.clone(), kind));
        }
        let size = tokens.keys().next_back().map_or(0, |&id| id as usize + 1);
        // Real vocabularies have few gaps; a lying id must not make a table of billions.
        if size > 2 * tokens.len() + 1024 {
            return Err(Error::Text(format!(
                "the vocabulary has token id {} among {} tokens",
                size - 1,
                tokens.len()
            )));
        }
        let token = |id: u32| {
            let gap = || (gguf::padding(id as usize), Kind::Unused);
            tokens.remove(&id).unwrap_or_else(gap)
        };
        Ok((0..size as u32).map(token).collect())
    }

    /// Whether nothing but the way of cutting text, the merges and NFC makes the ids.
    fn is_plain(&self) -> bool {
        let model = &self.file.model;
        let none = |affix: &Option<String>| affix.as_ref().is_none_or(String::is_empty);
        model.dropout.is_none_or(|p| p == 0.0)
            && none(&model.continuing_subword_prefix)
            && none(&model.end_of_word_suffix)
            && self
                .file
                .added_tokens
                .iter()
                .all(|t| !(t.single_word || t.lstrip || t.rstrip))
            && (self.file.normalizer.is_null() || self.is_nfc())
    }

    fn is_nfc(&self) -> bool {
        let nfc = |step: &Json| step.get("type").is_some_and(|t| t == "NFC");
        match self.file.normalizer.get("normalizers") {
            Some(Json::Array(steps)) => matches!(steps.as_slice(), [one] if nfc(one)),
            _ => nfc(&self.file.normalizer),
        }
    }
}

/// Byte-level BPE; `None` for any other vocabulary.
pub(super) fn keys(json: &str, rows: usize) -> Result<Option<Keys>> {
    let Some(bpe) = Bpe::parse(json)?.filter(|b| !b.file.model.byte_fallback) else {
        return Ok(None);
    };
    let model = &bpe.file.model;
    let pre = pretokenize::name_of(&bpe.file.pre_tokenizer, model.ignore_merges);
    let (list, whole) = tokens(bpe.tokens()?, None, rows);
    let mut entries: Entries = vec![entry("model", text("gpt2"))];
    // Without a name llama.cpp says that it does not know how to cut text.
    entries.extend(pre.map(|pre| entry("pre", text(pre.name))));
    entries.extend(list);
    let merges = model.merges.iter().map(|(a, b)| format!("{a} {b}"));
    let merges = Value::Array(Array::Strings(merges.collect()));
    entries.push(entry("merges", merges));
    if bpe.is_nfc() {
        entries.push((NFC.to_string(), Value::Bool(true)));
    }
    Ok(Some(Keys {
        exact: whole && pre.is_some_and(|pre| pre.exact) && bpe.is_plain(),
        entries,
    }))
}

/// SentencePiece's BPE in a `tokenizer.json`: a piece's score is the rank of the merge that makes
/// it, negated, so that the best-scored pair is the first in the list of merges. Of two ways to
/// one piece the list may prefer another than the leftmost, hence never exact.
pub(super) fn by_rank(json: &str, rows: usize) -> Result<Option<Keys>> {
    let Some(bpe) = Bpe::parse(json)? else {
        return Ok(None);
    };
    let pieces = bpe.tokens()?;
    let merges = &bpe.file.model.merges;
    let mut scores = vec![-(merges.len() as f32); pieces.len()];
    // From the last to the first: the first merge that makes a piece counts.
    for (rank, (a, b)) in merges.iter().enumerate().rev() {
        if let Some(&id) = bpe.ids.get(&format!("{a}{b}"))
            && let Some(score) = scores.get_mut(id as usize)
        {
            *score = -(rank as f32);
        }
    }
    let (list, _) = tokens(pieces, Some(scores), rows);
    let mut entries = vec![entry("model", text("llama")), entry("pre", text("default"))];
    entries.extend(list);
    let unknown = bpe.file.model.unk_token.as_ref();
    let unknown = unknown.and_then(|t| bpe.ids.get(t));
    entries.extend(unknown.map(|&id| entry("unknown_token_id", Value::U32(id))));
    let (normalizer, pre) = (&bpe.file.normalizer, &bpe.file.pre_tokenizer);
    let scheme = pre.get("prepend_scheme").and_then(Json::as_str);
    let prepends =
        normalizer.to_string().contains("Prepend") || matches!(scheme, Some("first" | "always"));
    entries.push(entry("add_space_prefix", Value::Bool(prepends)));
    Ok(Some(Keys {
        entries,
        exact: false,
    }))
}
