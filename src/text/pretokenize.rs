//! How byte-level BPE cuts text before merging: GGUF names the rule in `tokenizer.ggml.pre`, and
//! each name stands for one or more regular expressions applied one after the other. They are
//! facts of the published tokenizers (their `tokenizer.json`), with llama.cpp's names.

use serde_json::Value;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;

use crate::{Error, Result};

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// Llama-3: up to three digits together.
pub(super) const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen: digits one by one.
pub(super) const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

/// The names that [`patterns`] knows, for messages.
const KNOWN: &str = "default, gpt-2, mpt, olmo, gpt-neox, llama-bpe, llama3, qwen2, qwen35, falcon, falcon3, bloom, chatglm-bpe, glm4, deepseek-coder, deepseek-v3, deepseek-r1-qwen, starcoder, refact, command-r, smollm, stablelm2, tekken, gpt-4o, llama4, dbrx, smaug-bpe, phi-2";

/// What a rule named by `tokenizer.ggml.pre` says.
pub(super) struct Rule {
    pub patterns: Vec<&'static str>,
    /// A piece that is in the vocabulary whole is taken whole, whatever the merges say.
    pub ignore_merges: bool,
    /// BOS is put first unless the file says otherwise.
    pub add_bos: bool,
}

/// The rule called `name`.
///
/// # Errors
/// If the name is unknown: a wrong rule would give other ids than the model was trained on.
pub(super) fn rule(name: &str) -> Result<Rule> {
    let patterns = match name {
        "" | "default" => vec![r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
        "gpt-2" | "gpt2" | "phi-2" | "jina-es" | "jina-de" | "jina-v2-es" | "jina-v2-de"
        | "mpt" | "olmo" | "jais" | "trillion" | "gpt-neox" | "gptneox" | "granite-docling"
        | "roberta-bpe" | "exaone4" => vec![GPT2],
        "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone" | "minerva-7b" => {
            vec![r"\p{N}", GPT2]
        }
        "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0"
        | "lfm2" | "dbrx" | "smaug-bpe" | "chatglm-bpe" | "glm4" => vec![LLAMA3],
        "qwen2" | "stablelm2" | "deepseek-r1-qwen" | "megrez" | "hunyuan" | "grok-2" => vec![QWEN2],
        "qwen35" => vec![QWEN35],
        "falcon" => vec![r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"],
        "bloom" | "gpt3-finnish" | "poro-chat" => vec![BLOOM],
        "viking" => vec![BLOOM, r"\p{N}"],
        "tekken" => vec![TEKKEN],
        "gpt-4o" | "llama4" => vec![GPT4O],
        "deepseek-coder" => vec![
            r"[\r\n]",
            r"\s?\p{L}+",
            r"\s?\p{P}+",
            "[一-龥ࠀ-一가-\u{d7ff}]+",
            r"\p{N}",
        ],
        "deepseek-v3" | "hunyuan-dense" => {
            vec![r"\p{N}{1,3}", "[一-龥\u{3040}-ゟ゠-ヿ]+", DEEPSEEK3]
        }
        _ => {
            return Err(Error::Unsupported(format!(
                "the pre-tokenizer `{name}` is not known (known: {KNOWN}); use the model's folder with tokenizer.json instead"
            )));
        }
    };
    let llama3 = matches!(
        name,
        "llama-bpe"
            | "llama3"
            | "llama-v3"
            | "falcon3"
            | "falcon-h1"
            | "pixtral"
            | "midm-2.0"
            | "lfm2"
    );
    Ok(Rule {
        patterns,
        ignore_merges: llama3 || matches!(name, "tekken" | "gpt-4o" | "llama4"),
        add_bos: llama3 || name == "tekken",
    })
}

/// llama.cpp's name for what a `tokenizer.json` does before merging; `None` where it has none.
pub(super) fn name_of(pre_tokenizer: &Value, ignore_merges: bool) -> Option<&'static str> {
    let mut steps = Vec::new();
    flatten(pre_tokenizer, &mut steps);
    let splits: Vec<&str> = steps
        .iter()
        .filter_map(|s| s.get("pattern")?.get("Regex")?.as_str())
        .collect();
    let has = |kind: &str| {
        steps
            .iter()
            .any(|s| s.get("type").is_some_and(|t| t == kind))
    };
    let cuts_words = |s: &&Value| {
        s.get("type").is_some_and(|t| t == "ByteLevel")
            && s.get("use_regex").is_none_or(|r| r != &Value::Bool(false))
    };
    match splits.as_slice() {
        [one] if *one == LLAMA3 && ignore_merges => Some("llama-bpe"),
        [one] if *one == LLAMA3 => Some("chatglm-bpe"),
        [one] if *one == QWEN2 && !ignore_merges => Some("qwen2"),
        [one] if *one == GPT2 => Some("gpt-2"),
        [one] if *one == BLOOM => Some("bloom"),
        [one] if *one == TEKKEN && ignore_merges => Some("tekken"),
        [one] if *one == GPT4O && ignore_merges => Some("gpt-4o"),
        [] if has("Digits") && !has("Punctuation") => Some("starcoder"),
        [] if steps.iter().any(cuts_words) && !has("Punctuation") => Some("gpt-2"),
        _ => None,
    }
}

/// The steps of a pre-tokenizer, sequences taken apart.
fn flatten<'a>(step: &'a Value, out: &mut Vec<&'a Value>) {
    match step.get("pretokenizers").and_then(Value::as_array) {
        // serde_json bounds how deep a value can be.
        Some(steps) => steps.iter().for_each(|s| flatten(s, out)),
        None => out.push(step),
    }
}

/// A pre-tokenizer of `patterns` followed by the change to GPT-2's byte alphabet.
///
/// # Errors
/// If a pattern is not a regular expression.
pub(super) fn build(patterns: &[&str]) -> Result<PreTokenizerWrapper> {
    let mut steps = Vec::new();
    for pattern in patterns {
        let split = Split::new(
            SplitPattern::Regex((*pattern).to_string()),
            SplitDelimiterBehavior::Isolated,
            false,
        )
        .map_err(|e| Error::Text(format!("pre-tokenizer {pattern}: {e}")))?;
        steps.push(PreTokenizerWrapper::Split(split));
    }
    steps.push(ByteLevel::new(false, true, false).into());
    Ok(Sequence::new(steps).into())
}
