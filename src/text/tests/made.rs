//! Small vocabularies made here: each format's rules, and files that lie.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::text::{Specials, Tokenizer};
use crate::weights::gguf::{Array, Gguf, Value, Writer};

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    std::fs::write(folder.join(name), content).unwrap();
}

fn open(files: &[(&str, &[u8])]) -> crate::Result<Option<Tokenizer>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        write(folder.path(), name, content);
    }
    Tokenizer::from_folder(folder.path())
}

/// A field of a protobuf message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut n = content.len();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out.extend(content);
    out
}

/// A SentencePiece model: pieces with score and type, model type, flags of the normaliser.
pub(super) fn model(
    pieces: &[(&str, f32, u8)],
    model_type: u8,
    byte_fallback: bool,
    flags: [u8; 2],
) -> Vec<u8> {
    let mut out = Vec::new();
    for (text, score, kind) in pieces {
        let mut piece = field(1, text.as_bytes());
        piece.push(2 << 3 | 5);
        piece.extend(score.to_le_bytes());
        piece.extend([3 << 3, *kind]);
        out.extend(field(1, &piece));
    }
    // byte_fallback is field 35: a tag of two bytes.
    out.extend(field(
        2,
        &[3 << 3, model_type, 0x98, 0x02, byte_fallback.into()],
    ));
    out.extend(field(3, &[3 << 3, flags[0], 4 << 3, flags[1]]));
    out
}

pub(super) const MARKS: [(&str, f32, u8); 3] =
    [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)];

#[test]
fn bpe_merges_by_score_and_takes_unused_pieces_apart() {
    let mut pieces = MARKS.to_vec();
    // 3.. : ab is unused, abc beats bc only through it; <u> is user-defined.
    pieces.extend([
        ("a", -9.0, 1),
        ("b", -9.0, 1),
        ("c", -9.0, 1),
        ("ab", -1.0, 5),
    ]);
    pieces.extend([
        ("bc", -2.0, 1),
        ("abc", -3.0, 1),
        ("<u>", 0.0, 4),
        ("▁", -9.0, 1),
    ]);
    let file = model(&pieces, 2, false, [0, 0]);
    let t = open(&[("tokenizer.model", &file)]).unwrap().unwrap();
    let encode = |text: &str| t.encode(text, Specials::Plain).unwrap();
    assert_eq!(encode("abc"), [8]);
    assert_eq!(encode("ab"), [3, 4]);
    assert_eq!(encode("bcc"), [7, 5]);
    assert_eq!(encode("a<u>b"), [3, 9, 4]);
    // Unknown characters in a row are one unknown piece.
    assert_eq!(encode("你好a"), [0, 3]);
    assert_eq!(encode("</s>"), [0]);
    assert_eq!(t.encode("a</s>", Specials::Parse).unwrap(), [3, 2]);
    assert_eq!(t.prefix(), [1]);
    assert_eq!(t.decode(&[3, 10, 4, 2], false), "a b");
    assert_eq!(t.decode(&[3, 10, 4, 2, 99], true), "a b</s>");
}

