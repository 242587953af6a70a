//! tiktoken's rank files (`qwen.tiktoken`, `tokenizer.model` of GLM-4 and of Meta's Llama-3): a
//! line per token, its bytes in base64 and its rank, which is also its id. Merging goes by the rank
//! of the union; the pair that a token is merged from follows from running that on the token itself.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::byte_level;
use super::config::Config;
use super::folder::{Defaults, finish};
use super::hf::{ByteLevelParts, Hf, added_token};
use super::pretokenize::{LLAMA3, QWEN2};
use super::tokenizer::{Engine, Tokenizer};
use crate::{Error, Result};

/// Longer tokens are refused; the longest real ones have 128 bytes.
const MAX_TOKEN: usize = 1024;
/// `<|extra_0|>` and so on, after Qwen's three marks.
const QWEN_EXTRAS: usize = 205;
/// Tokens of Llama-3's file, to which it adds as many marks as make 128 256.
const LLAMA3_TOKENS: usize = 128_000;

/// Whose file it is: what the ranks do not say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Qwen,
    Glm4,
    /// Meta's own, without any configuration.
    Llama3,
}

impl Kind {
    fn of(path: &Path, tokens: usize, config: &Config) -> Result<Self> {
        match config.class() {
            "ChatGLM4Tokenizer" => Ok(Self::Glm4),
            class if class.starts_with("QWen") => Ok(Self::Qwen),
            _ if path.extension().is_some_and(|e| e == "tiktoken") => Ok(Self::Qwen),
            _ if tokens == LLAMA3_TOKENS => Ok(Self::Llama3),
            class => Err(Error::format(
                path,
                format!(
                    "{tokens} ranks and the class {class:?} are none of the known tokenizers (Qwen, GLM-4, Llama-3); tokenizer_config.json with its tokenizer_class, or tokenizer.json, is wanted beside it"
                ),
            )),
        }
    }

    fn patterns(self) -> &'static [&'static str] {
        match self {
            Self::Qwen => &[QWEN2],
            Self::Glm4 | Self::Llama3 => &[LLAMA3],
        }
    }

    /// What holds unless the configuration says otherwise.
    fn defaults(self, engine: &Engine) -> Defaults {
        let id = |text: &str| engine.id_of(text);
        let ids = |texts: &[&str]| texts.iter().filter_map(|text| id(text)).collect();
        match self {
            Self::Qwen => Defaults {
                eos: id("<|endoftext|>"),
                ends: ids(&["<|im_end|>", "<|im_start|>"]),
                ..Defaults::default()
            },
            Self::Glm4 => Defaults {
                prefix: ids(&["[gMASK]", "<sop>"]),
                eos: id("<|endoftext|>"),
                ends: ids(&["<|user|>", "<|observation|>"]),
                ..Defaults::default()
            },
            Self::Llama3 => Defaults {
                prefix: ids(&["<|begin_of_text|>"]),
                bos: id("<|begin_of_text|>"),
                eos: id("<|end_of_text|>"),
                ends: ids(&["<|eot_id|>", "<|eom_id|>"]),
                ..Defaults::default()
            },
        }
    }

    /// The marks after the ranks, where the configuration names none (`tokenization_qwen.py` of
    /// Qwen, `tokenizer.py` of Llama 3.1).
    fn marks(self) -> Vec<String> {
        let numbered = |name: &str, numbers: std::ops::Range<usize>| -> Vec<String> {
            numbers.map(|n| format!("<|{name}_{n}|>")).collect()
        };
        let named = |names: &[&str]| names.iter().map(|n| format!("<|{n}|>")).collect();
        match self {
            Self::Glm4 => Vec::new(),
            Self::Qwen => [
                named(&["endoftext", "im_start", "im_end"]),
                numbered("extra", 0..QWEN_EXTRAS),
            ]
            .concat(),
            Self::Llama3 => [
                named(&["begin_of_text", "end_of_text"]),
                numbered("reserved_special_token", 0..2),
                named(&["finetune_right_pad_id"]),
                numbered("reserved_special_token", 2..3),
                named(&["start_header_id", "end_header_id", "eom_id", "eot_id"]),
                named(&["python_tag"]),
                numbered("reserved_special_token", 3..248),
            ]
            .concat(),
        }
    }
}

