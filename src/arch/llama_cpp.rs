//! Where llama.cpp computes something else than wick for a model that it loads. Its graphs are in
//! its `src/models/*.cpp`; what they take for granted is compared with the declaration here.

use super::*;

/// llama.cpp gives these layer counts RoPE and ALiBi, and any other neither.
const BAICHUAN_ROPE: usize = 32;
const BAICHUAN_ALIBI: usize = 40;

/// What llama.cpp does differently for this model, a sentence each; nothing where it computes the
/// same, up to rounding. A family that it does not know at all is one such sentence.
pub fn differences(family: &Family, spec: &Spec) -> Vec<String> {
    let Some(gguf) = &family.gguf else {
        return vec![format!(
            "llama.cpp has no architecture for {}: only wick reads this file",
            family.name
        )];
    };
    let arch = gguf.architecture;
    let mut found = Vec::new();
    found.extend(positions(arch, spec));
    found.extend(attention(arch, spec));
    found.extend(layers(arch, spec));
    found.extend(head(arch, spec));
    found
}

fn positions(arch: &str, spec: &Spec) -> Option<String> {
    let a = &spec.attention;
    if arch == "baichuan" {
        let (name, wanted) = match spec.position {
            Position::Alibi { .. } => ("ALiBi", BAICHUAN_ALIBI),
            _ => ("RoPE", BAICHUAN_ROPE),
        };
        return (spec.n_layers != wanted).then(|| {
            format!(
                "of Baichuans it gives {name} only to those of {wanted} layers, not of {}",
                spec.n_layers
            )
        });
    }
    if let Position::RoundedAlibi { .. } = spec.position {
        return Some(format!("it knows no ALiBi for {arch}"));
    }
    let rope = spec.position.rope()?;
    if matches!(arch, "llama" | "qwen") && rope.rotary_dim != a.head_dim {
        return Some(format!(
            "it turns all {} dimensions of a head, not {}",
            a.head_dim, rope.rotary_dim
        ));
    }
    match &rope.scaling {
        RopeScaling::Dynamic { original, .. } => Some(format!(
            "it does not stretch RoPE past {original} tokens (dynamic NTK)"
        )),
        RopeScaling::PromptNtk { train_len } => Some(format!(
            "past {train_len} tokens it neither stretches RoPE (dynamic NTK) nor scales queries (log-n)"
        )),
        RopeScaling::Long(long) if matches!(arch, "llama" | "phi3") => Some(format!(
            "it uses LongRoPE's long divisors whenever its context is larger than {} tokens, however short the text; run it with -c {} for shorter ones",
            long.original, long.original
        )),
        RopeScaling::Long(_) => Some("it reads no LongRoPE for this architecture".to_string()),
        RopeScaling::Llama3 { .. } if !matches!(arch, "llama" | "glm4") => {
            Some("it reads no Llama 3 scaling for this architecture".to_string())
        }
        RopeScaling::Yarn(yarn) if !yarn.truncate => {
            Some("it rounds the bounds of YaRN's ramp, which this model does not".to_string())
        }
        _ => None,
    }
}

fn attention(arch: &str, spec: &Spec) -> Vec<String> {
    let a = &spec.attention;
    let mut found = Vec::new();
    let width = (0..spec.n_layers).filter_map(|layer| a.window.of_layer(layer));
    if let Some(width) = width.min().filter(|&w| w < spec.max_len)
        && !arch.starts_with("gemma")
    {
        found.push(format!(
            "it has no sliding window here: past {width} tokens it attends to the whole text"
        ));
    }
    if let QueryScale::LogN { train_len } = a.query_scale
        && !matches!(
            spec.position.rope().map(|r| &r.scaling),
            Some(RopeScaling::PromptNtk { .. })
        )
    {
        found.push(format!(
            "past {train_len} tokens it does not scale queries (log-n)"
        ));
    }
    let usual = match (arch, spec.n_layers) {
        ("t5", _) => 1.0,
        ("gemma2", 46) | ("gemma3", 62) => {
            ((spec.hidden_size / a.n_heads.max(1)) as f32).powf(-0.5)
        }
        _ => (a.head_dim as f32).powf(-0.5),
    };
    if (a.scale / usual - 1.0).abs() > 1e-5 {
        found.push(format!("it scales scores by {usual}, not {}", a.scale));
    }
    if arch == "gemma2" && (a.softcap.is_none() || spec.head.softcap.is_none()) {
        found.push("it caps scores and logits, at 50 and 30 where no key says".to_string());
    }
    found
}

fn layers(arch: &str, spec: &Spec) -> Vec<String> {
    let mut found = Vec::new();
    if matches!(spec.placement, Placement::Deep { .. }) {
        found.push("it adds each layer's input, not its normalised input".to_string());
    }
    if arch == "falcon"
        && !matches!(
            spec.placement,
            Placement::Parallel | Placement::ParallelTwoNorms
        )
    {
        found.push("it runs attention and feed-forward in parallel".to_string());
    }
    if let FfnKind::Experts(experts) = spec.ffn.kind
        && experts.weighting == ExpertWeighting::Softmax
    {
        found.push(
            "it makes the chosen experts' weights sum to 1 (norm_topk_prob), which this model does not"
                .to_string(),
        );
    }
    let activation = match arch {
        "gpt2" | "gptneox" | "bloom" | "falcon" | "mpt" | "gemma2" | "gemma3" => {
            Activation::GeluTanh
        }
        "t5" if spec.ffn.kind == FfnKind::Plain => Activation::Relu,
        "t5" => Activation::GeluTanh,
        _ => Activation::Silu,
    };
    match (activation, spec.ffn.activation) {
        (a, b) if a == b => {}
        (Activation::GeluTanh, Activation::Gelu) => found.push(
            "its GELU is the tanh approximation (logits differ by about a thousandth)".to_string(),
        ),
        (a, b) => found.push(format!("its activation is {a:?}, not {b:?}")),
    }
    if let Structure::EncoderDecoder(sides) = spec.structure
        && spec.n_layers > sides.encoder_layers
    {
        found.push(format!(
            "it cannot run a decoder of {} layers after an encoder of {}",
            spec.n_layers, sides.encoder_layers
        ));
    }
    if arch == "chatglm" && spec.norm.kind != NormKind::Rms {
        found.push("it has RMSNorm only, and cannot load this model".to_string());
    }
    found
}

fn head(arch: &str, spec: &Spec) -> Option<String> {
    if spec.head.norm == FinalNorm::Absent {
        return Some("it cannot do without the last norm, and cannot load this model".to_string());
    }
    let scale = spec.head.scale?;
    (arch == "t5").then(|| {
        format!("it leaves out the factor {scale} on the logits: greedy answers are the same, sampled ones bolder")
    })
}
