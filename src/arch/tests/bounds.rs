//! Numbers that no model has: they are refused by name before memory is taken for them.

use serde_json::{Value, json};

use super::published::{chatglm_6b, chatglm2_6b, t5_base};
use super::{
    bloom_560m, declare, falcon_7b, gemma2_2b, gguf_with, gpt2_small, mixtral_8x7b, mpt_7b,
    pythia_70m, qwen3_30b, spec, with,
};
use crate::arch::*;

/// What a size may be and a number of layers may not.
const MANY: u64 = 1 << 31;

#[track_caller]
fn refused(config: Value, key: &str, value: Value) {
    names(declare(&with(config, key, value)), key);
}

#[track_caller]
fn gguf_refused(spec: &Spec, key: &str, value: Value) {
    names(gguf_with(spec, key, value), key);
}

#[track_caller]
fn names(declared: Result<Spec>, key: &str) {
    let message = declared.expect_err(key).to_string();
    assert!(message.contains(&format!("{key}: ")), "{message}");
}

#[test]
fn heads_layers_and_experts_are_countable() {
    for (config, key) in [
        (bloom_560m(), "n_layer"),
        (gpt2_small(), "n_head"),
        (gemma2_2b(), "num_hidden_layers"),
        (gemma2_2b(), "num_key_value_heads"),
        (mixtral_8x7b(), "num_local_experts"),
        (falcon_7b(), "num_attention_heads"),
        (mpt_7b(), "n_heads"),
        (pythia_70m(), "num_hidden_layers"),
        (qwen3_30b(), "num_experts"),
        (chatglm_6b(), "num_layers"),
        (chatglm2_6b(), "multi_query_group_num"),
        (t5_base(), "num_heads"),
        (t5_base(), "num_layers"),
    ] {
        refused(config, key, json!(MANY));
    }
    let mixtral = spec(mixtral_8x7b());
    for key in [
        "block_count",
        "attention.head_count",
        "attention.head_count_kv",
        "expert_count",
    ] {
        gguf_refused(&mixtral, key, json!(MANY));
    }
    gguf_refused(&spec(t5_base()), "decoder_block_count", json!(MANY));
}

#[test]
fn heads_share_keys_and_width_evenly() {
    refused(gemma2_2b(), "num_key_value_heads", json!(3));
    refused(gemma2_2b(), "num_key_value_heads", json!(16));
    refused(gpt2_small(), "n_embd", json!(770));
    refused(pythia_70m(), "hidden_size", json!(513));
    gguf_refused(&spec(mixtral_8x7b()), "attention.head_count_kv", json!(5));
}

#[test]
fn what_turns_is_pairs_of_a_heads_dimensions() {
    let mixtral = spec(mixtral_8x7b());
    for dim in [127, 130, MANY] {
        gguf_refused(&mixtral, "rope.dimension_count", json!(dim));
    }
    let half = gguf_with(&mixtral, "rope.dimension_count", json!(64)).unwrap();
    assert_eq!(half.position.rope().unwrap().rotary_dim, 64);
    // 63 dimensions; of 130 and 126 half turn, of the latter by each of two positions.
    refused(falcon_7b(), "hidden_size", json!(71 * 63));
    refused(chatglm2_6b(), "kv_channels", json!(130));
    refused(chatglm_6b(), "hidden_size", json!(32 * 126));
    let palm = json!({
        "model_type": "palm", "num_tokens": 256, "dim": 64, "depth": 3, "heads": 4
    });
    refused(palm, "dim_head", json!(63));
}

#[test]
fn wavelengths_have_a_positive_base() {
    let mixtral = spec(mixtral_8x7b());
    let gemma3 = spec(with(gemma2_2b(), "model_type", json!("gemma3_text")));
    for base in [0.0, -1.0] {
        gguf_refused(&mixtral, "rope.freq_base", json!(base));
        gguf_refused(&gemma3, "rope.freq_base_swa", json!(base));
        refused(pythia_70m(), "rotary_emb_base", json!(base));
    }
}

#[test]
fn t5s_buckets_divide_distances() {
    const BUCKETS: &str = "relative_attention_num_buckets";
    const DISTANCE: &str = "relative_attention_max_distance";
    for n in [3, 256, MANY] {
        refused(t5_base(), BUCKETS, json!(n));
    }
    for n in [2, MANY] {
        refused(t5_base(), DISTANCE, json!(n));
    }
    // Half of the buckets are for one distance each, which leaves none for those beyond.
    refused(with(t5_base(), DISTANCE, json!(16)), BUCKETS, json!(32));
    spec(with(t5_base(), DISTANCE, json!(17)));
    gguf_refused(
        &spec(t5_base()),
        "attention.relative_buckets_count",
        json!(256),
    );
}

#[test]
fn ids_are_not_cut_to_their_type() {
    let id = json!(1u64 << 32);
    refused(t5_base(), "decoder_start_token_id", id.clone());
    refused(chatglm_6b(), "gmask_token_id", id.clone());
    gguf_refused(&spec(t5_base()), "decoder_start_token_id", id);
}