/// Whether a file's first line is one of tiktoken's.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    token(line).is_some()
}

/// A line's token and rank.
fn token(line: &[u8]) -> Option<(Vec<u8>, u32)> {
    let line = std::str::from_utf8(line.get(..line.len().min(4 * MAX_TOKEN))?).ok()?;
    let (token, rank) = line.trim_end().split_once(' ')?;
    let token = BASE64_STANDARD
        .decode(token)
        .ok()
        .filter(|t| !t.is_empty())?;
    Some((token, rank.parse().ok()?))
}

/// Opens a rank file; the marks follow from the configuration, or from whose file it is.
pub(super) fn open(path: &Path, bytes: &[u8], config: &Config) -> Result<Tokenizer> {
    let error = |message: String| Error::format(path, message);
    let tokens = tokens(bytes).map_err(error)?;
    let kind = Kind::of(path, tokens.len(), config)?;
    let mut marks: Vec<(u32, String, bool)> = config.added();
    if marks.is_empty() {
        marks = (tokens.len() as u32..)
            .zip(kind.marks())
            .map(|(id, name)| (id, name, true))
            .collect();
    }
    let hf = Hf::byte_level(ByteLevelParts {
        merges: merges(&tokens),
        vocab: tokens
            .iter()
            .map(|(t, id)| (byte_level::piece(t), *id))
            .collect(),
        patterns: kind.patterns(),
        // A whole pre-token that is a token needs no merges.
        ignore_merges: true,
        nfc: kind == Kind::Qwen,
        added: marks
            .iter()
            .map(|(_, text, special)| added_token(text, *special))
            .collect(),
    })
    .map_err(|e| error(e.to_string()))?;
    if let Some((id, text, _)) = marks
        .iter()
        .find(|(id, text, _)| hf.id_of(text) != Some(*id))
    {
        let message = format!(
            "added token {text}: id {:?} instead of {id}",
            hf.id_of(text)
        );
        return Err(error(message));
    }
    let size = hf.vocab_size();
    let engine = Engine::Hf(Box::new(hf));
    let defaults = kind.defaults(&engine);
    Ok(finish(engine, defaults, size, config))
}

/// The tokens of a rank file, in the order of their ranks, which run from 0.
fn tokens(bytes: &[u8]) -> Result<Vec<(Vec<u8>, u32)>, String> {
    let mut tokens = Vec::new();
    for (n, line) in bytes.split(|&b| b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let token = token(line).filter(|(token, _)| token.len() <= MAX_TOKEN);
        let wanted = || format!("line {}: base64 and a rank are wanted", n + 1);
        tokens.push(token.ok_or_else(wanted)?);
    }
    tokens.sort_by_key(|&(_, rank)| rank);
    match tokens.iter().zip(0u32..).all(|(&(_, rank), n)| rank == n) {
        true => Ok(tokens),
        false => Err("the ranks do not run from 0 without gaps".to_string()),
    }
}

/// The two parts that each token is merged from, in the order of ranks.
fn merges(tokens: &[(Vec<u8>, u32)]) -> Vec<(String, String)> {
    let ranks: HashMap<&[u8], u32> = tokens.iter().map(|(t, r)| (t.as_slice(), *r)).collect();
    tokens
        .iter()
        .filter_map(|(token, rank)| {
            let (a, b) = parts(token, *rank, &ranks)?;
            Some((byte_level::piece(a), byte_level::piece(b)))
        })
        .collect()
}

/// Merges `token`'s bytes by ranks below `rank`; `None` unless two parts are left.
fn parts<'a>(
    token: &'a [u8],
    rank: u32,
    ranks: &HashMap<&[u8], u32>,
) -> Option<(&'a [u8], &'a [u8])> {
    // Where the parts begin, and the end.
    let mut cuts: Vec<usize> = (0..=token.len()).collect();
    while cuts.len() > 3 {
        let best = cuts
            .windows(3)
            .enumerate()
            .filter_map(|(i, cut)| Some((*ranks.get(&token[cut[0]..cut[2]])?, i)))
            .filter(|&(r, _)| r < rank)
            .min()?;
        cuts.remove(best.1 + 1);
    }
    match cuts[..] {
        [from, cut, to] => Some((&token[from..cut], &token[cut..to])),
        _ => None,
    }
}
