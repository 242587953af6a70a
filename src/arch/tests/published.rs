//! More of the table's repositories: their configurations as published.

use serde_json::{Value, json};

use super::{declare, falcon_7b, gemma2_2b, phi3_mini, pythia_70m, qwen3_30b, spec, with};
use crate::arch::*;

fn llama_7b() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
        "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
        "intermediate_size": 11008, "max_sequence_length": 2048, "model_type": "llama",
        "num_attention_heads": 32, "num_hidden_layers": 32, "pad_token_id": -1,
        "rms_norm_eps": 1e-06, "torch_dtype": "float16",
        "transformers_version": "4.27.0.dev0", "use_cache": true, "vocab_size": 32000
    })
}

#[test]
fn llamas_of_all_generations() {
    let first = spec(llama_7b());
    assert_eq!((first.max_len, first.attention.kv_heads), (2048, 32));
    let seventy = spec(json!({
        "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
        "hidden_act": "silu", "hidden_size": 8192, "initializer_range": 0.02,
        "intermediate_size": 28672, "max_position_embeddings": 4096, "model_type": "llama",
        "num_attention_heads": 64, "num_hidden_layers": 80, "num_key_value_heads": 8,
        "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": null,
        "tie_word_embeddings": false, "torch_dtype": "float16", "use_cache": true,
        "vocab_size": 32000
    }));
    assert_eq!(
        (seventy.attention.kv_heads, seventy.attention.head_dim),
        (8, 128)
    );
    let third = with(llama_7b(), "rope_theta", json!(500_000.0));
    let third = with(
        third,
        "rope_scaling",
        json!({
            "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192, "rope_type": "llama3"
        }),
    );
    let rope = spec(third).position.rope().cloned().unwrap();
    assert!(matches!(
        rope.scaling,
        RopeScaling::Llama3 { original: 8192, .. }
    ));
    // Vicuna's stretched models.
    let scaling = json!({ "factor": 8.0, "type": "linear" });
    let vicuna = with(llama_7b(), "max_position_embeddings", json!(2048));
    let vicuna = with(vicuna, "max_sequence_length", json!(16384));
    assert_eq!(spec(with(vicuna, "rope_scaling", scaling)).max_len, 16384);
}

#[test]
fn llamas_as_meta_publishes_them() {
    let meta = |dim: usize, n_heads: usize, norm_eps: f64| {
        json!({
            "dim": dim, "multiple_of": 256, "n_heads": n_heads, "n_layers": 32,
            "norm_eps": norm_eps, "vocab_size": 32000
        })
    };
    let seventy = with(meta(8192, 64, 1e-5), "n_kv_heads", json!(8));
    let llama3 = with(meta(4096, 32, 1e-5), "rope_theta", json!(500_000.0));
    let code = with(meta(4096, 32, 1e-5), "rope_theta", json!(1_000_000));
    for (config, wanted) in [
        (meta(4096, 32, 1e-6), 2048),
        // LLaMA-65B has LLaMA-2's epsilon.
        (meta(8192, 64, 1e-5), 2048),
        (meta(4096, 32, 1e-5), 4096),
        (seventy, 4096),
        (llama3, 8192),
        (code, 16384),
    ] {
        assert_eq!(spec(config.clone()).max_len, wanted, "{config}");
    }
}

#[test]
fn belles_bloomz() {
    let belle = spec(json!({
        "apply_residual_connection_post_layernorm": false, "architectures": ["BloomForCausalLM"],
        "attention_dropout": 0.0, "attention_softmax_in_fp32": true, "bias_dropout_fusion": true,
        "bos_token_id": 1, "eos_token_id": 2, "hidden_dropout": 0.0, "hidden_size": 4096,
        "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "masked_softmax_fusion": true,
        "model_type": "bloom", "n_head": 32, "n_inner": null, "n_layer": 30,
        "offset_alibi": 100, "pad_token_id": 3, "pretraining_tp": 4, "seq_length": 2048,
        "skip_bias_add": true, "skip_bias_add_qkv": false, "slow_but_exact": false,
        "torch_dtype": "float16", "transformers_version": "4.21.0", "unk_token_id": 0,
        "use_cache": true, "vocab_size": 250880
    }));
    assert_eq!(
        (belle.family, belle.n_layers, belle.hidden_size),
        ("bloom", 30, 4096)
    );
}

