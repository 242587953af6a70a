//! What most GGUF architectures share: metadata keys and tensor names. Source: `gguf-py`'s
//! `constants.py`.

use serde_json::{Map, Value, json};

use super::*;

/// Keys under the architecture's prefix that say nothing new.
const HARMLESS: &[&str] = &[
    "vocab_size",
    "rope.scaling.finetuned",
    "attention.value_length",
    "expert_count",
    "expert_used_count",
    "tensor_data_layout",
];

/// The declaration of a decoder of the common shape (RMSNorm before each branch, RoPE, gated
/// SiLU) from the metadata `{arch}.*`; biases and norms on q and k are the caller's to add.
pub(super) fn decoder(m: &Config, arch: &'static str, pairing: Pairing) -> Result<Spec> {
    let key = |name: &str| format!("{arch}.{name}");
    let hidden_size = m.size(&key("embedding_length"))?;
    let n_heads = m.size(&key("attention.head_count"))?;
    let kv_heads = m
        .opt_size(&key("attention.head_count_kv"))?
        .unwrap_or(n_heads);
    if kv_heads > n_heads || !n_heads.is_multiple_of(kv_heads) {
        return Err(m.error(
            &key("attention.head_count_kv"),
            format!("{kv_heads} found, a divisor of {n_heads} heads wanted"),
        ));
    }
    let head_dim = match m.opt_size(&key("attention.key_length"))? {
        Some(d) => d,
        None if hidden_size.is_multiple_of(n_heads) => hidden_size / n_heads,
        None => {
            return Err(m.error(
                &key("embedding_length"),
                format!("{hidden_size} is not a multiple of {n_heads} heads"),
            ));
        }
    };
    m.only(&key("attention.value_length"), &[json!(head_dim)])?;
    m.only(&key("expert_count"), &[json!(0)])?;
    let max_len = m.size(&key("context_length"))?;
    let spec = Spec {
        family: arch,
        structure: Structure::Causal,
        vocab_size: vocab_size(m, arch)?,
        hidden_size,
        n_layers: m.size(&key("block_count"))?,
        max_len,
        embedding: Embedding::default(),
        position: Position::Rope(Rope {
            theta: m.opt_f64(&key("rope.freq_base"))?.unwrap_or(10_000.0),
            rotary_dim: m
                .opt_size(&key("rope.dimension_count"))?
                .unwrap_or(head_dim),
            pairing,
            scaling: rope_scaling(m, arch, max_len)?,
            decay: None,
            precision: FrequencyPrecision::F32,
        }),
        attention: Attention {
            n_heads,
            kv_heads,
            head_dim,
            scale: (head_dim as f32).powf(-0.5),
            query_scale: QueryScale::None,
            bias: AttentionBias::None,
            qk_norm: QkNorm::None,
            window: match m.opt_size(&key("attention.sliding_window"))? {
                Some(w) => Window::All(w),
                None => Window::Unlimited,
            },
        },
        norm: Norm {
            kind: NormKind::Rms,
            eps: m.f64(&key("attention.layer_norm_rms_epsilon"))?,
        },
        placement: Placement::Pre,
        ffn: Ffn {
            kind: FfnKind::Gated,
            inner: m.size(&key("feed_forward_length"))?,
            activation: Activation::Silu,
            bias: false,
        },
        // Whether `output.weight` is there decides; the loader looks.
        head: Head {
            weight: HeadWeight::Own,
            bias: false,
            scale: None,
        },
    };
    m.finish_prefix(&format!("{arch}."), HARMLESS)?;
    Ok(spec)
}

/// The vocabulary's size: its own key or the length of the token list.
fn vocab_size(m: &Config, arch: &str) -> Result<usize> {
    match m.opt_size("tokenizer.ggml.tokens.length")? {
        Some(n) => Ok(n),
        None => m.size(&format!("{arch}.vocab_size")),
    }
}

