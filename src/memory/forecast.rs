//! What a model will take in memory: from its declaration and tensors' shapes, so that an
//! outline ([`crate::hub::hollow()`]) is enough.

use crate::arch::Spec;
use crate::load::Opened;
use crate::nn::{CacheType, Storage};
use crate::quant::Encoding;
use crate::weights::TensorInfo;

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
    /// The forecast at a quantization and a type of cache.
    pub fn new(opened: &Opened, storage: Storage, cache: CacheType) -> Self {
        let tensors = opened.weights.tensors();
        let weights = tensors.map(|(name, info)| tensor_bytes(name, info, storage));
        Self {
            weights: weights.fold(0, u64::saturating_add),
            cache_per_token: cache_bytes_per_token(&opened.spec, cache),
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

/// Bytes of a tensor in memory: a matrix in the encoding that loading gives it, a vector (a norm's
/// or a bias) in f32.
pub fn tensor_bytes(name: &str, info: &TensorInfo, storage: Storage) -> u64 {
    let encoding = match info.shape.len() {
        0 | 1 => Encoding::F32,
        _ => storage.encoding(info.encoding, &info.shape, name),
    };
    encoding.bytes_of(info.len()).unwrap_or(info.bytes) as u64
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
}
