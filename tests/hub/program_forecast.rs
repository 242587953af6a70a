//! The built program before a download: what a model will take, and refusals.

use std::fs;

use serde_json::{Value, json};

use crate::cli_bed::oracle;
use crate::program::{Desk, ID, assert_says};
use crate::stand_in::commit;

/// A model of the LLaMA family that takes half as much again as this machine's memory: its
/// configuration and the beginning of its weights, with the size that the whole would have.
fn giant(memory: u64) -> (Vec<u8>, Vec<u8>, u64) {
    const HIDDEN: u64 = 2048;
    const INNER: u64 = 8192;
    let of_layer = [
        ("self_attn.q_proj", HIDDEN, HIDDEN),
        ("self_attn.k_proj", HIDDEN, HIDDEN),
        ("self_attn.v_proj", HIDDEN, HIDDEN),
        ("self_attn.o_proj", HIDDEN, HIDDEN),
        ("mlp.gate_proj", INNER, HIDDEN),
        ("mlp.up_proj", INNER, HIDDEN),
        ("mlp.down_proj", HIDDEN, INNER),
    ];
    let layer_bytes: u64 = of_layer.iter().map(|(_, rows, cols)| 2 * rows * cols).sum();
    let layers = memory * 3 / 2 / layer_bytes + 1;
    let mut header = serde_json::Map::new();
    let mut end = 0;
    let mut add = |name: String, shape: Vec<u64>| {
        let bytes = 2 * shape.iter().product::<u64>();
        let offsets = [end, end + bytes];
        end += bytes;
        header.insert(
            name,
            json!({"dtype": "BF16", "shape": shape, "data_offsets": offsets}),
        );
    };
    for layer in 0..layers {
        for (name, rows, cols) in of_layer {
            add(
                format!("model.layers.{layer}.{name}.weight"),
                vec![rows, cols],
            );
        }
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            add(format!("model.layers.{layer}.{norm}.weight"), vec![HIDDEN]);
        }
    }
    add("model.norm.weight".into(), vec![HIDDEN]);
    add("model.embed_tokens.weight".into(), vec![311, HIDDEN]);
    add("lm_head.weight".into(), vec![311, HIDDEN]);
    let header = Value::Object(header).to_string();
    let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    weights.extend(header.as_bytes());
    let size = weights.len() as u64 + end;

    let text = fs::read_to_string(oracle("llama").join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for (key, value) in [
        ("hidden_size", HIDDEN),
        ("intermediate_size", INNER),
        ("num_hidden_layers", layers),
        ("num_attention_heads", 32),
        ("num_key_value_heads", 32),
        ("head_dim", 64),
    ] {
        config[key] = json!(value);
    }
    (config.to_string().into_bytes(), weights, size)
}

#[test]
fn what_cannot_fit_is_refused_before_it_is_fetched_with_what_would() {
    let Some(memory) = wick::memory::all() else {
        eprintln!("skipped: the system does not say how much memory there is");
        return;
    };
    let desk = Desk::empty();
    let (config, weights, size) = giant(memory);
    desk.hub.add(
        ID,
        &[("config.json", &config), ("model.safetensors", &weights)],
    );
    desk.hub.edit(ID, |repo| {
        repo.claims.insert("model.safetensors".into(), size);
    });
    for args in [
        &["download", ID][..],
        &["download", "--dry-run", ID],
        &["run", "-m", ID, "Hi"],
        &["run", "-m", ID, "Hi", "--dtype", "bf16"],
    ] {
        let message = desk.run(args).failed(1);
        assert_says(
            &message,
            &[
                "of memory",
                "--quant int4",
                "nothing was fetched",
                "--force",
            ],
        );
        // Which of them fits is arithmetic: 2, 1.06 and 0.56 bytes for each weight.
        assert!(message.contains("--quant int8"), "{message}");
        assert!(!message.contains("--quant bf16"));
    }
    assert!(!desk.cache().exists());
    let forced = desk.run(&["download", "--dry-run", "--force", ID]).done();
    assert_says(
        &forced,
        &["model.safetensors", "memory", "weights", "context"],
    );
    let fits = desk.run(&["download", "--dry-run", "--quant", "int4", ID]);
    let disk = wick::hub::free_bytes(desk.dir.path()).unwrap_or(u64::MAX);
    match disk > size {
        true => assert_says(&fits.done(), &["of weights as Q4_0 (ends Q8_0)"]),
        false => assert_says(&fits.failed(1), &["free where", "HF_HUB_CACHE"]),
    }
}

