//! Prompts of the real models: rendered, and their ids.

use serde_json::Value;

use super::{assert_decodes, folder, gguf, real};
use crate::text::{ChatTemplate, Message, Role, Specials, Tokenizer};
use crate::weights::gguf::Gguf;

/// A conversation of the shared `prompt.json`: one exchange and a question.
fn talk(prompt: &Value, system: bool) -> Vec<Message> {
    let text = |v: &Value| v.as_str().unwrap().to_string();
    let mut messages = Vec::new();
    if system {
        messages.push(Message::new(Role::System, text(&prompt["system"])));
    }
    for pair in prompt["history"].as_array().unwrap() {
        messages.push(Message::new(Role::User, text(&pair[0])));
        messages.push(Message::new(Role::Assistant, text(&pair[1])));
    }
    messages.push(Message::new(Role::User, text(&prompt["query"])));
    messages
}

fn prompt(name: &str) -> Value {
    let bytes = std::fs::read(real(name).unwrap().join("prompt.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn qwen_prompt() {
    let Some(t) = folder("qwen") else {
        return;
    };
    let prompt = prompt("qwen");
    for (format, system) in [
        ("qwen", false),
        ("qwen", true),
        ("chatml", true),
        ("qwen3", true),
    ] {
        let template = ChatTemplate::builtin(format).unwrap();
        let text = template.render(&talk(&prompt, system), true).unwrap();
        assert_eq!(text, prompt["raw_text"].as_str().unwrap(), "{format}");
        assert_eq!(
            t.encode_prompt(&text, Specials::Parse).unwrap(),
            ids(&prompt["ids"])
        );
    }
    assert_eq!(t.end_ids(), [151_643, 151_645, 151_644]);
}

#[test]
fn chatglm_prompts() {
    let Some(t) = folder("chatglm2") else {
        return;
    };
    let prompt = prompt("chatglm2");
    let render = |format: &str, messages: &[Message]| {
        ChatTemplate::builtin(format)
            .unwrap()
            .render(messages, true)
            .unwrap()
    };
    let talk = talk(&prompt, false);
    assert_eq!(
        render("chatglm2", &talk),
        prompt["build_prompt"].as_str().unwrap()
    );
    let first = render("chatglm2", &talk[2..]);
    assert_eq!(first, prompt["build_prompt_first"].as_str().unwrap());
    assert_eq!(
        t.encode_prompt(&first, Specials::Parse).unwrap(),
        ids(&prompt["ids_first"])
    );

    // The ids that FAMILIES.md gives for the greeting.
    assert_eq!(
        t.encode_prompt("你好", Specials::Parse).unwrap(),
        [64_790, 64_792, 36_474, 54_591]
    );
    let turn = render("chatglm3", &talk[2..]);
    let v3 = [64_790, 64_792, 64_795, 30_910, 13, 36_474, 54_591, 64_796];
    assert_eq!(t.encode_prompt(&turn, Specials::Parse).unwrap(), v3);
    // A template of the hub spells the prefix itself.
    assert_eq!(
        t.encode_prompt(&format!("[gMASK]sop{turn}"), Specials::Parse)
            .unwrap(),
        v3
    );
    assert_eq!(t.end_ids(), [2, 64_795, 64_797]);

    let t = folder("chatglm1").unwrap();
    assert_eq!(
        t.encode_prompt("你好", Specials::Parse).unwrap(),
        [5, 74_874, 130_001, 130_004]
    );
    assert_eq!(t.end_ids(), [130_005]);
}

#[test]
fn chatglm1_with_image_tokens() {
    let Some(path) = real("chatglm1") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(
        path.join("ice_text.model"),
        folder.path().join("ice_text.model"),
    )
    .unwrap();
    let t = Tokenizer::from_folder(folder.path()).unwrap().unwrap();
    let cases = std::fs::read(path.join("cases.json")).unwrap();
    let cases: Value = serde_json::from_slice(&cases).unwrap();
    for case in cases["cases"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let wanted = ids(&case["ids_plus20000"]);
        assert_eq!(t.encode(text, Specials::Plain).unwrap(), wanted, "{text:?}");
        assert_eq!(t.decode(&wanted, false), case["decoded"].as_str().unwrap());
    }
    assert_eq!(t.suffix(), [150_001, 150_004]);
}

#[test]
fn baichuan_goes_round_and_spells_its_roles() {
    let Some(t) = gguf("gguf-vocab/ggml-vocab-baichuan.gguf") else {
        return;
    };
    for text in ["你好，世界", "a  b\n\tc 🦙 2023年", "", " x", "1234567"] {
        let ids = t.encode(text, Specials::Plain).unwrap();
        assert_decodes(&t, &ids, text);
    }
    assert!(t.encode("1234567", Specials::Plain).unwrap().len() >= 7);
    let messages = [Message::new(Role::User, "你好")];
    let text = ChatTemplate::builtin("baichuan")
        .unwrap()
        .render(&messages, true)
        .unwrap();
    let ids = t.encode(&text, Specials::Parse).unwrap();
    assert_eq!((ids[0], *ids.last().unwrap()), (195, 196), "{ids:?}");
}

#[test]
fn hub_template_of_a_gguf() {
    let Some(path) = real("gguf-vocab/ggml-vocab-qwen2.gguf") else {
        return;
    };
    let file = Gguf::open(&path).unwrap();
    let template = ChatTemplate::from_gguf(&file.metadata()).unwrap().unwrap();
    let text = template
        .render(&[Message::new(Role::User, "hi")], true)
        .unwrap();
    assert_eq!(
        text,
        "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    );
    let t = Tokenizer::from_gguf(&file.metadata()).unwrap().unwrap();
    let ids = t.encode_prompt(&text, Specials::Parse).unwrap();
    assert_eq!(ids[0], 151_644);
    assert_eq!(t.decode(&ids, true), text);
    assert_eq!(t.end_ids(), [151_643, 151_645]);

    let path = real("gguf-vocab/ggml-vocab-phi-3.gguf").unwrap();
    let template = ChatTemplate::from_gguf(&Gguf::open(&path).unwrap().metadata());
    let text = template
        .unwrap()
        .unwrap()
        .render(&[Message::new(Role::User, "hi")], true);
    assert_eq!(text.unwrap(), "<s><|user|>\nhi<|end|>\n<|assistant|>\n");
}
