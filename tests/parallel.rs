//! Models as the processes that trained them saved them: Meta's `consolidated.NN.pth`, GLM-130B's
//! `mp_rank_NN_model_states.pt`, and files without any configuration.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{Device, Tensor};
use common::{Reference, load, max_gap, prompt_logits, torch};
use serde_json::json;
use wick::load::Opened;
use wick::nn::Storage;

type Tensors = BTreeMap<String, Tensor>;

fn oracle(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    root.join(name)
}

fn tensors(name: &str) -> Tensors {
    let path = oracle(name).join("model.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    tensors.into_iter().collect()
}

#[track_caller]
fn assert_same(name: &str, model: &Path) {
    let reference = Reference::load(&oracle(name));
    let found = prompt_logits(&load(model, Storage::AsStored), &reference, usize::MAX);
    let gap = max_gap(&found, &reference.rows("logits").unwrap());
    assert!(gap <= 1e-4, "{name}: logits are off by {gap}");
}

#[track_caller]
fn refusal(folder: &Path) -> String {
    let error = Opened::open(folder).and_then(|opened| {
        opened
            .model(&Device::Cpu, Storage::AsStored, &mut |_, _| {})
            .map(drop)
    });
    error.expect_err("it opened").to_string()
}

/// The program answers from a folder without `config.json`.
#[track_caller]
fn assert_answers(model: &Path) {
    let mut run = Command::new(env!("CARGO_BIN_EXE_wick"));
    run.args(["run", "--prompt-ids", "5,6", "-n", "3", "-m"]);
    let output = run.arg(model).output().unwrap();
    let ids = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(ids.trim().split(',').count(), 3, "{ids}{errors}");
}

/// Rows of each head as Meta keeps them: the pairs that turn together side by side.
fn pairs(rows: &Tensor, heads: usize) -> Tensor {
    let (n, cols) = rows.dims2().unwrap();
    let halves = rows.reshape((heads, 2, n / heads / 2, cols)).unwrap();
    let pairs = halves.transpose(1, 2).unwrap().contiguous().unwrap();
    pairs.reshape((n, cols)).unwrap()
}

/// The oracle `llama-gqa` under Meta's names.
fn meta() -> Tensors {
    let stored = tensors("llama-gqa");
    let mut out = Tensors::new();
    for (name, tensor) in stored {
        let layer = name.strip_prefix("model.layers.");
        let Some((number, part)) = layer.and_then(|l| l.split_once('.')) else {
            let name = match name.as_str() {
                "model.embed_tokens.weight" => "tok_embeddings.weight",
                _ => "norm.weight",
            };
            out.insert(name.to_string(), tensor);
            continue;
        };
        let (name, tensor) = match part.strip_suffix(".weight").unwrap() {
            "self_attn.q_proj" => ("attention.wq", pairs(&tensor, 4)),
            "self_attn.k_proj" => ("attention.wk", pairs(&tensor, 2)),
            "self_attn.v_proj" => ("attention.wv", tensor),
            "self_attn.o_proj" => ("attention.wo", tensor),
            "mlp.gate_proj" => ("feed_forward.w1", tensor),
            "mlp.down_proj" => ("feed_forward.w2", tensor),
            "mlp.up_proj" => ("feed_forward.w3", tensor),
            "input_layernorm" => ("attention_norm", tensor),
            _ => ("ffn_norm", tensor),
        };
        out.insert(format!("layers.{number}.{name}.weight"), tensor);
    }
    // Meta stores the head even where it is the embedding.
    let embedding = out["tok_embeddings.weight"].clone();
    out.insert("output.weight".to_string(), embedding);
    let frequencies = Tensor::zeros(8, candle_core::DType::F32, &Device::Cpu).unwrap();
    out.insert("rope.freqs".to_string(), frequencies);
    out
}

/// Process `i`'s part of two.
fn half(tensor: &Tensor, axis: usize, i: usize) -> Tensor {
    let n = tensor.dim(axis).unwrap() / 2;
    tensor.narrow(axis, i * n, n).unwrap().contiguous().unwrap()
}

/// Writes `whole` as two processes save it, each tensor cut along the axis that `axis` gives.
fn save_halves(
    folder: &Path,
    pattern: &str,
    whole: &Tensors,
    part: impl Fn(&str, &Tensor, usize) -> Tensor,
    wrapper: Option<&str>,
) {
    for i in 0..2 {
        let parts = whole.iter().map(|(k, v)| (k.clone(), part(k, v, i)));
        let path = folder.join(pattern.replace("{}", &format!("{i:02}")));
        torch::save(&path, &parts.collect(), wrapper);
    }
}

fn meta_axis(name: &str, embedding: usize) -> Option<usize> {
    let ends = |names: &[&str]| names.iter().any(|n| name.ends_with(&format!("{n}.weight")));
    if ends(&["tok_embeddings"]) {
        Some(embedding)
    } else if ends(&[".wq", ".wk", ".wv", ".w1", ".w3", "output"]) {
        Some(0)
    } else if ends(&[".wo", ".w2"]) {
        Some(1)
    } else {
        None
    }
}

/// `embedding` is the axis along which the embedding is cut.
fn save_meta(folder: &Path, embedding: usize, whole: &Tensors) {
    let part = |name: &str, tensor: &Tensor, i| match meta_axis(name, embedding) {
        Some(axis) => half(tensor, axis, i),
        None => tensor.clone(),
    };
    save_halves(folder, "consolidated.{}.pth", whole, part, None);
}

fn save_parameters(folder: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let mut parameters = json!({
        "dim": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "norm_eps": 1e-6,
        // A quarter of 170, rounded up to 64.
        "ffn_dim_multiplier": 0.25, "multiple_of": 64, "vocab_size": -1
    });
    change(&mut parameters);
    std::fs::write(folder.join("params.json"), parameters.to_string()).unwrap();
}

#[test]
fn metas_files_of_one_process_and_of_two_are_the_model() {
    let mut whole = meta();
    let dir = tempfile::tempdir().unwrap();
    save_parameters(dir.path(), |_| {});
    torch::save(&dir.path().join("consolidated.00.pth"), &whole, None);
    assert_same("llama-gqa", dir.path());
    assert_answers(dir.path());
    // An even vocabulary, so that rows can be halved; its last token is never asked for.
    let embedding = whole["tok_embeddings.weight"].clone();
    let padded = Tensor::cat(&[&embedding, &embedding.narrow(0, 0, 1).unwrap()], 0).unwrap();
    for name in ["tok_embeddings.weight", "output.weight"] {
        whole.insert(name.to_string(), padded.clone());
    }
    for embedding in [0, 1] {
        save_meta(dir.path(), embedding, &whole);
        let opened = Opened::open(dir.path()).unwrap();
        assert_eq!(opened.spec.vocab_size, 312);
        let reference = Reference::load(&oracle("llama-gqa"));
        let model = load(dir.path(), Storage::AsStored);
        let mut found = prompt_logits(&model, &reference, usize::MAX);
        found.iter_mut().for_each(|row| row.truncate(311));
        let gap = max_gap(&found, &reference.rows("logits").unwrap());
        assert!(gap <= 1e-4, "axis {embedding}: logits are off by {gap}");
    }
    // The file of one process stands for all.
    let named = load(&dir.path().join("consolidated.01.pth"), Storage::AsStored);
    assert_eq!(named.spec().vocab_size, 312);
}

#[test]
fn llama_3s_parameters_are_its_columns() {
    let dir = tempfile::tempdir().unwrap();
    torch::save(&dir.path().join("consolidated.00.pth"), &meta(), None);
    save_parameters(dir.path(), |p| {
        p["rope_theta"] = json!(500_000.0);
        p["use_scaled_rope"] = json!(true);
        p["ffn_dim_multiplier"] = json!(1.3);
        p["multiple_of"] = json!(32);
    });
    let spec = Opened::open(dir.path()).unwrap().spec;
    // 1.3 · 170 = 221, rounded up.
    assert_eq!((spec.ffn.inner, spec.max_len), (224, 131_072));
    let rope = spec.position.rope().unwrap();
    assert_eq!(rope.theta, 500_000.0);
    assert!(matches!(
        rope.scaling,
        wick::arch::RopeScaling::Llama3 {
            factor: 32.0,
            original: 8192,
            ..
        }
    ));
}

#[test]
fn absurd_parameters_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    torch::save(&dir.path().join("consolidated.00.pth"), &meta(), None);
    for (key, value) in [
        ("dim", json!(0)),
        ("dim", json!(63)),
        ("n_heads", json!(1u64 << 40)),
        ("n_kv_heads", json!(3)),
        ("n_layers", json!(-1)),
        ("norm_eps", json!("small")),
        ("vocab_size", json!(-2)),
        ("multiple_of", json!(0)),
        ("ffn_dim_multiplier", json!(1e300)),
        ("rope_theta", json!(0)),
        ("n_layers", json!(1u64 << 31)),
        ("rope_scaling_factor", json!(0.5)),
        ("use_scaled_rope", json!(7)),
    ] {
        save_parameters(dir.path(), |p| p[key] = value.clone());
        let message = refusal(dir.path());
        assert!(
            message.contains(&format!("params.json: {key}")),
            "{key} {value}: {message}"
        );
    }
    // As many layers as a count may be, of which the file has two.
    save_parameters(dir.path(), |p| p["n_layers"] = json!(1u64 << 16));
    let message = refusal(dir.path());
    assert!(message.contains("blk.2."), "{message}");
    std::fs::write(dir.path().join("params.json"), "[]").unwrap();
    assert!(refusal(dir.path()).contains("params.json: not a JSON object"));
}