#[test]
fn unigram_finds_the_best_sum() {
    let mut pieces = vec![("<pad>", 0.0, 3), ("</s>", 0.0, 3), ("<unk>", 0.0, 2)];
    pieces.extend([
        ("▁", -2.0, 1),
        ("▁a", -3.0, 1),
        ("a", -2.5, 1),
        ("b", -2.5, 1),
    ]);
    pieces.extend([("ab", -4.0, 1), ("▁ab", -7.5, 1), ("<u>", 0.0, 4)]);
    let mut file = model(&pieces, 1, false, [1, 1]);
    // unk_id 2, bos_id -1, eos_id 1.
    let minus_one = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let ids = [&[0xc0, 2, 2, 0xc8, 2][..], &minus_one, &[0xd0, 2, 1]].concat();
    file.extend(field(2, &ids));
    let t = open(&[("spiece.model", &file)]).unwrap().unwrap();
    let encode = |text: &str| t.encode(text, Specials::Plain).unwrap();
    // ▁a b: -5.5; ▁ ab: -6; ▁ab: -7.5.
    assert_eq!(encode("ab"), [4, 6]);
    // Spaces at the ends go, runs become one.
    assert_eq!(encode("  ab   a "), [4, 6, 4]);
    assert_eq!(encode("a<u>b"), [4, 9, 6]);
    assert_eq!(encode(""), Vec::<u32>::new());
    assert_eq!(encode("   "), Vec::<u32>::new());
    // T5's sentinels count down to the file's end.
    assert_eq!(t.id_of("<extra_id_0>"), Some(10 + 99));
    assert_eq!(
        t.encode("a <extra_id_99>", Specials::Parse).unwrap(),
        [4, 10]
    );
    assert_eq!((t.prefix(), t.suffix()), (&[][..], &[1][..]));
    assert_eq!(t.encode_prompt("a", Specials::Parse).unwrap(), [4, 1]);
    assert_eq!((t.bos(), t.eos()), (None, Some(1)));
    assert_eq!(t.decode(&[4, 6, 4], false), "ab a");
}

/// A byte-level vocabulary of single bytes and `ab`.
pub(super) fn byte_level_vocab() -> serde_json::Map<String, serde_json::Value> {
    let mut vocab = serde_json::Map::new();
    for (id, byte) in (0..=255u8).enumerate() {
        vocab.insert(crate::text::byte_level::piece(&[byte]), id.into());
    }
    vocab.insert("ab".to_string(), 256.into());
    vocab.insert("</s>".to_string(), 257.into());
    vocab
}

#[test]
fn vocab_and_merges_with_the_convention_of_opt() {
    let vocab = serde_json::to_vec(&byte_level_vocab()).unwrap();
    let config =
        br#"{"add_bos_token": true, "bos_token": {"content": "</s>"}, "eos_token": "</s>"}"#;
    let merges = b"#version: 0.2\na b\n";
    let files: [(&str, &[u8]); 3] = [
        ("vocab.json", &vocab),
        ("merges.txt", merges),
        ("tokenizer_config.json", config),
    ];
    let t = open(&files).unwrap().unwrap();
    assert_eq!(
        t.encode_prompt("abé", Specials::Parse).unwrap(),
        [257, 256, 0xc3, 0xa9]
    );
    assert_eq!(t.prefix(), [257]);
    assert_eq!(t.end_ids(), [257]);
    assert_eq!(t.decode(&[257, 256, 0xc3, 0xa9], false), "abé");
    assert!(t.is_special(257));
    assert_eq!(t.vocab_size(), 258);
    assert!(open(&files[..1]).unwrap().is_none());
}

/// Llama's `tokenizer.json`: byte fallback, a space put first and dropped again, BOS by template.
pub(super) fn llama_json() -> serde_json::Value {
    let mut vocab = serde_json::Map::new();
    for (id, piece) in ["<unk>", "<s>", "</s>"].iter().enumerate() {
        vocab.insert(piece.to_string(), id.into());
    }
    for byte in 0..=255u32 {
        vocab.insert(format!("<0x{byte:02X}>"), (3 + byte).into());
    }
    for (id, piece) in (259..).zip(["▁", "h", "i", "hi", "▁hi"]) {
        vocab.insert(piece.to_string(), id.into());
    }
    let token = |id: u32, text: &str| json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [token(0, "<unk>"), token(1, "<s>"), token(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null,
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>",
            "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": true, "byte_fallback": true,
            "vocab": vocab, "merges": ["h i", "▁ hi"]}
    })
}