pub(super) fn chatglm_6b() -> Value {
    json!({
        "_name_or_path": "THUDM/chatglm-6b", "architectures": ["ChatGLMModel"],
        "auto_map": {"AutoConfig": "configuration_chatglm.ChatGLMConfig"},
        "bos_token_id": 130004, "eos_token_id": 130005, "mask_token_id": 130000,
        "gmask_token_id": 130001, "pad_token_id": 3, "hidden_size": 4096,
        "inner_hidden_size": 16384, "layernorm_epsilon": 1e-05, "max_sequence_length": 2048,
        "model_type": "chatglm", "num_attention_heads": 32, "num_layers": 28,
        "position_encoding_2d": true, "torch_dtype": "float16",
        "transformers_version": "4.23.1", "use_cache": true, "vocab_size": 130528
    })
}

pub(super) fn chatglm2_6b() -> Value {
    json!({
        "_name_or_path": "THUDM/chatglm2-6b", "architectures": ["ChatGLMModel"],
        "auto_map": {"AutoConfig": "configuration_chatglm.ChatGLMConfig"},
        "model_type": "chatglm", "add_bias_linear": false, "add_qkv_bias": true,
        "apply_query_key_layer_scaling": true,
        "apply_residual_connection_post_layernorm": false, "attention_dropout": 0.0,
        "attention_softmax_in_fp32": true, "bias_dropout_fusion": true,
        "ffn_hidden_size": 13696, "fp32_residual_connection": false, "hidden_dropout": 0.0,
        "hidden_size": 4096, "kv_channels": 128, "layernorm_epsilon": 1e-05,
        "multi_query_attention": true, "multi_query_group_num": 2, "num_attention_heads": 32,
        "num_layers": 28, "original_rope": true, "padded_vocab_size": 65024,
        "post_layer_norm": true, "rmsnorm": true, "seq_length": 32768, "use_cache": true,
        "torch_dtype": "float16", "transformers_version": "4.27.1",
        "tie_word_embeddings": false, "eos_token_id": 2, "pad_token_id": 0,
        "classifier_dropout": null, "pre_seq_len": null, "prefix_projection": false,
        "quantization_bit": 0
    })
}

#[test]
fn chatglms_of_all_generations_and_revisions() {
    let start = |spec: &Spec| match &spec.structure {
        Structure::Prefix(prefix) => prefix.start_id,
        other => panic!("{other:?}"),
    };
    let new = spec(chatglm_6b());
    assert_eq!((new.family, start(&new)), ("chatglm", 130_004));
    // The first revision had image tokens and no keys for its marks.
    let mut old = chatglm_6b();
    for key in ["mask_token_id", "gmask_token_id", "bos_token_id"] {
        old.as_object_mut().unwrap().remove(key);
    }
    let old = spec(with(old, "vocab_size", json!(150_528)));
    assert_eq!(start(&old), 150_004);
    let second = spec(chatglm2_6b());
    assert_eq!((second.family, second.attention.kv_heads), ("chatglm2", 2));
    // What `rope_ratio` means depends on the generation.
    let long = with(chatglm2_6b(), "rope_ratio", json!(50));
    let rope = |config| spec(config).position.rope().unwrap().clone();
    let second = rope(with(
        long.clone(),
        "_name_or_path",
        json!("THUDM/chatglm2-6b-32k"),
    ));
    let factor = 50.0;
    assert_eq!(second.theta, 10_000.0);
    assert_eq!(second.scaling, RopeScaling::Linear { factor });
    let third = rope(with(long, "_name_or_path", json!("THUDM/chatglm3-6b-32k")));
    assert_eq!((third.theta, third.scaling), (500_000.0, RopeScaling::None));
    // GLM-4-9B's own files say some sizes twice.
    let fourth = with(chatglm2_6b(), "num_hidden_layers", json!(28));
    spec(with(fourth.clone(), "vocab_size", json!(65024)));
    let error = declare(&with(fourth, "num_hidden_layers", json!(27)));
    assert!(error.unwrap_err().to_string().contains("num_hidden_layers"));
}

