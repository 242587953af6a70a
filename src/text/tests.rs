//! The real vocabularies in `../shared/real`, where that folder is.

use std::path::{Path, PathBuf};

use serde_json::Value;

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
            assert_eq!(t.encode_prompt(text).unwrap(), ids("ids"), "{text:?}");
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
