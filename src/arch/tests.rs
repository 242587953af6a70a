//! Configurations as the Hub's repositories publish them, and GGUF's metadata as their mirror.

use std::path::Path;

use serde_json::{Value, json};

use super::*;

mod bounds;
mod published;

fn config(value: &Value) -> Config {
    Config::parse(Path::new("config.json"), &value.to_string()).unwrap()
}

fn declare(value: &Value) -> Result<Spec> {
    let config = config(value);
    (family_of(&config)?.declare)(&config)
}

/// The declaration of a published configuration, with or without what only newer files have.
fn spec(value: Value) -> Spec {
    declare(&value).unwrap_or_else(|e| panic!("{e}: {value}"))
}

fn with(mut value: Value, key: &str, new: Value) -> Value {
    value[key] = new;
    value
}

/// What a GGUF with the metadata of `spec` declares, once `change` is done to them.
fn gguf(spec: &Spec, change: &dyn Fn(&mut serde_json::Map<String, Value>)) -> Result<Spec> {
    let family = FAMILIES.iter().find(|f| f.name == spec.family).unwrap();
    let gguf = family.gguf.as_ref().unwrap();
    let mut map = (gguf.metadata)(spec);
    map.insert(TENSORS.to_string(), json!([]));
    change(&mut map);
    (gguf.declare)(&Config::from_object(Path::new("x.gguf"), map))
}

/// The same with one key, written without the architecture, set.
fn gguf_with(spec: &Spec, key: &str, value: Value) -> Result<Spec> {
    gguf(spec, &|map| {
        // Every architecture has this key.
        let name = map.keys().find_map(|k| k.strip_suffix(".block_count"));
        let name = name.unwrap().to_string();
        map.insert(format!("{name}.{key}"), value.clone());
    })
}

fn bloom_560m() -> Value {
    json!({
        "apply_residual_connection_post_layernorm": false, "attention_dropout": 0.0,
        "attention_softmax_in_fp32": true, "bias_dropout_fusion": true, "bos_token_id": 1,
        "eos_token_id": 2, "pad_token_id": 3, "unk_token_id": 0, "hidden_dropout": 0.0,
        "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "masked_softmax_fusion": true,
        "model_type": "bloom", "n_embed": 1024, "n_inner": null, "n_layer": 24,
        "num_attention_heads": 16, "offset_alibi": 100, "pretraining_tp": 1, "seq_length": 2048,
        "skip_bias_add": true, "skip_bias_add_qkv": false, "use_cache": true,
        "vocab_size": 250880, "architectures": ["BloomForCausalLM"]
    })
}

fn gpt2_small() -> Value {
    json!({
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256,
        "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2",
        "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024,
        "resid_pdrop": 0.1, "summary_activation": null, "summary_first_dropout": 0.1,
        "summary_proj_to_labels": true, "summary_type": "cls_index", "summary_use_proj": true,
        "task_specific_params": {"text-generation": {"do_sample": true, "max_length": 50}},
        "vocab_size": 50257
    })
}

fn gemma2_2b() -> Value {
    json!({
        "architectures": ["Gemma2ForCausalLM"], "attention_bias": false,
        "attention_dropout": 0.0, "attn_logit_softcapping": 50.0, "bos_token_id": 2,
        "cache_implementation": "hybrid", "eos_token_id": 1, "final_logit_softcapping": 30.0,
        "head_dim": 256, "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 2304,
        "initializer_range": 0.02, "intermediate_size": 9216, "max_position_embeddings": 8192,
        "model_type": "gemma2", "num_attention_heads": 8, "num_hidden_layers": 26,
        "num_key_value_heads": 4, "pad_token_id": 0, "query_pre_attn_scalar": 256,
        "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "sliding_window": 4096,
        "torch_dtype": "float32", "use_cache": true, "vocab_size": 256000
    })
}

