//! How fast this machine reads its memory: the ceiling of generation, which reads every weight
//! once for each token.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

/// Larger than the caches of most machines, small enough to be had everywhere.
const BYTES: usize = 256 << 20;

/// Passes; the best counts.
const PASSES: usize = 5;

/// Bytes read from memory in each second by the current rayon threads, at best.
pub fn read_bandwidth() -> f64 {
    let mut words = vec![0u64; BYTES / 8];
    // Written once, so that every page is real memory.
    words
        .par_iter_mut()
        .enumerate()
        .for_each(|(i, w)| *w = i as u64);
    let part = words.len().div_ceil(rayon::current_num_threads().max(1));
    let pass = || {
        let start = Instant::now();
        let sum: u64 = words
            .par_chunks(part)
            .map(sum)
            .reduce(|| 0, u64::wrapping_add);
        black_box(sum);
        BYTES as f64 / start.elapsed().as_secs_f64()
    };
    (0..PASSES).map(|_| pass()).fold(0.0, f64::max)
}

/// Eight sums side by side, so that no addition waits for the one before.
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; 8];
    for eight in words.chunks_exact(8) {
        for (sum, &word) in sums.iter_mut().zip(eight) {
            *sum = sum.wrapping_add(word);
        }
    }
    sums.iter().fold(0, |a, &b| a.wrapping_add(b))
}
