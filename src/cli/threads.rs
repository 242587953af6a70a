//! How many threads work.

use anyhow::{Context, Result};

use super::exit::usage;

/// More threads than any machine has cores; a typing mistake.
const MOST: usize = 1024;

/// The number of threads that `-t` asks for; the machine's physical cores without it, as far as
/// this process may use them.
pub fn number(asked: Option<usize>) -> Result<usize> {
    match asked {
        Some(n @ 1..=MOST) => Ok(n),
        Some(n) => Err(usage(format!("--threads {n}: 1 to {MOST} are possible"))),
        None => {
            let usable = std::thread::available_parallelism().map_or(1, usize::from);
            Ok(num_cpus::get_physical().clamp(1, usable))
        }
    }
}

/// Runs `work` with `n` threads for the products and `n` for the rest.
pub fn with<T: Send>(n: usize, work: impl FnOnce() -> T + Send) -> Result<T> {
    crate::quant::set_threads(n);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(n)
        .build()
        .context("the threads cannot be started")?;
    Ok(pool.install(work))
}
