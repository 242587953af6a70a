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
/// The same as BLOOM's own file spells it.
const BLOOM_HUB: &str = r" ?[^(\s|[.,!?…。，、।۔،])]+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

const SEED_CODER: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The letters with a case of Unicode, one by one, as DeepSeek-LLM's file has them.
const DEEPSEEK_LETTERS: &str = r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";

/// What a name in `tokenizer.ggml.pre` stands for.
pub(super) struct Rule {
    /// All that stand for it.
    names: &'static [&'static str],
    pub patterns: &'static [&'static str],
    /// A piece that is in the vocabulary whole is taken whole, whatever the merges say.
    pub ignore_merges: bool,
    /// BOS is put first unless the file says otherwise.
    pub add_bos: bool,
}

impl Rule {
    /// A rule that only cuts.
    const fn cut(names: &'static [&'static str], patterns: &'static [&'static str]) -> Self {
        Self {
            names,
            patterns,
            ignore_merges: false,
            add_bos: false,
        }
    }
}

/// Every rule that is known.
static RULES: [Rule; 16] = [
    Rule::cut(
        &["default", ""],
        &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
    ),
    Rule::cut(
        &[
            "gpt-2",
            "gpt2",
            "phi-2",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "gpt-neox",
            "gptneox",
            "granite-docling",
            "roberta-bpe",
            "exaone4",
            "a.x-4.0",
            "mellum",
        ],
        &[GPT2],
    ),
    Rule::cut(
        &[
            "starcoder",
            "refact",
            "command-r",
            "smollm",
            "codeshell",
            "exaone",
            "minerva-7b",
        ],
        &[r"\p{N}", GPT2],
    ),
    Rule {
        names: &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
        ],
        patterns: &[LLAMA3],
        ignore_merges: true,
        add_bos: true,
    },
    Rule::cut(&["chatglm-bpe", "glm4", "dbrx", "smaug-bpe"], &[LLAMA3]),
    Rule::cut(
        &[
            "qwen2",
            "stablelm2",
            "deepseek-r1-qwen",
            "megrez",
            "hunyuan",
            "grok-2",
            "kormo",
        ],
        &[QWEN2],
    ),
    Rule::cut(&["seed-coder"], &[SEED_CODER]),
    Rule::cut(&["qwen35"], &[QWEN35]),
    Rule::cut(
        &["falcon"],
        &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"],
    ),
    Rule::cut(&["bloom", "gpt3-finnish", "poro-chat"], &[BLOOM]),
    Rule::cut(&["viking"], &[BLOOM, r"\p{N}"]),
    Rule {
        names: &["tekken"],
        patterns: &[TEKKEN],
        ignore_merges: true,
        add_bos: true,
    },
    Rule {
        names: &["gpt-4o", "llama4"],
        patterns: &[GPT4O],
        ignore_merges: true,
        add_bos: false,
    },
    Rule::cut(
        &["deepseek-llm"],
        &[
            r"[\r\n]",
            DEEPSEEK_LETTERS,
            r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
            r"\s+$",
            "[一-龥ࠀ-一가-\u{d7ff}]+",
            r"\p{N}+",
        ],
    ),
    Rule::cut(
        &["deepseek-coder"],
        &[
            r"[\r\n]",
            r"\s?\p{L}+",
            r"\s?\p{P}+",
            "[一-龥ࠀ-一가-\u{d7ff}]+",
            r"\p{N}",
        ],
    ),
    Rule::cut(
        &["deepseek-v3", "hunyuan-dense"],
        &[r"\p{N}{1,3}", "[一-龥\u{3040}-ゟ゠-ヿ]+", DEEPSEEK3],
    ),
];

/// The rule called `name`.
///
/// # Errors
/// If the name is unknown: a wrong rule would give other ids than the model was trained on.
pub(super) fn rule(name: &str) -> Result<&'static Rule> {
    let rule = RULES.iter().find(|rule| rule.names.contains(&name));
    rule.ok_or_else(|| {
        let names = RULES.iter().flat_map(|rule| rule.names).copied();
        let known: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        let known = known.join(", ");
        Error::Unsupported(format!(
            "the pre-tokenizer `{name}` is not known (known: {known}); use the model's folder with tokenizer.json instead"
        ))
    })
}

/// The names that are given to vocabularies of other origin; of those that mean the same, the
/// first.
const GIVEN: [&str; 12] = [
    "gpt-2",
    "starcoder",
    "llama-bpe",
    "chatglm-bpe",
    "qwen2",
    "qwen35",
    "bloom",
    "tekken",
    "gpt-4o",
    "deepseek-coder",
    "deepseek-v3",
    "falcon",
];

