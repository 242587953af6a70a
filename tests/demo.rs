//! The embedded demo model: it opens from the binary, its text comes out of its weights, and it
//! answers questions in wordings that it was not trained on.
#![cfg(feature = "demo")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use candle_core::Device;
use wick::demo;
use wick::generate::{Draft, Limits, Sampler, Sampling, Session, SessionOptions};
use wick::load::{Opened, Origin};
use wick::nn::{CacheType, Storage};
use wick::text::{ChatTemplate, Message, Role, Specials, Tokenizer};
use wick::weights::gguf::Metadata;

fn metadata(opened: &Opened) -> Arc<Metadata> {
    match &opened.origin {
        Origin::Gguf(metadata) => metadata.clone(),
        Origin::Folder { .. } => panic!("the demo model is a GGUF"),
    }
}

fn tokenizer(opened: &Opened) -> Tokenizer {
    Tokenizer::from_gguf(&metadata(opened)).unwrap().unwrap()
}

/// The greedy answer to one question.
fn ask(opened: &Opened, question: &str) -> String {
    let tokenizer = tokenizer(opened);
    let template = ChatTemplate::from_gguf(&metadata(opened)).unwrap().unwrap();
    let template = template.with_tokenizer(&tokenizer);
    let prompt = template
        .render(&[Message::new(Role::User, question)], true)
        .unwrap();
    let model = opened
        .model(&Device::Cpu, Storage::AsStored, &mut |_, _| ())
        .unwrap();
    let options = SessionOptions {
        ctx_size: opened.spec.max_len,
        cache_type: CacheType::F32,
        chunk: 512,
        keep_logits: false,
        interrupt: Arc::new(AtomicBool::new(false)),
        trace: None,
    };
    let mut session = Session::new(model, options).unwrap();
    session
        .prompt(&tokenizer.encode_prompt(&prompt, Specials::Parse).unwrap())
        .unwrap();
    let limits = Limits {
        max_tokens: Some(150),
        stop_ids: tokenizer.end_ids(),
    };
    session.answer(Sampler::new(Sampling::default(), 0), limits);
    let ids: Vec<u32> = session.map(|id| id.unwrap()).collect();
    tokenizer.decode(&ids, false)
}

#[test]
fn it_opens_where_it_lies() {
    let opened = Opened::demo().unwrap();
    assert!(opened.weights.checkpoint().files().is_empty());
    assert!(demo::GGUF.len() <= 8 << 20, "at most 8 MB");
    assert!(opened.file_bytes() as usize <= demo::GGUF.len());
}

#[test]
fn its_tokenizer_gives_every_text_back() {
    let tokenizer = tokenizer(&Opened::demo().unwrap());
    for text in [
        "How do I quantize a model?",
        "  two  spaces,\ttab\nand `wick run --top-k 40 \"Hi\"`\n\n",
        "怎么量化模型？ 23 + 42 = 65。",
        "Never seen: ёлка, 龘, 🦀, \u{0}",
        "",
    ] {
        let ids = tokenizer.encode(text, Specials::Plain).unwrap();
        assert_eq!(tokenizer.decode(&ids, false), text);
    }
}

#[test]
fn its_tokenizer_cuts_as_in_training() {
    let tokenizer = tokenizer(&Opened::demo().unwrap());
    let cases: Vec<(String, Vec<u32>)> =
        serde_json::from_str(include_str!("../src/demo/ids.json")).unwrap();
    assert!(cases.len() >= 5);
    for (text, ids) in cases {
        assert_eq!(
            tokenizer.encode(&text, Specials::Plain).unwrap(),
            ids,
            "{text}"
        );
    }
}

#[test]
fn marks_that_a_user_types_are_text() {
    let tokenizer = tokenizer(&Opened::demo().unwrap());
    let plain = tokenizer.encode("<|end|>", Specials::Plain).unwrap();
    let parsed = tokenizer.encode("<|end|>", Specials::Parse).unwrap();
    assert!(plain.len() > 1);
    assert_eq!(parsed.len(), 1);
    assert!(tokenizer.end_ids().contains(&parsed[0]));
}

#[test]
fn other_weights_give_other_answers() {
    let questions = ["How do I quantize a model?", "Once upon a time"];
    let demo = Opened::demo().unwrap();
    let mut bytes = demo::GGUF.to_vec();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 1_000_000] {
        *byte ^= 0x10;
    }
    let dir = tempfile::tempdir().unwrap();
    let path: &Path = &dir.path().join("changed.gguf");
    std::fs::write(path, bytes).unwrap();
    let changed = Opened::open(path).unwrap();
    for question in questions {
        assert_ne!(ask(&demo, question), ask(&changed, question));
    }
}

