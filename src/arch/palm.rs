//! PaLM in its open re-implementations: attention and feed-forward side by side from one norm,
//! one key head, xPos, SwiGLU. Reference: `palm_rlhf_pytorch/palm.py`. The configuration's keys
//! are wick's: the published file is a bare state dict.

use serde_json::{Map, Value, json};

use super::*;

/// xPos's base in the reference.
const XPOS_BASE: f64 = 512.0;
/// The feed-forward layer is this many times wider.
const FFN_FACTOR: usize = 4;

pub const FAMILY: Family = Family {
    name: "palm",
    detect: |c| model_type_is(c, &["palm"]),
    declare,
    tensors: |spec| {
        let a = &spec.attention;
        let inner = spec.ffn.inner;
        let unit_offset = spec.norm.kind == NormKind::LayerNoBiasPlusOne;
        let norm = |stored, canonical| match unit_offset {
            true => Rule::same(stored, canonical).plus_one(),
            false => Rule::same(stored, canonical),
        };
        let [q, k, v] = a.qkv_rows();
        TensorTable {
            rules: vec![
                Rule::same("token_emb", "token_embd"),
                norm("layers.{}.fn.norm.gamma", "blk.{}.attn_norm.weight"),
                // The gate is the second half.
                Rule::stacked(
                    "layers.{}.fn.fused_attn_ff_proj",
                    [
                        q,
                        k,
                        v,
                        ("blk.{}.ffn_up", inner),
                        ("blk.{}.ffn_gate", inner),
                    ],
                ),
                Rule::same("layers.{}.fn.attn_out", "blk.{}.attn_output"),
                // The module's number depends on whether dropout stands before it.
                Rule::same("layers.{}.fn.ff_out.1", "blk.{}.ffn_down"),
                Rule::same("layers.{}.fn.ff_out.2", "blk.{}.ffn_down"),
                norm("norm.gamma", "output_norm.weight"),
                Rule::same("to_logits", "output"),
            ],
            optional_prefix: Some("module."),
            ignored: vec![
                "layers.{}.fn.norm.beta",
                "norm.beta",
                "layers.{}.fn.rotary_emb.inv_freq",
                "layers.{}.fn.rotary_emb.scale",
            ],
        }
    },
    gguf: None,
};

/// The configuration that the tensors amount to: the published files come without one. Norms are
/// read as the reference of that time (2023) wrote them.
pub(super) fn bare(shapes: &Shapes) -> Option<Map<String, Value>> {
    let wrapped = shapes.contains_key("module.token_emb.weight");
    let prefix = if wrapped { "module." } else { "" };
    let size = |name: &str, axis: usize| {
        let name = format!("{prefix}{name}.weight");
        shapes.get(&name)?.get(axis).copied()
    };
    let dim = size("token_emb", 1)?;
    // Rows of q, k, v and both halves of the feed-forward layer; columns of q.
    let fused = size("layers.0.fn.fused_attn_ff_proj", 0)?;
    let queries = size("layers.0.fn.attn_out", 1)?;
    let dim_head = fused.checked_sub(queries.checked_add(dim.checked_mul(2 * FFN_FACTOR)?)?)? / 2;
    if dim_head == 0 {
        return None;
    }
    let config = json!({
        "model_type": FAMILY.name,
        "num_tokens": size("token_emb", 0)?,
        "dim": dim,
        "depth": bare::layers(shapes, &format!("{prefix}layers.")),
        "dim_head": dim_head,
        "heads": queries / dim_head,
        "layernorm_unit_offset": false,
    });
    config.as_object().cloned()
}

fn declare(c: &Config) -> Result<Spec> {
    let hidden_size = c.size("dim")?;
    let head_dim = c.opt_size("dim_head")?.unwrap_or(64);
    let max_len = c.opt_size("max_length")?.unwrap_or(8192);
    let spec = Spec {
        family: "palm",
        structure: Structure::Causal,
        vocab_size: c.size("num_tokens")?,
        hidden_size,
        n_layers: c.count("depth")?,
        max_len,
        embedding: Embedding::default(),
        position: Position::Rope(Rope {
            theta: 10_000.0,
            rotary_dim: rope::part_of(c, "dim_head", head_dim, 1.0)?,
            pairing: Pairing::Half,
            scaling: RopeScaling::None,
            decay: Some(Decay {
                base: XPOS_BASE,
                center: max_len / 2,
            }),
            precision: FrequencyPrecision::F32,
        }),
        attention: Attention::new(c.count("heads")?, 1, head_dim),
        norm: Norm {
            kind: match c.opt_bool("layernorm_unit_offset")? {
                Some(true) => NormKind::LayerNoBiasPlusOne,
                _ => NormKind::LayerNoBias,
            },
            eps: 1e-5,
        },
        placement: Placement::Parallel,
        ffn: Ffn {
            kind: FfnKind::Gated,
            inner: FFN_FACTOR * hidden_size,
            activation: Activation::Silu,
            bias: false,
        },
        head: Head::new(HeadWeight::Tied),
    };
    c.only("flash_attn", &[json!(true), json!(false)])?;
    c.only("use_xpos", &[json!(true)])?;
    c.only("qk_rmsnorm", &[json!(false)])?;
    c.finish(&["_note"])?;
    Ok(spec)
}
