//! What a model will take in memory: from its declaration and tensors' shapes, so that an
//! outline ([`super::hollow()`]) is enough.

use crate::load::Opened;
use crate::nn::{CacheType, Storage};

/// Bytes of memory that a model needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// Of the weights, as they will be kept.
    pub weights: u64,
    /// Of keys and values, for each token of context.
    pub cache_per_token: u64,
    /// The context length that the model was made for.
    pub max_len: usize,
}

impl Forecast {
    /// The forecast at a quantization and a type of cache: matrices in the encoding that loading
    /// gives them, vectors in f32, and 2 · layers · kv_heads · head_dim cache values per token.
    pub fn new(opened: &Opened, storage: Storage, cache: CacheType) -> Self {
        let weights = opened.weights.tensors().map(|(name, tensor)| {
            let bytes = match tensor.shape.len() {
                0 | 1 => tensor.len().checked_mul(4),
                _ => storage
                    .encoding(tensor.encoding, &tensor.shape, name)
                    .bytes_of(tensor.len()),
            };
            bytes.unwrap_or(tensor.bytes) as u64
        });
        let attention = &opened.spec.attention;
        let values = [
            2,
            opened.spec.n_layers,
            attention.kv_heads,
            cache.bytes_of(attention.head_dim),
        ];
        Self {
            weights: weights.fold(0, u64::saturating_add),
            cache_per_token: values
                .iter()
                .fold(1, |n: u64, &f| n.saturating_mul(f as u64)),
            max_len: opened.spec.max_len,
        }
    }

    /// Bytes at a context of so many tokens.
    pub fn needed(&self, tokens: usize) -> u64 {
        self.weights
            .saturating_add(self.cache_per_token.saturating_mul(tokens as u64))
    }

    /// The longest context that fits in `memory` bytes, at most the model's own; 0 if not even
    /// the weights fit.
    pub fn context_in(&self, memory: u64) -> usize {
        let left = memory.saturating_sub(self.weights);
        let tokens = left / self.cache_per_token.max(1);
        usize::try_from(tokens)
            .unwrap_or(usize::MAX)
            .min(self.max_len)
    }
}

/// Bytes of memory that this process may still take: what the system has left, bounded by its
/// control group; `None` where the system does not say.
pub fn free_memory() -> Option<u64> {
    let system = meminfo("MemAvailable:")?;
    let group = control_group("memory.max").zip(control_group("memory.current"));
    Some(match group {
        Some((most, now)) => system.min(most.saturating_sub(now)),
        None => system,
    })
}

/// Bytes of memory that this process could have if all others had none: the machine's, bounded
/// by its control group; `None` where the system does not say.
pub fn all_memory() -> Option<u64> {
    let system = meminfo("MemTotal:")?;
    Some(control_group("memory.max").map_or(system, |most| most.min(system)))
}

/// A limit of this process's control group (version 2), `None` where there is none.
fn control_group(file: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok()?;
    text.trim().parse().ok()
}

/// A line of Linux's meminfo, in bytes.
fn meminfo(key: &str) -> Option<u64> {
    line(&std::fs::read_to_string("/proc/meminfo").ok()?, key)
}

fn line(meminfo: &str, key: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(key))?;
    let kib = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_that_fits_is_bounded_by_the_model_and_the_memory() {
        // ChatGLM2-6B: 28 layers, 2 groups of 128, f16: 28 KiB per token.
        let forecast = Forecast {
            weights: 3 << 30,
            cache_per_token: 28 << 10,
            max_len: 32768,
        };
        assert_eq!(forecast.needed(8192), (3 << 30) + (224 << 20));
        assert_eq!(forecast.context_in(6 << 30), 32768);
        assert_eq!(forecast.context_in((3 << 30) + (28 << 20)), 1024);
        assert_eq!(forecast.context_in(1 << 30), 0);
    }

    #[test]
    fn meminfo_is_read_in_bytes() {
        let text = "MemTotal:       100 kB\nMemAvailable:      7 kB\n";
        assert_eq!(line(text, "MemAvailable:"), Some(7168));
        assert_eq!(line("MemAvailable: many", "MemAvailable:"), None);
    }
}
