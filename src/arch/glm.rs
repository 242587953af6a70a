//! GLM-4 as `transformers` has it: the 9B of 2024 (`glm`) and the models of 2025 (`glm4`, with
//! norms after each branch too). Half of each head turns, in interleaved pairs; gate and up are
//! one matrix. References: `modeling_glm.py` and `modeling_glm4.py` of `transformers`.

use super::{gguf_keys, llama, model_type_is, rope, *};

pub const GLM: Family = Family {
    name: "glm4-9b",
    // GLM-10B says `glm` too.
    detect: |c| model_type_is(c, &["glm"]) && !c.has("block_position_encoding"),
    declare: |c| declare(c, "glm4-9b", Placement::Pre),
    tensors: hub_tensors,
    gguf: Some(GgufFamily {
        architecture: "chatglm",
        // Whether q, k and v have biases is for the tensors to tell.
        declare: |m| gguf_keys::decoder(m, "chatglm", Pairing::Interleaved),
        metadata: |spec| gguf_keys::metadata(spec, "chatglm"),
        tensors: |spec| {
            let mut table = gguf_keys::fused_tensors(spec);
            gguf_keys::fuse_gate(&mut table, spec);
            table
        },
    }),
};

pub const GLM4: Family = Family {
    name: "glm4",
    detect: |c| model_type_is(c, &["glm4"]),
    declare: |c| declare(c, "glm4", Placement::Sandwich),
    tensors: |spec| {
        let mut table = hub_tensors(spec);
        table.rules.extend([
            Rule::same(
                "model.layers.{}.post_self_attn_layernorm",
                "blk.{}.post_attention_norm",
            ),
            Rule::same("model.layers.{}.post_mlp_layernorm", "blk.{}.post_ffw_norm"),
        ]);
        table
    },
    gguf: Some(GgufFamily {
        architecture: "glm4",
        declare: |m| {
            let mut spec = gguf_keys::decoder(m, "glm4", Pairing::Interleaved)?;
            spec.placement = Placement::Sandwich;
            Ok(spec)
        },
        metadata: |spec| gguf_keys::metadata(spec, "glm4"),
        tensors: |spec| {
            let mut table = gguf_keys::tensors();
            gguf_keys::fuse_gate(&mut table, spec);
            table
        },
    }),
};

fn declare(c: &Config, family: &'static str, placement: Placement) -> Result<Spec> {
    let mut spec = llama::decoder(c, family)?;
    if let Position::Rope(rope) = &mut spec.position {
        rope.pairing = Pairing::Interleaved;
        rope.rotary_dim = rope::rotary_dim(c, spec.attention.head_dim, 0.5)?;
    }
    // The output projection has none.
    if spec.attention.bias == AttentionBias::All {
        spec.attention.bias = AttentionBias::Qkv;
    }
    spec.placement = placement;
    c.finish(&[])?;
    Ok(spec)
}

fn hub_tensors(spec: &Spec) -> TensorTable {
    let mut table = llama::hub_tensors();
    table.rules.push(Rule::stacked(
        "model.layers.{}.mlp.gate_up_proj",
        spec.ffn.gate_up_rows(),
    ));
    table
}
