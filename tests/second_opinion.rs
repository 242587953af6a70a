//! A second opinion on prompts that no reference file holds: candle-transformers' LLaMA on the
//! same checkpoints.

mod common;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{Cache, Llama, LlamaConfig};
use common::{load, max_gap, rows, session};
use std::path::Path;
use wick::nn::Storage;

/// The folder's configuration, in the older spelling that candle-transformers reads.
fn config(folder: &Path) -> LlamaConfig {
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rope = json["rope_parameters"].take();
    json["rope_theta"] = rope["rope_theta"].clone();
    if rope["rope_type"] != "default" {
        json["rope_scaling"] = rope;
    }
    serde_json::from_value(json).unwrap()
}

#[test]
fn two_implementations_agree_on_other_prompts() {
    for name in ["llama", "llama-gqa", "llama3-rope"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/oracles")
            .join(name);
        let config = config(&folder).into_config(false);
        let tensors =
            candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu).unwrap();
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let theirs = Llama::load(weights, &config).unwrap();
        let ours = load(&folder, Storage::AsStored);
        for (len, stride) in [(1, 1), (7, 13), (40, 89), (150, 101)] {
            let ids: Vec<u32> = (0..len).map(|i| (i * stride + 5) % 311).collect();
            let input = Tensor::new(ids.as_slice(), &Device::Cpu).unwrap();
            let mut cache = Cache::new(true, DType::F32, &config, &Device::Cpu).unwrap();
            let wanted = theirs
                .forward(&input.unsqueeze(0).unwrap(), 0, &mut cache)
                .unwrap();
            let wanted: Vec<Vec<f32>> = wanted.to_vec2().unwrap();
            let mut session = session(&ours, usize::MAX);
            session.prompt(&ids).unwrap();
            let last = rows(&session).pop().unwrap();
            let gap = max_gap(&[last], &wanted);
            assert!(gap <= 1e-4, "{name}, {len} tokens: logits are off by {gap}");
        }
    }
}
