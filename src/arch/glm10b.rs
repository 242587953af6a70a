//! GLM-10B and its smaller sisters (GLM-2B, GLM-large …): GPT with learned position and block
//! positions, filling in blanks. Reference: `modeling_glm.py` of THUDM/glm-10b.

use serde_json::json;

use super::*;

pub const FAMILY: Family = Family {
    name: "glm10b",
    // Today's GLM-4 says `glm` too; only this generation has block positions.
    detect: |c| model_type_is(c, &["glm"]) && c.has("block_position_encoding"),
    declare,
    tensors: |spec| TensorTable {
        rules: vec![
            Rule::same("word_embeddings", "token_embd"),
            Rule::same("transformer.position_embeddings", "position_embd"),
            Rule::same(
                "transformer.block_position_embeddings",
                "block_position_embd",
            ),
            Rule::same("transformer.layers.{}.input_layernorm", "blk.{}.attn_norm"),
            Rule::stacked(
                "transformer.layers.{}.attention.query_key_value",
                spec.attention.qkv_rows(),
            ),
            Rule::same(
                "transformer.layers.{}.attention.dense",
                "blk.{}.attn_output",
            ),
            Rule::same(
                "transformer.layers.{}.post_attention_layernorm",
                "blk.{}.ffn_norm",
            ),
            Rule::same("transformer.layers.{}.mlp.dense_h_to_4h", "blk.{}.ffn_up"),
            Rule::same("transformer.layers.{}.mlp.dense_4h_to_h", "blk.{}.ffn_down"),
            Rule::same("transformer.final_layernorm", "output_norm"),
        ],
        optional_prefix: Some("glm."),
        ignored: vec![],
    },
    gguf: None,
};

/// Keys of the training code and of the heads that generation does not use.
const HARMLESS: &[&str] = &[
    "attention_dropout_prob",
    "attention_scale",
    "checkpoint_activations",
    "checkpoint_num_layers",
    "embedding_dropout_prob",
    "output_dropout_prob",
    "output_predict",
    "parallel_output",
    "pool_token",
    "spell_func",
];

fn declare(c: &Config) -> Result<Spec> {
    let hidden_size = c.size("hidden_size")?;
    let n_heads = c.count("num_attention_heads")?;
    let head_dim = c.head_dim("hidden_size", hidden_size, n_heads)?;
    let max_len = c.size("max_sequence_length")?;
    // No key names the marks. They stand behind the pieces: GPT-2's 50 257 in English
    // (`tokenization_glm.py`), 50 000 in Chinese.
    let vocab_size = c.size("vocab_size")?;
    let [start, blank, generate, sentence] = match vocab_size < 50_257 {
        true => [50_006, 50_003, 50_009, 50_008],
        false => [50_257, 50_260, 50_263, 50_264],
    };
    let id = |key, default| -> Result<u32> { Ok(c.opt_id(key)?.unwrap_or(default)) };
    let mask = |id| Mask {
        id,
        then: AfterMask::Stay,
    };
    let structure = Structure::Prefix(PrefixLm {
        start_id: id("sop_token_id", start)?,
        masks: vec![
            mask(id("mask_token_id", blank)?),
            mask(id("gmask_token_id", generate)?),
            mask(id("smask_token_id", sentence)?),
        ],
    });
    let spec = Spec {
        family: "glm10b",
        structure,
        vocab_size,
        hidden_size,
        n_layers: c.count("num_layers")?,
        max_len,
        embedding: Embedding::default(),
        position: Position::LearnedBlocks { rows: max_len + 1 },
        attention: Attention {
            bias: AttentionBias::All,
            ..Attention::new(n_heads, n_heads, head_dim)
        },
        norm: Norm {
            kind: NormKind::Layer,
            eps: 1e-5,
        },
        placement: Placement::Pre,
        ffn: Ffn {
            kind: FfnKind::Plain,
            inner: 4 * hidden_size,
            activation: Activation::Gelu,
            bias: true,
        },
        head: Head::new(HeadWeight::Tied),
    };
    c.only("block_position_encoding", &[json!(true)])?;
    c.only("relative_encoding", &[json!(false)])?;
    c.only("spell_length", &[])?;
    c.finish(HARMLESS)?;
    Ok(spec)
}
