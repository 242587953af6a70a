//! Qwen3's mixtures of experts. Reference: `modeling_qwen3_moe.py` of `transformers`.

use serde_json::json;

use super::{gguf_keys, llama, mixtral, model_type_is, qwen2, qwen3, *};

pub const FAMILY: Family = Family {
    name: "qwen3moe",
    detect: |c| model_type_is(c, &["qwen3_moe"]),
    declare,
    tensors: |spec| {
        let mut table = qwen3::hub_tensors();
        table.rules.extend([
            Rule::same(
                "model.layers.{}.mlp.experts.{}.gate_proj",
                "blk.{}.ffn_gate_exps",
            ),
            Rule::same(
                "model.layers.{}.mlp.experts.{}.up_proj",
                "blk.{}.ffn_up_exps",
            ),
            Rule::same(
                "model.layers.{}.mlp.experts.{}.down_proj",
                "blk.{}.ffn_down_exps",
            ),
        ]);
        table.rules.extend(mixtral::stacked_experts(spec));
        table
    },
    gguf: Some(GgufFamily {
        architecture: "qwen3moe",
        declare: |m| {
            let normalized = m.opt_bool("qwen3moe.expert_weights_norm")?;
            // Qwen3-Coder's files say that there is none.
            m.only("qwen3moe.expert_shared_feed_forward_length", &[json!(0)])?;
            let mut spec = gguf_keys::decoder(m, "qwen3moe", Pairing::Half)?;
            spec.attention.qk_norm = QkNorm::PerHead;
            if let FfnKind::Experts(experts) = &mut spec.ffn.kind {
                experts.weighting = weighting(normalized.unwrap_or(true));
            }
            Ok(spec)
        },
        metadata: |spec| {
            let mut map = gguf_keys::metadata(spec, "qwen3moe");
            if let FfnKind::Experts(experts) = spec.ffn.kind {
                let normalized = experts.weighting == ExpertWeighting::SoftmaxRenormalized;
                let key = "qwen3moe.expert_weights_norm".to_string();
                map.insert(key, json!(normalized));
            }
            map
        },
        tensors: |_| gguf_keys::tensors(),
    }),
};

fn weighting(normalized: bool) -> ExpertWeighting {
    match normalized {
        true => ExpertWeighting::SoftmaxRenormalized,
        false => ExpertWeighting::Softmax,
    }
}

fn declare(c: &Config) -> Result<Spec> {
    let mut spec = llama::decoder(c, "qwen3moe")?;
    spec.attention.qk_norm = QkNorm::PerHead;
    // The reference pays no heed to `max_window_layers`.
    spec.attention.window = qwen2::window(c, spec.n_layers, 0)?;
    let count = match c.get("num_experts") {
        Some(_) => "num_experts",
        None => "num_local_experts",
    };
    c.get("num_local_experts");
    let weighting = weighting(c.opt_bool("norm_topk_prob")?.unwrap_or(false));
    spec.ffn.kind = FfnKind::Experts(mixtral::experts(c, count, weighting)?);
    spec.ffn.inner = c.size("moe_intermediate_size")?;
    // Every layer has experts.
    c.only("decoder_sparse_step", &[json!(1)])?;
    c.only("mlp_only_layers", &[json!([])])?;
    c.only("shared_expert_intermediate_size", &[json!(0)])?;
    // Qwen3-Coder's files say what holds for all.
    c.only("use_qk_norm", &[json!(true)])?;
    c.only("qkv_bias", &[json!(false)])?;
    c.finish(&[])?;
    Ok(spec)
}
