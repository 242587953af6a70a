//! ChatGLM-6B: a prefix LM with DeepNorm residuals. Reference: `modeling_chatglm.py` of
//! THUDM/chatglm-6b.

use serde_json::json;

use super::*;

/// ChatGLM-6B.
pub const FAMILY: Family = Family {
    name: "chatglm",
    // ChatGLM2 and ChatGLM3 have the same name and other keys.
    detect: |c| model_type_is(c, &["chatglm"]) && c.has("inner_hidden_size"),
    declare,
    tensors: |spec| TensorTable {
        ignored: vec!["transformer.layers.{}.attention.rotary_emb.inv_freq"],
        ..tensors(spec)
    },
    gguf: None,
};

/// The reference never hands the number of layers on, so its blocks take 28.
const LAYERS_IN_ALPHA: f64 = 28.0;

/// The tensors of ChatGLM-6B and GLM-130B.
pub(super) fn tensors(spec: &Spec) -> TensorTable {
    let a = &spec.attention;
    let inner = spec.ffn.inner;
    let h_to_4h = "transformer.layers.{}.mlp.dense_h_to_4h";
    TensorTable::new(vec![
        Rule::same("transformer.word_embeddings", "token_embd"),
        Rule::same("transformer.layers.{}.input_layernorm", "blk.{}.attn_norm"),
        Rule::interleaved(
            "transformer.layers.{}.attention.query_key_value",
            a.n_heads,
            Attention::qkv_names().map(|name| (name, a.head_dim)),
        ),
        Rule::same(
            "transformer.layers.{}.attention.dense",
            "blk.{}.attn_output",
        ),
        Rule::same(
            "transformer.layers.{}.post_attention_layernorm",
            "blk.{}.ffn_norm",
        ),
        match spec.ffn.kind {
            // The second half is the gate.
            FfnKind::Gated => Rule::stacked(
                h_to_4h,
                [("blk.{}.ffn_up", inner), ("blk.{}.ffn_gate", inner)],
            ),
            _ => Rule::same(h_to_4h, "blk.{}.ffn_up"),
        },
        Rule::same("transformer.layers.{}.mlp.dense_4h_to_h", "blk.{}.ffn_down"),
        Rule::same("transformer.final_layernorm", "output_norm"),
        Rule::same("lm_head", "output"),
    ])
}

/// What the blocks of ChatGLM-6B and GLM-130B share.
pub(super) fn block(c: &Config, family: &'static str) -> Result<Spec> {
    let hidden_size = c.size("hidden_size")?;
    let n_heads = c.count("num_attention_heads")?;
    let head_dim = c.head_dim("hidden_size", hidden_size, n_heads)?;
    Ok(Spec {
        family,
        structure: Structure::Causal,
        vocab_size: c.size("vocab_size")?,
        hidden_size,
        n_layers: c.count("num_layers")?,
        max_len: c.size("max_sequence_length")?,
        embedding: Embedding::default(),
        position: Position::Rope(rope(c, head_dim, 1.0)?),
        attention: Attention {
            bias: AttentionBias::All,
            ..Attention::new(n_heads, n_heads, head_dim)
        },
        norm: Norm {
            kind: NormKind::Layer,
            eps: c.opt_f64("layernorm_epsilon")?.unwrap_or(1e-5),
        },
        placement: Placement::Pre,
        ffn: Ffn {
            kind: FfnKind::Plain,
            inner: c.size("inner_hidden_size")?,
            activation: Activation::GeluTanh,
            bias: true,
        },
        head: Head::new(HeadWeight::Own),
    })
}

/// The turn of `part` of a head's dimensions.
fn rope(c: &Config, head_dim: usize, part: f64) -> Result<Rope> {
    Ok(Rope {
        theta: 10_000.0,
        rotary_dim: rope::part_of(c, "hidden_size", head_dim, part)?,
        pairing: Pairing::Half,
        scaling: RopeScaling::None,
        decay: None,
        // The reference calls `.half()` on its frequencies.
        precision: FrequencyPrecision::F16,
    })
}

fn declare(c: &Config) -> Result<Spec> {
    let base = block(c, "chatglm")?;
    // Before the revision that dropped the image tokens no key named these.
    let old = base.vocab_size == 150_528;
    let id = |key, new: u32, old_id| -> Result<u32> {
        Ok(c.opt_id(key)?.unwrap_or(if old { old_id } else { new }))
    };
    let mask = |id| Mask {
        id,
        then: AfterMask::Stay,
    };
    let structure = Structure::Prefix(PrefixLm {
        start_id: id("bos_token_id", 130_004, 150_004)?,
        masks: vec![
            mask(id("gmask_token_id", 130_001, 150_001)?),
            mask(id("mask_token_id", 130_000, 150_000)?),
        ],
    });
    c.only("position_encoding_2d", &[json!(true)])?;
    c.only("tie_word_embeddings", &[json!(false)])?;
    c.only("prefix_projection", &[json!(false)])?;
    c.only("pre_seq_len", &[])?;
    c.finish(&["quantization_bit", "quantization_embeddings"])?;
    Ok(Spec {
        structure,
        position: Position::Rope2d(rope(c, base.attention.head_dim, 0.5)?),
        placement: Placement::Deep {
            alpha: (2.0 * LAYERS_IN_ALPHA).sqrt(),
        },
        ..base
    })
}
