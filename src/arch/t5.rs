//! T5, T5 v1.1, FLAN-T5, mT5 and UMT5: encoder and decoder with relative position biases, RMSNorm
//! before each branch, unscaled scores. References: `modeling_t5.py`, `modeling_mt5.py` and
//! `modeling_umt5.py` of `transformers`.

use serde_json::{Map, Value, json};

use super::{gguf_keys, model_type_is, *};

pub const FAMILY: Family = Family {
    name: "t5",
    detect: |c| model_type_is(c, &["t5", "mt5", "umt5"]),
    declare,
    tensors: |_| TensorTable {
        rules: [rules("encoder", "enc"), rules("decoder", "dec")]
            .concat()
            .into_iter()
            .chain([
                Rule::same("shared", "token_embd")
                    .or_instead(&["decoder.embed_tokens", "encoder.embed_tokens"]),
                Rule::same("lm_head", "output"),
            ])
            .collect(),
        optional_prefix: None,
        // Copies of `shared`, and the biases of a later layer that old files hold by mistake.
        ignored: vec![
            "encoder.embed_tokens.weight",
            "decoder.embed_tokens.weight",
            "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
        ],
    },
    gguf: Some(GgufFamily {
        architecture: ARCHITECTURE,
        declare: gguf_declare,
        metadata: gguf_metadata,
        tensors: gguf_tensors,
    }),
};

const ARCHITECTURE: &str = "t5";
/// The largest distance with a bucket, which llama.cpp takes for granted.
const MAX_DISTANCE: usize = 128;

/// llama.cpp's names differ from the canonical ones in the output projections.
fn gguf_tensors(spec: &Spec) -> TensorTable {
    let mut table = (FAMILY.tensors)(spec).canonical();
    for rule in &mut table.rules {
        rule.stored = match rule.stored {
            "enc.blk.{}.attn_output" => "enc.blk.{}.attn_o",
            "dec.blk.{}.attn_output" => "dec.blk.{}.attn_o",
            "dec.blk.{}.cross_attn_output" => "dec.blk.{}.cross_attn_o",
            name => name,
        };
    }
    table.ignored = vec!["dec.blk.{}.cross_attn_rel_b.weight"];
    table
}

fn gguf_metadata(spec: &Spec) -> Map<String, Value> {
    let mut map = gguf_keys::metadata(spec, ARCHITECTURE);
    let mut put = |name: &str, value: Value| {
        map.insert(format!("{ARCHITECTURE}.{name}"), value);
    };
    if let Structure::EncoderDecoder(sides) = spec.structure {
        put("block_count", json!(sides.encoder_layers));
        put("decoder_block_count", json!(spec.n_layers));
        put("decoder_start_token_id", json!(sides.start_id));
    }
    if let Position::Relative(bias) = spec.position {
        put("attention.relative_buckets_count", json!(bias.n_buckets));
    }
    // Of no use, but asked for.
    put("attention.layer_norm_epsilon", json!(spec.norm.eps));
    map
}

fn gguf_declare(m: &Config) -> Result<Spec> {
    let key = |name: &str| format!("{ARCHITECTURE}.{name}");
    // The metadata do not say which version it is; the tensors do.
    let has = |name: &str| gguf_keys::has_tensor(m, name);
    let buckets = m.size(&key("attention.relative_buckets_count"))?;
    let decoder_layers = m.opt_size(&key("decoder_block_count"))?;
    let start_id = m.opt_usize(&key("decoder_start_token_id"))?.unwrap_or(0);
    // Both are written; the root mean square is the norm that runs.
    let eps = m.f64(&key("attention.layer_norm_rms_epsilon"))?;
    let mut spec = gguf_keys::decoder(m, ARCHITECTURE, Pairing::Half)?;
    spec.norm = Norm {
        kind: NormKind::Rms,
        eps,
    };
    spec.structure = Structure::EncoderDecoder(EncoderDecoder {
        encoder_layers: spec.n_layers,
        start_id: start_id as u32,
    });
    spec.n_layers = decoder_layers.unwrap_or(spec.n_layers);
    spec.position = Position::Relative(RelativeBias {
        n_buckets: buckets,
        max_distance: MAX_DISTANCE,
        tables: match has("enc.blk.1.attn_rel_b.weight")? {
            true => BiasTables::Each,
            false => BiasTables::First,
        },
        scale: 1.0,
    });
    spec.attention.scale = 1.0;
    (spec.ffn.kind, spec.ffn.activation) = match has("dec.blk.0.ffn_gate.weight")? {
        true => (FfnKind::Gated, Activation::GeluTanh),
        false => (FfnKind::Plain, Activation::Relu),
    };
    if !has("output.weight")? {
        spec.head.scale = Some((spec.hidden_size as f32).powf(-0.5));
    }
    Ok(spec)
}

