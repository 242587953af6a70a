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
        let args = [
            "--prompt-ids",
            &joined(&prompt),
            "-n",
            "16",
            "--temp",
            "0",
            "--ignore-eos",
            "--logits",
            file.to_str().unwrap(),
        ];
        let answer = answer(&folder, &args);
        let generated = reference.ids("gen");
        assert_eq!(answer["ids"], json!(generated), "{name}");
        assert_eq!(answer["prompt_ids"], json!(prompt), "{name}");
        assert_eq!(answer["finish_reason"], "length", "{name}");
        let tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
        let found: Vec<Vec<f32>> = tensors["logits"].to_vec2().unwrap();
        let gap = max_gap(&found, &reference.rows("logits").unwrap());
        assert!(gap <= 1e-4, "{name}: logits are off by {gap}");
        // The prompt and all but the last of the answer were run.
        let run: Vec<i64> = tensors["ids"].to_vec1().unwrap();
        let mut wanted = prompt.clone();
        wanted.extend(&generated[..generated.len() - 1]);
        let wanted: Vec<i64> = wanted.into_iter().map(i64::from).collect();
        assert_eq!(run, wanted, "{name}");
    }
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
    run.args(["run", "-q", "-m"]).arg(&gguf).args(args);
    assert_eq!(ended(&mut run).done().trim_end(), text.trim_end());
}
