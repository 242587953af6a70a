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

#[test]
fn the_prefix_that_glm_10b_may_have() {
    let from = oracle("glm10b");
    let tensors = candle_core::pickle::read_all(from.join("pytorch_model.bin")).unwrap();
    assert!(
        tensors
            .iter()
            .any(|(name, _)| name == "word_embeddings.weight")
    );
    let dir = tempfile::tempdir().unwrap();
    let prefixed = tensors.into_iter().map(|(k, v)| (format!("glm.{k}"), v));
    common::torch::save(
        &dir.path().join("pytorch_model.bin"),
        &prefixed.collect(),
        None,
    );
    std::fs::copy(from.join("config.json"), dir.path().join("config.json")).unwrap();
    assert_same("glm10b", dir.path());
}

/// Names and shapes.
type Shapes<'a> = &'a [(&'a str, &'a [usize])];

/// What published files hold besides the weights: tables that the reference computes, masks, and
/// copies of the embedding.
#[test]
fn buffers_and_copies_change_nothing() {
    let buffers: [(&str, Shapes); 5] = [
        (
            "llama",
            &[("model.layers.0.self_attn.rotary_emb.inv_freq", &[8])],
        ),
        (
            "gpt2",
            &[
                ("transformer.h.0.attn.bias", &[1, 1, 16, 16]),
                ("transformer.h.0.attn.masked_bias", &[]),
            ],
        ),
        (
            "gpt-neox",
            &[
                ("gpt_neox.layers.0.attention.bias", &[1, 1, 16, 16]),
                ("gpt_neox.layers.0.attention.masked_bias", &[]),
                ("gpt_neox.layers.0.attention.rotary_emb.inv_freq", &[2]),
            ],
        ),
        (
            "chatglm1",
            &[("transformer.layers.0.attention.rotary_emb.inv_freq", &[8])],
        ),
        (
            "t5",
            &[(
                "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
                &[32, 4],
            )],
        ),
    ];
    for (name, spare) in buffers {
        let dir = changed(name, |mut tensors| {
            for (name, shape) in spare {
                let ones = Tensor::ones(*shape, candle_core::DType::F32, &Device::Cpu).unwrap();
                tensors.insert(name.to_string(), ones);
            }
            tensors
        });
        assert_same(name, dir.path());
    }
    for (name, embedding, copies) in [
        (
            "bloom",
            "transformer.word_embeddings.weight",
            &["lm_head.weight"][..],
        ),
        (
            "opt",
            "model.decoder.embed_tokens.weight",
            &["lm_head.weight"],
        ),
        ("gpt2", "transformer.wte.weight", &["lm_head.weight"]),
        (
            "t5",
            "shared.weight",
            &[
                "encoder.embed_tokens.weight",
                "decoder.embed_tokens.weight",
                "lm_head.weight",
            ],
        ),
    ] {
        let dir = changed(name, |mut tensors| {
            let embedding = tensors[embedding].clone();
            for copy in copies {
                tensors.insert(copy.to_string(), embedding.clone());
            }
            tensors
        });
        assert_same(name, dir.path());
    }
}

#[test]
fn t5s_without_the_shared_embedding_have_a_copy_of_it() {
    for copy in ["decoder.embed_tokens.weight", "encoder.embed_tokens.weight"] {
        let dir = changed("t5", |mut tensors| {
            let embedding = tensors.remove("shared.weight").unwrap();
            tensors.insert(copy.to_string(), embedding);
            tensors
        });
        assert_same("t5", dir.path());
    }
}

/// Mixtral's experts under the newer names: one tensor for all of a layer's.
fn stack_experts(mut tensors: Tensors) -> Tensors {
    for layer in 0..2 {
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
        let half = tensors[name].narrow(0, 0, 32).unwrap();
        tensors.insert(name.to_string(), half);
        tensors
    });
    for (dir, wanted) in [(missing, "number 2"), (other, "differs in shape")] {
        let message = Opened::open(dir.path()).err().unwrap().to_string();
        assert!(message.contains(wanted), "{message}");
        assert!(message.contains("layers.1.block_sparse_moe"), "{message}");
    }
}
