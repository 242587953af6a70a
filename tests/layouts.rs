//! The same model under the other names and layouts that repositories use.

mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use common::{Reference, load, max_gap, prompt_logits};
use serde_json::{Value, json};
use wick::load::Opened;
use wick::nn::Storage;
use wick::quant::Encoding;
use wick::quantize::to_gguf;

type Tensors = HashMap<String, Tensor>;

fn oracle(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    root.join(name)
}

/// An oracle's folder with its tensors changed.
fn changed(name: &str, change: impl Fn(Tensors) -> Tensors) -> tempfile::TempDir {
    let path = oracle(name).join("model.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    made(name, &change(tensors))
}

/// An oracle's folder with these tensors.
fn made(name: &str, tensors: &Tensors) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    candle_core::safetensors::save(tensors, path).unwrap();
    let config = oracle(name).join("config.json");
    std::fs::copy(config, dir.path().join("config.json")).unwrap();
    dir
}

/// Changes a folder's configuration.
fn configure(folder: &Path, change: impl Fn(&mut Value)) {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut config = serde_json::from_str(&text).unwrap();
    change(&mut config);
    std::fs::write(path, config.to_string()).unwrap();
}

fn logits(folder: &Path, reference: &Reference) -> Vec<Vec<f32>> {
    prompt_logits(&load(folder, Storage::AsStored), reference, usize::MAX)
}

/// Rows of 16, which is the size of the oracles' heads, in this order.
fn heads(tensor: &Tensor, order: &[usize]) -> Tensor {
    let head = |&i: &usize| tensor.narrow(0, 16 * i, 16).unwrap();
    let heads: Vec<Tensor> = order.iter().map(head).collect();
    Tensor::cat(&heads, 0).unwrap()
}

fn assert_same(name: &str, folder: &Path) {
    let reference = Reference::load(&oracle(name));
    let wanted = reference.rows("logits").unwrap();
    let gap = max_gap(&logits(folder, &reference), &wanted);
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

#[test]
fn flan_t5s_head_of_its_own_is_not_scaled() {
    let reference = Reference::load(&oracle("flan-t5"));
    // Its rows are the embedding's, each one place further up.
    let dir = changed("flan-t5", |mut tensors| {
        let embedding = tensors["shared.weight"].clone();
        let rest = embedding.dim(0).unwrap() - 1;
        let rows = [(1, rest), (0, 1)].map(|(at, n)| embedding.narrow(0, at, n).unwrap());
        let head = Tensor::cat(&rows, 0).unwrap();
        tensors.insert("lm_head.weight".to_string(), head);
        tensors
    });
    configure(dir.path(), |config| {
        let config = config.as_object_mut().unwrap();
        config.insert("tie_word_embeddings".to_string(), json!(false));
        config.remove("scale_decoder_outputs");
    });
    let mut wanted = logits(&oracle("flan-t5"), &reference);
    wanted.iter_mut().for_each(|row| row.rotate_left(1));
    let gap = max_gap(&logits(dir.path(), &reference), &wanted);
    assert!(gap <= 1e-5, "{gap}");
}

#[test]
fn gemma_3s_layers_without_a_window_have_a_base_of_their_own() {
    let reference = Reference::load(&oracle("gemma3-text"));
    let dir = changed("gemma3-text", |tensors| tensors);
    let made = |layers: [&str; 3], theta: f64| {
        configure(dir.path(), |config| {
            config["layer_types"] = json!(layers.map(|kind| format!("{kind}_attention")));
            // Longer than the prompt.
            config["sliding_window"] = json!(512);
            config["rope_parameters"]["full_attention"]["rope_theta"] = json!(theta);
        });
        logits(dir.path(), &reference)
    };
    let (sliding, full) = ("sliding", "full");
    let windowed = made([sliding; 3], 1e6);
    let gap = max_gap(&made([full; 3], 1e4), &windowed);
    assert!(gap <= 1e-5, "{gap}");
    let gap = max_gap(&made([sliding, full, sliding], 1e6), &windowed);
    assert!(gap > 1e-2, "{gap}");
}

#[test]
fn chatglm2_with_a_key_head_for_each_query_head() {
    let shard = |i: usize| format!("pytorch_model-0000{i}-of-00003.bin");
    let read = |i| candle_core::pickle::read_all(oracle("chatglm2").join(shard(i))).unwrap();
    let mut tensors: Tensors = (1..=3).flat_map(read).collect();
    for (name, tensor) in &mut tensors {
        if name.contains("query_key_value") {
            // Four queries, two keys, two values: head by head, each with a copy of its group's.
            *tensor = heads(tensor, &[0, 4, 6, 1, 4, 6, 2, 5, 7, 3, 5, 7]);
        }
    }
    let dir = made("chatglm2", &tensors);
    configure(dir.path(), |config| {
        config["multi_query_attention"] = json!(false);
    });
    assert_same("chatglm2", dir.path());
}

/// Falcon-40B's layout: the rows of a key head follow those of its queries.
#[test]
fn falcons_grouped_heads() {
    for two_norms in [false, true] {
        let dir = changed("falcon-7b", |tensors| {
            let mut grouped = Tensors::new();
            for (name, tensor) in tensors {
                if name.contains("query_key_value") {
                    // Four queries, a key and a value: two groups with a copy of these.
                    grouped.insert(name, heads(&tensor, &[0, 1, 4, 5, 2, 3, 4, 5]));
                } else if name.contains("input_layernorm") && two_norms {
                    for norm in ["ln_attn", "ln_mlp"] {
                        let name = name.replace("input_layernorm", norm);
                        grouped.insert(name, tensor.clone());
                    }
                } else {
                    grouped.insert(name, tensor);
                }
            }
            grouped
        });
        configure(dir.path(), |config| {
            config["new_decoder_architecture"] = json!(true);
            config["num_kv_heads"] = json!(2);
            config["num_ln_in_parallel_attn"] = json!(1 + usize::from(two_norms));
        });
        assert_same("falcon-7b", dir.path());
    }
}

#[test]
fn settings_of_generation_may_be_in_the_configuration() {
    let dir = changed("llama", |tensors| tensors);
    configure(dir.path(), |config| {
        config["do_sample"] = json!(true);
        config["temperature"] = json!(0.25);
        config["top_p"] = json!(0.5);
    });
    let out = tempfile::tempdir().unwrap();
    let gguf = out.path().join("model.gguf");
    let (opened, storage) = (Opened::open(dir.path()), Storage::Float(Encoding::F32));
    to_gguf(&opened.unwrap(), storage, &gguf, &mut |_, _| {}).unwrap();
    let found = |path: &Path| {
        let defaults = Opened::open(path).unwrap().defaults().unwrap();
        (defaults.do_sample, defaults.temperature, defaults.top_p)
    };
    for path in [dir.path(), &gguf] {
        assert_eq!(found(path), (Some(true), Some(0.25), Some(0.5)));
    }
    // A file of their own is asked alone.
    let own = dir.path().join("generation_config.json");
    std::fs::write(own, json!({ "temperature": 0.75 }).to_string()).unwrap();
    assert_eq!(found(dir.path()), (None, Some(0.75), None));
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