/// What llama.cpp calls a way of cutting text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub name: &'static str,
    /// Whether the name says all; where it does not, a piece may be taken whole or merged.
    pub exact: bool,
}

/// llama.cpp's name for what a `tokenizer.json` does before merging; `None` where it has none.
pub(super) fn name_of(pre_tokenizer: &Value, ignore_merges: bool) -> Option<Name> {
    let mut steps = Vec::new();
    flatten(pre_tokenizer, &mut steps);
    let is = |step: &Value, kind: &str| step.get("type").is_some_and(|t| t == kind);
    if steps.iter().any(|s| is(s, "Punctuation")) && steps.iter().any(|s| is(s, "Digits")) {
        let name = "falcon";
        return Some(Name { name, exact: false });
    }
    let patterns: Vec<&str> = steps.iter().map(|s| pattern_of(s)).collect::<Option<_>>()?;
    let patterns: Vec<&str> = patterns.into_iter().filter(|p| !p.is_empty()).collect();
    let known = |exact: bool| {
        GIVEN.into_iter().find(|name| {
            let wanted = |rule: &Rule| {
                rule.patterns == patterns && (!exact || rule.ignore_merges == ignore_merges)
            };
            rule(name).is_ok_and(wanted)
        })
    };
    let exact = known(true).map(|name| Name { name, exact: true });
    exact.or_else(|| known(false).map(|name| Name { name, exact: false }))
}

/// The pattern that a step cuts by, empty for one that does not cut; `None` where no pattern says
/// what it does.
fn pattern_of(step: &Value) -> Option<&str> {
    let flag = |key: &str| step.get(key).and_then(Value::as_bool);
    match step.get("type")?.as_str()? {
        "ByteLevel" if flag("add_prefix_space") != Some(false) => None,
        "ByteLevel" if flag("use_regex") == Some(false) => Some(""),
        "ByteLevel" => Some(GPT2),
        "Digits" if flag("individual_digits") == Some(true) => Some(r"\p{N}"),
        "Split" if flag("invert") != Some(true) && step.get("behavior")? == "Isolated" => {
            match step.get("pattern")?.get("Regex")?.as_str()? {
                BLOOM_HUB => Some(BLOOM),
                pattern => Some(pattern),
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unknown_name_is_answered_with_all_that_are_known() {
        let error = rule("nonsense").err().unwrap().to_string();
        let (_, rest) = error.split_once("(known: ").unwrap();
        let (names, _) = rest.split_once(')').unwrap();
        let mut names: Vec<&str> = names.split(", ").collect();
        for name in names.iter().chain(&GIVEN) {
            assert!(rule(name).is_ok(), "{name}");
        }
        assert!(names.contains(&"granite-docling"), "{error}");
        // None stands for two things.
        let n = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n);
    }

    #[test]
    fn what_a_tokenizer_json_does_has_a_name() {
        let split = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
        let bytes = |regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": regex});
        let all = |steps: Vec<Value>| json!({"type": "Sequence", "pretokenizers": steps});
        let name = |value: &Value, ignore| name_of(value, ignore).map(|n| (n.name, n.exact));
        assert_eq!(name(&bytes(true), false), Some(("gpt-2", true)));
        for (pattern, ignore, wanted) in [
            (LLAMA3, true, ("llama-bpe", true)),
            (LLAMA3, false, ("chatglm-bpe", true)),
            (QWEN2, false, ("qwen2", true)),
            (QWEN2, true, ("qwen2", false)),
            (BLOOM_HUB, false, ("bloom", true)),
        ] {
            let steps = all(vec![split(pattern), bytes(false)]);
            assert_eq!(name(&steps, ignore), Some(wanted), "{pattern}");
        }
        let digits = json!({"type": "Digits", "individual_digits": true});
        let starcoder = all(vec![digits.clone(), bytes(true)]);
        assert_eq!(name(&starcoder, false), Some(("starcoder", true)));
        let punctuation = json!({"type": "Punctuation", "behavior": "Contiguous"});
        let falcon = all(vec![punctuation, bytes(true), digits]);
        assert_eq!(name(&falcon, false), Some(("falcon", false)));
        let spaced = json!({"type": "ByteLevel", "add_prefix_space": true, "use_regex": true});
        for unknown in [spaced, all(vec![split("x"), bytes(false)]), Value::Null] {
            assert_eq!(name(&unknown, false), None, "{unknown}");
        }
    }
}
