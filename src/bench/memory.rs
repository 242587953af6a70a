//! Memory: what this process took, what the machine has, what a model will take.

use crate::arch::{HeadWeight, Spec};
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

/// What the weights take when they are kept as `storage` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightBytes {
    /// In memory.
    pub all: u64,
    /// Read for each token that is generated: all but an embedding of its own.
    pub per_token: u64,
}

/// Forecasts the weights' memory from the headers.
pub fn weight_bytes(opened: &Opened, storage: Storage) -> WeightBytes {
    let (mut all, mut embedding) = (0, 0);
    for (name, info) in opened.weights.tensors() {
        let encoding = match info.shape.len() {
            // Norms and biases.
            0 | 1 => Encoding::F32,
            _ => storage.encoding(info.encoding, &info.shape, name),
        };
        let bytes = encoding.bytes_of(info.len()).unwrap_or(info.bytes) as u64;
        all += bytes;
        if name == "token_embd.weight" && opened.spec.head.weight == HeadWeight::Own {
            embedding = bytes;
        }
    }
    WeightBytes {
        all,
        per_token: all - embedding,
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
}
