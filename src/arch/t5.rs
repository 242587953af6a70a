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
        rules: [encoder_rules(), decoder_rules()]
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
/// The largest distance with a bucket where no key says; llama.cpp takes it for granted.
const MAX_DISTANCE: usize = 128;
/// Distances times heads: a table of more biases is none that a model needs.
const MAX_BIASES: usize = 1 << 22;

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
    let buckets = key("attention.relative_buckets_count");
    let n_buckets = m.count(&buckets)?;
    let decoder_layers = m.opt_count(&key("decoder_block_count"))?;
    let start_id = m.opt_id(&key("decoder_start_token_id"))?.unwrap_or(0);
    // Both are written; the root mean square is the norm that runs.
    let eps = m.f64(&key("attention.layer_norm_rms_epsilon"))?;
    let mut spec = gguf_keys::decoder(m, ARCHITECTURE, Pairing::Half)?;
    spec.norm = Norm {
        kind: NormKind::Rms,
        eps,
    };
    spec.structure = Structure::EncoderDecoder(EncoderDecoder {
        encoder_layers: spec.n_layers,
        start_id,
    });
    spec.n_layers = decoder_layers.unwrap_or(spec.n_layers);
    spec.position = Position::Relative(RelativeBias {
        n_buckets: checked_buckets(m, &buckets, n_buckets, MAX_DISTANCE)?,
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

/// The rules of one side: of each layer, `stored => canonical`, and of the norm after the layers.
macro_rules! side {
    ($long:literal, $short:literal, { $($stored:literal => $canonical:literal,)* }) => {
        vec![
            $(Rule::same(
                concat!($long, ".block.{}.layer.", $stored),
                concat!($short, ".blk.{}.", $canonical),
            ),)*
            Rule::same(
                concat!($long, ".final_layer_norm"),
                concat!($short, ".output_norm"),
            ),
        ]
    };
}

fn encoder_rules() -> Vec<Rule> {
    side!("encoder", "enc", {
        "0.SelfAttention.q" => "attn_q",
        "0.SelfAttention.k" => "attn_k",
        "0.SelfAttention.v" => "attn_v",
        "0.SelfAttention.o" => "attn_output",
        "0.SelfAttention.relative_attention_bias" => "attn_rel_b",
        "0.layer_norm" => "attn_norm",
        "1.DenseReluDense.wi" => "ffn_up",
        "1.DenseReluDense.wi_0" => "ffn_gate",
        "1.DenseReluDense.wi_1" => "ffn_up",
        "1.DenseReluDense.wo" => "ffn_down",
        "1.layer_norm" => "ffn_norm",
    })
}

/// Between the two the decoder looks at the encoder's output.
fn decoder_rules() -> Vec<Rule> {
    side!("decoder", "dec", {
        "0.SelfAttention.q" => "attn_q",
        "0.SelfAttention.k" => "attn_k",
        "0.SelfAttention.v" => "attn_v",
        "0.SelfAttention.o" => "attn_output",
        "0.SelfAttention.relative_attention_bias" => "attn_rel_b",
        "0.layer_norm" => "attn_norm",
        "1.EncDecAttention.q" => "cross_attn_q",
        "1.EncDecAttention.k" => "cross_attn_k",
        "1.EncDecAttention.v" => "cross_attn_v",
        "1.EncDecAttention.o" => "cross_attn_output",
        "1.layer_norm" => "cross_attn_norm",
        "2.DenseReluDense.wi" => "ffn_up",
        "2.DenseReluDense.wi_0" => "ffn_gate",
        "2.DenseReluDense.wi_1" => "ffn_up",
        "2.DenseReluDense.wo" => "ffn_down",
        "2.layer_norm" => "ffn_norm",
    })
}

/// `scalable_attention` is UMT5's, which nothing reads.
const HARMLESS: &[&str] = &["dropout_rate", "output_past", "scalable_attention"];

fn declare(c: &Config) -> Result<Spec> {
    let n_heads = c.count("num_heads")?;
    let hidden_size = c.size("d_model")?;
    let encoder_layers = c.count("num_layers")?;
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
    let spec = Spec {
        family: "t5",
        structure: Structure::EncoderDecoder(EncoderDecoder {
            encoder_layers,
            start_id: c.opt_id("decoder_start_token_id")?.unwrap_or(0),
        }),
        vocab_size: c.size("vocab_size")?,
        hidden_size,
        n_layers: c.opt_count("num_decoder_layers")?.unwrap_or(encoder_layers),
        max_len: c.opt_size("n_positions")?.unwrap_or(512),
        embedding: Embedding::default(),
        position: Position::Relative(relative_bias(c, n_heads)?),
        attention: Attention {
            scale: 1.0,
            ..Attention::new(n_heads, n_heads, c.size("d_kv")?)
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
            scale: scaled.then(|| (hidden_size as f32).powf(-0.5)),
            ..Head::new(match tied {
                true => HeadWeight::Tied,
                false => HeadWeight::Own,
            })
        },
    };
    c.only("is_decoder", &[json!(false)])?;
    c.finish(HARMLESS)?;
    Ok(spec)
}

/// The biases by distance, of which a table is made for every head.
fn relative_bias(c: &Config, n_heads: usize) -> Result<RelativeBias> {
    const BUCKETS: &str = "relative_attention_num_buckets";
    const DISTANCE: &str = "relative_attention_max_distance";
    let max_distance = c.opt_size(DISTANCE)?.unwrap_or(MAX_DISTANCE);
    let most = MAX_BIASES / n_heads;
    if !(3..=most).contains(&max_distance) {
        return Err(c.error(
            DISTANCE,
            format!("{max_distance} found, 3 to {most} wanted for {n_heads} heads"),
        ));
    }
    let n_buckets = c.opt_count(BUCKETS)?.unwrap_or(32);
    Ok(RelativeBias {
        n_buckets: checked_buckets(c, BUCKETS, n_buckets, max_distance)?,
        max_distance,
        tables: match model_type_is(c, &["umt5"]) {
            true => BiasTables::Each,
            false => BiasTables::First,
        },
        scale: 1.0,
    })
}

/// How many buckets there are, as `key` says. The decoder has half of them for one distance each,
/// all nearer than `max_distance`, the encoder a quarter in each direction: one at least.
fn checked_buckets(c: &Config, key: &str, found: usize, max_distance: usize) -> Result<usize> {
    let most = 2 * max_distance - 1;
    match (4..=most).contains(&found) {
        true => Ok(found),
        false => Err(c.error(
            key,
            format!("{found} found, 4 to {most} wanted for distances up to {max_distance}"),
        )),
    }
}