/// The rules of one side, with `&'static` names for each.
fn rules(side: &str, short: &str) -> Vec<Rule> {
    // Layer 1 is the feed-forward layer in the encoder, the look at the encoder in the decoder.
    macro_rules! side {
        ($long:literal, $short:literal, $ffn:literal) => {
            vec![
                Rule::same(
                    concat!($long, ".block.{}.layer.0.SelfAttention.q"),
                    concat!($short, ".blk.{}.attn_q"),
                ),
                Rule::same(
                    concat!($long, ".block.{}.layer.0.SelfAttention.k"),
                    concat!($short, ".blk.{}.attn_k"),
                ),
                Rule::same(
                    concat!($long, ".block.{}.layer.0.SelfAttention.v"),
                    concat!($short, ".blk.{}.attn_v"),
                ),
                Rule::same(
                    concat!($long, ".block.{}.layer.0.SelfAttention.o"),
                    concat!($short, ".blk.{}.attn_output"),
                ),
                Rule::same(
                    concat!(
                        $long,
                        ".block.{}.layer.0.SelfAttention.relative_attention_bias"
                    ),
                    concat!($short, ".blk.{}.attn_rel_b"),
                ),
                Rule::same(
                    concat!($long, ".block.{}.layer.0.layer_norm"),
                    concat!($short, ".blk.{}.attn_norm"),
                ),
                Rule::same(
                    concat!($long, ".block.{}.layer.", $ffn, ".DenseReluDense.wi"),
                    concat!($short, ".blk.{}.ffn_up"),
                ),
                Rule::same(
                    concat!($long, ".block.{}.layer.", $ffn, ".DenseReluDense.wi_0"),
                    concat!($short, ".blk.{}.ffn_gate"),
                ),
                Rule::same(
                    concat!($long, ".block.{}.layer.", $ffn, ".DenseReluDense.wi_1"),
                    concat!($short, ".blk.{}.ffn_up"),
                ),
                Rule::same(
                    concat!($long, ".block.{}.layer.", $ffn, ".DenseReluDense.wo"),
                    concat!($short, ".blk.{}.ffn_down"),
                ),
                Rule::same(
                    concat!($long, ".block.{}.layer.", $ffn, ".layer_norm"),
                    concat!($short, ".blk.{}.ffn_norm"),
                ),
                Rule::same(
                    concat!($long, ".final_layer_norm"),
                    concat!($short, ".output_norm"),
                ),
            ]
        };
    }
    match (side, short) {
        ("encoder", _) => side!("encoder", "enc", "1"),
        _ => {
            let mut rules = side!("decoder", "dec", "2");
            rules.extend([
                Rule::same(
                    "decoder.block.{}.layer.1.EncDecAttention.q",
                    "dec.blk.{}.cross_attn_q",
                ),
                Rule::same(
                    "decoder.block.{}.layer.1.EncDecAttention.k",
                    "dec.blk.{}.cross_attn_k",
                ),
                Rule::same(
                    "decoder.block.{}.layer.1.EncDecAttention.v",
                    "dec.blk.{}.cross_attn_v",
                ),
                Rule::same(
                    "decoder.block.{}.layer.1.EncDecAttention.o",
                    "dec.blk.{}.cross_attn_output",
                ),
                Rule::same(
                    "decoder.block.{}.layer.1.layer_norm",
                    "dec.blk.{}.cross_attn_norm",
                ),
            ]);
            rules
        }
    }
}