#[test]
fn tokenizer_json_with_byte_fallback() {
    let file = serde_json::to_vec(&llama_json()).unwrap();
    let t = open(&[("tokenizer.json", &file)]).unwrap().unwrap();
    let ids = t.encode("hi hi\n你", Specials::Plain).unwrap();
    assert_eq!(ids, [263, 263, 13, 3 + 0xe4, 3 + 0xbd, 3 + 0xa0]);
    assert_eq!(t.decode(&ids, false), "hi hi\n你");
    let mut stream = t.stream();
    let pieces: Vec<String> = ids.iter().map(|&id| stream.push(id)).collect();
    assert_eq!(pieces, ["hi", " hi", "\n", "", "", "你"]);
    // A text that goes on from a prompt keeps its space.
    assert_eq!(t.stream_continuing().push(263), " hi");
    assert_eq!(t.prefix(), [1]);
    assert_eq!(t.encode_prompt("<s>hi", Specials::Parse).unwrap(), [1, 263]);
    assert_eq!(t.encode_prompt("hi", Specials::Parse).unwrap(), [1, 263]);
    assert_eq!(t.vocab_size(), 264);
    let config = br#"{"add_bos_token": false, "add_eos_token": true, "bos_token": "<s>", "eos_token": "</s>"}"#;
    let t = open(&[("tokenizer.json", &file), ("tokenizer_config.json", config)]);
    assert_eq!(
        t.unwrap()
            .unwrap()
            .encode_prompt("hi", Specials::Parse)
            .unwrap(),
        // A prompt is to be gone on with, whatever training put at its end.
        [263]
    );
}

#[test]
fn lying_tokenizer_files_are_refused_by_name() {
    let mut long = llama_json();
    long["model"]["merges"] = json!(["hhhhhhhhhhhhhhhhhhhh iiiiiiiiiiiiiiiiiii"]);
    let mut unknown = llama_json();
    unknown["model"]["merges"] = json!(["h x"]);
    let mut decoder = llama_json();
    decoder["decoder"] =
        json!({"type": "CTC", "pad_token": "x", "word_delimiter_token": "|", "cleanup": true});
    let json = |v: &serde_json::Value| serde_json::to_vec(v).unwrap();
    let good = model(&MARKS, 2, false, [1, 0]);
    let vocab = serde_json::to_vec(&byte_level_vocab()).unwrap();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("tokenizer.json", b"{".to_vec()),
        ("tokenizer.json", b"{}".to_vec()),
        ("tokenizer.json", "[".repeat(100_000).into_bytes()),
        ("tokenizer.json", json(&long)),
        ("tokenizer.json", json(&unknown)),
        ("tokenizer.json", json(&decoder)),
        ("tokenizer.model", good[..good.len() - 1].to_vec()),
        ("tokenizer.model", Vec::new()),
        (
            "tokenizer.model",
            vec![
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ],
        ),
        (
            "tokenizer.model",
            model(&[("x", f32::NAN, 1)], 2, false, [1, 0]),
        ),
        ("tokenizer.model", model(&[("x", 0.0, 6)], 2, true, [1, 0])),
        ("tokenizer.model", model(&MARKS, 3, false, [1, 0])),
        ("ice_text.model", good.clone()),
        ("x.tiktoken", b"!! 0\n".to_vec()),
        ("x.tiktoken", b"YQ== 5\n".to_vec()),
        ("x.tiktoken", b"YQ==".to_vec()),
        ("tokenizer.model", b"YQ== 0\n".to_vec()),
    ];
    for (name, content) in cases {
        let error = open(&[(name, &content)]).err().map(|e| e.to_string());
        let shown = String::from_utf8_lossy(&content[..content.len().min(40)]).into_owned();
        assert!(
            error.as_ref().is_some_and(|e| e.contains(name)),
            "{name} {shown}: {error:?}"
        );
    }
    let error = open(&[("vocab.json", &vocab), ("merges.txt", b"a z")])
        .err()
        .unwrap();
    assert!(error.to_string().contains("merges.txt"), "{error}");
    let error = open(&[("tokenizer.model", &good), ("tokenizer_config.json", b"[]")]);
    assert!(
        error
            .err()
            .unwrap()
            .to_string()
            .contains("tokenizer_config.json")
    );
}