fn mixtral_8x7b() -> Value {
    json!({
        "architectures": ["MixtralForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1,
        "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096,
        "initializer_range": 0.02, "intermediate_size": 14336,
        "max_position_embeddings": 32768, "model_type": "mixtral", "num_attention_heads": 32,
        "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8,
        "num_local_experts": 8, "output_router_logits": false, "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0, "router_aux_loss_coef": 0.02, "sliding_window": null,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": true,
        "vocab_size": 32000
    })
}

fn baichuan_13b() -> Value {
    json!({
        "_from_model_config": true, "architectures": ["BaichuanForCausalLM"],
        "auto_map": {"AutoConfig": "configuration_baichuan.BaichuanConfig"},
        "bos_token_id": 1, "eos_token_id": 2, "gradient_checkpointing": false,
        "hidden_act": "silu", "hidden_size": 5120, "initializer_range": 0.02,
        "intermediate_size": 13696, "model_max_length": 4096, "model_type": "baichuan",
        "num_attention_heads": 40, "num_hidden_layers": 40, "pad_token_id": 0,
        "rms_norm_eps": 1e-06, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "use_cache": true, "vocab_size": 64000
    })
}

fn falcon_7b() -> Value {
    json!({
        "alibi": false, "apply_residual_connection_post_layernorm": false,
        "architectures": ["FalconForCausalLM"], "attention_dropout": 0.0, "bias": false,
        "bos_token_id": 11, "eos_token_id": 11, "hidden_dropout": 0.0, "hidden_size": 4544,
        "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "falcon",
        "multi_query": true, "new_decoder_architecture": false, "num_attention_heads": 71,
        "num_hidden_layers": 32, "parallel_attn": true, "torch_dtype": "bfloat16",
        "vocab_size": 65024
    })
}

fn mpt_7b() -> Value {
    json!({
        "architectures": ["MPTForCausalLM"],
        "attn_config": {
            "alibi": true, "alibi_bias_max": 8, "attn_impl": "torch", "attn_pdrop": 0,
            "attn_type": "multihead_attention", "attn_uses_sequence_id": false,
            "clip_qkv": null, "prefix_lm": false, "qk_ln": false, "softmax_scale": null
        },
        "d_model": 4096, "emb_pdrop": 0, "embedding_fraction": 1.0, "expansion_ratio": 4,
        "init_config": {"name": "kaiming_normal_", "verbose": 0}, "init_device": "cpu",
        "learned_pos_emb": true, "logit_scale": null, "max_seq_len": 2048,
        "model_type": "mpt", "n_heads": 32, "n_layers": 32, "no_bias": true,
        "norm_type": "low_precision_layernorm", "resid_pdrop": 0,
        "tokenizer_name": "EleutherAI/gpt-neox-20b", "torch_dtype": "bfloat16",
        "use_cache": false, "verbose": 0, "vocab_size": 50432
    })
}

fn phi3_mini(scaling: Value) -> Value {
    json!({
        "architectures": ["Phi3ForCausalLM"], "attention_bias": false,
        "attention_dropout": 0.0, "bos_token_id": 1, "embd_pdrop": 0.0, "eos_token_id": 32000,
        "hidden_act": "silu", "hidden_size": 3072, "initializer_range": 0.02,
        "intermediate_size": 8192, "max_position_embeddings": 131072, "model_type": "phi3",
        "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32,
        "original_max_position_embeddings": 4096, "pad_token_id": 32000, "resid_pdrop": 0.0,
        "rms_norm_eps": 1e-05, "rope_scaling": scaling, "rope_theta": 10000.0,
        "sliding_window": 262144, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "use_cache": true, "vocab_size": 32064
    })
}

fn pythia_70m() -> Value {
    json!({
        "architectures": ["GPTNeoXForCausalLM"], "bos_token_id": 0, "eos_token_id": 0,
        "hidden_act": "gelu", "hidden_size": 512, "initializer_range": 0.02,
        "intermediate_size": 2048, "layer_norm_eps": 1e-05, "max_position_embeddings": 2048,
        "model_type": "gpt_neox", "num_attention_heads": 8, "num_hidden_layers": 6,
        "rotary_emb_base": 10000, "rotary_pct": 0.25, "tie_word_embeddings": false,
        "torch_dtype": "float16", "use_cache": true, "use_parallel_residual": true,
        "vocab_size": 50304
    })
}

fn qwen3_30b() -> Value {
    json!({
        "architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false,
        "attention_dropout": 0.0, "bos_token_id": 151643, "decoder_sparse_step": 1,
        "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 2048,
        "initializer_range": 0.02, "intermediate_size": 6144,
        "max_position_embeddings": 40960, "max_window_layers": 48, "mlp_only_layers": [],
        "model_type": "qwen3_moe", "moe_intermediate_size": 768, "norm_topk_prob": true,
        "num_attention_heads": 32, "num_experts": 128, "num_experts_per_tok": 8,
        "num_hidden_layers": 48, "num_key_value_heads": 4, "output_router_logits": false,
        "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000.0,
        "router_aux_loss_coef": 0.001, "sliding_window": null, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16", "use_cache": true, "use_sliding_window": false,
        "vocab_size": 151936
    })
}

#[test]
fn published_configurations_are_understood() {
    let bloom = spec(bloom_560m());
    assert_eq!((bloom.hidden_size, bloom.ffn.inner), (1024, 4096));
    assert_eq!(bloom.position, Position::alibi(16, 8.0));

    let gpt2 = spec(gpt2_small());
    assert_eq!(gpt2.head.weight, HeadWeight::Tied);
    assert_eq!(
        gpt2.position,
        Position::Learned {
            rows: 1024,
            offset: 0
        }
    );

    let opt = spec(json!({
        "_remove_final_layer_norm": false, "activation_dropout": 0.0,
        "activation_function": "relu", "attention_dropout": 0.0, "bos_token_id": 2,
        "do_layer_norm_before": true, "dropout": 0.1, "eos_token_id": 2, "ffn_dim": 3072,
        "hidden_size": 768, "init_std": 0.02, "layerdrop": 0.0,
        "max_position_embeddings": 2048, "model_type": "opt", "num_attention_heads": 12,
        "num_hidden_layers": 12, "pad_token_id": 1, "prefix": "</s>",
        "torch_dtype": "float16", "use_cache": true, "vocab_size": 50272,
        "word_embed_proj_dim": 768
    }));
    assert_eq!(
        opt.position,
        Position::Learned {
            rows: 2050,
            offset: 2
        }
    );
    assert_eq!(opt.embedding.width, None);

    let pythia = spec(pythia_70m());
    assert_eq!(pythia.position.rope().unwrap().rotary_dim, 16);
    assert_eq!(pythia.placement, Placement::ParallelTwoNorms);

    let falcon = spec(falcon_7b());
    assert_eq!(
        (falcon.attention.kv_heads, falcon.attention.head_dim),
        (1, 64)
    );
    assert_eq!(falcon.placement, Placement::Parallel);
    let forty = with(falcon_7b(), "new_decoder_architecture", json!(true));
    let forty = spec(with(
        with(forty, "num_attention_heads", json!(71)),
        "num_kv_heads",
        json!(1),
    ));
    assert_eq!(forty.placement, Placement::ParallelTwoNorms);

    let mpt = spec(mpt_7b());
    assert_eq!(mpt.position, Position::alibi(32, 8.0));

    let short = vec![1.0; 48];
    let long = vec![2.5; 48];
    let scaling = json!({"type": "su", "short_factor": short, "long_factor": long});
    let phi3 = spec(phi3_mini(scaling));
    let RopeScaling::Long(rope) = &phi3.position.rope().unwrap().scaling else {
        panic!("{:?}", phi3.position);
    };
    // sqrt(1 + ln(32) / ln(4096)), as the reference computes it.
    assert!((rope.attention_factor - 1.190_238_071_423_809).abs() < 1e-12);
    assert_eq!((rope.original, rope.long[0]), (4096, 2.5));

    let gemma2 = spec(gemma2_2b());
    assert_eq!(gemma2.attention.softcap, Some(50.0));
    assert_eq!(gemma2.attention.scale, 0.0625);
    assert_eq!(gemma2.attention.window.of_layer(0), Some(4096));
    assert_eq!(gemma2.attention.window.of_layer(1), None);

    let gemma3 = with(gemma2_2b(), "model_type", json!("gemma3_text"));
    let gemma3 = with(gemma3, "rope_local_base_freq", json!(10000));
    let gemma3 = with(gemma3, "sliding_window_pattern", json!(6));
    let gemma3 = spec(with(gemma3, "rope_theta", json!(1_000_000)));
    let Position::RopeByWindow { full, windowed } = &gemma3.position else {
        panic!("{:?}", gemma3.position);
    };
    assert_eq!((full.theta, windowed.theta), (1e6, 1e4));
    assert_eq!(gemma3.attention.window.of_layer(5), None);

    let mixtral = spec(mixtral_8x7b());
    let FfnKind::Experts(experts) = mixtral.ffn.kind else {
        panic!("{:?}", mixtral.ffn);
    };
    assert_eq!((experts.count, experts.used), (8, 2));

    let qwen3 = spec(qwen3_30b());
    assert_eq!(qwen3.ffn.inner, 768);

    let glm4 = spec(json!({
        "architectures": ["GlmForCausalLM"], "attention_bias": true, "attention_dropout": 0.0,
        "eos_token_id": [151329, 151336, 151338], "head_dim": 128, "hidden_act": "silu",
        "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 13696,
        "max_position_embeddings": 131072, "model_type": "glm", "num_attention_heads": 32,
        "num_hidden_layers": 40, "num_key_value_heads": 2, "pad_token_id": 151329,
        "rms_norm_eps": 1.5625e-07, "rope_theta": 10000.0, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 151552
    }));
    assert_eq!(glm4.attention.bias, AttentionBias::Qkv);
    assert_eq!(glm4.position.rope().unwrap().rotary_dim, 64);
}

#[test]
fn baichuans_generations_and_sizes_are_told_apart() {
    let first = spec(baichuan_13b());
    assert_eq!(first.family, "baichuan");
    let second = spec(with(baichuan_13b(), "vocab_size", json!(125_696)));
    assert_eq!(second.family, "baichuan2");
    assert!(matches!(second.position, Position::Alibi { .. }));
    let seven = with(baichuan_13b(), "max_position_embeddings", json!(4096));
    assert!(matches!(spec(seven).position, Position::Rope(_)));
    // The slopes that the issue of the 13B's own code prints for 40 heads.
    let Position::Alibi { slopes } = first.position else {
        panic!("no slopes");
    };
    let near = |a: f32, b: f32| (a - b).abs() < 5e-5;
    assert!(near(slopes[0], 0.8409) && near(slopes[31], 0.003_906));
    assert!(near(slopes[32], 0.9170) && near(slopes[33], 0.7711) && near(slopes[39], 0.2726));
}

#[test]
fn what_would_change_the_result_is_refused_by_name() {
    let mut mpt = mpt_7b();
    mpt["attn_config"]["qk_ln"] = json!(true);
    let mut alibi = mpt_7b();
    alibi["attn_config"]["alibi"] = json!(false);
    let cases = [
        (with(bloom_560m(), "n_inner", json!(7)), "n_inner"),
        (
            with(gpt2_small(), "scale_attn_by_inverse_layer_idx", json!(true)),
            "scale_attn_by",
        ),
        (with(gpt2_small(), "n_embd", json!(770)), "770"),
        (mpt, "attn_config.qk_ln"),
        (alibi, "attn_config.alibi"),
        (with(mpt_7b(), "no_bias", json!(false)), "no_bias"),
        (with(mpt_7b(), "logit_scale", json!(0.5)), "logit_scale"),
        (
            with(gemma2_2b(), "use_bidirectional_attention", json!(true)),
            "bidirectional",
        ),
        (
            with(mixtral_8x7b(), "num_experts_per_tok", json!(9)),
            "num_experts_per_tok",
        ),
        (with(falcon_7b(), "brand_new", json!(1)), "brand_new"),
        (
            phi3_mini(json!({"type": "longrope", "short_factor": [1.0]})),
            "short_factor",
        ),
    ];
    for (config, named) in cases {
        let message = declare(&config).unwrap_err().to_string();
        assert!(message.contains(named), "{named}: {message}");
    }
}

#[test]
fn ggufs_metadata_declare_the_same_model() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    let mut seen = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path().join("config.json");
        if !path.exists() {
            continue;
        }
        let config = Config::open(&path).unwrap();
        let family = family_of(&config).unwrap();
        let wanted = (family.declare)(&config).unwrap();
        let Some(gguf) = &family.gguf else {
            continue;
        };
        // Kept in tensors, or GGUF has no word for them.
        let unsaid = |rope: &Rope| {
            matches!(
                rope.scaling,
                RopeScaling::Llama3 { .. }
                    | RopeScaling::Dynamic { .. }
                    | RopeScaling::PromptNtk { .. }
                    | RopeScaling::Long(_)
            )
        };
        if wanted.position.rope().is_some_and(unsaid) {
            continue;
        }
        let mut map = (gguf.metadata)(&wanted);
        // T5's versions differ in tensors.
        let mut names = Vec::new();
        if wanted.ffn.kind == FfnKind::Gated {
            names.push("dec.blk.0.ffn_gate.weight");
        }
        if wanted.head.weight == HeadWeight::Own || wanted.head.scale.is_none() {
            names.push("output.weight");
        }
        if matches!(&wanted.position, Position::Relative(bias) if bias.tables == BiasTables::Each) {
            names.push("enc.blk.1.attn_rel_b.weight");
        }
        map.insert(TENSORS.to_string(), json!(names));
        let metadata = Config::from_object(&path, map);
        let mut found = (gguf.declare)(&metadata).unwrap();
        // What the tensors tell, not the metadata, and what GGUF has no word for.
        found.family = wanted.family;
        found.head.weight = wanted.head.weight;
        found.attention.bias = wanted.attention.bias;
        if wanted.placement != found.placement {
            continue;
        }
        assert_eq!(found, wanted, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 18, "{seen}");
}