/// `scalable_attention` is UMT5's, which nothing reads.
const HARMLESS: &[&str] = &["dropout_rate", "output_past", "scalable_attention"];

fn declare(c: &Config) -> Result<Spec> {
    let n_heads = c.size("num_heads")?;
    let hidden_size = c.size("d_model")?;
    let encoder_layers = c.size("num_layers")?;
    // v1.1 and FLAN say `gated-gelu`, by which they mean the tanh form.
    let (kind, activation) = match c.opt_str("feed_forward_proj")?.unwrap_or("relu") {
        "relu" => (FfnKind::Plain, Activation::Relu),
        "gelu" => (FfnKind::Plain, Activation::Gelu),
        "gated-gelu" => (FfnKind::Gated, Activation::GeluTanh),
        "gated-silu" => (FfnKind::Gated, Activation::Silu),
        other => {
            return Err(c.error("feed_forward_proj", format!("{other} is not supported")));
        }
    };
    for derived in ["dense_act_fn", "is_gated_act", "is_encoder_decoder"] {
        // The library writes them from `feed_forward_proj`.
        c.get(derived);
    }
    // v1.0 ties the head and scales before it; newer files say the latter on its own. mT5 never scales.
    let tied = c.opt_bool("tie_word_embeddings")?.unwrap_or(true);
    let scales = tied && !model_type_is(c, &["mt5"]);
    let scaled = c.opt_bool("scale_decoder_outputs")?.unwrap_or(scales);
    let start_id = c.opt_usize("decoder_start_token_id")?.unwrap_or(0);
    let spec = Spec {
        family: "t5",
        structure: Structure::EncoderDecoder(EncoderDecoder {
            encoder_layers,
            start_id: start_id as u32,
        }),
        vocab_size: c.size("vocab_size")?,
        hidden_size,
        n_layers: c.opt_size("num_decoder_layers")?.unwrap_or(encoder_layers),
        max_len: c.opt_size("n_positions")?.unwrap_or(512),
        embedding: Embedding::default(),
        position: Position::Relative(RelativeBias {
            n_buckets: c.opt_size("relative_attention_num_buckets")?.unwrap_or(32),
            max_distance: c
                .opt_size("relative_attention_max_distance")?
                .unwrap_or(128),
            tables: match model_type_is(c, &["umt5"]) {
                true => BiasTables::Each,
                false => BiasTables::First,
            },
            scale: 1.0,
        }),
        attention: Attention {
            n_heads,
            kv_heads: n_heads,
            head_dim: c.size("d_kv")?,
            scale: 1.0,
            query_scale: QueryScale::None,
            bias: AttentionBias::None,
            clip: None,
            qk_norm: QkNorm::None,
            softcap: None,
            window: Window::Unlimited,
        },
        norm: Norm {
            kind: NormKind::Rms,
            eps: c.opt_f64("layer_norm_epsilon")?.unwrap_or(1e-6),
        },
        placement: Placement::Pre,
        ffn: Ffn {
            kind,
            inner: c.size("d_ff")?,
            activation,
            bias: false,
        },
        head: Head {
            weight: match tied {
                true => HeadWeight::Tied,
                false => HeadWeight::Own,
            },
            bias: false,
            scale: scaled.then(|| (hidden_size as f32).powf(-0.5)),
            norm: FinalNorm::Present,
            softcap: None,
        },
    };
    c.only("is_decoder", &[json!(false)])?;
    c.finish(HARMLESS)?;
    Ok(spec)
}