/// SentencePiece's table with one rule: `a` becomes `text`.
fn charsmap(text: &str) -> Vec<u8> {
    let mut units = vec![0u32; 512];
    // The root's children are at 256 ^ byte, what the rule writes is said at 257.
    units[0] = 256 << 10;
    units[256 ^ 97] = (256 ^ 97 ^ 257) << 10 | 1 << 8 | 97;
    units[257] = 1 << 31;
    let size = 4 * units.len() as u32;
    let units = units.iter().flat_map(|unit| unit.to_le_bytes());
    let trie: Vec<u8> = size.to_le_bytes().into_iter().chain(units).collect();
    [&trie[..], text.as_bytes(), b"\0"].concat()
}

#[test]
fn a_text_cannot_be_made_to_grow_without_bounds() {
    let open_json = |key: &str, value: serde_json::Value| {
        let mut file = llama_json();
        file[key] = value;
        open(&[("tokenizer.json", &serde_json::to_vec(&file).unwrap())])
    };
    let sequence = |n: usize, step: serde_json::Value| json!({"type": "Sequence", "normalizers": vec![step; n]});
    let replace = |kind: &str, pattern: serde_json::Value| json!({"type": kind, "pattern": pattern, "content": "a".repeat(32)});
    let letter = || json!({"String": "a"});
    let nothing = json!({"Regex": ""});
    let table = |text: &str| {
        let map = BASE64_STANDARD.encode(charsmap(text));
        json!({"type": "Precompiled", "precompiled_charsmap": map})
    };
    let growing = [
        sequence(10, replace("Replace", letter())),
        // The crate takes it for a replacement, whatever it calls itself.
        sequence(10, replace("Other", letter())),
        sequence(10, sequence(1, replace("Replace", letter()))),
        sequence(3, replace("Replace", nothing)),
        sequence(4, table(&"a".repeat(32))),
        sequence(20, json!({"type": "NFKD"})),
    ];
    for normalizer in growing {
        let error = open_json("normalizer", normalizer).err().unwrap();
        let error = error.to_string();
        assert!(
            error.contains("tokenizer.json: normalizer: a text can become"),
            "{error}"
        );
    }
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    let pre = json!({"type": "Sequence", "pretokenizers": vec![bytes; 30]});
    assert!(open_json("pre_tokenizer", pre).is_err());
    for blob in ["", "AAAA", "/////w==", "?"] {
        let step = json!({"type": "Precompiled", "precompiled_charsmap": blob});
        let error = open_json("normalizer", step).err().unwrap().to_string();
        assert!(error.contains("precompiled_charsmap"), "{error}");
    }
    assert!(open_json("normalizer", table(&"a".repeat(257))).is_err());
    let twice = sequence(2, replace("Replace", letter()));
    assert!(open_json("normalizer", twice).is_ok());

    let mut pieces = MARKS.to_vec();
    pieces.extend([("a", -1.0, 1), ("b", -1.0, 1)]);
    let with_table = |text: &str| {
        let mut file = model(&pieces, 1, false, [0, 0]);
        file.extend(field(3, &field(2, &charsmap(text))));
        open(&[("tokenizer.model", &file)])
    };
    let t = with_table("bb").unwrap().unwrap();
    assert_eq!(t.encode("a", Specials::Plain).unwrap(), [4, 4]);
    let error = with_table(&"b".repeat(1 << 20)).err().unwrap().to_string();
    assert!(
        error.contains("tokenizer.model") && error.contains("1048576"),
        "{error}"
    );
}