#[test]
fn what_published_ggufs_say_and_leave_out() {
    // Phi-4's window is none.
    let phi3 = spec(phi3_mini(json!(null)));
    let phi3 = gguf_with(&phi3, "attention.sliding_window", json!(0)).unwrap();
    assert_eq!(phi3.attention.window, Window::Unlimited);
    // The first Gemma 2's lack their caps and the window.
    let gemma2 = spec(gemma2_2b());
    let bare = gguf(&gemma2, &|map| {
        map.retain(|key, _| !key.contains("softcapping") && !key.contains("sliding_window"));
    });
    let bare = bare.unwrap();
    assert_eq!(bare.attention, gemma2.attention);
    assert_eq!(bare.head.softcap, gemma2.head.softcap);
    // Qwen3-Coder's have no shared expert.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/qwen3-moe");
    let config = Config::open(&root.join("config.json")).unwrap();
    let moe = (family_of(&config).unwrap().declare)(&config).unwrap();
    let found = gguf_with(&moe, "expert_shared_feed_forward_length", json!(0));
    assert_eq!(found.unwrap().ffn, moe.ffn);
    // The converters of early 2024 wrote GPT-NeoX's key for all.
    for old in [&gemma2, &moe] {
        let found = gguf_with(old, "use_parallel_residual", json!(true)).unwrap();
        assert_eq!(found.placement, old.placement);
    }
    let pythia = spec(pythia_70m());
    let found = gguf_with(&pythia, "use_parallel_residual", json!(false)).unwrap();
    assert_eq!(found.placement, Placement::Pre);
}

