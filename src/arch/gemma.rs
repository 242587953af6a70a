//! Gemma 2 and 3 (text): norms before and after each branch with weights stored as 1 + w, a
//! scaled embedding, tanh-GeGLU, windows in most layers; 2 caps its scores and logits, 3
//! normalizes queries and keys and has a RoPE for each kind of layer. References:
//! `modeling_gemma2.py` and `modeling_gemma3.py` of `transformers`.

use serde_json::{Map, Value, json};

use super::{gguf_keys, llama, model_type_is, *};

pub const GEMMA2: Family = Family {
    name: "gemma2",
    detect: |c| model_type_is(c, &["gemma2"]),
    declare: |c| {
        let mut spec = declare(c, "gemma2")?;
        spec.attention.window = window(c, spec.n_layers, 2)?;
        c.finish(HARMLESS)?;
        Ok(spec)
    },
    tensors: |_| hub_tensors(),
    gguf: Some(GgufFamily {
        architecture: "gemma2",
        declare: |m| gguf_decoder(m, "gemma2", 2),
        metadata: |spec| gguf_metadata(spec, "gemma2"),
        tensors: |_| gguf_keys::tensors(),
    }),
};

pub const GEMMA3: Family = Family {
    name: "gemma3",
    detect: |c| model_type_is(c, &["gemma3_text"]),
    declare: |c| {
        let mut spec = declare(c, "gemma3")?;
        spec.attention.qk_norm = QkNorm::PerHead;
        spec.position = two_ropes(spec.position, LOCAL_THETA);
        // Older and newer name of the same.
        let every = c.opt_size("sliding_window_pattern")?;
        let every = every.or(c.opt_size("_sliding_window_pattern")?);
        spec.attention.window = window(c, spec.n_layers, every.unwrap_or(6))?;
        c.finish(HARMLESS)?;
        Ok(spec)
    },
    tensors: |_| {
        let mut table = hub_tensors();
        for (stored, canonical) in [
            ("model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"),
            ("model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"),
        ] {
            let rule = Rule::same(stored, canonical).with(Change::PlusOne);
            table.rules.push(rule);
        }
        table
    },
    gguf: Some(GgufFamily {
        architecture: "gemma3",
        declare: |m| {
            let local = rope::checked_theta(m, LOCAL_BASE, m.opt_f64(LOCAL_BASE)?)?;
            let mut spec = gguf_decoder(m, "gemma3", 6)?;
            spec.attention.qk_norm = QkNorm::PerHead;
            spec.position = two_ropes(spec.position, local);
            Ok(spec)
        },
        metadata: |spec| {
            let mut map = gguf_metadata(spec, "gemma3");
            if let Position::RopeByWindow { windowed, .. } = &spec.position {
                map.insert(LOCAL_BASE.to_string(), json!(windowed.theta));
            }
            map
        },
        tensors: |_| gguf_keys::tensors(),
    }),
};

/// The base of layers with a window; it is also what any RoPE has where no key names one.
const LOCAL_THETA: f64 = 10_000.0;
/// GGUF's key for it.
const LOCAL_BASE: &str = "gemma3.rope.freq_base_swa";

const HARMLESS: &[&str] = &["cache_implementation", "hidden_act"];

/// What both generations share; windows, norms on q and k are the caller's to add.
fn declare(c: &Config, family: &'static str) -> Result<Spec> {
    let mut spec = llama::decoder(c, family)?;
    let scale = c.opt_f64("query_pre_attn_scalar")?.unwrap_or(256.0);
    spec.attention.scale = scale.powf(-0.5) as f32;
    spec.attention.softcap = c.opt_f64("attn_logit_softcapping")?.map(|cap| cap as f32);
    spec.head.softcap = c.opt_f64("final_logit_softcapping")?.map(|cap| cap as f32);
    spec.head.weight = llama::head_weight(c, HeadWeight::Tied)?;
    spec.ffn.activation = match c.get("hidden_activation") {
        Some(_) => llama::activation(c, "hidden_activation")?,
        None => Activation::GeluTanh,
    };
    common(&mut spec);
    c.only("use_bidirectional_attention", &[json!(false)])?;
    Ok(spec)
}

