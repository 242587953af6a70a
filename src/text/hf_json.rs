//! What is read out of a `tokenizer.json` besides what the crate does with it.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;

use super::decode::FirstSpace;
use super::hf::{Spelling, guarded};
use super::spm::Charsmap;

/// How many times as long a text may become before it is cut into pieces. Unicode's longest
/// composition, SentencePiece's table and spaces spelled `▁` make some hundreds together.
const MAX_GROWTH: f64 = 2000.0;
/// How many tokens may stand before or after a text.
const MAX_AFFIX: usize = 1024;
/// The key of SentencePiece's table.
const CHARSMAP: &str = "precompiled_charsmap";

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

/// What the crate does not look at itself.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    model: Option<ModelPart>,
}

#[derive(Deserialize)]
struct ModelPart {
    #[serde(default)]
    vocab: Value,
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

/// Refuses a file that would make the crate panic or a text grow without bounds.
pub(super) fn check(json: &[u8]) -> Result<(), String> {
    let file: File = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    let model = file.model.as_ref().ok_or("model: missing")?;
    check_merges(model)?;
    check_charsmaps(&file.normalizer)?;
    let normalizer =
        step::<NormalizerWrapper>(&file.normalizer).map_err(|e| format!("normalizer: {e}"))?;
    let pre_tokenizer = step::<PreTokenizerWrapper>(&file.pre_tokenizer)
        .map_err(|e| format!("pre_tokenizer: {e}"))?;
    let growth = normalizer.growth()? * pre_tokenizer.growth()?;
    if growth > MAX_GROWTH {
        return Err(format!(
            "normalizer: a text can become {growth:.0} times as long, at most {MAX_GROWTH:.0} are \
             possible"
        ));
    }
    Ok(())
}

/// Refuses merges longer than every piece: the crate would index out of its buffer.
fn check_merges(model: &ModelPart) -> Result<(), String> {
    let prefix = model
        .continuing_subword_prefix
        .as_ref()
        .map_or(0, String::len);
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

/// Refuses tables that the crate would panic on.
fn check_charsmaps(normalizer: &Value) -> Result<(), String> {
    match normalizer {
        Value::Object(map) => map
            .iter()
            .try_for_each(|(key, value)| match value.as_str() {
                Some(text) if key == CHARSMAP => charsmap(text).map(drop),
                _ => check_charsmaps(value),
            }),
        Value::Array(list) => list.iter().try_for_each(check_charsmaps),
        _ => Ok(()),
    }
}

fn charsmap(text: &str) -> Result<Charsmap, String> {
    let error = |e: String| format!("normalizer: {CHARSMAP}: {e}");
    let blob = BASE64_STANDARD.decode(text);
    let blob = blob.map_err(|e| error(e.to_string()))?;
    let map = Charsmap::parse(&blob).map_err(error)?;
    map.ok_or_else(|| error("it is empty".to_string()))
}

/// A step of the normaliser or the pre-tokenizer, by what it can do to the length of a text.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Step {
    Sequence {
        #[serde(alias = "normalizers", alias = "pretokenizers")]
        steps: Vec<Step>,
    },
    Prepend {
        prepend: String,
    },
    Replace {
        pattern: Value,
        content: String,
    },
    Precompiled {
        precompiled_charsmap: String,
    },
    #[serde(rename = "NFC", alias = "NFD")]
    Canonical,
    #[serde(rename = "NFKC", alias = "NFKD")]
    Compatible,
    Lowercase,
    BertNormalizer,
    ByteLevel,
    Metaspace,
    #[serde(other)]
    Other,
}

/// The step as the crate reads it, which does not go by its `type` alone.
fn step<T: DeserializeOwned + Serialize>(raw: &Value) -> Result<Step, String> {
    if raw.is_null() {
        return Ok(Step::Other);
    }
    let read = guarded(|| Ok(serde_json::to_value(T::deserialize(raw)?)?))?;
    Step::deserialize(read).map_err(|e| e.to_string())
}

impl Step {
    /// How many bytes one byte of a text can become.
    fn growth(&self) -> Result<f64, String> {
        Ok(match self {
            Self::Sequence { steps } => {
                return steps
                    .iter()
                    .try_fold(1.0, |product, step| Ok(product * step.growth()?));
            }
            Self::Prepend { prepend } => 1.0 + prepend.len() as f64,
            Self::Replace { pattern, content } => replacement(pattern, content),
            Self::Precompiled {
                precompiled_charsmap,
            } => charsmap(precompiled_charsmap)?
                .growth()
                .map_err(|e| format!("normalizer: {CHARSMAP}: {e}"))?,
            // The most that Unicode's tables make of a character in UTF-8.
            Self::Canonical => 3.0,
            Self::Compatible => 11.0,
            Self::Lowercase => 1.5,
            // Lowercase, decomposed, with spaces around Chinese characters.
            Self::BertNormalizer => 7.5,
            // Bytes and spaces spelled as characters of several bytes, and a space put first.
            Self::ByteLevel => 4.0,
            Self::Metaspace => 5.0,
            Self::Other => 1.0,
        })
    }
}

/// How many bytes one byte of a text can become where `pattern` gives way to `content`.
fn replacement(pattern: &Value, content: &str) -> f64 {
    let content = content.len() as f64;
    match pattern.get("String").and_then(Value::as_str) {
        Some(text) if !text.is_empty() => (content / text.len() as f64).max(1.0),
        // An expression may match the nothing beside each byte.
        _ => 1.0 + content,
    }
}

/// Tokens before and after a text.
type Affixes = (Vec<u32>, Vec<u32>);

/// The post-processor, as the crate writes it.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Processor {
    Sequence {
        processors: Vec<Processor>,
    },
    TemplateProcessing {
        single: Vec<Piece>,
        special_tokens: HashMap<String, Special>,
    },
    BertProcessing {
        cls: (String, u32),
        sep: (String, u32),
    },
    RobertaProcessing {
        cls: (String, u32),
        sep: (String, u32),
    },
    ByteLevel,
}

