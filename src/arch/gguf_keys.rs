//! What most GGUF architectures share: metadata keys and tensor names. Source: `gguf-py`'s
//! `constants.py`.

use serde_json::{Map, Value, json};

use super::*;

/// Under this key families find the names of the file's tensors, for what only they tell.
pub const TENSORS: &str = "tensors";

/// Keys under the architecture's prefix that say nothing new.
const HARMLESS: &[&str] = &[
    "vocab_size",
    "rope.scaling.finetuned",
    // llama.cpp reads it and puts its own number in its place.
    "rope.scaling.yarn_attn_factor",
    "attention.value_length",
    "tensor_data_layout",
    // The converters of early 2024 wrote it for all; GPT-NeoX, whose key it is, reads it.
    "use_parallel_residual",
];

/// Tensors that belong to the declaration: the loader gives their numbers under their names.
pub const FACTORS: [&str; 2] = ["rope_factors_long.weight", "rope_factors_short.weight"];

/// The declaration of a decoder of the common shape (norm before each branch, RoPE, gated SiLU or
/// a mixture of such) from the metadata `{arch}.*`. What is different is the caller's to change;
/// keys of its own it must read first.
pub(super) fn decoder(m: &Config, arch: &'static str, pairing: Pairing) -> Result<Spec> {
    let key = |name: &str| format!("{arch}.{name}");
    let hidden_size = m.size(&key("embedding_length"))?;
    let n_heads = m.count(&key("attention.head_count"))?;
    let kv_heads = m.kv_heads(&key("attention.head_count_kv"), n_heads)?;
    let head_dim = match m.opt_size(&key("attention.key_length"))? {
        Some(d) => d,
        None => m.head_dim(&key("embedding_length"), hidden_size, n_heads)?,
    };
    m.only(&key("attention.value_length"), &[json!(head_dim)])?;
    let experts = experts(m, arch)?;
    let inner = match (experts, m.opt_size(&key("expert_feed_forward_length"))?) {
        (Some(_), Some(inner)) => inner,
        _ => m.size(&key("feed_forward_length"))?,
    };
    m.get(&key("feed_forward_length"));
    let max_len = m.size(&key("context_length"))?;
    let spec = Spec {
        family: arch,
        structure: Structure::Causal,
        vocab_size: vocab_size(m, arch)?,
        hidden_size,
        n_layers: m.count(&key("block_count"))?,
        max_len,
        embedding: Embedding::default(),
        position: Position::Rope(rotary(m, arch, [head_dim, max_len], pairing)?),
        attention: Attention {
            // Phi-4's files say 0 for none.
            window: match m.opt_usize(&key("attention.sliding_window"))? {
                None | Some(0) => Window::Unlimited,
                Some(w) => Window::All(w),
            },
            ..Attention::new(n_heads, kv_heads, head_dim)
        },
        norm: match m.opt_f64(&key("attention.layer_norm_epsilon"))? {
            Some(eps) => Norm {
                kind: NormKind::Layer,
                eps,
            },
            None => Norm {
                kind: NormKind::Rms,
                eps: m.f64(&key("attention.layer_norm_rms_epsilon"))?,
            },
        },
        placement: Placement::Pre,
        ffn: Ffn {
            kind: experts.map_or(FfnKind::Gated, FfnKind::Experts),
            inner,
            activation: Activation::Silu,
            bias: false,
        },
        // Whether `output.weight` is there decides; the loader looks.
        head: Head::new(HeadWeight::Own),
    };
    m.finish_prefix(&format!("{arch}."), HARMLESS)?;
    Ok(spec)
}

/// The mixture of experts, if it is one.
fn experts(m: &Config, arch: &str) -> Result<Option<Experts>> {
    let key = |name: &str| format!("{arch}.{name}");
    let used = m.opt_usize(&key("expert_used_count"))?.unwrap_or(0);
    if matches!(m.opt_usize(&key("expert_count"))?, None | Some(0)) {
        return Ok(None);
    }
    let count = m.count(&key("expert_count"))?;
    if used == 0 || used > count {
        return Err(m.error(
            &key("expert_used_count"),
            format!("{used} found, 1 to {count} wanted"),
        ));
    }
    Ok(Some(Experts {
        count,
        used,
        weighting: ExpertWeighting::SoftmaxRenormalized,
    }))
}

/// The vocabulary's size: its own key or the length of the token list.
fn vocab_size(m: &Config, arch: &str) -> Result<usize> {
    match m.opt_size("tokenizer.ggml.tokens.length")? {
        Some(n) => Ok(n),
        None => m.size(&format!("{arch}.vocab_size")),
    }
}

/// The rotary embedding; what it turns is a part of a head that can be divided into pairs.
fn rotary(
    m: &Config,
    arch: &str,
    [head_dim, max_len]: [usize; 2],
    pairing: Pairing,
) -> Result<Rope> {
    let key = |name: &str| format!("{arch}.rope.{name}");
    let base = key("freq_base");
    let rotary_dim = match m.opt_size(&key("dimension_count"))? {
        Some(dim) if dim > head_dim || !dim.is_multiple_of(2) => {
            return Err(m.error(
                &key("dimension_count"),
                format!("{dim} found, an even number up to the {head_dim} of a head wanted"),
            ));
        }
        // The architecture may have no RoPE: that a whole head is in pairs, loading checks.
        dim => dim.unwrap_or(head_dim),
    };
    Ok(Rope {
        theta: rope::checked_theta(m, &base, m.opt_f64(&base)?)?,
        rotary_dim,
        pairing,
        scaling: rope_scaling(m, arch, max_len, rotary_dim)?,
        decay: None,
        precision: FrequencyPrecision::F32,
    })
}

