//! What a token reads from memory, and the multiply-adds that it takes: what the machine's best is
//! held against.

use crate::arch::{FfnKind, HeadWeight, Spec, Structure};
use crate::load::Opened;
use crate::memory::{cache_bytes_per_token, tensor_bytes};
use crate::nn::{CacheType, Storage};

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

/// Bytes of the weights, kept as `storage` says, that are read for each token which is generated:
/// all but an embedding of its own, and of the experts those that a token takes.
pub fn weight_bytes_read(opened: &Opened, storage: Storage) -> u64 {
    let tensors = opened.weights.tensors();
    let read = tensors.filter(|(name, _)| !is_of_prompt(name));
    read.map(|(name, info)| used(&opened.spec, name, tensor_bytes(name, info, storage)))
        .sum()
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
    use crate::memory::Forecast;

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
            let read = weight_bytes_read(&opened, Storage::AsStored);
            let norms = (2 * s.n_layers + 1) * h;
            let all_read = 4 * (wanted + norms + h * s.vocab_size) as u64;
            assert_eq!(read, all_read, "{name}");
            let forecast = Forecast::new(&opened, Storage::AsStored, CacheType::F16);
            assert!(forecast.weights > read);
        }
    }
}