#[derive(Deserialize)]
enum Piece {
    Sequence { id: String },
    SpecialToken { id: String },
}

#[derive(Deserialize)]
struct Special {
    ids: Vec<u32>,
}

/// What the post-processor puts before and after a text. The crate itself would panic on a token
/// that is not described.
pub(super) fn affixes(tokenizer: &tokenizers::Tokenizer) -> Result<Affixes, String> {
    let Some(processor) = tokenizer.get_post_processor() else {
        return Ok(Affixes::default());
    };
    serde_json::to_value(processor)
        .and_then(Processor::deserialize)
        .map_err(|e| e.to_string())
        .and_then(|processor| processor.around(Affixes::default()))
        .map_err(|e| format!("post_processor: {e}"))
}

impl Processor {
    /// What stands around a text that has `before` and `after` around it already.
    fn around(self, (before, after): Affixes) -> Result<Affixes, String> {
        let (first, last) = match self {
            Self::Sequence { processors } => {
                return processors
                    .into_iter()
                    .try_fold((before, after), |inner, processor| processor.around(inner));
            }
            Self::TemplateProcessing {
                single,
                special_tokens,
            } => template(&single, &special_tokens)?,
            Self::BertProcessing { cls, sep } | Self::RobertaProcessing { cls, sep } => {
                (vec![cls.1], vec![sep.1])
            }
            Self::ByteLevel => return Ok((before, after)),
        };
        Ok(([first, before].concat(), [after, last].concat()))
    }
}

fn template(single: &[Piece], tokens: &HashMap<String, Special>) -> Result<Affixes, String> {
    let mut before: Vec<u32> = Vec::new();
    let mut after: Option<Vec<u32>> = None;
    for piece in single {
        match piece {
            Piece::Sequence { id } if id == "A" && after.is_none() => after = Some(Vec::new()),
            Piece::Sequence { id } => {
                return Err(format!(
                    "single: the text {id} is one too many; the text A, once, is wanted"
                ));
            }
            Piece::SpecialToken { id } => {
                let token = tokens.get(id).ok_or_else(|| {
                    format!("single: the token {id} is named, special_tokens has no such")
                })?;
                let side = after.as_mut().unwrap_or(&mut before);
                side.extend(&token.ids);
                if side.len() > MAX_AFFIX {
                    return Err(format!(
                        "single: {} tokens on one side of the text, at most {MAX_AFFIX}",
                        side.len()
                    ));
                }
            }
        }
    }
    let after = after.ok_or("single: the text A is missing")?;
    Ok((before, after))
}
