//! What is read out of a `tokenizer.json` besides what the crate does with it.

use serde::Deserialize;

use super::decode::FirstSpace;
use super::hf::Spelling;

/// How the tokenizer's decoder spells pieces.
pub(super) fn spelling(
    tokenizer: &tokenizers::Tokenizer,
) -> Result<(Spelling, FirstSpace), String> {
    let Some(decoder) = tokenizer.get_decoder() else {
        return Ok((Spelling::Words, FirstSpace::Dropped));
    };
    let decoder = serde_json::to_value(decoder).map_err(|e| e.to_string())?;
    let steps = match decoder.get("decoders").and_then(|d| d.as_array()) {
        Some(steps) => steps.clone(),
        None => vec![decoder],
    };
    let (mut byte_level, mut byte_fallback, mut first) = (false, false, FirstSpace::Kept);
    for step in &steps {
        let text = |key: &str| step.get(key).and_then(|v| v.as_str()).unwrap_or_default();
        match text("type") {
            "ByteLevel" => byte_level = true,
            "ByteFallback" => byte_fallback = true,
            "Fuse" => {}
            "Replace" if text("content") == " " => {}
            "Strip" if text("content") == " " => first = FirstSpace::Dropped,
            "Metaspace" => {
                if text("prepend_scheme") != "never" {
                    first = FirstSpace::Dropped;
                }
            }
            other => return Err(format!("decoder: {other} is not supported")),
        }
    }
    Ok(match byte_level {
        true => (Spelling::ByteLevel, FirstSpace::Kept),
        false => (Spelling::Metaspace { byte_fallback }, first),
    })
}

/// Refuses merges longer than every piece: the crate would index out of its buffer.
pub(super) fn check_merges(json: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    struct File {
        model: Option<ModelPart>,
    }
    #[derive(Deserialize)]
    struct ModelPart {
        #[serde(default)]
        vocab: serde_json::Value,
        #[serde(default)]
        merges: Vec<Merge>,
        continuing_subword_prefix: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Merge {
        Line(String),
        Pair(String, String),
    }
    let file: File = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    let Some(model) = file.model else {
        return Err("model: missing".to_string());
    };
    let prefix = model.continuing_subword_prefix.map_or(0, |p| p.len());
    let longest = model
        .vocab
        .as_object()
        .and_then(|v| v.keys().map(String::len).max())
        .unwrap_or(0);
    for merge in &model.merges {
        let (len, second) = match merge {
            Merge::Line(line) => (
                line.len().saturating_sub(1),
                line.split_once(' ').map_or(line.len(), |(_, b)| b.len()),
            ),
            Merge::Pair(a, b) => (a.len() + b.len(), b.len()),
        };
        if len > longest + prefix || second < prefix {
            return Err(format!(
                "model.merges: {} bytes long, the longest piece has {longest}",
                len
            ));
        }
    }
    Ok(())
}