#[test]
fn marks_around_a_text_are_those_of_the_post_processor() {
    let open_json = |processor: serde_json::Value| {
        let mut file = llama_json();
        file["post_processor"] = processor;
        open(&[("tokenizer.json", &serde_json::to_vec(&file).unwrap())])
    };
    let token = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    let text = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    let template = |single: Vec<serde_json::Value>| {
        json!({"type": "TemplateProcessing", "single": single, "pair": [text("A"), text("B")],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
                "many": {"id": "many", "ids": vec![1; 500], "tokens": vec!["<s>"; 500]}}})
    };
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false});
    let bert = json!({"type": "BertProcessing", "cls": ["<s>", 1], "sep": ["</s>", 2]});
    let around = template(vec![token("<s>"), text("A"), token("<s>")]);
    let cases: [(serde_json::Value, &[u32], &[u32]); 5] = [
        (json!(null), &[], &[]),
        (bytes.clone(), &[], &[]),
        (bert.clone(), &[1], &[2]),
        (around.clone(), &[1], &[1]),
        (
            json!({"type": "Sequence", "processors": [bytes, around, bert]}),
            &[1, 1],
            &[1, 2],
        ),
    ];
    for (processor, prefix, suffix) in cases {
        let t = open_json(processor.clone()).unwrap().unwrap();
        assert_eq!((t.prefix(), t.suffix()), (prefix, suffix), "{processor}");
    }
    let broken = [
        (vec![token("<bos>"), text("A")], "<bos>"),
        (vec![token("<s>")], "missing"),
        (vec![text("A"), text("B")], "the text B"),
        (vec![text("A"), text("A")], "the text A"),
        ([vec![token("many"); 3], vec![text("A")]].concat(), "1500"),
    ];
    for (single, wanted) in broken {
        let error = open_json(template(single)).err().unwrap().to_string();
        assert!(
            error.contains("tokenizer.json: post_processor: single: ") && error.contains(wanted),
            "{error}"
        );
    }
}

#[test]
fn glms_chinese_marks_follow_its_pieces() {
    let mut pieces = MARKS.to_vec();
    pieces.extend([("▁", -2.0, 1), ("好", -1.0, 1)]);
    let added = br#"{"[CLS]": 6, "<|endoftext|>": 5, "[MASK]": 7}"#;
    let config = br#"{"tokenizer_class": "GLMChineseTokenizer", "eos_token": "<|endoftext|>"}"#;
    let t = open(&[
        ("cog-pretrain.model", &model(&pieces, 1, false, [1, 0])),
        ("added_tokens.json", added),
        ("tokenizer_config.json", config),
    ]);
    let t = t.unwrap().unwrap();
    assert_eq!(t.encode("好[MASK]", Specials::Parse).unwrap(), [3, 4, 7]);
    assert_eq!((t.prefix(), t.suffix()), (&[6][..], &[5][..]));
    assert_eq!(t.eos(), Some(5));
}

#[test]
fn llama_3s_ranks_come_with_its_marks() {
    // As many ranks as Meta's file has: the bytes, a number of three digits, and what fills up.
    let digits = [b"12".to_vec(), b"123".to_vec(), b"1234".to_vec()];
    let tokens = (0..=255).map(|byte: u8| vec![byte]).chain(digits);
    let fill = (0u32..).map(|n| [b"~~", &n.to_be_bytes()[..]].concat());
    let lines = (0..128_000).zip(tokens.chain(fill)).map(|(rank, token)| {
        let token = BASE64_STANDARD.encode(token);
        format!("{token} {rank}\n")
    });
    let ranks: String = lines.collect();
    let t = open(&[("tokenizer.model", ranks.as_bytes())])
        .unwrap()
        .unwrap();
    let prompt = t.encode_prompt("a1234<|eot_id|>", Specials::Parse).unwrap();
    assert_eq!(prompt, [128_000, 97, 257, u32::from(b'4'), 128_009]);
    assert_eq!(t.id_of("<|reserved_special_token_247|>"), Some(128_255));
    assert_eq!(t.eos(), Some(128_001));
    assert!(
        [128_001, 128_008, 128_009]
            .iter()
            .all(|id| t.end_ids().contains(id))
    );
}