fn rope_scaling(m: &Config, arch: &str, max_len: usize) -> Result<RopeScaling> {
    let key = |name: &str| format!("{arch}.rope.{name}");
    let factor = match m.opt_f64(&key("scaling.factor"))? {
        Some(f) => f,
        // The older key.
        None => m.opt_f64(&key("scale_linear"))?.unwrap_or(1.0),
    };
    if !(factor.is_finite() && factor > 0.0) {
        return Err(m.error(
            &key("scaling.factor"),
            format!("{factor} found, a positive number wanted"),
        ));
    }
    let original = m
        .opt_size(&key("scaling.original_context_length"))?
        .unwrap_or(max_len);
    let attention_factor = m.opt_f64(&key("scaling.attn_factor"))?.unwrap_or(1.0);
    match m.opt_str(&key("scaling.type"))? {
        None if factor == 1.0 => Ok(RopeScaling::None),
        Some("none") => Ok(RopeScaling::None),
        None | Some("linear") => Ok(RopeScaling::Linear { factor }),
        // ggml multiplies cos and sin by 1 + 0.1·ln(factor) on top of `attn_factor`.
        Some("yarn") => Ok(RopeScaling::Yarn(Yarn {
            factor,
            original,
            beta_fast: m.opt_f64(&key("scaling.yarn_beta_fast"))?.unwrap_or(32.0),
            beta_slow: m.opt_f64(&key("scaling.yarn_beta_slow"))?.unwrap_or(1.0),
            attention_factor: attention_factor * (1.0 + 0.1 * factor.ln()),
            truncate: true,
        })),
        Some(other) => Err(m.error(&key("scaling.type"), format!("{other} is not supported"))),
    }
}

/// The metadata of a decoder of the common shape.
pub(super) fn metadata(spec: &Spec, arch: &str) -> Map<String, Value> {
    let a = &spec.attention;
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| {
        map.insert(format!("{arch}.{name}"), value);
    };
    put("context_length", json!(spec.max_len));
    put("embedding_length", json!(spec.hidden_size));
    put("block_count", json!(spec.n_layers));
    put("feed_forward_length", json!(spec.ffn.inner));
    put("attention.head_count", json!(a.n_heads));
    put("attention.head_count_kv", json!(a.kv_heads));
    put("attention.key_length", json!(a.head_dim));
    put("attention.value_length", json!(a.head_dim));
    put("attention.layer_norm_rms_epsilon", json!(spec.norm.eps));
    put("vocab_size", json!(spec.vocab_size));
    if let Window::All(window) = a.window {
        put("attention.sliding_window", json!(window));
    }
    let Some(rope) = spec.position.rope() else {
        return map;
    };
    put("rope.dimension_count", json!(rope.rotary_dim));
    put("rope.freq_base", json!(rope.theta));
    match &rope.scaling {
        RopeScaling::Linear { factor } => {
            put("rope.scaling.type", json!("linear"));
            put("rope.scaling.factor", json!(factor));
        }
        RopeScaling::Yarn(yarn) => {
            put("rope.scaling.type", json!("yarn"));
            put("rope.scaling.factor", json!(yarn.factor));
            put("rope.scaling.original_context_length", json!(yarn.original));
            put(
                "rope.scaling.attn_factor",
                json!(yarn.attention_factor / (1.0 + 0.1 * yarn.factor.ln())),
            );
        }
        // Written as the tensor `rope_freqs`, or with no counterpart in llama.cpp.
        RopeScaling::None
        | RopeScaling::Dynamic { .. }
        | RopeScaling::PromptNtk { .. }
        | RopeScaling::Llama3 { .. }
        | RopeScaling::Divisors(_) => {}
    }
    map
}

/// llama.cpp's tensor names, which are the canonical ones.
pub(super) fn tensors() -> TensorTable {
    TensorTable::new(
        [
            "token_embd",
            "blk.{}.attn_norm",
            "blk.{}.attn_q",
            "blk.{}.attn_k",
            "blk.{}.attn_v",
            "blk.{}.attn_output",
            "blk.{}.attn_q_norm",
            "blk.{}.attn_k_norm",
            "blk.{}.ffn_norm",
            "blk.{}.ffn_gate",
            "blk.{}.ffn_up",
            "blk.{}.ffn_down",
            "output_norm",
            "output",
            "rope_freqs",
        ]
        .map(|name| Rule::same(name, name))
        .to_vec(),
    )
}
