//! Vocabularies written as GGUF has them give the ids of the folder that they came from.

use super::*;
use crate::text::gguf_entries;
use crate::weights::gguf::Writer;

/// The folder's vocabulary, by way of a GGUF file.
fn through_gguf(folder: &Path) -> Tokenizer {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vocab.gguf");
    let entries = gguf_entries(folder).unwrap();
    let file = std::fs::File::create(&path).unwrap();
    Writer::new(file, &entries, &[]).unwrap().finish().unwrap();
    let metadata = Gguf::open(&path).unwrap().metadata();
    Tokenizer::from_gguf(&metadata).unwrap().unwrap()
}

#[test]
fn a_sentencepiece_model_stays_itself() {
    let Some(model) = real("llama-spm/tokenizer.model") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(model, dir.path().join("tokenizer.model")).unwrap();
    let written = through_gguf(dir.path());
    for (text, ids) in pairs("llama-spm") {
        assert_eq!(
            written.encode(&text, Specials::Plain).unwrap(),
            ids,
            "{text:?}"
        );
    }
    assert_eq!(written.prefix(), [1], "BOS is put first");
}

#[test]
fn a_byte_level_tokenizer_json_stays_itself() {
    for name in ["gpt-2", "qwen2"] {
        let Some(path) = real(&format!("gguf-vocab/ggml-vocab-{name}.gguf")) else {
            return;
        };
        let metadata = Gguf::open(&path).unwrap().metadata();
        let Engine::Hf(hf) = &Tokenizer::from_gguf(&metadata).unwrap().unwrap().0.engine else {
            panic!("{name} is not on the tokenizers crate");
        };
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), hf.to_json()).unwrap();
        let written = through_gguf(dir.path());
        for (text, ids) in pairs(name) {
            let found = written.encode(&text, Specials::Plain).unwrap();
            assert_eq!(found, ids, "{name}: {text:?}");
        }
    }
}

#[test]
fn a_tokenizer_json_with_byte_fallback_stays_itself() {
    let dir = tempfile::tempdir().unwrap();
    let json = super::made::llama_json().to_string();
    std::fs::write(dir.path().join("tokenizer.json"), json).unwrap();
    let folder = Tokenizer::from_folder(dir.path()).unwrap().unwrap();
    let written = through_gguf(dir.path());
    for text in ["hi", " hi hi", "ih", "hí 你好", "ih\nhi", ""] {
        assert_eq!(
            written.encode(text, Specials::Plain).unwrap(),
            folder.encode(text, Specials::Plain).unwrap(),
            "{text:?}"
        );
    }
}
