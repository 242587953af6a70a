//! Falcon: attention and feed-forward side by side, few key heads, no biases; Falcon-RW is its
//! ALiBi forerunner with one branch after the other. Reference: `modeling_falcon.py` of
//! `transformers`.

use serde_json::json;

use super::{gguf_keys, gpt2, llama, model_type_is, rope, *};

pub const FAMILY: Family = Family {
    name: "falcon",
    detect: |c| model_type_is(c, &["falcon", "RefinedWeb", "RefinedWebModel"]),
    declare,
    tensors: |spec| {
        let mut rules = vec![
            Rule::same("word_embeddings", "token_embd"),
            qkv(spec),
            Rule::same("h.{}.self_attention.dense", "blk.{}.attn_output"),
            Rule::same("h.{}.mlp.dense_h_to_4h", "blk.{}.ffn_up"),
            Rule::same("h.{}.mlp.dense_4h_to_h", "blk.{}.ffn_down"),
            Rule::same("ln_f", "output_norm"),
            Rule::same("lm_head", "output"),
        ];
        rules.extend(match spec.placement {
            Placement::ParallelTwoNorms => [
                Rule::same("h.{}.ln_attn", "blk.{}.attn_norm"),
                Rule::same("h.{}.ln_mlp", "blk.{}.ffn_norm"),
            ],
            _ => [
                Rule::same("h.{}.input_layernorm", "blk.{}.attn_norm"),
                Rule::same("h.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
            ],
        });
        TensorTable {
            rules,
            optional_prefix: Some("transformer."),
            ignored: vec![],
        }
    },
    gguf: Some(GgufFamily {
        architecture: "falcon",
        declare: |m| {
            let mut spec = gpt2::gguf_decoder(m, "falcon")?;
            spec.attention.bias = AttentionBias::None;
            spec.ffn.bias = false;
            spec.ffn.activation = Activation::Gelu;
            // llama.cpp tells them apart by whether the second norm is there.
            let second = "blk.0.attn_norm_2.weight";
            spec.placement = match gguf_keys::has_tensor(m, second)? {
                true => Placement::ParallelTwoNorms,
                false => Placement::Parallel,
            };
            Ok(spec)
        },
        metadata: |spec| {
            let mut map = gguf_keys::metadata(spec, "falcon");
            map.insert("falcon.tensor_data_layout".to_string(), json!("jploski"));
            map
        },
        tensors: |spec| {
            let mut table = gguf_keys::fused_tensors(spec);
            if spec.placement == Placement::ParallelTwoNorms {
                // There `attn_norm` is the one that both have.
                for rule in &mut table.rules {
                    match rule.stored {
                        "blk.{}.attn_norm" => *rule = Rule::same(rule.stored, "blk.{}.ffn_norm"),
                        "blk.{}.ffn_norm" => {
                            *rule = Rule::same("blk.{}.attn_norm_2", "blk.{}.attn_norm");
                        }
                        _ => {}
                    }
                }
            }
            table
        },
    }),
};

/// Falcon-7B stacks q, k and v; later ones go by key head, each with its queries; with a key head
/// for every query head these are the same as head by head.
fn qkv(spec: &Spec) -> Rule {
    let a = &spec.attention;
    let stored = "h.{}.self_attention.query_key_value";
    if a.kv_heads == 1 {
        return Rule::stacked(stored, a.qkv_rows());
    }
    let [q, k, v] = Attention::qkv_names();
    let queries = a.n_heads / a.kv_heads * a.head_dim;
    Rule::interleaved(
        stored,
        a.kv_heads,
        [(q, queries), (k, a.head_dim), (v, a.head_dim)],
    )
}

fn declare(c: &Config) -> Result<Spec> {
    let flag =
        |key: &str, default: bool| -> Result<bool> { Ok(c.opt_bool(key)?.unwrap_or(default)) };
    let hidden_size = c.size("hidden_size")?;
    let n_heads = gpt2::either_count(c, "num_attention_heads", "n_head")?;
    let head_dim = c.head_dim("hidden_size", hidden_size, n_heads)?;
    // The oldest files of the 40B tell it by their type only.
    let grouped = flag(
        "new_decoder_architecture",
        model_type_is(c, &["RefinedWeb"]),
    )?;
    // Either name is for grouped heads only.
    let [newer, older] = ["num_kv_heads", "n_head_kv"];
    c.opt_count(older)?;
    let groups = match c.opt_count(newer)? {
        Some(_) => newer,
        None => older,
    };
    let kv_heads = match (grouped, flag("multi_query", true)?) {
        (true, _) => c.kv_heads(groups, n_heads)?,
        (false, true) => 1,
        (false, false) => n_heads,
    };
    let max_len = c.opt_size("max_position_embeddings")?.unwrap_or(2048);
    let mut spec = gpt2::decoder(
        c,
        "falcon",
        gpt2::Sizes {
            vocab_size: c.size("vocab_size")?,
            hidden_size,
            n_layers: gpt2::either_count(c, "num_hidden_layers", "n_layer")?,
            n_heads,
            max_len,
            eps: c.opt_f64("layer_norm_epsilon")?.unwrap_or(1e-5),
        },
        position(c, [n_heads, head_dim, max_len])?,
    )?;
    spec.attention.kv_heads = kv_heads;
    let two_norms = c.opt_usize("num_ln_in_parallel_attn")?.unwrap_or(2) == 2;
    spec.placement = match (grouped, flag("parallel_attn", true)?) {
        (true, _) if two_norms => Placement::ParallelTwoNorms,
        (true, _) | (false, true) => Placement::Parallel,
        (false, false) => Placement::Pre,
    };
    if !flag("bias", false)? {
        spec.attention.bias = AttentionBias::None;
        spec.ffn.bias = false;
    }
    if let Some(inner) = c.opt_size("ffn_hidden_size")? {
        spec.ffn.inner = inner;
    }
    spec.ffn.activation = match c.get("activation") {
        Some(_) => llama::activation(c, "activation")?,
        None => Activation::Gelu,
    };
    spec.head.weight = llama::head_weight(c, HeadWeight::Tied)?;
    c.only("apply_residual_connection_post_layernorm", &[json!(false)])?;
    // `ffn_hidden_size` is what the reference reads.
    c.finish(&["ff_factor"])?;
    Ok(spec)
}

/// RoPE, or ALiBi in its place.
fn position(c: &Config, [n_heads, head_dim, max_len]: [usize; 3]) -> Result<Position> {
    let (theta, scaling) = (rope::theta(c)?, rope::scaling(c, max_len, head_dim)?);
    if c.opt_bool("alibi")? == Some(true)
        && let Position::Alibi { slopes } = Position::alibi(n_heads, 8.0)
    {
        // The bias is scaled with the scores.
        let scale = (head_dim as f32).powf(-0.5);
        return Ok(Position::RoundedAlibi { slopes, scale });
    }
    Ok(Position::Rope(Rope {
        theta,
        rotary_dim: rope::part_of(c, "hidden_size", head_dim, 1.0)?,
        pairing: Pairing::Half,
        scaling,
        decay: None,
        precision: FrequencyPrecision::F32,
    }))
}
