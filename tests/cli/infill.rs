//! `wick run --infill`: what is printed.

use serde_json::{Map, Value, json};

use crate::bed::{answer, ended, oracle, wick};

/// GLM's oracle with a vocabulary of words `w0` … and its marks.
fn words() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "pytorch_model.bin"] {
        std::fs::copy(oracle("glm10b").join(file), dir.path().join(file)).unwrap();
    }
    let marks = [(250, "[MASK]"), (251, "<|startofpiece|>")];
    let words = (0..250u32).map(|id| (format!("w{id}"), json!(id)));
    let mut vocab: Map<String, Value> = words.collect();
    vocab.extend(marks.map(|(id, text)| (text.to_string(), json!(id))));
    let added = marks.map(|(id, text)| {
        json!({
            "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true
        })
    });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": added, "pre_tokenizer": { "type": "Whitespace" }, "post_processor": null,
        "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "w0" }
    });
    std::fs::write(dir.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    dir
}

#[test]
fn json_says_what_text_does_with_the_ids_of_every_blank() {
    let model = words();
    let text = "w5 w6 [MASK] w7 [MASK] w8";
    let args = [text, "--infill", "-n", "3", "--ignore-eos"];
    let filled = answer(model.path(), &args);
    let mut command = wick();
    command.arg("run").args(args).arg("-m").arg(model.path());
    assert_eq!(filled["text"], ended(&mut command).done());
    assert_eq!(filled["prompt"], text);
    assert_eq!(filled["ids"].as_array().map(Vec::len), Some(2 * 3));
    assert_eq!(filled["finish_reason"], "length");
    assert!(filled.get("peak_rss_bytes").is_some() && filled["seed"].is_number());
    let lines = ended(command.args(["-o", "jsonl"])).done();
    let object: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(object["ids"], filled["ids"]);
    assert_eq!(lines.lines().count(), 1);
}
