//! LLaMA, LLaMA-2 and Llama-3.x as Meta publishes them: `params.json` and one
//! `consolidated.NN.pth` for each process. References: `model.py` of facebookresearch/llama and
//! of meta-llama/llama3; lengths and scalings, which `params.json` leaves out, are those of the
//! same models' `config.json` on the Hub.

use serde_json::json;

use super::{llama, rope, *};

pub const FAMILY: Family = Family {
    name: "llama",
    detect: |c| {
        ["dim", "n_heads", "n_layers", "norm_eps"]
            .iter()
            .all(|key| c.has(key))
    },
    declare,
    tensors: |spec| {
        let a = &spec.attention;
        TensorTable {
            ignored: vec![
                "rope.freqs",
                "layers.{}.attention.inner_attention.rope.freqs",
            ],
            ..TensorTable::new(vec![
                Rule::same("tok_embeddings", EMBEDDING),
                Rule::same("layers.{}.attention_norm", "blk.{}.attn_norm"),
                Rule::same("layers.{}.attention.wq", "blk.{}.attn_q")
                    .rope_pairs(a.n_heads, a.head_dim),
                Rule::same("layers.{}.attention.wk", "blk.{}.attn_k")
                    .rope_pairs(a.kv_heads, a.head_dim),
                Rule::same("layers.{}.attention.wv", "blk.{}.attn_v"),
                Rule::same("layers.{}.attention.wo", "blk.{}.attn_output"),
                Rule::same("layers.{}.ffn_norm", "blk.{}.ffn_norm"),
                Rule::same("layers.{}.feed_forward.w1", "blk.{}.ffn_gate"),
                Rule::same("layers.{}.feed_forward.w3", "blk.{}.ffn_up"),
                Rule::same("layers.{}.feed_forward.w2", "blk.{}.ffn_down"),
                Rule::same("norm", "output_norm"),
                Rule::same("output", "output"),
            ])
        }
    },
    gguf: llama::FAMILY.gguf,
};

const EMBEDDING: &str = "token_embd";

/// The files of the processes.
pub const FILES: ParallelFiles = ParallelFiles {
    pattern: "consolidated.{}.pth",
    join,
};

/// Llama 3 cuts its embedding by rows, the models before it by columns: a part as wide as a norm
/// holds whole rows.
fn join(name: &str, shapes: &Shapes) -> Join {
    match name {
        "tok_embeddings.weight" => {
            let width = shapes.get("norm.weight").and_then(|s| s.first());
            match shapes.get(name).and_then(|s| s.get(1)) == width {
                true => Join::Rows,
                false => Join::Columns,
            }
        }
        "output.weight" => Join::Rows,
        _ if ["wq", "wk", "wv", "w1", "w3"].contains(&layer(name)) => Join::Rows,
        _ if ["wo", "w2"].contains(&layer(name)) => Join::Columns,
        _ => Join::Copies,
    }
}

/// The last part of a tensor's name before `.weight`.
fn layer(name: &str) -> &str {
    let stem = name.strip_suffix(".weight").unwrap_or(name);
    stem.rsplit('.').next().unwrap_or(stem)
}

/// Code Llama's base of the wavelengths.
const CODE_THETA: f64 = 1_000_000.0;

fn declare(c: &Config) -> Result<Spec> {
    let hidden_size = c.size("dim")?;
    let n_heads = c.count("n_heads")?;
    let kv_heads = c.kv_heads("n_kv_heads", n_heads)?;
    let head_dim = c.head_dim("dim", hidden_size, n_heads)?;
    let eps = c.f64("norm_eps")?;
    let theta = c.opt_f64("rope_theta")?;
    let scaling = scaling(c, hidden_size)?;
    let max_len = match (&scaling, theta) {
        (RopeScaling::Llama3 { .. }, _) => 131_072,
        (_, Some(theta)) if theta >= CODE_THETA => 16_384,
        (_, Some(_)) => 8192,
        // The second generation has the larger epsilon; of the first, the 65B has it too, and
        // unlike the second's 70B as many key heads as query heads.
        (_, None) if eps >= 1e-5 && !(hidden_size == 8192 && kv_heads == n_heads) => 4096,
        (_, None) => 2048,
    };
    let theta = rope::checked_theta(c, "rope_theta", theta)?;
    let spec = Spec {
        family: FAMILY.name,
        structure: Structure::Causal,
        vocab_size: c.size("vocab_size")?,
        hidden_size,
        n_layers: c.count("n_layers")?,
        max_len,
        embedding: Embedding::default(),
        position: Position::Rope(Rope {
            theta,
            rotary_dim: rope::part_of(c, "dim", head_dim, 1.0)?,
            pairing: Pairing::Half,
            scaling,
            decay: None,
            precision: FrequencyPrecision::F32,
        }),
        attention: Attention::new(n_heads, kv_heads, head_dim),
        norm: Norm {
            kind: NormKind::Rms,
            eps,
        },
        placement: Placement::Pre,
        ffn: Ffn {
            kind: FfnKind::Gated,
            inner: inner(c, hidden_size)?,
            activation: Activation::Silu,
            bias: false,
        },
        head: Head::new(HeadWeight::Own),
    };
    // What the reference allocates, not what it computes.
    c.finish(&["max_batch_size", "max_seq_len"])?;
    Ok(spec)
}

/// `FeedForward` of the reference: two thirds of four times the width, stretched, rounded up.
fn inner(c: &Config, hidden_size: usize) -> Result<usize> {
    let multiple = c.opt_size("multiple_of")?.unwrap_or(256);
    let mut inner = 8 * hidden_size / 3;
    if let Some(factor) = c.opt_f64("ffn_dim_multiplier")? {
        if !(0.01..=100.0).contains(&factor) {
            return Err(c.error(
                "ffn_dim_multiplier",
                format!("{factor} found, a number from 0.01 to 100 wanted"),
            ));
        }
        inner = (factor * inner as f64) as usize;
    }
    Ok(inner.max(1).next_multiple_of(multiple))
}

/// Llama 3.1's stretched positions. `params.json` only says that there are some; the 1B and the
/// 3B, which came with 3.2, are stretched further.
fn scaling(c: &Config, hidden_size: usize) -> Result<RopeScaling> {
    const LARGEST_OF_3_2: usize = 3072;
    let factor = match hidden_size {
        0..=LARGEST_OF_3_2 => 32.0,
        _ => 8.0,
    };
    let factor = c.opt_f64("rope_scaling_factor")?.unwrap_or(factor);
    let high_freq_factor = c.opt_f64("high_freq_factor")?.unwrap_or(4.0);
    if !(factor.is_finite() && factor >= 1.0 && high_freq_factor > 1.0) {
        return Err(c.error(
            "rope_scaling_factor",
            format!("{factor} found, 1 or more wanted"),
        ));
    }
    c.only("use_scaled_rope", &[json!(true), json!(false)])?;
    Ok(match c.opt_bool("use_scaled_rope")? {
        Some(true) => RopeScaling::Llama3 {
            factor,
            low_freq_factor: 1.0,
            high_freq_factor,
            original: 8192,
        },
        _ => RopeScaling::None,
    })
}
