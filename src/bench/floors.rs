//! What this machine could do at best: read its memory, the ceiling of generation, which reads
//! every weight once for each token; and multiply, the ceiling of prompts, which use a weight that
//! is there many times over.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::Result;
use crate::quant::{Bytes, Isa, Multiply};

/// Larger than the caches of most machines, small enough to be had everywhere.
const BYTES: usize = 512 << 20;

/// How long each is measured; the best pass counts, for neighbours only ever take away.
const LONG_ENOUGH: Duration = Duration::from_millis(250);

/// Both, for some threads.
#[derive(Debug, Clone, Copy)]
pub struct Floors {
    /// Bytes that all threads together read in each second.
    pub bytes_per_s: f64,
    /// Multiply-adds of the instruction set's widest integer instruction in each second.
    pub int8_per_s: f64,
    /// Multiply-adds of f32.
    pub f32_per_s: f64,
}

impl Floors {
    /// Measures them on the current rayon threads with the instructions of `isa`.
    ///
    /// # Errors
    /// If there is no memory to read.
    pub fn measure(isa: Isa) -> Result<Self> {
        Ok(Self {
            bytes_per_s: read_bandwidth()?,
            int8_per_s: rate(isa, Multiply::Int8),
            f32_per_s: rate(isa, Multiply::F32),
        })
    }
}

/// The best rate of several passes of `pass`, which returns how much it did.
fn best(mut pass: impl FnMut() -> usize) -> f64 {
    let begin = Instant::now();
    let mut best = 0f64;
    while begin.elapsed() < LONG_ENOUGH {
        let start = Instant::now();
        let n = pass();
        best = best.max(n as f64 / start.elapsed().as_secs_f64());
    }
    best
}

/// Multiply-adds in each second.
fn rate(isa: Isa, what: Multiply) -> f64 {
    // Long enough that waking the threads does not count.
    let thread = || (0..200).map(|_| isa.multiply_adds(what)).sum::<usize>();
    best(|| rayon::broadcast(|_| thread()).iter().sum())
}

/// Bytes in each second, read from memory as weights are: on large pages, each thread its own part
/// from end to end.
fn read_bandwidth() -> Result<f64> {
    let mut room = Bytes::zeroed(BYTES)?;
    let part = BYTES / 8 / rayon::current_num_threads().max(1) * 8;
    // Written once, so that every page is real memory.
    room.par_chunks_mut(part.max(8))
        .for_each(|part| part.fill(1));
    let pass = || {
        let sums = room.par_chunks(part.max(8)).map(sum);
        black_box(sums.reduce(|| 0, u64::wrapping_add));
        BYTES
    };
    Ok(best(pass))
}

/// Sixteen sums side by side, so that no addition waits for the one before.
fn sum(bytes: &[u8]) -> u64 {
    let mut sums = [0u64; 16];
    for many in bytes.as_chunks::<8>().0.as_chunks::<16>().0 {
        for (sum, word) in sums.iter_mut().zip(many) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    sums.iter().fold(0, |a, &b| a.wrapping_add(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_measured() {
        for isa in Isa::available() {
            for what in [Multiply::Int8, Multiply::F32] {
                assert!(rate(isa, what) > 1e6, "{isa:?} {what:?}");
            }
        }
        assert_eq!(sum(&[1; 256]), 32 * 0x0101_0101_0101_0101);
    }
}
