//! Memory: what this process took, what the machine has, what a model will take.

use crate::arch::{FfnKind, HeadWeight, Spec, Structure};
use crate::load::Opened;
use crate::nn::{CacheType, Storage};
use crate::quant::Encoding;

/// The most memory that this process had at any time, in bytes; `None` where the system does not
/// say.
pub fn peak_rss() -> Option<u64> {
    kib_line("/proc/self/status", "VmHWM:")
}

/// Begins the count of [`peak_rss`] anew, where the system can (Linux, `proc(5)`, clear_refs).
pub fn reset_peak_rss() {
    // Where it cannot, the peak stays one of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Memory that programs can still have, in bytes; `None` where the system does not say.
pub fn available() -> Option<u64> {
    kib_line("/proc/meminfo", "MemAvailable:")
}

/// The machine's memory in bytes; `None` where the system does not say.
pub fn total() -> Option<u64> {
    kib_line("/proc/meminfo", "MemTotal:")
}

/// A line `KEY   123 kB` of one of Linux's files.
fn kib_line(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Bytes of the KV cache for each token: keys and values of every layer.
pub fn cache_bytes_per_token(spec: &Spec, kind: CacheType) -> u64 {
    let parts = [
        2,
        spec.n_layers,
        spec.attention.kv_heads,
        kind.bytes_of(spec.attention.head_dim),
    ];
    parts.iter().fold(1u64, |n, &p| n.saturating_mul(p as u64))
}

/// Bytes of the KV cache that a token reads which follows `positions` others: layers with a window
/// read no more than that.
pub fn cache_bytes_read(spec: &Spec, kind: CacheType, positions: usize) -> u64 {
    let each = cache_bytes_per_token(spec, kind) / spec.n_layers.max(1) as u64;
    let seen = |layer| {
        let window = spec.attention.window.of_layer(layer);
        window.map_or(positions, |w| w.min(positions)) as u64
    };
    let all = (0..spec.n_layers).map(seen);
    all.fold(0, |sum: u64, n| sum.saturating_add(each.saturating_mul(n)))
}

/// What the weights take when they are kept as `storage` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WeightBytes {
    /// In memory.
    pub all: u64,
    /// Read for each token that is generated: all but an embedding of its own, and of the experts
    /// those that a token takes.
    pub per_token: u64,
}

/// Forecasts the weights' memory from the headers.
pub fn weight_bytes(opened: &Opened, storage: Storage) -> WeightBytes {
    let mut bytes = WeightBytes::default();
    for (name, info) in opened.weights.tensors() {
        let encoding = match info.shape.len() {
            // Norms and biases.
            0 | 1 => Encoding::F32,
            _ => storage.encoding(info.encoding, &info.shape, name),
        };
        let all = encoding.bytes_of(info.len()).unwrap_or(info.bytes) as u64;
        bytes.all += all;
        if !is_of_prompt(name) {
            bytes.per_token += used(&opened.spec, name, all);
        }
    }
    bytes
}

/// Multiply-adds of weights with activations for each token of a prompt, the head's left out,
/// which only a prompt's last token goes through; and so are those of the attention's scores.
pub fn prompt_multiply_adds(opened: &Opened) -> u64 {
    let sides = matches!(opened.spec.structure, Structure::EncoderDecoder(_));
    let counts = opened.weights.tensors().filter(|(name, info)| {
        let is_table = name.contains("embd") || name.contains("attn_rel_b");
        let other_side = sides && !is_of_prompt(name);
        info.shape.len() > 1 && !is_table && !other_side && *name != "output.weight"
    });
    counts
        .map(|(name, info)| used(&opened.spec, name, info.len() as u64))
        .sum()
}

/// Whether only a prompt passes a tensor: the encoder's, and the decoder's keys and values of what
/// the encoder has read.
fn is_of_prompt(name: &str) -> bool {
    let memory = ["cross_attn_k.", "cross_attn_v."];
    name.starts_with("enc.") || memory.iter().any(|part| name.contains(part))
}

/// How much of `n` a token uses.
fn used(spec: &Spec, name: &str, n: u64) -> u64 {
    match spec.ffn.kind {
        _ if name == "token_embd.weight" && spec.head.weight == HeadWeight::Own => 0,
        FfnKind::Experts(experts) if name.contains("_exps") => {
            n / experts.count.max(1) as u64 * experts.used as u64
        }
        _ => n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_machine_has_more_than_this_process_took() {
        let (peak, total) = (peak_rss().unwrap(), total().unwrap());
        assert!(peak > 1 << 20 && peak < total, "{peak} of {total}");
        assert!(available().unwrap() <= total);
    }

    fn open(name: &str) -> Opened {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
        Opened::open(&folder.join(name)).unwrap()
    }

    #[test]
    fn a_window_bounds_what_is_read_of_the_cache() {
        let read = |name: &str, n: usize| cache_bytes_read(&open(name).spec, CacheType::F16, n);
        assert_eq!(read("llama", 100), 10 * read("llama", 10));
        let width = open("mistral-window").spec.attention.window.of_layer(0);
        let width = width.unwrap();
        assert_eq!(read("mistral-window", 99), read("mistral-window", width));
        // Every other layer of Gemma 2 has one.
        let (short, long) = (read("gemma2", 8), read("gemma2", 100));
        assert!(short < long && long < 100 * short / 8, "{short} {long}");
    }

    #[test]
    fn what_an_encoder_read_is_turned_into_keys_once() {
        let opened = open("flan-t5");
        let named = |part: &str| -> u64 {
            let all = opened.weights.tensors();
            let counted = all.filter(|(name, _)| name.contains(part));
            counted.map(|(_, info)| info.len() as u64).sum()
        };
        let memory = named("cross_attn_k.") + named("cross_attn_v.");
        let encoder: u64 = ["enc.blk.0.", "enc.blk.1.", "enc.blk.2."]
            .map(|layer| named(&format!("{layer}attn_")) + named(&format!("{layer}ffn_")))
            .iter()
            .sum();
        let others = named("enc.blk.0.attn_rel_b") + 2 * 3 * opened.spec.hidden_size as u64;
        assert!(memory > 0);
        assert_eq!(prompt_multiply_adds(&opened), encoder - others + memory);
    }

    #[test]
    fn a_token_uses_the_weights_that_it_passes() {
        for name in ["llama", "mixtral"] {
            let opened = open(name);
            let s = &opened.spec;
            let a = &s.attention;
            let (h, q, kv) = (
                s.hidden_size,
                a.n_heads * a.head_dim,
                a.kv_heads * a.head_dim,
            );
            let ffn = match s.ffn.kind {
                FfnKind::Experts(e) => h * e.count + e.used * 3 * h * s.ffn.inner,
                _ => 3 * h * s.ffn.inner,
            };
            let wanted = s.n_layers * (2 * h * q + 2 * h * kv + ffn);
            assert_eq!(prompt_multiply_adds(&opened), wanted as u64, "{name}");
            let bytes = weight_bytes(&opened, Storage::AsStored);
            let norms = (2 * s.n_layers + 1) * h;
            assert_eq!(
                bytes.per_token,
                4 * (wanted + norms + h * s.vocab_size) as u64,
                "{name}"
            );
            assert!(bytes.all > bytes.per_token);
        }
    }
}
