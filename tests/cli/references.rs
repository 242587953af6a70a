//! Logits, ids and text are the references', through the program.

use crate::bed::{answer, ended, wick};
use crate::common::{Reference, max_gap, name, oracles, shared};
use candle_core::Device;
use serde_json::json;

fn joined(ids: &[u32]) -> String {
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    ids.join(",")
}

#[test]
fn every_oracle_gives_its_logits_and_ids() {
    let dir = tempfile::tempdir().unwrap();
    for folder in oracles() {
        let name = name(&folder);
        let reference = Reference::load(&folder);
        let prompt = reference.ids("input_ids");
        let file = dir.path().join(format!("{name}.safetensors"));
        let ids = joined(&prompt);
        let n = match name.as_str() {
            // One more, and the whole sequence is run anew with other divisors (`tests/oracles.rs`
            // has what follows).
            "phi3-longrope" => 9,
            _ => 17,
        };
        let number = n.to_string();
        let mut args = vec![
            "--prompt-ids",
            &ids,
            "-n",
            &number,
            "--temp",
            "0",
            "--ignore-eos",
            "--logits",
            file.to_str().unwrap(),
        ];
        if name == "llama-dynamic-rope" {
            // Its scaling begins past the length that the model was made for.
            args.extend(["-c", "64"]);
        }
        let answer = answer(&folder, &args);
        let generated = reference.ids("gen")[..n - 1].to_vec();
        let found: Vec<u32> = serde_json::from_value(answer["ids"].clone()).unwrap();
        assert_eq!(found[..n - 1], generated, "{name}");
        assert_eq!(answer["prompt_ids"], json!(prompt), "{name}");
        assert_eq!(answer["finish_reason"], "length", "{name}");
        let tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
        let logits: Vec<Vec<f32>> = tensors["logits"].to_vec2().unwrap();
        let gap = max_gap(&logits, &reference.rows("logits").unwrap());
        assert!(
            gap <= tolerance(&reference),
            "{name}: logits are off by {gap}"
        );
        // What was run: the prompt (of an encoder-decoder the start token) and all but the last
        // of the answer: one more than is compared.
        let mut wanted = match reference.has("decoder_ids") {
            true => reference.ids("decoder_ids")[..1].to_vec(),
            false => prompt.clone(),
        };
        wanted.extend(&generated);
        let wanted: Vec<i64> = wanted.into_iter().map(i64::from).collect();
        let run: Vec<i64> = tensors["ids"].to_vec1().unwrap();
        assert_eq!(run, wanted, "{name}");
        assert_eq!(run.len(), logits.len(), "{name}");
    }
}

/// 1e-4, and where the reference's own float32 run strays from its float64 run, that much more.
fn tolerance(reference: &Reference) -> f32 {
    let exact = reference.rows("logits_f64");
    let stray = exact.map_or(0.0, |e| max_gap(&reference.rows("logits").unwrap(), &e));
    1e-4 + stray
}

#[test]
fn a_trained_model_gives_its_ids_and_its_text() {
    let Some(folder) = shared("real/stories260K") else {
        return;
    };
    let gguf = folder.join("stories260K.gguf");
    let ids = Reference::load(&folder).ids("gen");
    let args = [
        "--prompt-ids",
        "1",
        "-n",
        "199",
        "--temp",
        "0",
        "--ignore-eos",
    ];
    for model in [&folder, &gguf] {
        assert_eq!(
            answer(model, &args)["ids"],
            json!(ids),
            "{}",
            model.display()
        );
    }
    let text = std::fs::read_to_string(folder.join("stdout200.txt")).unwrap();
    let mut run = wick();
    run.args(["run", "-q", "-m"]).arg(&gguf);
    // The text is one token longer than the ids.
    run.args(["--prompt-ids", "1", "-n", "200", "--temp", "0"]);
    assert_eq!(ended(&mut run).done().trim_end(), text.trim_end());
}
