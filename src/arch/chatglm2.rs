//! ChatGLM2 and ChatGLM3: RMSNorm before each branch, half of each head turned in interleaved
//! pairs, few key heads, SwiGLU. Reference: `modeling_chatglm.py` of THUDM/chatglm2-6b.

use serde_json::json;

use super::*;

pub const FAMILY: Family = Family {
    name: "chatglm2",
    // All generations say `chatglm`; only these have these keys.
    detect: |c| {
        model_type_is(c, &["chatglm"]) && c.has("padded_vocab_size") && c.has("kv_channels")
    },
    declare,
    tensors: |spec| {
        let a = &spec.attention;
        let qkv = "transformer.encoder.layers.{}.self_attention.query_key_value";
        // With as many key heads as query heads the rows go head by head.
        let qkv = match a.kv_heads == a.n_heads {
            true => Rule::interleaved(
                qkv,
                a.n_heads,
                Attention::qkv_names().map(|n| (n, a.head_dim)),
            ),
            false => Rule::stacked(qkv, a.qkv_rows()),
        };
        let inner = spec.ffn.inner;
        TensorTable {
            rules: vec![
                Rule::same("transformer.embedding.word_embeddings", "token_embd"),
                Rule::same(
                    "transformer.encoder.layers.{}.input_layernorm",
                    "blk.{}.attn_norm",
                ),
                qkv,
                Rule::same(
                    "transformer.encoder.layers.{}.self_attention.dense",
                    "blk.{}.attn_output",
                ),
                Rule::same(
                    "transformer.encoder.layers.{}.post_attention_layernorm",
                    "blk.{}.ffn_norm",
                ),
                Rule::stacked(
                    "transformer.encoder.layers.{}.mlp.dense_h_to_4h",
                    [("blk.{}.ffn_gate", inner), ("blk.{}.ffn_up", inner)],
                ),
                Rule::same(
                    "transformer.encoder.layers.{}.mlp.dense_4h_to_h",
                    "blk.{}.ffn_down",
                ),
                Rule::same("transformer.encoder.final_layernorm", "output_norm"),
                Rule::same("transformer.output_layer", "output"),
            ],
            optional_prefix: None,
            ignored: vec!["transformer.rotary_pos_emb.inv_freq"],
        }
    },
    // llama.cpp reads it and GLM-4-9B as one architecture.
    gguf: glm::GLM.gguf,
};

/// Keys of the training code, and the pairs that cancel out.
const HARMLESS: &[&str] = &[
    // The scores are divided by the layer's number and multiplied by it again.
    "apply_query_key_layer_scaling",
    "attention_softmax_in_fp32",
    "bias_dropout_fusion",
    "fp32_residual_connection",
    "original_rope",
    "interleaved_qkv",
    "pre_seq_len",
    "prefix_projection",
    "quantization_bit",
    "quantization_embeddings",
];

fn declare(c: &Config) -> Result<Spec> {
    let n_heads = c.count("num_attention_heads")?;
    let head_dim = c.size(CHANNELS)?;
    // Counts only with the other key, which cannot do without it.
    let groups = c.opt_count(GROUPS)?;
    let kv_heads = match c.opt_bool("multi_query_attention")? {
        Some(true) if groups.is_none() => return Err(c.error(GROUPS, "missing")),
        Some(true) => c.kv_heads(GROUPS, n_heads)?,
        _ => n_heads,
    };
    let rms = c.opt_bool("rmsnorm")?.unwrap_or(true);
    let bias = c.opt_bool("add_bias_linear")?.unwrap_or(false);
    let qkv_bias = c.opt_bool("add_qkv_bias")?.unwrap_or(false);
    c.only("post_layer_norm", &[json!(true)])?;
    c.only("apply_residual_connection_post_layernorm", &[json!(false)])?;
    c.only("tie_word_embeddings", &[json!(false)])?;
    c.only("pre_seq_len", &[])?;
    c.only("rotary_percent", &[json!(PART)])?;
    let (vocab_size, n_layers) = (c.size("padded_vocab_size")?, c.count("num_layers")?);
    // Some files say them twice.
    c.only("vocab_size", &[json!(vocab_size)])?;
    c.only("num_hidden_layers", &[json!(n_layers)])?;
    let spec = Spec {
        family: "chatglm2",
        structure: Structure::Causal,
        vocab_size,
        hidden_size: c.size("hidden_size")?,
        n_layers,
        max_len: c.size("seq_length")?,
        embedding: Embedding::default(),
        position: Position::Rope(rope(c, head_dim)?),
        attention: Attention {
            bias: match (bias, qkv_bias) {
                (true, _) => AttentionBias::All,
                (false, true) => AttentionBias::Qkv,
                (false, false) => AttentionBias::None,
            },
            ..Attention::new(n_heads, kv_heads, head_dim)
        },
        norm: Norm {
            kind: match rms {
                true => NormKind::Rms,
                false => return Err(c.error("rmsnorm", "false is not supported")),
            },
            eps: c.f64("layernorm_epsilon")?,
        },
        placement: Placement::Pre,
        ffn: Ffn {
            kind: FfnKind::Gated,
            inner: c.size("ffn_hidden_size")?,
            activation: Activation::Silu,
            bias,
        },
        head: Head::new(HeadWeight::Own),
    };
    c.finish(HARMLESS)?;
    Ok(spec)
}

const GROUPS: &str = "multi_query_group_num";
const ROPE_RATIO: &str = "rope_ratio";
const CHANNELS: &str = "kv_channels";

/// ChatGLM2's `modeling_chatglm.py` divides the positions by `rope_ratio`, that of ChatGLM3 and
/// GLM-4 multiplies the base by it. Of the keys only the name of the model tells which one it is.
fn rope(c: &Config, head_dim: usize) -> Result<Rope> {
    let ratio = c.opt_f64(ROPE_RATIO)?.unwrap_or(1.0);
    let name = c.opt_str("_name_or_path")?.unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let divides = ["chatglm2", "codegeex2"].iter().any(|n| name.contains(n));
    let checked = |theta| rope::checked_theta(c, ROPE_RATIO, Some(theta));
    let (theta, scaling) = match divides && ratio != 1.0 {
        true => {
            let factor = checked(ratio)?;
            (checked(THETA)?, RopeScaling::Linear { factor })
        }
        false => (checked(THETA * ratio)?, RopeScaling::None),
    };
    Ok(Rope {
        theta,
        rotary_dim: rope::part_of(c, CHANNELS, head_dim, PART)?,
        pairing: Pairing::Interleaved,
        scaling,
        decay: None,
        precision: FrequencyPrecision::F32,
    })
}

const THETA: f64 = 10_000.0;
/// How much of a head turns.
const PART: f64 = 0.5;