#[test]
fn an_answer_that_was_given_before_is_drafted_and_stays_what_it_is() {
    let opened = Opened::demo().unwrap();
    let tokenizer = tokenizer(&opened);
    let template = ChatTemplate::from_gguf(&metadata(&opened))
        .unwrap()
        .unwrap();
    let template = template.with_tokenizer(&tokenizer);
    let model = opened
        .model(&Device::Cpu, Storage::AsStored, &mut |_, _| ())
        .unwrap();
    let question = "How do I quantize a model?";
    let asked = Message::new(Role::User, question);
    let answered = Message::new(Role::Assistant, ask(&opened, question));
    let prompt = template.render(&[asked.clone(), answered, asked], true);
    let ids = tokenizer
        .encode_prompt(&prompt.unwrap(), Specials::Parse)
        .unwrap();
    let made = |draft| {
        let options = SessionOptions {
            ctx_size: opened.spec.max_len,
            cache_type: CacheType::F32,
            chunk: 512,
            keep_logits: false,
            interrupt: Arc::new(AtomicBool::new(false)),
            trace: None,
        };
        let mut session = Session::new(model.clone(), options).unwrap();
        session.set_draft(draft);
        session.prompt(&ids).unwrap();
        let limits = Limits {
            max_tokens: Some(120),
            stop_ids: tokenizer.end_ids(),
        };
        session.answer(Sampler::new(Sampling::default(), 0), limits);
        let answer: Vec<u32> = session.by_ref().map(|id| id.unwrap()).collect();
        (answer, session.draft_count())
    };
    let ((plain, none), (drafted, count)) = (made(Draft::None), made(Draft::Lookup));
    assert_eq!(drafted, plain);
    assert_eq!(none.drafted, 0);
    assert!(count.accepted > 0, "{count:?}");
}

#[test]
fn a_cut_copy_is_refused() {
    let cut: &'static [u8] = &demo::GGUF[..demo::GGUF.len() - 1000];
    let error = wick::weights::gguf::Gguf::from_static("cut", cut)
        .err()
        .unwrap();
    assert!(error.to_string().contains("cut short"), "{error}");
}

/// None of these wordings is in the training text: they were drawn at random from those that
/// `src/demo/facts.py` holds out, before the answers were seen; `src/demo/card.md` says how often it
/// is right at large.
#[test]
fn held_out_wordings_are_answered_more_often_than_not() {
    let demo = Opened::demo().unwrap();
    let questions = [
        (
            "How do I run on a machine with no graphics card at all?",
            "--device",
        ),
        ("Min_p parameter?", "--min-p"),
        (
            "How do I hand it a different job in the middle of our talk?",
            "/system",
        ),
        ("How do I change top_p in the chat?", "/set"),
        (
            "Download without the large weights, just json?",
            "--include",
        ),
        ("How do I shrink the executable?", "--no-default-features"),
        ("How much text can it read?", "-c"),
        (
            "Can I run my own hub server and fetch from it?",
            "HF_ENDPOINT",
        ),
        (
            "The cat pulled the plug at 80 percent of the transfer",
            "wick download",
        ),
        ("How do I display the transcript on the screen?", "/history"),
        ("Can it continue after the end token?", "--ignore-eos"),
        (
            "How do I know how much slower the 1.7b is than the 0.6b?",
            "--against",
        ),
        ("How do I add a line feed to my message?", "wick chat"),
        ("How do I open a saved conversation?", "/save"),
        ("为什么wick写gguf而不是safetensors？", "GGUF"),
        ("怎么要机器可读的测速数据？", "-o csv"),
        ("怎么同时扫线程数和提示长度？", "-t 1,2,4"),
        ("怎么退出？", "/exit"),
        ("怎么要llama-bench那样的d4096一行？", "-d"),
        ("用测速怎么找最佳核心数？", "-t 1,2,4"),
        ("怎么把缓存指到NAS上？", "HF_HOME"),
        ("怎么把上次没写完的gguf重做一遍？", "--force"),
        ("回答一次要五分钟", "--quant int4"),
        ("wick主要功能有哪些？", "wick"),
    ];
    let right = |(question, wanted): &(&str, &str)| ask(&demo, question).contains(wanted);
    let n = questions.iter().filter(|q| right(q)).count();
    assert!(2 * n >= questions.len(), "{n} of {}", questions.len());
}

#[test]
fn it_tells_a_story() {
    let story = ask(&Opened::demo().unwrap(), "Once upon a time");
    assert!(story.starts_with("Once upon a time"), "{story}");
    assert!(story.split_whitespace().count() > 40, "{story}");
}
