//! LLaMA, LLaMA-2, LLaMA-3.x and what shares their configuration: RMSNorm before each branch,
//! RoPE, SwiGLU, no biases. Reference: `modeling_llama.py` of the `transformers` library.

use serde_json::json;

use super::{gguf_keys, model_type_is, rope, *};

pub const FAMILY: Family = Family {
    name: "llama",
    detect: |c| model_type_is(c, &["llama"]),
    declare: |c| {
        let spec = decoder(c, "llama")?;
        c.only("use_sliding_window", &[json!(false)])?;
        c.finish(&[])?;
        Ok(spec)
    },
    tensors: |_| hub_tensors(),
    gguf: Some(GgufFamily {
        architecture: "llama",
        declare: |m| gguf_keys::decoder(m, "llama", Pairing::Half),
        metadata: |spec| gguf_keys::metadata(spec, "llama"),
        tensors: gguf_tensors,
    }),
};

/// llama.cpp turns pairs that lie side by side: its converter permutes q and k.
pub(super) fn gguf_tensors(spec: &Spec) -> TensorTable {
    let a = &spec.attention;
    let rotary = spec.position.rope().map_or(a.head_dim, |r| r.rotary_dim);
    let mut table = gguf_keys::tensors();
    for rule in &mut table.rules {
        match rule.stored {
            "blk.{}.attn_q" => *rule = rule.clone().rope_pairs(a.n_heads, rotary),
            "blk.{}.attn_k" => *rule = rule.clone().rope_pairs(a.kv_heads, rotary),
            _ => {}
        }
    }
    table
}

/// The declaration of a decoder with LLaMA's configuration keys, for the families that add to it.
/// The caller finishes the configuration.
pub(super) fn decoder(c: &Config, family: &'static str) -> Result<Spec> {
    let hidden_size = c.size("hidden_size")?;
    let n_heads = c.count("num_attention_heads")?;
    let kv_heads = c.kv_heads("num_key_value_heads", n_heads)?;
    let head_dim = match c.opt_size("head_dim")? {
        Some(d) => d,
        None => c.head_dim("hidden_size", hidden_size, n_heads)?,
    };
    // The first LLaMAs and Baichuan-13B have names of their own for it.
    let model_max = c.opt_size("model_max_length")?;
    let max_sequence = c.opt_size("max_sequence_length")?;
    let positions = c.opt_size("max_position_embeddings")?;
    let positions = match positions.or(model_max).or(max_sequence) {
        Some(n) => n,
        None => c.size("max_position_embeddings")?,
    };
    let bias = match c.opt_bool("attention_bias")? {
        Some(true) => AttentionBias::All,
        _ => AttentionBias::None,
    };
    Ok(Spec {
        family,
        structure: Structure::Causal,
        vocab_size: c.size("vocab_size")?,
        hidden_size,
        n_layers: c.count("num_hidden_layers")?,
        // Vicuna's and LongChat's stretched models say how long they have become only there.
        max_len: max_sequence.map_or(positions, |n| n.max(positions)),
        embedding: Embedding::default(),
        position: rope::position(c, head_dim, positions)?,
        attention: Attention {
            bias,
            ..Attention::new(n_heads, kv_heads, head_dim)
        },
        norm: Norm {
            kind: NormKind::Rms,
            eps: c.opt_f64("rms_norm_eps")?.unwrap_or(1e-6),
        },
        placement: Placement::Pre,
        ffn: Ffn {
            kind: FfnKind::Gated,
            inner: c.size("intermediate_size")?,
            activation: activation(c, "hidden_act")?,
            bias: c.opt_bool("mlp_bias")?.unwrap_or(false),
        },
        head: Head::new(head_weight(c, HeadWeight::Own)?),
    })
}

/// Whether the head is the embedding, as `tie_word_embeddings` says.
pub(super) fn head_weight(c: &Config, default: HeadWeight) -> Result<HeadWeight> {
    Ok(match c.opt_bool("tie_word_embeddings")? {
        Some(true) => HeadWeight::Tied,
        Some(false) => HeadWeight::Own,
        None => default,
    })
}

/// The windows that `layer_types` gives each layer.
pub(super) fn layer_windows(c: &Config, n_layers: usize, width: usize) -> Result<Option<Window>> {
    let Some(types) = c.opt_strs("layer_types")? else {
        return Ok(None);
    };
    if types.len() != n_layers {
        return Err(c.error(
            "layer_types",
            format!("{} entries for {n_layers} layers", types.len()),
        ));
    }
    let layers = types
        .iter()
        .map(|t| match *t {
            "sliding_attention" => Ok(Some(width)),
            "full_attention" => Ok(None),
            other => Err(c.error("layer_types", format!("{other} is not supported"))),
        })
        .collect::<Result<_>>()?;
    Ok(Some(Window::Layers(layers)))
}

/// The activation that a key names, as in `transformers`' `activations.py`.
pub(super) fn activation(c: &Config, key: &str) -> Result<Activation> {
    match c.opt_str(key)?.unwrap_or("silu") {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => Err(c.error(key, format!("{other} is not supported"))),
    }
}

/// The tensor names of the Hub's LLaMA repositories.
pub(super) fn hub_tensors() -> TensorTable {
    TensorTable {
        rules: vec![
            Rule::same("model.embed_tokens", "token_embd"),
            Rule::same("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
            Rule::same("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"),
            Rule::same("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"),
            Rule::same("model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"),
            Rule::same("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"),
            Rule::same(
                "model.layers.{}.post_attention_layernorm",
                "blk.{}.ffn_norm",
            ),
            Rule::same("model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"),
            Rule::same("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"),
            Rule::same("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
            Rule::same("model.norm", "output_norm"),
            Rule::same("lm_head", "output"),
        ],
        optional_prefix: None,
        ignored: vec!["model.layers.{}.self_attn.rotary_emb.inv_freq"],
    }
}