#[test]
fn keys_that_published_files_hold_and_no_reference_reads() {
    let mut gemma = with(gemma2_2b(), "sliding_window_size", json!(4096));
    assert_eq!(spec(gemma.clone()), spec(gemma2_2b()));
    gemma = with(gemma, "sliding_window_size", json!(1024));
    assert!(declare(&gemma).is_err());
    let phi3 = phi3_mini(json!(null));
    let mini = with(phi3.clone(), "full_attn_mod", json!(1));
    let mini = with(mini, "interpolate_factor", json!(1));
    assert_eq!(spec(mini), spec(phi3));
    let mut llama = llama_7b();
    for (key, value) in [
        ("_attn_implementation_autoset", json!(true)),
        ("_num_labels", json!(1)),
        (
            "custom_pipelines",
            json!({"text-generation": {"impl": "x.y"}}),
        ),
        ("is_llama_config", json!(true)),
        ("unsloth_version", json!("2024.9")),
        ("transformers.js_config", json!({"dtype": "q4"})),
        ("_flash_attn_2_enabled", json!(true)),
    ] {
        llama = with(llama, key, value);
    }
    assert_eq!(spec(llama), spec(llama_7b()));
    for (config, key, value) in [
        (qwen3_30b(), "use_qk_norm", json!(true)),
        (qwen3_30b(), "qkv_bias", json!(false)),
        (opt_350m(), "output_projection", json!(true)),
        (opt_350m(), "learned_embeddings", json!(true)),
        (pythia_70m(), "num_steps", json!("global_step143000")),
        (pythia_70m(), "rope_theta", json!(10000)),
        (falcon_7b(), "ff_factor", json!(4)),
        (chatglm2_6b(), "rotary_percent", json!(0.5)),
    ] {
        let plain = spec(config.clone());
        assert_eq!(spec(with(config, key, value)), plain, "{key}");
    }
    for (config, key, value) in [
        (qwen3_30b(), "use_qk_norm", json!(false)),
        (qwen3_30b(), "qkv_bias", json!(true)),
        (chatglm2_6b(), "rotary_percent", json!(1.0)),
    ] {
        let error = declare(&with(config, key, value)).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[test]
fn settings_of_generation_are_not_the_models() {
    let mut llama = llama_7b();
    for (key, value) in [
        ("max_length", json!(4096)),
        ("max_new_tokens", json!(512)),
        ("do_sample", json!(true)),
        ("temperature", json!(0.9)),
        ("top_p", json!(0.6)),
        ("num_beams", json!(4)),
        ("early_stopping", json!(true)),
        ("no_repeat_ngram_size", json!(3)),
        ("forced_eos_token_id", json!(2)),
        ("suppress_tokens", json!([1, 2])),
        ("return_dict_in_generate", json!(true)),
    ] {
        llama = with(llama, key, value);
    }
    assert_eq!(spec(llama), spec(llama_7b()));
}

#[test]
fn yarns_own_keys() {
    let yarn = json!({
        "factor": 16.0, "original_max_position_embeddings": 4096, "type": "yarn"
    });
    let own = with(yarn.clone(), "finetuned", json!(true));
    let own = with(own, "attn_factor", json!(2.0));
    let llama = |scaling| spec(with(llama_7b(), "rope_scaling", scaling));
    assert_eq!(llama(own), llama(yarn.clone()));
    let novel = with(yarn, "novel", json!(1));
    let error = declare(&with(llama_7b(), "rope_scaling", novel)).unwrap_err();
    assert!(error.to_string().contains("novel"), "{error}");
}

#[test]
fn qwens_windows_and_chunks() {
    let qwen2 = json!({
        "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
        "eos_token_id": 151645, "hidden_act": "silu", "hidden_size": 5120,
        "initializer_range": 0.02, "intermediate_size": 13824,
        "max_position_embeddings": 1010000, "max_window_layers": 48, "model_type": "qwen2",
        "num_attention_heads": 40, "num_hidden_layers": 48, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-05, "rope_theta": 10000000.0, "sliding_window": 1010000,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": true,
        "use_sliding_window": false, "vocab_size": 152064
    });
    let chunks = json!({
        "chunk_size": 262144, "local_size": 8192, "original_max_position_embeddings": 262144
    });
    let million = spec(with(qwen2.clone(), "dual_chunk_attention_config", chunks));
    assert_eq!(million.max_len, 262_144);
    assert_eq!(million.attention.window, Window::Unlimited);
    // What the reference takes where files that use windows do not say more.
    let mut silent = with(qwen2, "use_sliding_window", json!(true));
    for key in ["max_window_layers", "sliding_window"] {
        silent.as_object_mut().unwrap().remove(key);
    }
    let window = spec(silent.clone()).attention.window;
    let layers = [0, 27, 28, 47].map(|layer| window.of_layer(layer));
    assert_eq!(layers, [None, None, Some(4096), Some(4096)]);
    let none = spec(with(silent, "sliding_window", json!(null)));
    assert_eq!(none.attention.window, Window::Unlimited);
    // The mixture of experts has them in all layers.
    let all = with(qwen3_30b(), "use_sliding_window", json!(true));
    let all = spec(with(all, "sliding_window", json!(4096)));
    assert_eq!(all.attention.window.of_layer(0), Some(4096));
}

#[test]
fn glm_10bs_marks_are_those_of_its_language() {
    let glm = |vocab_size: usize| {
        spec(json!({
            "model_type": "glm", "block_position_encoding": true, "hidden_size": 4096,
            "num_attention_heads": 64, "num_layers": 48, "max_sequence_length": 1024,
            "vocab_size": vocab_size
        }))
    };
    for (vocab_size, wanted) in [(50_304, 50_257), (50_048, 50_006)] {
        match glm(vocab_size).structure {
            Structure::Prefix(lm) => assert_eq!(lm.start_id, wanted),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn qwens_older_and_newer_keys() {
    let newer = json!({
        "architectures": ["QWenLMHeadModel"], "attn_dropout_prob": 0.0, "bf16": false,
        "emb_dropout_prob": 0.0, "fp16": false, "fp32": false, "hidden_size": 4096,
        "intermediate_size": 22016, "initializer_range": 0.02, "kv_channels": 128,
        "layer_norm_epsilon": 1e-06, "max_position_embeddings": 32768, "model_type": "qwen",
        "no_bias": true, "num_attention_heads": 32, "num_hidden_layers": 32,
        "onnx_safe": null, "rotary_emb_base": 10000, "rotary_pct": 1.0,
        "scale_attn_weights": true, "seq_length": 8192, "tie_word_embeddings": false,
        "tokenizer_class": "QWenTokenizer", "use_cache": true, "use_dynamic_ntk": true,
        "use_flash_attn": "auto", "use_logn_attn": true, "vocab_size": 151936,
        "softmax_in_fp32": false, "use_cache_quantization": false, "use_cache_kernel": false
    });
    let older = json!({
        "activation": "swiglu", "apply_residual_connection_post_layernorm": false,
        "architectures": ["QWenLMHeadModel"], "attn_pdrop": 0.0, "bf16": true,
        "bias_dropout_fusion": true, "bos_token_id": 151643, "embd_pdrop": 0.1,
        "eos_token_id": 151643, "ffn_hidden_size": 22016, "fp16": false,
        "initializer_range": 0.02, "kv_channels": 128, "layer_norm_epsilon": 1e-05,
        "model_type": "qwen", "n_embd": 4096, "n_head": 32, "n_layer": 32,
        "n_positions": 6144, "no_bias": true, "padded_vocab_size": 151936,
        "params_dtype": "torch.bfloat16", "pos_emb": "rotary", "resid_pdrop": 0.1,
        "rotary_emb_base": 10000, "rotary_pct": 1.0, "scale_attn_weights": true,
        "seq_length": 2048, "tie_word_embeddings": false, "tokenizer_type": "QWenTokenizer",
        "use_cache": true, "use_dynamic_ntk": true, "use_flash_attn": true,
        "use_logn_attn": true, "vocab_size": 151936
    });
    let (a, b) = (spec(newer.clone()), spec(older));
    let sizes = |s: &Spec| {
        (
            s.hidden_size,
            s.ffn.inner,
            s.n_layers,
            s.attention.clone().n_heads,
        )
    };
    assert_eq!(sizes(&a), sizes(&b));
    // Both scale from the length that they were trained with.
    assert_eq!(
        a.attention.query_scale,
        QueryScale::LogN { train_len: 8192 }
    );
    assert_eq!(
        b.attention.query_scale,
        QueryScale::LogN { train_len: 2048 }
    );
    for (key, value) in [("rotary_pct", json!(7.0)), ("rotary_emb_base", json!(-1.0))] {
        let error = declare(&with(newer.clone(), key, value)).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
}

pub(super) fn t5_base() -> Value {
    json!({
        "architectures": ["T5WithLMHeadModel"], "d_ff": 3072, "d_kv": 64, "d_model": 768,
        "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1,
        "initializer_factor": 1.0, "is_encoder_decoder": true, "layer_norm_epsilon": 1e-06,
        "model_type": "t5", "n_positions": 512, "num_heads": 12, "num_layers": 12,
        "output_past": true, "pad_token_id": 0, "relative_attention_num_buckets": 32,
        "task_specific_params": {"summarization": {"prefix": "summarize: "}},
        "vocab_size": 32128
    })
}

#[test]
fn t5s_of_all_versions() {
    let first = spec(t5_base());
    assert_eq!(
        (first.ffn.kind, first.head.weight),
        (FfnKind::Plain, HeadWeight::Tied)
    );
    let mt5 = spec(json!({
        "architectures": ["MT5ForConditionalGeneration"], "d_ff": 1024, "d_kv": 64,
        "d_model": 512, "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1,
        "feed_forward_proj": "gated-gelu", "initializer_factor": 1.0,
        "is_encoder_decoder": true, "layer_norm_epsilon": 1e-06, "model_type": "mt5",
        "num_decoder_layers": 8, "num_heads": 6, "num_layers": 8, "pad_token_id": 0,
        "relative_attention_num_buckets": 32, "tie_word_embeddings": false,
        "tokenizer_class": "T5Tokenizer", "transformers_version": "4.9.0", "use_cache": true,
        "vocab_size": 250112
    }));
    assert_eq!(
        (mt5.ffn.kind, mt5.head.weight),
        (FfnKind::Gated, HeadWeight::Own)
    );
    assert_eq!(mt5.head.scale, None);
}

fn opt_350m() -> Value {
    json!({
        "_remove_final_layer_norm": false, "activation_dropout": 0.0,
        "activation_function": "relu", "attention_dropout": 0.0, "bos_token_id": 2,
        "do_layer_norm_before": false, "dropout": 0.1, "eos_token_id": 2, "ffn_dim": 4096,
        "hidden_size": 1024, "init_std": 0.02, "layerdrop": 0.0,
        "max_position_embeddings": 2048, "model_type": "opt", "num_attention_heads": 16,
        "num_hidden_layers": 24, "pad_token_id": 1, "prefix": "</s>",
        "torch_dtype": "float16", "use_cache": true, "vocab_size": 50272,
        "word_embed_proj_dim": 512
    })
}

#[test]
fn opt_350m_has_its_norms_after_the_branches() {
    let opt = spec(opt_350m());
    assert_eq!(
        (opt.placement, opt.embedding.width),
        (Placement::Post, Some(512))
    );
}

#[test]
fn what_glm_130bs_and_palms_tensors_tell() {
    let shapes = |list: &[(&str, &[usize])]| -> Shapes {
        let own = |(name, shape): &(&str, &[usize])| (name.to_string(), shape.to_vec());
        list.iter().map(own).collect()
    };
    let layer = "transformer.layers.0.mlp.dense";
    let mut glm = shapes(&[
        ("transformer.word_embeddings.weight", &[150_528, 12_288]),
        (&format!("{layer}_h_to_4h.weight"), &[65_536, 12_288]),
        (&format!("{layer}_4h_to_h.weight"), &[12_288, 32_768]),
    ]);
    glm.insert(
        "transformer.layers.69.mlp.dense_4h_to_h.bias".to_string(),
        vec![12_288],
    );
    let told = |shapes: &Shapes| bare_configuration(shapes).map(Value::Object);
    let found = spec(told(&glm).unwrap());
    let a = &found.attention;
    assert_eq!(
        (found.family, a.n_heads, found.ffn.inner),
        ("glm130b", 96, 32_768)
    );
    glm.insert("lm_head.weight".to_string(), vec![1, 1]);
    assert_eq!(told(&glm), None);
    // palm-410m.
    let palm = shapes(&[
        ("token_emb.weight", &[50_304, 1024]),
        (
            "layers.0.fn.fused_attn_ff_proj.weight",
            &[8 * 128 + 2 * 128 + 8 * 1024, 1024],
        ),
        ("layers.0.fn.attn_out.weight", &[1024, 1024]),
        ("layers.23.fn.norm.gamma", &[1024]),
    ]);
    let found = spec(told(&palm).unwrap());
    let a = &found.attention;
    assert_eq!((a.n_heads, a.head_dim, a.kv_heads), (8, 128, 1));
    assert_eq!(
        (found.n_layers, found.norm.kind),
        (2, NormKind::LayerNoBias)
    );
    assert_eq!(told(&Shapes::new()), None);
}
