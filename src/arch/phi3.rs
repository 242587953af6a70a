//! Phi-3 and Phi-4: LLaMA with fused projections and LongRoPE. Reference: `modeling_phi3.py` of
//! `transformers`.

use serde_json::json;

use super::{gguf_keys, llama, model_type_is, *};

pub const FAMILY: Family = Family {
    name: "phi3",
    detect: |c| model_type_is(c, &["phi3"]),
    declare: |c| {
        let mut spec = llama::decoder(c, "phi3")?;
        if let Some(window) = c.opt_size("sliding_window")? {
            spec.attention.window = Window::All(window);
        }
        // Phi-4-mini's, which the reference does not read.
        c.only("full_attn_mod", &[json!(1)])?;
        c.only("interpolate_factor", &[json!(1)])?;
        // Counts only with LongRoPE.
        c.finish(&["original_max_position_embeddings"])?;
        Ok(spec)
    },
    tensors: |spec| {
        let mut table = llama::hub_tensors();
        table.rules.extend([
            Rule::stacked(
                "model.layers.{}.self_attn.qkv_proj",
                spec.attention.qkv_rows(),
            ),
            Rule::stacked("model.layers.{}.mlp.gate_up_proj", spec.ffn.gate_up_rows()),
        ]);
        table
    },
    gguf: Some(GgufFamily {
        architecture: "phi3",
        declare: |m| gguf_keys::decoder(m, "phi3", Pairing::Half),
        metadata: |spec| gguf_keys::metadata(spec, "phi3"),
        tensors: |spec| {
            let mut table = gguf_keys::fused_tensors(spec);
            gguf_keys::fuse_gate(&mut table, spec);
            table
        },
    }),
};