#[test]
fn a_disk_that_cannot_hold_it_is_said_before_the_first_byte() {
    let desk = Desk::new();
    desk.hub.edit(ID, |repo| {
        repo.claims.insert("model.safetensors".into(), 1 << 60);
    });
    let message = desk.run(&["run", "-m", ID, "Hi"]).failed(1);
    assert_says(
        &message,
        &[
            "1048576.0 TiB",
            "free where",
            "wick models rm",
            "HF_HUB_CACHE",
        ],
    );
    assert!(!desk.cache().exists());
}

#[test]
fn a_dry_run_says_what_it_will_take_and_fetches_no_weights() {
    let desk = Desk::new();
    let plain = desk.run(&["download", "--dry-run", ID]).done();
    // 30 tensors of f32; 2 x 3 layers x 4 heads x 16 numbers of f32 for each token.
    assert_says(
        &plain,
        &[
            "model.safetensors",
            "748.",
            "download",
            "KiB of weights, 1.5 KiB for each token",
            "all 512 tokens",
        ],
    );
    let int8 = desk
        .run(&["download", "--dry-run", "--quant", "int8", ID])
        .done();
    assert_says(&int8, &["as Q8_0, 768 B for each token"]);
    assert!(!desk.cache().exists());
    let whole = desk.hub.content_requests().into_iter().filter(|r| r.cdn);
    assert!(whole.clone().count() > 0);
    assert!(whole.clone().all(|r| r.range.is_some()));
}

#[test]
fn packed_pytorch_files_are_forecast_as_what_they_become() {
    let desk = Desk::empty();
    let config = br#"{"model_type":"chatglm","quantization_bit":4}"#;
    desk.hub.add(
        ID,
        &[("config.json", config), ("pytorch_model.bin", &[1; 10])],
    );
    desk.hub.edit(ID, |repo| {
        repo.claims.insert("pytorch_model.bin".into(), 1 << 30);
    });
    let said = |args: &[&str]| {
        let line = ["download", "--dry-run", "--force", ID];
        desk.run(&[&line[..], args].concat()).done()
    };
    assert_says(&said(&[]), &["about 4.0 GiB of weights (packed in 4 bits"]);
    // 2^31 numbers of 18 bytes for 32.
    let int4 = said(&["--quant", "int4"]);
    assert_says(&int4, &["about 1.1 GiB of weights as"]);
    assert_says(
        &said(&["--exclude", "*.bin"]),
        &["unknown (--exclude leaves out its weights)"],
    );
}

#[test]
fn what_wick_cannot_run_is_refused_and_can_be_fetched_all_the_same() {
    let desk = Desk::new();
    desk.hub.edit(ID, |repo| {
        let files = repo.commits.get_mut(&commit(1)).unwrap();
        files.insert(
            "config.json".into(),
            br#"{"model_type":"unheard-of"}"#.to_vec(),
        );
    });
    for args in [&["run", "-m", ID, "Hi"][..], &["download", ID]] {
        let message = desk.run(args).failed(1);
        assert_says(
            &message,
            &["cannot run", "unheard-of", "nothing was fetched"],
        );
    }
    assert!(!desk.cache().exists());
    desk.run(&["download", "--force", ID]).done();
    assert!(desk.repo().join("refs/main").exists());
}
