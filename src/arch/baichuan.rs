//! Baichuan and Baichuan-2: LLaMA with q, k and v in one matrix, with RoPE (7B) or ALiBi (13B).
//! Baichuan-2 normalizes the rows of its head (NormHead). References: `modeling_baichuan.py` of
//! baichuan-inc's four repositories.

use serde_json::json;

use super::{gguf_keys, llama, model_type_is, *};

/// The first generation.
pub const BAICHUAN: Family = Family {
    name: "baichuan",
    detect: |c| model_type_is(c, &["baichuan"]) && !is_second(c),
    declare: |c| declare(c, "baichuan"),
    tensors: |spec| hub_tensors(spec, Change::None),
    gguf: Some(GgufFamily {
        architecture: ARCHITECTURE,
        declare: gguf_declare,
        metadata: |spec| gguf_keys::metadata(spec, ARCHITECTURE),
        tensors: |spec| match spec.vocab_size {
            VOCAB2 => gguf_tensors(spec, Change::UnitRows),
            _ => gguf_tensors(spec, Change::None),
        },
    }),
};

/// The second generation.
pub const BAICHUAN2: Family = Family {
    name: "baichuan2",
    detect: |c| model_type_is(c, &["baichuan"]) && is_second(c),
    declare: |c| declare(c, "baichuan2"),
    tensors: |spec| hub_tensors(spec, Change::UnitRows),
    gguf: Some(GgufFamily {
        architecture: ARCHITECTURE,
        declare: gguf_declare,
        metadata: |spec| gguf_keys::metadata(spec, ARCHITECTURE),
        // wick's own files, known by the configuration in them, hold the head normalized.
        tensors: |spec| gguf_tensors(spec, Change::None),
    }),
};

const ARCHITECTURE: &str = "baichuan";
/// The slopes' exponent.
const MAX_BIAS: f64 = 8.0;
/// Baichuan-2's vocabulary.
const VOCAB2: usize = 125_696;

/// The generations share class names and keys. The second has a vocabulary of its own; of others
/// it is the one that names its tokenizer in `config.json`.
fn is_second(c: &Config) -> bool {
    match c.opt_size("vocab_size") {
        Ok(Some(VOCAB2)) => true,
        Ok(Some(64_000)) => false,
        _ => c.get("tokenizer_class").is_some(),
    }
}

fn declare(c: &Config, family: &'static str) -> Result<Spec> {
    let mut spec = llama::decoder(c, family)?;
    // Only the 7B names how many positions it has.
    if c.get("max_position_embeddings").is_none() {
        spec.position = Position::alibi(spec.attention.n_heads, MAX_BIAS);
    }
    c.only("num_key_value_heads", &[json!(spec.attention.n_heads)])?;
    c.finish(&["z_loss_weight"])?;
    Ok(spec)
}

fn gguf_declare(m: &Config) -> Result<Spec> {
    // llama.cpp knows the 13B by its 40 layers.
    let layers = m.count("baichuan.block_count")?;
    let max_bias = m.opt_f64("baichuan.attention.max_alibi_bias")?;
    let mut spec = gguf_keys::decoder(m, ARCHITECTURE, Pairing::Half)?;
    if layers == 40 || max_bias.is_some() {
        spec.position = Position::alibi(spec.attention.n_heads, max_bias.unwrap_or(MAX_BIAS));
    }
    Ok(spec)
}

fn hub_tensors(spec: &Spec, head: Change) -> TensorTable {
    let mut table = llama::hub_tensors();
    table.rules.push(Rule::stacked(
        "model.layers.{}.self_attn.W_pack",
        spec.attention.qkv_rows(),
    ));
    change_head(&mut table, "lm_head", head);
    table
}

/// llama.cpp turns pairs that lie side by side, and its converter permutes ALiBi's rows too.
fn gguf_tensors(spec: &Spec, head: Change) -> TensorTable {
    let mut table = llama::gguf_tensors(spec);
    change_head(&mut table, "output", head);
    table
}

fn change_head(table: &mut TensorTable, name: &str, change: Change) {
    let head = table.rules.iter_mut().find(|rule| rule.stored == name);
    if let Some(rule) = head {
        rule.change = change;
    }
}
