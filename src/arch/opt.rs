//! OPT: learned positions that begin at row 2, ReLU; the 350M has its norms after each branch and
//! narrower embeddings. Reference: `modeling_opt.py` of `transformers`.

use serde_json::json;

use super::{gpt2, llama, model_type_is, *};

pub const FAMILY: Family = Family {
    name: "opt",
    detect: |c| model_type_is(c, &["opt"]),
    declare,
    tensors: |_| TensorTable {
        rules: vec![
            Rule::same("decoder.embed_tokens", "token_embd"),
            Rule::same("decoder.embed_positions", "position_embd"),
            Rule::same("decoder.project_in", "token_embd_in"),
            Rule::same("decoder.layers.{}.self_attn_layer_norm", "blk.{}.attn_norm"),
            Rule::same("decoder.layers.{}.self_attn.q_proj", "blk.{}.attn_q"),
            Rule::same("decoder.layers.{}.self_attn.k_proj", "blk.{}.attn_k"),
            Rule::same("decoder.layers.{}.self_attn.v_proj", "blk.{}.attn_v"),
            Rule::same("decoder.layers.{}.self_attn.out_proj", "blk.{}.attn_output"),
            Rule::same("decoder.layers.{}.final_layer_norm", "blk.{}.ffn_norm"),
            Rule::same("decoder.layers.{}.fc1", "blk.{}.ffn_up"),
            Rule::same("decoder.layers.{}.fc2", "blk.{}.ffn_down"),
            Rule::same("decoder.final_layer_norm", "output_norm"),
            Rule::same("decoder.project_out", "output_in"),
            Rule::same("lm_head", "output"),
        ],
        optional_prefix: Some("model."),
        ignored: vec![],
    },
    // llama.cpp does not know it.
    gguf: None,
};

const HARMLESS: &[&str] = &[
    "activation_dropout",
    "dropout",
    "init_std",
    "layerdrop",
    // Of the training code's conversion.
    "learned_embeddings",
    "output_projection",
    // What the tokenizer puts in front.
    "prefix",
];

/// The first two rows of the position table stand for padding.
const OFFSET: usize = 2;

fn declare(c: &Config) -> Result<Spec> {
    let max_len = c.size("max_position_embeddings")?;
    let mut spec = gpt2::decoder(
        c,
        "opt",
        gpt2::Sizes {
            vocab_size: c.size("vocab_size")?,
            hidden_size: c.size("hidden_size")?,
            n_layers: c.count("num_hidden_layers")?,
            n_heads: c.count("num_attention_heads")?,
            max_len,
            eps: 1e-5,
        },
        Position::Learned {
            rows: max_len + OFFSET,
            offset: OFFSET,
        },
    )?;
    spec.ffn.inner = c.size("ffn_dim")?;
    spec.ffn.activation = match c.get("activation_function") {
        Some(_) => llama::activation(c, "activation_function")?,
        None => Activation::Relu,
    };
    spec.embedding.width = c
        .opt_size("word_embed_proj_dim")?
        .filter(|&width| width != spec.hidden_size);
    if c.opt_bool("do_layer_norm_before")? == Some(false) {
        spec.placement = Placement::Post;
        spec.head.norm = FinalNorm::Absent;
    }
    if c.opt_bool("_remove_final_layer_norm")? == Some(true) {
        spec.head.norm = FinalNorm::Absent;
    }
    spec.head.weight = llama::head_weight(c, HeadWeight::Tied)?;
    c.only("enable_bias", &[json!(true)])?;
    c.only("layer_norm_elementwise_affine", &[json!(true)])?;
    c.finish(HARMLESS)?;
    Ok(spec)
}
