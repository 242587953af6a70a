//! The same model under the other names and layouts that repositories use.

mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use common::{Reference, load, max_gap, prompt_logits};
use wick::load::Opened;
use wick::nn::Storage;

type Tensors = HashMap<String, Tensor>;

fn oracle(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    root.join(name)
}

/// An oracle's folder with its tensors changed.
fn changed(name: &str, change: impl Fn(Tensors) -> Tensors) -> tempfile::TempDir {
    let (from, dir) = (oracle(name), tempfile::tempdir().unwrap());
    let tensors =
        candle_core::safetensors::load(from.join("model.safetensors"), &Device::Cpu).unwrap();
    let path = dir.path().join("model.safetensors");
    candle_core::safetensors::save(&change(tensors), path).unwrap();
    std::fs::copy(from.join("config.json"), dir.path().join("config.json")).unwrap();
    dir
}

fn assert_same(name: &str, folder: &Path) {
    let reference = Reference::load(&oracle(name));
    let found = prompt_logits(&load(folder, Storage::AsStored), &reference, usize::MAX);
    let gap = max_gap(&found, &reference.rows("logits").unwrap());
    assert!(gap <= 1e-4, "{name}: logits are off by {gap}");
}

#[test]
fn prefixes_that_some_repositories_leave_out() {
    for (name, prefix) in [
        ("bloom", "transformer."),
        ("gpt2", "transformer."),
        ("falcon-7b", "transformer."),
        ("mpt", "transformer."),
        ("opt", "model."),
    ] {
        let dir = changed(name, |tensors| {
            let strip = |name: String| name.strip_prefix(prefix).map(String::from).unwrap_or(name);
            tensors.into_iter().map(|(k, v)| (strip(k), v)).collect()
        });
        assert_same(name, dir.path());
    }
}

/// Mixtral's experts under the newer names: one tensor for all of a layer's.
fn stack_experts(mut tensors: Tensors) -> Tensors {
    for layer in 0..3 {
        let old = format!("model.layers.{layer}.block_sparse_moe");
        let new = format!("model.layers.{layer}.mlp");
        let mut take = |part: &str| -> Vec<Tensor> {
            (0..4)
                .map(|e| {
                    tensors
                        .remove(&format!("{old}.experts.{e}.{part}.weight"))
                        .unwrap()
                })
                .collect()
        };
        let (gate, down, up) = (take("w1"), take("w2"), take("w3"));
        let gate_up: Vec<Tensor> = gate
            .iter()
            .zip(&up)
            .map(|(gate, up)| Tensor::cat(&[gate, up], 0).unwrap())
            .collect();
        let router = tensors.remove(&format!("{old}.gate.weight")).unwrap();
        tensors.insert(format!("{new}.gate.weight"), router);
        let gate_up = Tensor::stack(&gate_up, 0).unwrap();
        tensors.insert(format!("{new}.experts.gate_up_proj"), gate_up);
        let down = Tensor::stack(&down, 0).unwrap();
        tensors.insert(format!("{new}.experts.down_proj"), down);
    }
    tensors
}

#[test]
fn experts_one_by_one_or_all_in_one() {
    assert_same("mixtral", changed("mixtral", stack_experts).path());
}

#[test]
fn a_missing_or_different_expert_is_named() {
    let name = "model.layers.1.block_sparse_moe.experts.2.w3.weight";
    let missing = changed("mixtral", |mut tensors| {
        tensors.remove(name);
        tensors
    });
    let other = changed("mixtral", |mut tensors| {
        let half = tensors[name].narrow(0, 0, 88).unwrap();
        tensors.insert(name.to_string(), half);
        tensors
    });
    for (dir, wanted) in [(missing, "number 2"), (other, "differs in shape")] {
        let message = Opened::open(dir.path()).err().unwrap().to_string();
        assert!(message.contains(wanted), "{message}");
        assert!(message.contains("layers.1.block_sparse_moe"), "{message}");
    }
}
