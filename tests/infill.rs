//! Blanks filled by a GLM, against the same steps done by hand.

mod common;

use common::{greedy, load, session};
use serde_json::{Map, json};
use std::path::Path;
use wick::generate::{Limits, Sampler, Sampling, infill};
use wick::nn::Storage;
use wick::text::{Specials, Tokenizer};

/// The oracle's ids: its mask, and the token after which it generates.
const MASK: u32 = 250;
const START: u32 = 251;

/// A vocabulary of words `w0` … for a model of 256 tokens, with `[MASK]` where the oracle has it.
fn words(folder: &Path) -> Tokenizer {
    let mut vocab = Map::new();
    for id in 0..256u32 {
        let word = match id {
            MASK => "[MASK]".to_string(),
            START => "<|startofpiece|>".to_string(),
            _ => format!("w{id}"),
        };
        vocab.insert(word, id.into());
    }
    let token = |id: u32, text: &str| json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [token(MASK, "[MASK]"), token(START, "<|startofpiece|>")],
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"}
    });
    std::fs::write(folder.join("tokenizer.json"), json.to_string()).unwrap();
    Tokenizer::from_folder(folder).unwrap().unwrap()
}

#[test]
fn masks_are_filled_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let tokenizer = words(dir.path());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/glm10b");
    let model = load(&folder, Storage::AsStored);
    let mut ours = session(&model, usize::MAX);
    let limits = Limits {
        max_tokens: Some(3),
        stop_ids: Vec::new(),
    };
    let text = "w5 w6 [MASK] w7 w8 [MASK] w9";
    let mut sampler = || Sampler::new(Sampling::default(), 0);
    let filled = infill(&mut ours, &tokenizer, text, &mut sampler, &limits).unwrap();
    // By hand: the first blank with the second still open, then the second.
    let mut by_hand = text.to_string();
    for _ in 0..2 {
        let mut ids = tokenizer.encode(&by_hand, Specials::Parse).unwrap();
        ids.push(START);
        let mut session = session(&model, usize::MAX);
        session.prompt(&ids).unwrap();
        let found = tokenizer.decode(&greedy(&mut session, 3), false);
        by_hand = by_hand.replacen("[MASK]", found.trim(), 1);
    }
    assert_eq!(filled.text, by_hand);
    assert!(!filled.text.contains("[MASK]"));
}

/// A vocabulary of words in which `sentinel` is T5's first.
fn words_with_sentinel(folder: &Path, sentinel: u32) -> Tokenizer {
    let mut vocab = Map::new();
    for id in 0..311u32 {
        let word = match id == sentinel {
            true => "<extra_id_0>".to_string(),
            false => format!("w{id}"),
        };
        vocab.insert(word, id.into());
    }
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [{"id": sentinel, "content": "<extra_id_0>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"}
    });
    std::fs::write(folder.join("tokenizer.json"), json.to_string()).unwrap();
    Tokenizer::from_folder(folder).unwrap().unwrap()
}

#[test]
fn t5_puts_what_follows_a_sentinel_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/t5");
    let model = load(&folder, Storage::AsStored);
    let answer = |ids: &[u32]| {
        let mut session = session(&model, usize::MAX);
        session.prompt(ids).unwrap();
        greedy(&mut session, 12)
    };
    // A word that the random model says when it is asked about it: there its sentinel is.
    let named = |id: &u32| answer(&[5, *id, 7])[..11].contains(id);
    let sentinel = (10..311).find(named).unwrap();
    let tokenizer = words_with_sentinel(dir.path(), sentinel);
    let found = answer(&[5, sentinel, 7]);
    let begin = found.iter().position(|&id| id == sentinel).unwrap() + 1;
    let rest = &found[begin..];
    let end = rest.iter().position(|&id| id == sentinel);
    let span: Vec<String> = rest[..end.unwrap_or(rest.len())]
        .iter()
        .map(|id| format!("w{id}"))
        .collect();
    let limits = Limits {
        max_tokens: Some(12),
        stop_ids: Vec::new(),
    };
    let mut sampler = || Sampler::new(Sampling::default(), 0);
    let mut ours = session(&model, usize::MAX);
    let text = "w5 <extra_id_0> w7";
    let filled = infill(&mut ours, &tokenizer, text, &mut sampler, &limits).unwrap();
    assert_eq!(filled.text, format!("w5 {} w7", span.join(" ")));
}

#[test]
fn a_text_without_a_blank_and_a_model_that_fills_none_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let tokenizer = words(dir.path());
    let oracles = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    let limits = Limits::default();
    let mut sampler = || Sampler::new(Sampling::default(), 0);
    let mut fill = |name: &str, text: &str| {
        let model = load(&oracles.join(name), Storage::AsStored);
        let mut session = session(&model, usize::MAX);
        let filled = infill(&mut session, &tokenizer, text, &mut sampler, &limits);
        filled.unwrap_err().to_string()
    };
    assert!(fill("glm10b", "w1 w2").contains("no blank to fill: one of [MASK]"));
    assert!(fill("llama", "w1 [MASK]").contains("GLM and T5"));
}
