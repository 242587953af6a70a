//! Vocabularies written as GGUF has them give the ids of the folder that they came from, whatever
//! their kind.

use serde_json::{Value as Json, json};

use super::made::{MARKS, byte_level_vocab, llama_json, model};
use super::*;
use crate::text::{Held, gguf_entries};
use crate::weights::gguf::Writer;

/// The embedding's rows: more than any of these vocabularies has tokens.
const ROWS: usize = 200_000;

/// A folder of these files.
fn folder_of(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

/// The folder's vocabulary by way of a GGUF file, and how llama.cpp's keys hold it.
fn through_gguf(folder: &Path) -> (Tokenizer, Held) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vocab.gguf");
    let vocabulary = gguf_entries(folder, ROWS).unwrap();
    let file = std::fs::File::create(&path).unwrap();
    let writer = Writer::new(file, &vocabulary.entries, &[]).unwrap();
    writer.finish().unwrap();
    let metadata = Gguf::open(&path).unwrap().metadata();
    let tokens = metadata.strings("tokenizer.ggml.tokens").unwrap();
    if let Some(tokens) = tokens {
        assert_eq!(tokens.len(), ROWS, "llama.cpp wants a token for each row");
    }
    let tokenizer = Tokenizer::from_gguf(&metadata).unwrap().unwrap();
    (tokenizer, vocabulary.held)
}

/// Asserts that both are one vocabulary: its marks, its tokens, and the ids of random texts.
fn assert_same(name: &str, found: &Tokenizer, wanted: &Tokenizer) {
    let marks = |t: &Tokenizer| {
        let around = (t.prefix().to_vec(), t.suffix().to_vec());
        (t.bos(), t.eos(), t.end_ids(), around, t.vocab_size())
    };
    assert_eq!(marks(found), marks(wanted), "{name}");
    let specials: Vec<String> = (0..wanted.vocab_size() as u32)
        .filter(|&id| wanted.is_special(id))
        .filter_map(|id| wanted.piece(id))
        .take(50)
        .collect();
    let specials = prop::sample::select(match specials.is_empty() {
        true => vec![String::new()],
        false => specials,
    });
    let text = (
        "\\PC{0,12}|[ \n\ta-z0-9你好🦙é▁]{0,24}",
        specials,
        "[ a-z]{0,6}",
    );
    let mut runner = TestRunner::new(ProptestConfig::with_cases(80));
    runner
        .run(&text, |(a, mark, b)| {
            let text = format!("{a}{mark}{b}");
            for specials in [Specials::Plain, Specials::Parse] {
                let ids = wanted.encode(&text, specials);
                let same = found.encode(&text, specials);
                prop_assert_eq!(same.ok(), ids.as_ref().ok().cloned(), "{} {:?}", name, text);
                for keep in [false, true] {
                    let ids = ids.as_deref().unwrap_or_default();
                    prop_assert_eq!(found.decode(ids, keep), wanted.decode(ids, keep));
                }
            }
            Ok(())
        })
        .unwrap();
}

fn assert_held(name: &str, folder: &Path, wanted: Held) {
    let (found, held) = through_gguf(folder);
    assert_eq!(held, wanted, "{name}");
    let own = Tokenizer::from_folder(folder).unwrap().unwrap();
    assert_same(name, &found, &own);
}

#[test]
fn real_vocabularies_stay_themselves() {
    for (name, held) in [
        ("llama-spm", Held::Exactly),
        ("chatglm2", Held::Nearly),
        ("chatglm1", Held::AsFiles),
        ("qwen", Held::Nearly),
    ] {
        let Some(folder) = real(name) else {
            return;
        };
        assert_held(name, &folder, held);
    }
    for name in ["gpt-2", "qwen2"] {
        let metadata = Gguf::open(&real(&format!("gguf-vocab/ggml-vocab-{name}.gguf")).unwrap());
        let t = Tokenizer::from_gguf(&metadata.unwrap().metadata());
        let t = t.unwrap().unwrap();
        let Engine::Hf(hf) = &t.0.engine else {
            panic!("{name} is byte-level BPE");
        };
        let json = hf.to_json().unwrap().into_bytes();
        let dir = folder_of(&[("tokenizer.json", json)]);
        assert_held(name, dir.path(), Held::Exactly);
    }
}