#[test]
fn parts_that_are_missing_or_do_not_go_together_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = ("consolidated.00.pth", "consolidated.01.pth");
    let mut whole = meta();
    whole.retain(|name, _| !name.contains("embeddings") && name != "output.weight");
    let embedding = Tensor::zeros((312, 64), candle_core::DType::F32, &Device::Cpu).unwrap();
    whole.insert("tok_embeddings.weight".to_string(), embedding.clone());
    whole.insert("output.weight".to_string(), embedding);
    save_parameters(dir.path(), |_| {});
    save_meta(dir.path(), 1, &whole);
    std::fs::rename(dir.path().join(first), dir.path().join("aside")).unwrap();
    let message = refusal(dir.path());
    assert!(
        message.contains("consolidated.00.pth is missing"),
        "{message}"
    );
    // Both are the first of another number of processes.
    torch::save(&dir.path().join(first), &whole, None);
    let message = refusal(dir.path());
    assert!(
        message.contains(second) && message.contains("tensor layers.0.attention.w"),
        "{message}"
    );
    // A tensor that only one of them has.
    save_meta(dir.path(), 1, &whole);
    let mut parts = whole.clone();
    for (name, tensor) in &mut parts {
        if let Some(axis) = meta_axis(name, 1) {
            *tensor = half(tensor, axis, 1);
        }
    }
    let kept = parts.remove("layers.1.ffn_norm.weight").unwrap();
    torch::save(&dir.path().join(second), &parts, None);
    let message = refusal(dir.path());
    assert!(
        message.contains("layers.1.ffn_norm.weight: missing"),
        "{message}"
    );
    // One that both should have alike.
    parts.insert(
        "layers.1.ffn_norm.weight".to_string(),
        (kept * 2.0).unwrap(),
    );
    torch::save(&dir.path().join(second), &parts, None);
    let message = refusal(dir.path());
    assert!(
        message.contains("layers.1.ffn_norm.weight: differs"),
        "{message}"
    );
    // A parameter that nobody knows.
    save_meta(dir.path(), 1, &whole);
    save_parameters(dir.path(), |p| p["moe"] = json!({"num_experts": 8}));
    let message = refusal(dir.path());
    assert!(message.contains("params.json: moe"), "{message}");
}