fn common(spec: &mut Spec) {
    spec.embedding.scale = Some((spec.hidden_size as f32).sqrt());
    spec.placement = Placement::Sandwich;
}

/// `position`'s RoPE for the layers without a window, a plain one for those with one.
fn two_ropes(position: Position, theta: f64) -> Position {
    match position {
        Position::Rope(full) => Position::RopeByWindow {
            windowed: Rope {
                theta,
                scaling: RopeScaling::None,
                ..full.clone()
            },
            full,
        },
        position => position,
    }
}

/// `layer_types`, or a window in all but every `every`-th layer.
fn window(c: &Config, n_layers: usize, every: usize) -> Result<Window> {
    let Some(width) = c.opt_size("sliding_window")? else {
        return Ok(Window::Unlimited);
    };
    // Some files say it twice.
    c.only("sliding_window_size", &[json!(width)])?;
    match llama::layer_windows(c, n_layers, width)? {
        Some(window) => Ok(window),
        None => Ok(alternating(n_layers, width, every)),
    }
}

fn alternating(n_layers: usize, width: usize, every: usize) -> Window {
    let windowed = |i: usize| !(i + 1).is_multiple_of(every);
    Window::Layers(
        (0..n_layers)
            .map(|i| windowed(i).then_some(width))
            .collect(),
    )
}

/// The names of the Hub's repositories; `post_attention_layernorm` comes before the residual.
fn hub_tensors() -> TensorTable {
    let mut table = llama::hub_tensors();
    table
        .rules
        .retain(|rule| rule.stored != "model.layers.{}.post_attention_layernorm");
    table.rules.extend([
        Rule::same(
            "model.layers.{}.post_attention_layernorm",
            "blk.{}.post_attention_norm",
        ),
        Rule::same(
            "model.layers.{}.pre_feedforward_layernorm",
            "blk.{}.ffn_norm",
        ),
        Rule::same(
            "model.layers.{}.post_feedforward_layernorm",
            "blk.{}.post_ffw_norm",
        ),
    ]);
    for rule in &mut table.rules {
        if rule.stored.ends_with("norm") {
            rule.change = Change::PlusOne;
        }
    }
    table
}

/// llama.cpp's converter has added the 1 already.
fn gguf_decoder(m: &Config, arch: &'static str, every: usize) -> Result<Spec> {
    let key = |name: &str| format!("{arch}.{name}");
    let mut scores = m.opt_f64(&key("attn_logit_softcapping"))?;
    let mut logits = m.opt_f64(&key("final_logit_softcapping"))?;
    let pattern = m.opt_size(&key("attention.sliding_window_pattern"))?;
    let mut spec = gguf_keys::decoder(m, arch, Pairing::Half)?;
    common(&mut spec);
    if arch == "gemma2" {
        // The first files leave them out, and llama.cpp takes these.
        scores = scores.or(Some(50.0));
        logits = logits.or(Some(30.0));
        if spec.attention.window == Window::Unlimited {
            spec.attention.window = Window::All(4096);
        }
    }
    if let Window::All(width) = spec.attention.window {
        spec.attention.window = alternating(spec.n_layers, width, pattern.unwrap_or(every));
    }
    spec.attention.softcap = scores.map(|cap| cap as f32);
    spec.head.softcap = logits.map(|cap| cap as f32);
    spec.ffn.activation = Activation::GeluTanh;
    // The 27B of both generations scale by the residual stream's share of a head.
    if matches!((arch, spec.n_layers), ("gemma2", 46) | ("gemma3", 62)) {
        let share = spec.hidden_size / spec.attention.n_heads;
        spec.attention.scale = (share as f32).powf(-0.5);
    }
    Ok(spec)
}

fn gguf_metadata(spec: &Spec, arch: &str) -> Map<String, Value> {
    let mut map = gguf_keys::metadata(spec, arch);
    let widths = (0..spec.n_layers).filter_map(|layer| spec.attention.window.of_layer(layer));
    if let Some(width) = widths.max() {
        map.insert(format!("{arch}.attention.sliding_window"), json!(width));
    }
    map
}