#[test]
fn ggufs_other_keys_of_yarn() {
    let yarn = json!({
        "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768
    });
    let qwen3 = spec(with(qwen3_30b(), "rope_scaling", yarn));
    let plain = gguf(&qwen3, &|_| {}).unwrap();
    let scaling = |spec: &Spec| spec.position.rope().unwrap().scaling.clone();
    assert!(matches!(scaling(&plain), RopeScaling::Yarn(_)));
    for key in ["yarn_attn_factor", "yarn_ext_factor"] {
        let key = format!("rope.scaling.{key}");
        let found = gguf_with(&qwen3, &key, json!(1.0));
        assert_eq!(found.unwrap(), plain, "{key}");
    }
    // llama.cpp leaves YaRN out by degrees.
    let key = "rope.scaling.yarn_ext_factor";
    let error = gguf_with(&qwen3, key, json!(0.5)).unwrap_err().to_string();
    assert!(error.contains(key), "{error}");
}

#[test]
fn longrope_goes_by_way_of_two_tensors() {
    let factors = |base: f64| (0..48).map(|i| base + f64::from(i)).collect::<Vec<_>>();
    let (short, long) = (factors(1.0), factors(2.0));
    let wanted = spec(phi3_mini(json!({
        "type": "longrope", "short_factor": short, "long_factor": long
    })));
    let gguf = family_of(&config(&phi3_mini(json!(null))));
    let gguf = gguf.unwrap().gguf.unwrap();
    let mut map = (gguf.metadata)(&wanted);
    let [long_name, short_name] = FACTORS;
    map.insert(long_name.to_string(), json!(long));
    map.insert(short_name.to_string(), json!(short));
    let mut found = (gguf.declare)(&Config::from_object(Path::new("x"), map.clone())).unwrap();
    let (Position::Rope(a), Position::Rope(b)) = (&found.position, &wanted.position) else {
        panic!("Phi-3 has RoPE");
    };
    let (RopeScaling::Long(a), RopeScaling::Long(b)) = (&a.scaling, &b.scaling) else {
        panic!("scaled by LongRoPE");
    };
    assert_eq!((&a.short, &a.long, a.original), (&b.short, &b.long, 4096));
    assert!((a.attention_factor / b.attention_factor - 1.0).abs() < 1e-9);
    found.position = wanted.position.clone();
    assert_eq!(found, wanted);
    map.insert(long_name.to_string(), json!([1.0]));
    let error = (gguf.declare)(&Config::from_object(Path::new("x"), map)).unwrap_err();
    assert!(error.to_string().contains(long_name), "{error}");
}

