//! tiktoken's rank files (`qwen.tiktoken`, GLM-4's `tokenizer.model`): a line per token, its bytes
//! in base64 and its rank, which is also its id. Merging goes by the rank of the union; the pair
//! that a token is merged from follows from running that on the token itself.

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

/// Opens a rank file; the marks follow from the configuration, Qwen's where it names none.
pub(super) fn open(path: &Path, bytes: &[u8], config: &Config) -> Result<Tokenizer> {
    let error = |message: String| Error::format(path, message);
    let mut tokens: Vec<(Vec<u8>, u32)> = Vec::new();
    for (n, line) in bytes.split(|&b| b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let (token, rank) = token(line)
            .filter(|(token, _)| token.len() <= MAX_TOKEN)
            .ok_or_else(|| error(format!("line {}: base64 and a rank are wanted", n + 1)))?;
        tokens.push((token, rank));
    }
    tokens.sort_by_key(|&(_, rank)| rank);
    if tokens.iter().zip(0u32..).any(|(&(_, rank), n)| rank != n) {
        return Err(error(
            "the ranks do not run from 0 without gaps".to_string(),
        ));
    }
    let glm = config.class() == "ChatGLM4Tokenizer";
    let mut marks: Vec<(u32, String, bool)> = config.added();
    if marks.is_empty() && !glm {
        let names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
        let extras = (0..QWEN_EXTRAS).map(|n| format!("<|extra_{n}|>"));
        let names = names.iter().map(|n| n.to_string()).chain(extras);
        marks = (tokens.len() as u32..)
            .zip(names)
            .map(|(id, n)| (id, n, true))
            .collect();
    }
    let hf = Hf::byte_level(ByteLevelParts {
        merges: merges(&tokens),
        vocab: tokens
            .iter()
            .map(|(t, id)| (byte_level::piece(t), *id))
            .collect(),
        patterns: vec![if glm { LLAMA3 } else { QWEN2 }],
        // A whole pre-token that is a token needs no merges.
        ignore_merges: true,
        nfc: !glm,
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
    let id = |text: &str| engine.id_of(text);
    let mut defaults = Defaults::default();
    let mut ends = Vec::new();
    if glm {
        defaults
            .prefix
            .extend(id("[gMASK]").into_iter().chain(id("<sop>")));
        ends.extend([id("<|user|>"), id("<|observation|>")]);
    } else {
        ends.extend([id("<|im_end|>"), id("<|im_start|>")]);
    }
    defaults.eos = id("<|endoftext|>");
    defaults.ends = ends.into_iter().flatten().collect();
    Ok(finish(engine, defaults, size, config))
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
