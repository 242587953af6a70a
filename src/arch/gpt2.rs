//! GPT-2: learned positions, LayerNorm, biases everywhere, matrices stored `[in, out]`. What its
//! generation of models shares is here. Reference: `modeling_gpt2.py` of `transformers`.

use serde_json::json;

use super::{gguf_keys, llama, model_type_is, *};

pub const FAMILY: Family = Family {
    name: "gpt2",
    detect: |c| model_type_is(c, &["gpt2"]),
    declare,
    tensors: |spec| TensorTable {
        rules: vec![
            Rule::same("wte", "token_embd"),
            Rule::same("wpe", "position_embd"),
            Rule::same("h.{}.ln_1", "blk.{}.attn_norm"),
            Rule::stacked("h.{}.attn.c_attn", spec.attention.qkv_rows()).with(Change::Transpose),
            Rule::same("h.{}.attn.c_proj", "blk.{}.attn_output").with(Change::Transpose),
            Rule::same("h.{}.ln_2", "blk.{}.ffn_norm"),
            Rule::same("h.{}.mlp.c_fc", "blk.{}.ffn_up").with(Change::Transpose),
            Rule::same("h.{}.mlp.c_proj", "blk.{}.ffn_down").with(Change::Transpose),
            Rule::same("ln_f", "output_norm"),
            Rule::same("lm_head", "output"),
        ],
        optional_prefix: Some("transformer."),
        // Causal masks.
        ignored: vec!["h.{}.attn.bias", "h.{}.attn.masked_bias"],
    },
    gguf: Some(GgufFamily {
        architecture: "gpt2",
        declare: |m| {
            let mut spec = gguf_decoder(m, "gpt2")?;
            spec.position = Position::Learned {
                rows: spec.max_len,
                offset: 0,
            };
            Ok(spec)
        },
        metadata: |spec| gguf_keys::metadata(spec, "gpt2"),
        tensors: gguf_keys::fused_tensors,
    }),
};

const HARMLESS: &[&str] = &[
    "n_ctx",
    "n_special",
    "output_past",
    "predict_special_tokens",
    // Concerns the order of float operations only.
    "reorder_and_upcast_attn",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
];

fn declare(c: &Config) -> Result<Spec> {
    let max_len = either(c, "n_positions", "max_position_embeddings")?;
    let mut spec = decoder(
        c,
        "gpt2",
        Sizes {
            vocab_size: c.size("vocab_size")?,
            hidden_size: either(c, "n_embd", "hidden_size")?,
            n_layers: either_count(c, "n_layer", "num_hidden_layers")?,
            n_heads: either_count(c, "n_head", "num_attention_heads")?,
            max_len,
            eps: c.opt_f64("layer_norm_epsilon")?.unwrap_or(1e-5),
        },
        Position::Learned {
            rows: max_len,
            offset: 0,
        },
    )?;
    if let Some(inner) = c.opt_size("n_inner")? {
        spec.ffn.inner = inner;
    }
    if c.get("activation_function").is_some() {
        spec.ffn.activation = llama::activation(c, "activation_function")?;
    }
    if c.opt_bool("scale_attn_weights")? == Some(false) {
        spec.attention.scale = 1.0;
    }
    spec.head.weight = llama::head_weight(c, HeadWeight::Tied)?;
    c.only("scale_attn_by_inverse_layer_idx", &[json!(false)])?;
    c.only("add_cross_attention", &[json!(false)])?;
    c.finish(HARMLESS)?;
    Ok(spec)
}

/// The sizes of a decoder of GPT-2's generation.
pub(super) struct Sizes {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub n_layers: usize,
    pub n_heads: usize,
    pub max_len: usize,
    /// Of the norms.
    pub eps: f64,
}

/// A size under one of two names, the first if both are there.
pub(super) fn either(c: &Config, first: &str, second: &str) -> Result<usize> {
    let other = c.opt_size(second)?;
    match (c.opt_size(first)?, other) {
        (Some(n), _) | (None, Some(n)) => Ok(n),
        (None, None) => c.size(first),
    }
}

/// As [`either`], for a number of heads or layers.
pub(super) fn either_count(c: &Config, first: &str, second: &str) -> Result<usize> {
    let other = c.opt_count(second)?;
    match (c.opt_count(first)?, other) {
        (Some(n), _) | (None, Some(n)) => Ok(n),
        (None, None) => c.count(first),
    }
}

/// A decoder of GPT-2's generation: LayerNorm before each branch, one key head per query head, an
/// ungated tanh-GELU layer four times as wide inside, biases everywhere, a tied head.
pub(super) fn decoder(
    c: &Config,
    family: &'static str,
    sizes: Sizes,
    position: Position,
) -> Result<Spec> {
    let Sizes {
        hidden_size,
        n_heads,
        ..
    } = sizes;
    // Each family has its own name for it.
    let names = ["n_embd", "n_embed", "d_model"];
    let name = names.into_iter().find(|name| c.has(name));
    let name = name.unwrap_or("hidden_size");
    let head_dim = c.head_dim(name, hidden_size, n_heads)?;
    Ok(Spec {
        family,
        structure: Structure::Causal,
        vocab_size: sizes.vocab_size,
        hidden_size,
        n_layers: sizes.n_layers,
        max_len: sizes.max_len,
        embedding: Embedding::default(),
        position,
        attention: Attention {
            bias: AttentionBias::All,
            ..Attention::new(n_heads, n_heads, head_dim)
        },
        norm: Norm {
            kind: NormKind::Layer,
            eps: sizes.eps,
        },
        placement: Placement::Pre,
        ffn: Ffn {
            kind: FfnKind::Plain,
            inner: 4 * hidden_size,
            activation: Activation::GeluTanh,
            bias: true,
        },
        head: Head::new(HeadWeight::Tied),
    })
}

/// The same from GGUF's metadata; the caller sets the position where it is not RoPE.
pub(super) fn gguf_decoder(m: &Config, arch: &'static str) -> Result<Spec> {
    let mut spec = gguf_keys::decoder(m, arch, Pairing::Half)?;
    spec.attention.bias = AttentionBias::All;
    spec.ffn.kind = FfnKind::Plain;
    spec.ffn.activation = Activation::GeluTanh;
    spec.ffn.bias = true;
    Ok(spec)
}
