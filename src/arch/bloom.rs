//! BLOOM and BLOOMZ: ALiBi, a norm on the embeddings, q, k and v interleaved head by head.
//! Reference: `modeling_bloom.py` of `transformers`.

use serde_json::json;

use super::{gguf_keys, gpt2, llama, model_type_is, *};

pub const FAMILY: Family = Family {
    name: "bloom",
    detect: |c| model_type_is(c, &["bloom"]),
    declare,
    tensors: |spec| {
        let a = &spec.attention;
        TensorTable {
            rules: vec![
                Rule::same("word_embeddings", "token_embd"),
                Rule::same("word_embeddings_layernorm", "token_embd_norm"),
                Rule::same("h.{}.input_layernorm", "blk.{}.attn_norm"),
                Rule::interleaved(
                    "h.{}.self_attention.query_key_value",
                    a.n_heads,
                    Attention::qkv_names().map(|name| (name, a.head_dim)),
                ),
                Rule::same("h.{}.self_attention.dense", "blk.{}.attn_output"),
                Rule::same("h.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
                Rule::same("h.{}.mlp.dense_h_to_4h", "blk.{}.ffn_up"),
                Rule::same("h.{}.mlp.dense_4h_to_h", "blk.{}.ffn_down"),
                Rule::same("ln_f", "output_norm"),
                Rule::same("lm_head", "output"),
            ],
            optional_prefix: Some("transformer."),
            ignored: vec![],
        }
    },
    gguf: Some(GgufFamily {
        architecture: "bloom",
        declare: |m| {
            m.opt_f64("bloom.attention.max_alibi_bias")?;
            let mut spec = gpt2::gguf_decoder(m, "bloom")?;
            spec.position = Position::alibi(spec.attention.n_heads, MAX_BIAS);
            spec.embedding.norm = Some(spec.norm);
            Ok(spec)
        },
        metadata: |spec| gguf_keys::metadata(spec, "bloom"),
        tensors: gguf_keys::fused_tensors,
    }),
};

/// The slopes' exponent.
const MAX_BIAS: f64 = 8.0;

/// Keys of the training code.
const HARMLESS: &[&str] = &[
    "attention_softmax_in_fp32",
    "bias_dropout_fusion",
    "masked_softmax_fusion",
    "offset_alibi",
    "skip_bias_add",
    "skip_bias_add_qkv",
    "slow_but_exact",
];

fn declare(c: &Config) -> Result<Spec> {
    let hidden_size = gpt2::either(c, "hidden_size", "n_embed")?;
    let n_heads = gpt2::either_count(c, "n_head", "num_attention_heads")?;
    let mut spec = gpt2::decoder(
        c,
        "bloom",
        gpt2::Sizes {
            vocab_size: c.size("vocab_size")?,
            hidden_size,
            n_layers: gpt2::either_count(c, "n_layer", "num_hidden_layers")?,
            n_heads,
            max_len: c.opt_size("seq_length")?.unwrap_or(2048),
            eps: c.opt_f64("layer_norm_epsilon")?.unwrap_or(1e-5),
        },
        Position::alibi(n_heads, MAX_BIAS),
    )?;
    spec.embedding.norm = Some(spec.norm);
    if c.opt_bool("apply_residual_connection_post_layernorm")? == Some(true) {
        spec.placement = Placement::Deep { alpha: 1.0 };
    }
    spec.head.weight = llama::head_weight(c, HeadWeight::Tied)?;
    c.only("n_inner", &[json!(spec.ffn.inner)])?;
    c.finish(HARMLESS)?;
    Ok(spec)
}