#[test]
fn where_llama_cpp_differs_is_said() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    let said = |name: &str| {
        let config = Config::open(&root.join(name).join("config.json")).unwrap();
        let family = family_of(&config).unwrap();
        differences(family, &(family.declare)(&config).unwrap()).join("; ")
    };
    // What a run of llama.cpp on these GGUFs has shown to be equal.
    for same in [
        "llama",
        "llama-gqa",
        "llama-linear-rope",
        "llama3-rope",
        "qwen2",
        "qwen3",
        "bloom",
        "chatglm2",
        "gemma3-text",
        "glm-4-9b-hf",
        "glm4",
        "gpt2",
        "mixtral",
    ] {
        assert_eq!(said(same), "", "{same}");
    }
    for (name, wanted) in [
        ("mistral-window", "no sliding window"),
        ("bloom-6heads", "not its normalised input"),
        ("qwen3-moe", "norm_topk_prob"),
        ("baichuan_7b", "RoPE only to those of 32 layers, not of 3"),
        (
            "baichuan2_13b",
            "ALiBi only to those of 40 layers, not of 3",
        ),
        ("qwen", "past 64 tokens"),
        ("llama-dynamic-rope", "dynamic NTK"),
        ("opt", "only wick reads"),
        ("t5", "leaves out the factor"),
    ] {
        assert!(said(name).contains(wanted), "{name}: {}", said(name));
    }
}