#[test]
fn glm_130bs_files_of_two_processes_are_the_model() {
    let whole = tensors("glm130b");
    let part = |name: &str, tensor: &Tensor, i: usize| {
        let ends = |suffix: &str| name.ends_with(suffix);
        if ends("mlp.dense_h_to_4h.weight") || ends("mlp.dense_h_to_4h.bias") {
            // Each process has its own gate and its own values.
            let (a, b) = (half(tensor, 0, 0), half(tensor, 0, 1));
            Tensor::cat(&[half(&a, 0, i), half(&b, 0, i)], 0).unwrap()
        } else if ends("attention.dense.weight") || ends("mlp.dense_4h_to_h.weight") {
            half(tensor, 1, i)
        } else if name.contains("query_key_value") || ends("word_embeddings.weight") {
            half(tensor, 0, i)
        } else {
            tensor.clone()
        }
    };
    let dir = tempfile::tempdir().unwrap();
    let config = oracle("glm130b").join("config.json");
    std::fs::copy(config, dir.path().join("config.json")).unwrap();
    let below = dir.path().join("49300");
    std::fs::create_dir(&below).unwrap();
    std::fs::write(dir.path().join("latest"), "49300\n").unwrap();
    let pattern = "mp_rank_{}_model_states.pt";
    save_halves(&below, pattern, &whole, part, Some("module"));
    assert_same("glm130b", dir.path());
    for i in 0..2 {
        let name = pattern.replace("{}", &format!("{i:02}"));
        std::fs::rename(below.join(&name), dir.path().join(&name)).unwrap();
    }
    assert_same("glm130b", dir.path());
}

#[test]
fn palms_bare_file_tells_its_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let whole = tensors("palm");
    let path = dir.path().join("palm_410m_8k_v0.pt");
    torch::save(&path, &whole, None);
    assert_same("palm", dir.path());
    assert_same("palm", &path);
    let wrapped = whole
        .iter()
        .map(|(k, v)| (format!("module.{k}"), v.clone()));
    torch::save(&path, &wrapped.collect(), None);
    assert_same("palm", dir.path());
    // The later reading of the norms, which the file does not tell.
    let text = std::fs::read_to_string(oracle("palm").join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config["layernorm_unit_offset"] = json!(true);
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let less_one = whole.iter().map(|(name, tensor)| {
        let is_norm = name.ends_with("gamma");
        let tensor = if is_norm {
            (tensor - 1.0).unwrap()
        } else {
            tensor.clone()
        };
        (name.clone(), tensor)
    });
    torch::save(&path, &less_one.collect(), None);
    assert_same("palm", dir.path());
}

#[test]
fn a_folder_without_configuration_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    torch::save(&dir.path().join("model.pt"), &tensors("opt"), None);
    let message = refusal(dir.path());
    assert!(
        message.contains("no config.json or params.json"),
        "{message}"
    );
}
