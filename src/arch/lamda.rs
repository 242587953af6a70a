//! LaMDA, the decoder that FLAN was tuned from, in its open re-implementation: LayerNorm before
//! each branch, one key head, relative position biases in every layer, GEGLU. Reference:
//! `lamda_pytorch.py` of conceptofmind/LaMDA-rlhf-pytorch. The configuration's keys are wick's,
//! named as the reference's constructor names them.

use super::*;

pub const FAMILY: Family = Family {
    name: "lamda",
    detect: |c| model_type_is(c, &["lamda"]),
    declare,
    tensors: |spec| {
        let a = &spec.attention;
        let inner = spec.ffn.inner;
        let [_, k, v] = a.qkv_rows();
        TensorTable::new(vec![
            Rule::same("token_emb", "token_embd"),
            Rule::same("transformer.layers.{}.0.fn.norm", "blk.{}.attn_norm"),
            Rule::same("transformer.layers.{}.0.fn.fn.to_q", "blk.{}.attn_q"),
            Rule::stacked("transformer.layers.{}.0.fn.fn.to_kv", [k, v]),
            Rule::same("transformer.layers.{}.0.fn.fn.to_out", "blk.{}.attn_output"),
            Rule::same(
                "transformer.layers.{}.0.fn.fn.rel_pos_bias.relative_attention_bias",
                "blk.{}.attn_rel_b",
            ),
            Rule::same("transformer.layers.{}.1.fn.norm", "blk.{}.ffn_norm"),
            // The gate is the second half.
            Rule::stacked(
                "transformer.layers.{}.1.fn.fn.net.0",
                [("blk.{}.ffn_up", inner), ("blk.{}.ffn_gate", inner)],
            ),
            Rule::same("transformer.layers.{}.1.fn.fn.net.3", "blk.{}.ffn_down"),
            Rule::same("to_logits.0", "output_norm"),
            Rule::same("to_logits.1", "output"),
        ])
    },
    gguf: None,
};

fn declare(c: &Config) -> Result<Spec> {
    let hidden_size = c.size("dim")?;
    // The reference hands its two arguments on in the wrong order.
    let n_heads = c.count("dim_head")?;
    let head_dim = c.size("heads")?;
    let spec = Spec {
        family: "lamda",
        structure: Structure::Causal,
        vocab_size: c.size("num_tokens")?,
        hidden_size,
        n_layers: c.count("depth")?,
        max_len: c.opt_size("max_length")?.unwrap_or(1024),
        embedding: Embedding::default(),
        position: Position::Relative(RelativeBias {
            n_buckets: 32,
            max_distance: 128,
            tables: BiasTables::Each,
            scale: (head_dim as f32).sqrt(),
        }),
        attention: Attention {
            bias: AttentionBias::Output,
            ..Attention::new(n_heads, 1, head_dim)
        },
        norm: Norm {
            kind: NormKind::Layer,
            eps: 1e-5,
        },
        placement: Placement::Pre,
        ffn: Ffn {
            kind: FfnKind::Gated,
            inner: 4 * hidden_size,
            activation: Activation::Gelu,
            bias: true,
        },
        head: Head {
            bias: true,
            ..Head::new(HeadWeight::Own)
        },
    };
    c.finish(&["_note"])?;
    Ok(spec)
}