#[test]
fn a_gpt2_vocabulary_of_two_files_stays_itself() {
    let vocab = serde_json::to_vec(&byte_level_vocab()).unwrap();
    let config = br#"{"add_bos_token": true, "bos_token": "</s>", "eos_token": "</s>"}"#;
    let dir = folder_of(&[
        ("vocab.json", vocab),
        ("merges.txt", b"#version: 0.2\na b\n".to_vec()),
        ("tokenizer_config.json", config.to_vec()),
    ]);
    assert_held("vocab and merges", dir.path(), Held::Exactly);
}

#[test]
fn what_llama_cpp_has_no_key_for_is_carried() {
    let file = |json: &Json| vec![("tokenizer.json", json.to_string().into_bytes())];
    let words: serde_json::Map<String, Json> = ["[UNK]", "hi", "you"]
        .iter()
        .zip(0..)
        .map(|(word, id)| (word.to_string(), json!(id)))
        .collect();
    let words = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null, "model": {"type": "WordLevel", "vocab": words, "unk_token": "[UNK]"}
    });
    let mut pieces = MARKS.to_vec();
    pieces.extend([("a", -2.0, 1), ("▁", -2.0, 1), ("▁a", -3.0, 1)]);
    let mut with_user = pieces.clone();
    with_user.push(("<u>", 0.0, 4));
    let spm = |pieces: &[(&str, f32, u8)], kind| model(pieces, kind, false, [1, 0]);
    for (name, files, held) in [
        ("byte fallback", file(&llama_json()), Held::Nearly),
        ("words", file(&words), Held::AsFiles),
        (
            "bpe",
            vec![("tokenizer.model", spm(&pieces, 2))],
            Held::Exactly,
        ),
        (
            "unigram",
            vec![("tokenizer.model", spm(&pieces, 1))],
            Held::Exactly,
        ),
        ("t5", vec![("spiece.model", spm(&pieces, 1))], Held::Exactly),
        (
            "user-defined",
            vec![("tokenizer.model", spm(&with_user, 2))],
            Held::Nearly,
        ),
    ] {
        assert_held(name, folder_of(&files).path(), held);
    }
    // Of several files the one that counts is carried.
    let mut both = file(&llama_json());
    both.push(("tokenizer.model", spm(&pieces, 2)));
    let dir = folder_of(&both);
    assert_held("both", dir.path(), Held::Nearly);
    let keys = gguf_entries(dir.path(), 10).unwrap().entries;
    let has = |key: &str| keys.iter().any(|(k, _)| k == key);
    assert!(has("wick.file.tokenizer.json") && !has("wick.file.tokenizer.model"));
}

#[test]
fn normalisation_to_nfc_survives() {
    let Some(path) = real("gguf-vocab/ggml-vocab-qwen2.gguf") else {
        return;
    };
    let t = Tokenizer::from_gguf(&Gguf::open(&path).unwrap().metadata());
    let t = t.unwrap().unwrap();
    let Engine::Hf(hf) = &t.0.engine else {
        panic!("qwen2 is byte-level BPE");
    };
    let mut json: Json = serde_json::from_str(&hf.to_json().unwrap()).unwrap();
    json["normalizer"] = json!({"type": "NFC"});
    let dir = folder_of(&[("tokenizer.json", json.to_string().into_bytes())]);
    let (found, held) = through_gguf(dir.path());
    assert_eq!(held, Held::Exactly);
    let ids = |text| found.encode(text, Specials::Plain).unwrap();
    assert_eq!(ids("e\u{301}"), ids("é"));
}
