//! The real vocabularies in `../shared/real`, where that folder is; and vocabularies made here.

mod chat;
mod export;
mod made;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::tokenizer::Engine;
use super::{Specials, Tokenizer};
use crate::weights::gguf::Gguf;

/// A file or folder of the shared data; `None`, with a note, where it is absent.
fn real(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/real")
        .join(name);
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

fn gguf(name: &str) -> Option<Tokenizer> {
    let file = Gguf::open(&real(name)?).unwrap();
    Some(Tokenizer::from_gguf(&file.metadata()).unwrap().unwrap())
}

fn folder(name: &str) -> Option<Tokenizer> {
    Some(Tokenizer::from_folder(&real(name)?).unwrap().unwrap())
}

/// Texts and ids of a vocabulary's `.inp` and `.out` files.
fn pairs(name: &str) -> Vec<(String, Vec<u32>)> {
    let read = |extension: &str| {
        let path = real(&format!("gguf-vocab/ggml-vocab-{name}.gguf.{extension}")).unwrap();
        std::fs::read_to_string(path).unwrap()
    };
    let ids = read("out");
    let ids: Vec<Vec<u32>> = ids
        .lines()
        .map(|line| {
            line.split_whitespace()
                .map(|id| id.parse().unwrap())
                .collect()
        })
        .collect();
    let texts = read("inp");
    let texts = texts
        .strip_suffix("\n__ggml_vocab_test__\n")
        .unwrap_or(&texts);
    let texts: Vec<String> = texts
        .split("\n__ggml_vocab_test__\n")
        .map(str::to_string)
        .collect();
    assert_eq!(texts.len(), ids.len(), "{name}");
    texts.into_iter().zip(ids).collect()
}

/// Every way of decoding gives `text`.
fn assert_decodes(tokenizer: &Tokenizer, ids: &[u32], text: &str) {
    assert_eq!(tokenizer.decode(ids, false), text);
    let mut stream = tokenizer.stream();
    let mut pieces: String = ids.iter().map(|&id| stream.push(id)).collect();
    pieces.push_str(&stream.finish());
    assert_eq!(pieces, text);
}

#[test]
fn gguf_vocabularies_give_the_reference_ids() {
    for name in [
        "falcon",
        "gpt-2",
        "llama-bpe",
        "llama-spm",
        "phi-3",
        "qwen2",
    ] {
        let Some(t) = gguf(&format!("gguf-vocab/ggml-vocab-{name}.gguf")) else {
            return;
        };
        for (text, ids) in pairs(name) {
            assert_eq!(
                t.encode(&text, Specials::Plain).unwrap(),
                ids,
                "{name}: {text:?}"
            );
            assert_decodes(&t, &ids, &text);
        }
    }
}

#[test]
fn stories260k_spells_its_reference() {
    let Some(t) = gguf("stories260K/stories260K.gguf") else {
        return;
    };
    let bytes = std::fs::read(real("stories260K/reference.safetensors").unwrap()).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let ids: Vec<u32> = file
        .tensor("gen")
        .unwrap()
        .data()
        .chunks_exact(8)
        .map(|c| u64::from_le_bytes(c.try_into().unwrap()) as u32)
        .collect();
    assert_eq!(ids.len(), 199);
    let text = std::fs::read_to_string(real("stories260K/stdout200.txt").unwrap()).unwrap();
    // The file shows 200 tokens, one more than the reference holds.
    let text = text.trim_end().strip_suffix(" she").unwrap();
    assert_decodes(&t, &ids, text);
    assert_eq!(t.prefix(), [1]);
    assert_eq!(t.end_ids(), [2]);
}

#[test]
fn spm_model_file_equals_its_gguf() {
    let Some(t) = folder("llama-spm") else {
        return;
    };
    for (text, ids) in pairs("llama-spm") {
        assert_eq!(t.encode(&text, Specials::Plain).unwrap(), ids, "{text:?}");
        assert_decodes(&t, &ids, &text);
    }
    let other = gguf("gguf-vocab/ggml-vocab-llama-spm.gguf").unwrap();
    assert_eq!(t.vocab_size(), other.vocab_size());
    assert_eq!((t.bos(), t.eos()), (other.bos(), other.eos()));
    assert_eq!(t.prefix(), other.prefix());
    for id in 0..32_000 {
        assert_eq!(t.token_bytes(id), other.token_bytes(id), "{id}");
    }
}

/// Checks every case of a folder: ids, ids with what the model puts around, decoded text.
fn assert_cases(name: &str, with_specials: &str) {
    let Some(t) = folder(name) else {
        return;
    };
    let cases = std::fs::read(real(name).unwrap().join("cases.json")).unwrap();
    let cases: Value = serde_json::from_slice(&cases).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let ids = |key: &str| -> Vec<u32> { serde_json::from_value(case[key].clone()).unwrap() };
        let plain = t.encode(text, Specials::Plain).unwrap();
        if with_specials == "ids_no_special" {
            assert_eq!(plain, ids("ids_no_special"), "{text:?}");
            assert_eq!(
                t.encode_prompt(text, Specials::Parse).unwrap(),
                ids("ids"),
                "{text:?}"
            );
        } else {
            assert_eq!(plain, ids("ids"), "{text:?}");
            let whole = [t.prefix(), &plain, t.suffix()].concat();
            assert_eq!(whole, ids(with_specials), "{text:?}");
        }
        let decoded = case["decoded"].as_str().unwrap();
        let keep = with_specials == "ids_no_special";
        assert_eq!(t.decode(&ids("ids"), keep), decoded, "{text:?}");
        if !keep {
            assert_decodes(&t, &ids("ids"), decoded);
        }
    }
}

