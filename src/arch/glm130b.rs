//! GLM-130B: ChatGLM-6B's block with one-dimensional rotary positions and a gated feed-forward
//! layer, saved by several processes. References: SwissArmyTransformer 0.2.12 with THUDM/GLM-130B's
//! `generation` code; for the files, `tools/convert_tp.py` there.

use serde_json::{Map, Value, json};

use super::{chatglm, model_type_is, *};

pub const FAMILY: Family = Family {
    name: "glm130b",
    detect: |c| model_type_is(c, &["glm130b"]),
    declare,
    tensors: |spec| TensorTable {
        ignored: vec![
            "mixins.rotary-embedding.rotary_emb.inv_freq",
            "transformer.layers.{}.attention.rotary_emb.inv_freq",
        ],
        ..chatglm::tensors(spec)
    },
    gguf: None,
};

/// The files of the processes.
pub const FILES: ParallelFiles = ParallelFiles {
    pattern: "mp_rank_{}_model_states.pt",
    join: |name, _| {
        let ends = |suffixes: &[&str]| suffixes.iter().any(|s| name.ends_with(s));
        if ends(&["mlp.dense_h_to_4h.weight", "mlp.dense_h_to_4h.bias"]) {
            Join::Halves
        } else if ends(&["attention.dense.weight", "mlp.dense_4h_to_h.weight"]) {
            Join::Columns
        } else if name.contains(".query_key_value.") || name.ends_with("word_embeddings.weight") {
            Join::Rows
        } else {
            Join::Copies
        }
    },
};

/// The size of a head, which the files do not tell.
const HEAD_DIM: usize = 128;

/// The configuration that the tensors amount to: the published files come without one.
pub(super) fn bare(shapes: &Shapes) -> Option<Map<String, Value>> {
    let size = |name: &str, axis: usize| shapes.get(name)?.get(axis).copied();
    let hidden = size("transformer.word_embeddings.weight", 1)?;
    let inner = size("transformer.layers.0.mlp.dense_4h_to_h.weight", 1)?;
    let gated =
        size("transformer.layers.0.mlp.dense_h_to_4h.weight", 0)? == inner.checked_mul(2)?;
    if !gated || !hidden.is_multiple_of(HEAD_DIM) || shapes.contains_key("lm_head.weight") {
        return None;
    }
    let config = json!({
        "model_type": FAMILY.name,
        "num_layers": bare::layers(shapes, "transformer.layers."),
        "vocab_size": size("transformer.word_embeddings.weight", 0)?,
        "hidden_size": hidden,
        "inner_hidden_size": inner,
        "num_attention_heads": hidden / HEAD_DIM,
        "max_sequence_length": 2048,
        "layernorm_epsilon": 1e-5,
    });
    config.as_object().cloned()
}

fn declare(c: &Config) -> Result<Spec> {
    let base = chatglm::block(c, "glm130b")?;
    let mask = |key, default, then| -> Result<Mask> {
        let id = c.opt_id(key)?.unwrap_or(default);
        Ok(Mask { id, then })
    };
    let structure = Structure::Prefix(PrefixLm {
        start_id: c.opt_id("sop_token_id")?.unwrap_or(150_004),
        masks: vec![
            mask("gmask_token_id", 150_001, AfterMask::RunOn)?,
            mask("mask_token_id", 150_000, AfterMask::Stay)?,
            mask("smask_token_id", 150_002, AfterMask::Stay)?,
        ],
    });
    c.only("layernorm_order", &[json!("post")])?;
    c.only("position_encoding_2d", &[json!(false)])?;
    c.finish(&["tokenizer_type"])?;
    Ok(Spec {
        structure,
        placement: Placement::Deep {
            alpha: (2.0 * base.n_layers as f64).sqrt(),
        },
        ffn: Ffn {
            kind: FfnKind::Gated,
            activation: Activation::Gelu,
            ..base.ffn
        },
        head: Head {
            weight: HeadWeight::Tied,
            ..base.head
        },
        ..base
    })
}
