//! Qwen3: LLaMA with a norm on each head's query and key. Reference: `modeling_qwen3.py` of
//! `transformers`.

use super::{
    Family, GgufFamily, Pairing, QkNorm, Rule, TensorTable, gguf_keys, llama, model_type_is, qwen2,
};

pub const FAMILY: Family = Family {
    name: "qwen3",
    detect: |c| model_type_is(c, &["qwen3"]),
    declare: |c| {
        let mut spec = llama::decoder(c, "qwen3")?;
        spec.attention.qk_norm = QkNorm::PerHead;
        spec.attention.window = qwen2::window(c, spec.n_layers, qwen2::first_windowed(c)?)?;
        c.finish(&[])?;
        Ok(spec)
    },
    tensors: |_| hub_tensors(),
    gguf: Some(GgufFamily {
        architecture: "qwen3",
        declare: |m| {
            let mut spec = gguf_keys::decoder(m, "qwen3", Pairing::Half)?;
            spec.attention.qk_norm = QkNorm::PerHead;
            Ok(spec)
        },
        metadata: |spec| gguf_keys::metadata(spec, "qwen3"),
        tensors: |_| gguf_keys::tensors(),
    }),
};

pub(super) fn hub_tensors() -> TensorTable {
    let mut table = llama::hub_tensors();
    table.rules.extend([
        Rule::same("model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"),
        Rule::same("model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"),
    ]);
    table
}