#[test]
fn noise_is_never_a_panic() {
    let good = model(&MARKS, 1, false, [1, 1]);
    for cut in 0..good.len() {
        let _ = open(&[("tokenizer.model", &good[..cut])]);
        let mut bent = good.clone();
        bent[cut] ^= 0x55;
        if let Ok(Some(t)) = open(&[("tokenizer.model", &bent)]) {
            let _ = t.encode("a b 你", Specials::Parse);
            let _ = t.decode(&[0, 1, 2, 3, u32::MAX], true);
        }
    }
}

fn gguf(entries: &[(&str, Value)]) -> crate::Result<Option<Tokenizer>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.gguf");
    let entries: Vec<_> = entries
        .iter()
        .map(|(k, v)| (k.to_string(), v.clone()))
        .collect();
    let file = std::fs::File::create(&path).unwrap();
    Writer::new(file, &entries, &[]).unwrap().finish().unwrap();
    Tokenizer::from_gguf(&Gguf::open(&path).unwrap().metadata())
}

fn text(s: &str) -> Value {
    Value::String(s.to_string())
}

fn strings(list: &[&str]) -> Value {
    Value::Array(Array::Strings(list.iter().map(|s| s.to_string()).collect()))
}

#[test]
fn gguf_files_that_lack_or_contradict() {
    let model = |name: &str| ("tokenizer.ggml.model", text(name));
    let tokens = ("tokenizer.ggml.tokens", strings(&["a", "b", "ab"]));
    let merges = ("tokenizer.ggml.merges", strings(&["a b"]));
    assert!(gguf(&[]).unwrap().is_none());
    assert!(gguf(&[model("no_vocab")]).unwrap().is_none());
    let good = [model("gpt2"), tokens.clone(), merges.clone()];
    assert_eq!(
        gguf(&good)
            .unwrap()
            .unwrap()
            .encode("ab", Specials::Plain)
            .unwrap(),
        [2]
    );
    let cases = [
        (vec![model("wordpiece")], "tokenizer.ggml.model"),
        (vec![model("gpt2")], "tokenizer.ggml.tokens"),
        (vec![model("gpt2"), tokens.clone()], "tokenizer.ggml.merges"),
        (
            vec![model("llama"), tokens.clone()],
            "tokenizer.ggml.scores",
        ),
        (
            vec![
                model("gpt2"),
                tokens.clone(),
                merges.clone(),
                ("tokenizer.ggml.pre", text("klingon")),
            ],
            "klingon",
        ),
        (
            vec![
                model("gpt2"),
                tokens.clone(),
                ("tokenizer.ggml.merges", strings(&["a c"])),
            ],
            "tokenizer.ggml.merges",
        ),
        (
            vec![
                model("gpt2"),
                tokens.clone(),
                ("tokenizer.ggml.merges", strings(&["", "你"])),
            ],
            "tokenizer.ggml.merges",
        ),
        (
            vec![
                model("gpt2"),
                tokens.clone(),
                merges.clone(),
                (
                    "tokenizer.ggml.token_type",
                    Value::Array(Array::I32(vec![1, 1, 99])),
                ),
            ],
            "tokenizer.ggml.token_type",
        ),
        (
            vec![
                model("t5"),
                tokens,
                (
                    "tokenizer.ggml.scores",
                    Value::Array(Array::F32(vec![0.0; 3])),
                ),
                (
                    "tokenizer.ggml.precompiled_charsmap",
                    Value::Array(Array::U8(vec![255; 5])),
                ),
            ],
            "tokenizer.ggml.precompiled_charsmap",
        ),
    ];
    for (entries, wanted) in cases {
        let error = gguf(&entries).err().map(|e| e.to_string());
        assert!(
            error.as_ref().is_some_and(|e| e.contains(wanted)),
            "{wanted}: {error:?}"
        );
    }
}