#[test]
fn qwen_cases() {
    assert_cases("qwen", "ids_no_special");
}

#[test]
fn chatglm1_cases() {
    assert_cases("chatglm1", "ids_special");
}

#[test]
fn chatglm2_cases() {
    assert_cases("chatglm2", "ids_special");
}

/// Text goes through every vocabulary and comes back; ids of any kind decode without a panic,
/// piece by piece as at once.
#[test]
fn round_trips() {
    let load = || -> Option<Vec<(Tokenizer, &str)>> {
        Some(vec![
            (gguf("gguf-vocab/ggml-vocab-llama-bpe.gguf")?, ""),
            (gguf("gguf-vocab/ggml-vocab-falcon.gguf")?, ""),
            (gguf("gguf-vocab/ggml-vocab-gpt-2.gguf")?, ""),
            (gguf("gguf-vocab/ggml-vocab-llama-spm.gguf")?, ""),
            (gguf("gguf-vocab/ggml-vocab-phi-3.gguf")?, ""),
            (folder("chatglm2")?, ""),
            (folder("llama-spm")?, ""),
            (folder("qwen")?, "nfc"),
            (gguf("gguf-vocab/ggml-vocab-baichuan.gguf")?, ""),
            // NFKC rewrites more, and its decoder tidies spaces.
            (folder("chatglm1")?, "letters"),
        ])
    };
    let Some(all) = load() else {
        return;
    };
    let mut runner = TestRunner::new(ProptestConfig::with_cases(200));
    let ids = prop::collection::vec(prop_oneof![0..160_000u32, Just(u32::MAX)], 0..20);
    runner
        .run(
            &("\\PC{0,24}|[ \n\ta-z你🦙é]{0,24}|[a-z你\n]{0,24}", ids),
            |(text, random)| {
                for (t, form) in &all {
                    let ids = t.encode(&text, Specials::Plain).unwrap();
                    prop_assert!(ids.iter().all(|&id| !t.is_special(id)));
                    // `▁` itself is how SentencePiece writes a space; NFC rewrites some characters.
                    let comes_back = match *form {
                        "" => !text.contains('▁'),
                        "nfc" => text.is_ascii(),
                        _ => text.chars().all(|c| matches!(c, 'a'..='z' | '你' | '\n')),
                    };
                    if comes_back {
                        prop_assert_eq!(&t.decode(&ids, false), &text);
                    }
                    for ids in [&ids, &random] {
                        let mut stream = t.stream();
                        let mut pieces: String = ids.iter().map(|&id| stream.push(id)).collect();
                        pieces.push_str(&stream.finish());
                        prop_assert_eq!(pieces, t.decode(ids, false));
                    }
                }
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn half_a_character_is_never_printed() {
    let Some(t) = gguf("gguf-vocab/ggml-vocab-gpt-2.gguf") else {
        return;
    };
    let text = "你好🦙!";
    let ids = t.encode(text, Specials::Plain).unwrap();
    assert!(ids.len() > 6, "several tokens a character");
    let mut stream = t.stream();
    for &id in &ids {
        assert!(!stream.push(id).contains('\u{fffd}'));
    }
    // Cut in the middle, the rest is one replacement character at the end.
    let cut = t.decode(&ids[..1], false);
    assert_eq!(cut, "\u{fffd}");
}

/// A tokenizer.json made of a real vocabulary gives the same ids, special tokens included.
#[test]
fn tokenizer_json_equals_its_gguf() {
    for name in ["gpt-2", "qwen2"] {
        let Some(t) = gguf(&format!("gguf-vocab/ggml-vocab-{name}.gguf")) else {
            return;
        };
        let Engine::Hf(hf) = &t.0.engine else {
            panic!("{name} is byte-level BPE");
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), hf.to_json().unwrap()).unwrap();
        let json = Tokenizer::from_folder(folder.path()).unwrap().unwrap();
        for (text, ids) in pairs(name) {
            assert_eq!(
                json.encode(&text, Specials::Plain).unwrap(),
                ids,
                "{name}: {text:?}"
            );
            assert_decodes(&json, &ids, &text);
        }
        let eos = t.eos().unwrap();
        let text = format!("a{}b", t.piece(eos).unwrap());
        let parsed = json.encode(&text, Specials::Parse).unwrap();
        assert_eq!(parsed, t.encode(&text, Specials::Parse).unwrap());
        assert!(parsed.contains(&eos));
        assert!(!json.encode(&text, Specials::Plain).unwrap().contains(&eos));
        assert_eq!(json.decode(&parsed, false), "ab");
        assert_eq!(json.decode(&parsed, true), text);
    }
}
