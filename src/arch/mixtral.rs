//! Mixtral: Mistral with experts. Reference: `modeling_mixtral.py` of `transformers`.

use super::{gguf_keys, llama, model_type_is, *};

pub const FAMILY: Family = Family {
    name: "mixtral",
    detect: |c| model_type_is(c, &["mixtral"]),
    declare: |c| {
        let mut spec = llama::decoder(c, "mixtral")?;
        if let Some(window) = c.opt_size("sliding_window")? {
            spec.attention.window = Window::All(window);
        }
        spec.ffn.kind = FfnKind::Experts(experts(
            c,
            "num_local_experts",
            ExpertWeighting::SoftmaxRenormalized,
        )?);
        c.finish(&["router_jitter_noise"])?;
        Ok(spec)
    },
    tensors: |spec| {
        let mut table = llama::hub_tensors();
        table.rules.extend([
            Rule::same(
                "model.layers.{}.block_sparse_moe.gate",
                "blk.{}.ffn_gate_inp",
            ),
            Rule::same(
                "model.layers.{}.block_sparse_moe.experts.{}.w1",
                "blk.{}.ffn_gate_exps",
            ),
            Rule::same(
                "model.layers.{}.block_sparse_moe.experts.{}.w2",
                "blk.{}.ffn_down_exps",
            ),
            Rule::same(
                "model.layers.{}.block_sparse_moe.experts.{}.w3",
                "blk.{}.ffn_up_exps",
            ),
        ]);
        table.rules.extend(stacked_experts(spec));
        table
    },
    gguf: Some(GgufFamily {
        // It is `llama` there, which reads it.
        architecture: "llama",
        declare: |m| gguf_keys::decoder(m, "llama", Pairing::Half),
        metadata: |spec| gguf_keys::metadata(spec, "llama"),
        tensors: llama::gguf_tensors,
    }),
};

/// How many experts there are and run.
pub(super) fn experts(c: &Config, key: &str, weighting: ExpertWeighting) -> Result<Experts> {
    let count = c.count(key)?;
    let used = c.count("num_experts_per_tok")?;
    if used > count {
        return Err(c.error(
            "num_experts_per_tok",
            format!("{used} found, of {count} experts"),
        ));
    }
    Ok(Experts {
        count,
        used,
        weighting,
    })
}

/// The newer names: all experts of a layer in one tensor, gate and up stacked in each.
pub(super) fn stacked_experts(spec: &Spec) -> Vec<Rule> {
    let FfnKind::Experts(experts) = spec.ffn.kind else {
        return Vec::new();
    };
    let inner = spec.ffn.inner;
    vec![
        Rule::same("model.layers.{}.mlp.gate", "blk.{}.ffn_gate_inp"),
        Rule::interleaved(
            "model.layers.{}.mlp.experts.gate_up_proj",
            experts.count,
            [
                ("blk.{}.ffn_gate_exps.weight", inner),
                ("blk.{}.ffn_up_exps.weight", inner),
            ],
        ),
        Rule::same(
            "model.layers.{}.mlp.experts.down_proj",
            "blk.{}.ffn_down_exps.weight",
        ),
    ]
}