fn rope_scaling(m: &Config, arch: &str, max_len: usize, rotary_dim: usize) -> Result<RopeScaling> {
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
    m.only(&key("scaling.yarn_ext_factor"), &[json!(1.0), json!(1)])?;
    let kind = m.opt_str(&key("scaling.type"))?;
    let [long, short] = FACTORS.map(|name| factors(m, name, rotary_dim / 2));
    if let (Some(long), Some(short)) = (long?, short?) {
        return Ok(RopeScaling::Long(LongRope {
            short,
            long,
            original,
            attention_factor,
        }));
    }
    match kind {
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

/// LongRoPE's divisors, which are in a tensor.
fn factors(m: &Config, name: &str, wanted: usize) -> Result<Option<Vec<f32>>> {
    let Some(values) = m.opt_f64s(name)? else {
        return Ok(None);
    };
    let usable = values.iter().all(|v| v.is_finite() && *v > 0.0);
    if values.len() != wanted || !usable {
        let message = format!("{} found, {wanted} positive numbers wanted", values.len());
        return Err(m.error(name, message));
    }
    Ok(Some(values.into_iter().map(|v| v as f32).collect()))
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
    if let FfnKind::Experts(experts) = spec.ffn.kind {
        put("expert_feed_forward_length", json!(spec.ffn.inner));
        put("expert_count", json!(experts.count));
        put("expert_used_count", json!(experts.used));
    }
    put("attention.head_count", json!(a.n_heads));
    put("attention.head_count_kv", json!(a.kv_heads));
    put("attention.key_length", json!(a.head_dim));
    put("attention.value_length", json!(a.head_dim));
    let eps = match spec.norm.kind {
        NormKind::Rms => "attention.layer_norm_rms_epsilon",
        _ => "attention.layer_norm_epsilon",
    };
    put(eps, json!(spec.norm.eps));
    if let Some(clip) = a.clip {
        put("attention.clamp_kqv", json!(clip));
    }
    if let Some(cap) = a.softcap {
        put("attn_logit_softcapping", json!(cap));
    }
    if let Some(cap) = spec.head.softcap {
        put("final_logit_softcapping", json!(cap));
    }
    if let Position::Alibi { slopes } = &spec.position
        && let Some(last) = slopes.get((1 << a.n_heads.ilog2()) - 1)
    {
        put("attention.max_alibi_bias", json!(-last.log2().round()));
    }
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
            put("rope.scaling.yarn_beta_fast", json!(yarn.beta_fast));
            put("rope.scaling.yarn_beta_slow", json!(yarn.beta_slow));
        }
        // The divisors are tensors.
        RopeScaling::Long(long) => {
            put("rope.scaling.type", json!("longrope"));
            put("rope.scaling.original_context_length", json!(long.original));
            put("rope.scaling.attn_factor", json!(long.attention_factor));
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

/// Whether the file has a tensor of this name; the loader adds the list to the metadata.
pub(super) fn has_tensor(m: &Config, name: &str) -> Result<bool> {
    let names = m.opt_strs(TENSORS)?.unwrap_or_default();
    Ok(names.contains(&name))
}

/// llama.cpp's tensor names, which are the canonical ones.
pub(super) fn tensors() -> TensorTable {
    let mut table = TensorTable::new(
        [
            "token_embd",
            "token_embd_norm",
            "position_embd",
            "blk.{}.attn_norm",
            "blk.{}.attn_q",
            "blk.{}.attn_k",
            "blk.{}.attn_v",
            "blk.{}.attn_output",
            "blk.{}.attn_q_norm",
            "blk.{}.attn_k_norm",
            "blk.{}.post_attention_norm",
            "blk.{}.ffn_norm",
            "blk.{}.ffn_gate",
            "blk.{}.ffn_up",
            "blk.{}.ffn_down",
            "blk.{}.ffn_gate_inp",
            "blk.{}.ffn_gate_exps",
            "blk.{}.ffn_up_exps",
            "blk.{}.ffn_down_exps",
            "blk.{}.post_ffw_norm",
            "output_norm",
            "output",
            "rope_freqs",
        ]
        .map(|name| Rule::same(name, name))
        .to_vec(),
    );
    // The experts of the first Mixtrals' files, one by one.
    table.rules.extend([
        Rule::same("blk.{}.ffn_gate.{}", "blk.{}.ffn_gate_exps"),
        Rule::same("blk.{}.ffn_up.{}", "blk.{}.ffn_up_exps"),
        Rule::same("blk.{}.ffn_down.{}", "blk.{}.ffn_down_exps"),
    ]);
    table.ignored = FACTORS.to_vec();
    table
}

/// These with q, k and v stacked in one.
pub(super) fn fused_tensors(spec: &Spec) -> TensorTable {
    let mut table = tensors();
    let fused = Rule::stacked("blk.{}.attn_qkv", spec.attention.qkv_rows());
    // In front, so that it is the one that is written; files that keep them apart load too.
    table.rules.insert(0, fused);
    table
}

/// Puts the gate's rows before those of `ffn_up`, in one tensor of that name.
pub(super) fn fuse_gate(table: &mut TensorTable, spec: &Spec) {
    table
        .rules
        .retain(|rule| !matches!(rule.stored, "blk.{}.ffn_gate" | "blk.{}.ffn_up"));
    table
        .rules
        .push(Rule::stacked("blk.{}.ffn_up", spec.ffn.gate_up_rows()));
}
