//! How near the matrix products come to the machine's two floors: its read bandwidth, for one
//! token, and the arithmetic rate, for many.
//!
//! `cargo run --release --example kernel_speed -- [TYPES] [THREADS] [ROWS] [COLS] [TOKENS]`, the
//! types and thread counts comma-separated, such as `q4_0,q8_0 1,2`. Neighbours disturb: each
//! figure is the best of several rounds in which types and instruction sets take turns.

use std::hint::black_box;
use std::time::{Duration, Instant};

use wick::Result;
use wick::quant::{Encoding, Isa, Matrix, kernels::pool, set_threads};
use wick::weights::{Data, HostTensor};

/// Time given to each measurement in each round.
const SLICE: Duration = Duration::from_millis(60);
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |i: usize, default: &str| args.get(i).cloned().unwrap_or(default.to_string());
    let number = |i: usize, default: usize| arg(i, "").parse().unwrap_or(default);
    let types = arg(
        0,
        "q4_0,q8_0,iq4_nl,q4_k,q5_k,q6_k,q2_k,q3_k,q4_1,q5_0,q5_1,f16,bf16,f32",
    );
    let (rows, cols, tokens) = (number(2, 4096), number(3, 4096), number(4, 128));
    let mut matrices = Vec::new();
    for name in types.split(',') {
        let encoding = Encoding::from_name(name)
            .ok_or_else(|| wick::Error::Unsupported(format!("{name} is not a type")))?;
        matrices.push(matrix(encoding, rows, cols)?);
    }
    for threads in arg(1, "1,2").split(',').filter_map(|t| t.parse().ok()) {
        set_threads(threads);
        measure(&matrices, tokens, threads);
    }
    Ok(())
}

/// A matrix of arbitrary weights, more than one copy of it where a cache could hold one.
fn matrix(encoding: Encoding, rows: usize, cols: usize) -> Result<Vec<Matrix>> {
    let bytes = encoding.bytes_of(rows * cols).unwrap_or(0);
    let mut state = 1u32;
    let data: Vec<u8> = (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Small enough that no float made of these bytes overflows.
            (state >> 24) as u8 & 0x3b
        })
        .collect();
    let copies = (256usize << 20).div_ceil(bytes.max(1));
    (0..copies)
        .map(|_| {
            Matrix::new(HostTensor {
                encoding,
                shape: vec![rows, cols],
                data: Data::Borrowed(&data),
            })
        })
        .collect()
}

/// Seconds of one call of `f`, the best of those that fit into the slice.
fn seconds(f: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    let mut best = f64::INFINITY;
    while start.elapsed() < SLICE {
        let call = Instant::now();
        f();
        best = best.min(call.elapsed().as_secs_f64());
    }
    best
}

fn measure(matrices: &[Vec<Matrix>], tokens: usize, threads: usize) {
    let big = vec![1u64; 32 << 20];
    let mut parts = big.chunks(2 << 20).cycle();
    let mut bandwidth = f64::INFINITY;
    let sets = Isa::available();
    let mut best = vec![[f64::INFINITY; 2]; matrices.len() * sets.len()];
    for _ in 0..ROUNDS {
        bandwidth = bandwidth.min(seconds(&mut || parts.next().map_or((), read)));
        for (i, copies) in matrices.iter().enumerate() {
            let cols = copies[0].cols();
            let x: Vec<f32> = (0..tokens * cols).map(|i| (i % 17) as f32 - 8.0).collect();
            for (j, &isa) in sets.iter().enumerate() {
                let best = &mut best[i * sets.len() + j];
                // All copies in turn, so that each is read from memory; the first was just used.
                let mut turns = copies.iter().cycle().skip(1);
                let one = seconds(&mut || {
                    if let Some(m) = turns.next() {
                        m.matmul_on(isa, &x[..cols], 1);
                    }
                });
                best[0] = best[0].min(one);
                best[1] = best[1].min(seconds(&mut || {
                    copies[0].matmul_on(isa, &x, tokens);
                }));
            }
        }
    }
    let bandwidth = (16u64 << 20) as f64 / bandwidth / 1e9;
    println!("{threads} threads: memory reads at {bandwidth:.1} GB/s");
    println!("type    set       1 token: GB/s  share   {tokens} tokens: GOPS");
    for (i, copies) in matrices.iter().enumerate() {
        let m = &copies[0];
        for (j, isa) in sets.iter().enumerate() {
            let [one, many] = best[i * sets.len() + j];
            let rate = m.bytes() as f64 / one / 1e9;
            let ops = (2 * m.rows() * m.cols() * tokens) as f64 / many / 1e9;
            let share = 100.0 * rate / bandwidth;
            println!(
                "{:<7} {:<9} {rate:>12.1} {share:>6.0}% {ops:>16.0}",
                m.encoding().name(),
                isa.name()
            );
        }
    }
}

/// Reads every cache line, on all threads.
fn read(big: &[u64]) {
    let pool = pool::current();
    let n = pool.threads();
    pool.run(n, &|i| {
        let mut sums = [0u64; 32];
        for chunk in big[big.len() * i / n..big.len() * (i + 1) / n]
            .as_chunks::<32>()
            .0
        {
            for (s, v) in sums.iter_mut().zip(chunk) {
                *s = s.wrapping_add(*v);
            }
        }
        black_box(sums);
    });
}
