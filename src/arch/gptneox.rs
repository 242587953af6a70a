//! GPT-NeoX and Pythia: attention and feed-forward side by side, each with its norm, RoPE on a
//! quarter of each head. Reference: `modeling_gpt_neox.py` of `transformers`.

use serde_json::json;

use super::{gguf_keys, gpt2, llama, model_type_is, rope, *};

pub const FAMILY: Family = Family {
    name: "gptneox",
    detect: |c| model_type_is(c, &["gpt_neox"]),
    declare,
    tensors: |spec| {
        let a = &spec.attention;
        TensorTable {
            rules: vec![
                Rule::same("gpt_neox.embed_in", "token_embd"),
                Rule::same("gpt_neox.layers.{}.input_layernorm", "blk.{}.attn_norm"),
                Rule::interleaved(
                    "gpt_neox.layers.{}.attention.query_key_value",
                    a.n_heads,
                    Attention::qkv_names().map(|name| (name, a.head_dim)),
                ),
                Rule::same("gpt_neox.layers.{}.attention.dense", "blk.{}.attn_output"),
                Rule::same(
                    "gpt_neox.layers.{}.post_attention_layernorm",
                    "blk.{}.ffn_norm",
                ),
                Rule::same("gpt_neox.layers.{}.mlp.dense_h_to_4h", "blk.{}.ffn_up"),
                Rule::same("gpt_neox.layers.{}.mlp.dense_4h_to_h", "blk.{}.ffn_down"),
                Rule::same("gpt_neox.final_layer_norm", "output_norm"),
                Rule::same("embed_out", "output"),
            ],
            optional_prefix: None,
            // Causal masks and frequencies.
            ignored: vec![
                "gpt_neox.layers.{}.attention.bias",
                "gpt_neox.layers.{}.attention.masked_bias",
                "gpt_neox.layers.{}.attention.rotary_emb.inv_freq",
            ],
        }
    },
    gguf: Some(GgufFamily {
        architecture: "gptneox",
        declare: |m| {
            let parallel = m.opt_bool("gptneox.use_parallel_residual")?;
            let mut spec = gpt2::gguf_decoder(m, "gptneox")?;
            spec.placement = placement(parallel);
            spec.ffn.activation = Activation::Gelu;
            Ok(spec)
        },
        metadata: |spec| {
            let mut map = gguf_keys::metadata(spec, "gptneox");
            let parallel = spec.placement == Placement::ParallelTwoNorms;
            map.insert("gptneox.use_parallel_residual".to_string(), json!(parallel));
            map
        },
        tensors: gguf_keys::fused_tensors,
    }),
};

fn placement(parallel: Option<bool>) -> Placement {
    match parallel {
        Some(false) => Placement::Pre,
        _ => Placement::ParallelTwoNorms,
    }
}

const BASE: &str = "rotary_emb_base";

fn declare(c: &Config) -> Result<Spec> {
    let max_len = c.size("max_position_embeddings")?;
    let hidden_size = c.size("hidden_size")?;
    let n_heads = c.count("num_attention_heads")?;
    let head_dim = c.head_dim("hidden_size", hidden_size, n_heads)?;
    // Older files have names of their own for base and part; some have both names.
    let newer = rope::theta(c)?;
    let theta = match c.opt_f64(BASE)? {
        None => newer,
        base => rope::checked_theta(c, BASE, base)?,
    };
    let part = c.opt_f64("rotary_pct")?;
    let rotary_dim = rope::rotary_dim(c, head_dim, part.unwrap_or(0.25))?;
    let position = Position::Rope(Rope {
        theta,
        rotary_dim,
        pairing: Pairing::Half,
        scaling: rope::scaling(c, max_len, rotary_dim)?,
        decay: None,
        precision: FrequencyPrecision::F32,
    });
    let mut spec = gpt2::decoder(
        c,
        "gptneox",
        gpt2::Sizes {
            vocab_size: c.size("vocab_size")?,
            hidden_size,
            n_layers: c.count("num_hidden_layers")?,
            n_heads,
            max_len,
            eps: c.opt_f64("layer_norm_eps")?.unwrap_or(1e-5),
        },
        position,
    )?;
    spec.placement = placement(c.opt_bool("use_parallel_residual")?);
    spec.ffn.inner = c.size("intermediate_size")?;
    spec.ffn.activation = match c.get("hidden_act") {
        Some(_) => llama::activation(c, "hidden_act")?,
        None => Activation::Gelu,
    };
    if c.opt_bool("attention_bias")? == Some(false) {
        spec.attention.bias = AttentionBias::None;
    }
    spec.head.weight = llama::head_weight(c, HeadWeight::Own)?;
    c.finish(&["attention_probs_dropout_prob", "num_steps"])?;
    Ok(spec)
}
