//! MPT: ALiBi, no biases, LayerNorm with a weight only. Reference: `modeling_mpt.py` of
//! `transformers`.

use serde_json::json;

use super::{gguf_keys, gpt2, llama, model_type_is, *};

pub const FAMILY: Family = Family {
    name: "mpt",
    detect: |c| model_type_is(c, &["mpt"]),
    declare,
    tensors: |spec| TensorTable {
        rules: vec![
            Rule::same("wte", "token_embd"),
            Rule::same("blocks.{}.norm_1", "blk.{}.attn_norm"),
            Rule::stacked("blocks.{}.attn.Wqkv", spec.attention.qkv_rows()),
            Rule::same("blocks.{}.attn.out_proj", "blk.{}.attn_output"),
            Rule::same("blocks.{}.norm_2", "blk.{}.ffn_norm"),
            Rule::same("blocks.{}.ffn.up_proj", "blk.{}.ffn_up"),
            Rule::same("blocks.{}.ffn.down_proj", "blk.{}.ffn_down"),
            Rule::same("norm_f", "output_norm"),
            Rule::same("lm_head", "output"),
        ],
        optional_prefix: Some("transformer."),
        ignored: vec![],
    },
    gguf: Some(GgufFamily {
        architecture: "mpt",
        declare: |m| {
            let clip = m.opt_f64("mpt.attention.clamp_kqv")?.filter(|c| *c > 0.0);
            let max_bias = m.f64("mpt.attention.max_alibi_bias")?;
            let mut spec = gpt2::gguf_decoder(m, "mpt")?;
            without_biases(&mut spec);
            spec.position = Position::alibi(spec.attention.n_heads, max_bias);
            spec.attention.clip = clip.map(|c| c as f32);
            Ok(spec)
        },
        metadata: |spec| gguf_keys::metadata(spec, "mpt"),
        tensors: gguf_keys::fused_tensors,
    }),
};

/// Keys of the training code; `learned_pos_emb` counts only without ALiBi, and the reference
/// makes the feed-forward layer four times as wide whatever `expansion_ratio` says.
const HARMLESS: &[&str] = &[
    "attn_impl",
    "embedding_fraction",
    "emb_pdrop",
    "expansion_ratio",
    "init_config",
    "init_device",
    "learned_pos_emb",
    "tokenizer_name",
    "use_pad_tok_in_ffn",
    "verbose",
];

fn without_biases(spec: &mut Spec) {
    spec.norm.kind = NormKind::LayerNoBias;
    spec.attention.bias = AttentionBias::None;
    spec.ffn.bias = false;
    spec.ffn.activation = Activation::Gelu;
}

fn declare(c: &Config) -> Result<Spec> {
    let n_heads = gpt2::either_count(c, "n_heads", "num_attention_heads")?;
    let mut max_bias = 8.0;
    let (mut clip, mut scale) = (None, None);
    if let Some(a) = c.opt_object("attn_config")? {
        max_bias = a.opt_f64("alibi_bias_max")?.unwrap_or(max_bias);
        clip = a.opt_f64("clip_qkv")?;
        scale = a.opt_f64("softmax_scale")?;
        a.only("alibi", &[json!(true)])?;
        a.only("attn_type", &[json!("multihead_attention")])?;
        a.only("kv_n_heads", &[json!(n_heads)])?;
        a.only("prefix_lm", &[json!(false)])?;
        a.only("qk_ln", &[json!(false)])?;
        a.only("qk_gn", &[json!(false)])?;
        a.only("rope", &[json!(false)])?;
        a.only("sliding_window_size", &[json!(-1)])?;
        a.finish(&[
            "attn_impl",
            "attn_pdrop",
            "attn_uses_sequence_id",
            "is_encoder_decoder",
            "output_attentions",
            "output_hidden_states",
            "return_dict",
            "rope_theta",
            "rope_impl",
            "rope_dail_config",
            "rope_hf_config",
        ])?;
    }
    let mut spec = gpt2::decoder(
        c,
        "mpt",
        gpt2::Sizes {
            vocab_size: c.size("vocab_size")?,
            hidden_size: gpt2::either(c, "d_model", "hidden_size")?,
            n_layers: gpt2::either_count(c, "n_layers", "num_hidden_layers")?,
            n_heads,
            max_len: c.size("max_seq_len")?,
            eps: c.opt_f64("layer_norm_epsilon")?.unwrap_or(1e-5),
        },
        Position::alibi(n_heads, max_bias),
    )?;
    without_biases(&mut spec);
    spec.attention.clip = clip.map(|c| c as f32);
    if let Some(scale) = scale {
        spec.attention.scale = scale as f32;
    }
    spec.head.weight = llama::head_weight(c, HeadWeight::Tied)?;
    c.only("no_bias", &[json!(true)])?;
    c.only("logit_scale", &[])?;
    c.only(
        "norm_type",
        &[json!("low_precision_layernorm"), json!("layernorm")],
    )?;
    c.finish(HARMLESS)?;
    Ok(spec)
}
