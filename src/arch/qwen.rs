//! Qwen (v1): LLaMA with one fused biased projection, log-n attention and a RoPE base that
//! follows the prompt's length. Reference: `modeling_qwen.py` of Qwen/Qwen-7B.

use serde_json::json;

use super::{gguf_keys, model_type_is, *};

pub const FAMILY: Family = Family {
    name: "qwen",
    detect: |c| model_type_is(c, &["qwen"]),
    declare,
    tensors: |spec| TensorTable {
        rules: vec![
            Rule::same("transformer.wte", "token_embd"),
            Rule::same("transformer.h.{}.ln_1", "blk.{}.attn_norm"),
            Rule::stacked("transformer.h.{}.attn.c_attn", spec.attention.qkv_rows()),
            Rule::same("transformer.h.{}.attn.c_proj", "blk.{}.attn_output"),
            Rule::same("transformer.h.{}.ln_2", "blk.{}.ffn_norm"),
            // The names mislead: w2 is the gate.
            Rule::same("transformer.h.{}.mlp.w1", "blk.{}.ffn_up"),
            Rule::same("transformer.h.{}.mlp.w2", "blk.{}.ffn_gate"),
            Rule::same("transformer.h.{}.mlp.c_proj", "blk.{}.ffn_down"),
            Rule::same("transformer.ln_f", "output_norm"),
            Rule::same("lm_head", "output"),
        ],
        optional_prefix: None,
        ignored: vec!["transformer.rotary_emb.inv_freq"],
    },
    gguf: Some(GgufFamily {
        architecture: ARCHITECTURE,
        declare: |m| {
            let mut spec = gguf_keys::decoder(m, ARCHITECTURE, Pairing::Half)?;
            spec.attention.bias = AttentionBias::Qkv;
            // As in `config.json`, gate and up together.
            spec.ffn.inner /= 2;
            Ok(spec)
        },
        metadata: |spec| {
            let mut map = gguf_keys::metadata(spec, ARCHITECTURE);
            let key = format!("{ARCHITECTURE}.feed_forward_length");
            map.insert(key, json!(2 * spec.ffn.inner));
            map
        },
        tensors: gguf_keys::fused_tensors,
    }),
};

const ARCHITECTURE: &str = "qwen";

/// Keys of the training code and of flash attention.
const HARMLESS: &[&str] = &[
    "attn_pdrop",
    "bf16",
    "bias_dropout_fusion",
    "emb_dropout_prob",
    "fp16",
    "fp32",
    "n_inner",
    "onnx_safe",
    "params_dtype",
    "scale_attn_weights",
    "softmax_in_fp32",
    "tokenizer_type",
    "use_cache_kernel",
    "use_cache_quantization",
    "use_flash_attn",
];

fn declare(c: &Config) -> Result<Spec> {
    // Older repositories use GPT-2's names.
    let size = |new: &str, old: &str| match c.opt_size(old)? {
        Some(n) => Ok(n),
        None => c.size(new),
    };
    let count = |new: &str, old: &str| match c.opt_count(old)? {
        Some(n) => Ok(n),
        None => c.count(new),
    };
    let hidden_size = size("hidden_size", "n_embd")?;
    let n_heads = count("num_attention_heads", "n_head")?;
    let n_layers = count("num_hidden_layers", "n_layer")?;
    let head_dim = match c.opt_size("kv_channels")? {
        Some(d) => d,
        None => c.head_dim("hidden_size", hidden_size, n_heads)?,
    };
    let inner = size("intermediate_size", "ffn_hidden_size")? / 2;
    let train_len = size("n_positions", "seq_length")?;
    c.opt_size("n_positions")?;
    let max_len = c.opt_size("max_position_embeddings")?;
    let rotary_pct = c.opt_f64("rotary_pct")?.unwrap_or(1.0);
    let rotary_dim = rope::part_of(c, "rotary_pct", head_dim, rotary_pct)?;
    let theta = rope::checked_theta(c, "rotary_emb_base", c.opt_f64("rotary_emb_base")?)?;
    let eps = c.opt_f64("layer_norm_epsilon")?.unwrap_or(1e-6);
    let vocab_size = size("vocab_size", "padded_vocab_size")?;
    c.opt_size("vocab_size")?;
    let dynamic = c.opt_bool("use_dynamic_ntk")?.unwrap_or(false);
    let logn = c.opt_bool("use_logn_attn")?.unwrap_or(false);
    c.only("no_bias", &[json!(true)])?;
    c.only("pos_emb", &[json!("rotary")])?;
    c.only("activation", &[json!("swiglu")])?;
    c.only("activation_function", &[json!("silu"), json!("swiglu")])?;
    c.only("apply_residual_connection_post_layernorm", &[json!(false)])?;
    c.only("tie_word_embeddings", &[json!(false)])?;
    c.finish(HARMLESS)?;
    Ok(Spec {
        family: "qwen",
        structure: Structure::Causal,
        vocab_size,
        hidden_size,
        n_layers,
        max_len: max_len.unwrap_or(train_len),
        embedding: Embedding::default(),
        position: Position::Rope(Rope {
            theta,
            rotary_dim,
            pairing: Pairing::Half,
            scaling: match dynamic {
                true => RopeScaling::PromptNtk { train_len },
                false => RopeScaling::None,
            },
            decay: None,
            precision: FrequencyPrecision::F32,
        }),
        attention: Attention {
            query_scale: match logn {
                true => QueryScale::LogN { train_len },
                false => QueryScale::None,
            },
            bias: AttentionBias::Qkv,
            ..Attention::new(n_heads, n_heads, head_dim)
        },
        norm: Norm {
            kind: NormKind::Rms,
            eps,
        },
        placement: Placement::Pre,
        ffn: Ffn {
            kind: FfnKind::Gated,
            inner,
            activation: Activation::Silu,
            bias: false,
        },
        head: Head::new(HeadWeight::Own),
    })
}
