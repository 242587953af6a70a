//! A thread for what a template makes minijinja do.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::memory;

/// minijinja reads, compares and drops nested code and values by recursion, up to 2 kB for each
/// byte of a source. What is not used of a stack takes no memory.
const STACK: usize = 256 << 20;
/// What a comparison of lists or the joining of texts costs is bounded by nothing else (`'' ~ a`
/// writes a list out that was never paid for); an honest template takes milliseconds and what its
/// fuel pays for, 128 MB.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(5),
    memory: 512 << 20,
};
/// How often memory is looked at: work that is done before takes no look.
const LOOK: Duration = Duration::from_millis(100);

/// What work may take.
pub(super) struct Limits {
    pub(super) time: Duration,
    /// Bytes that the process may grow by, where the system says how large it is.
    pub(super) memory: u64,
}

/// Why work gives nothing, in words that follow the template's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// It goes on with what it takes, for a thread cannot be stopped.
    #[error("{0} without end")]
    Runaway(&'static str),
    /// It is over, or did not begin.
    #[error("{0}")]
    Over(String),
}

/// What `work` gives.
///
/// # Errors
/// If it does not end in time, takes too much memory or cannot begin.
pub(super) fn run<T, F>(work: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    run_within(&LIMITS, work)
}

/// [`run`] with other limits.
pub(super) fn run_within<T, F>(limits: &Limits, work: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let before = memory::own();
    let end = Instant::now() + limits.time;
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("chat template".to_string())
        .stack_size(STACK)
        .spawn(move || {
            // After the limit nobody waits for it.
            let _ = sender.send(work());
        })
        .map_err(|e| Failure::Over(format!("needs a thread, which cannot be started: {e}")))?;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        return match receiver.recv_timeout(left.min(LOOK)) {
            Ok(done) => Ok(done),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Failure::Over("made the template engine fail".to_string()))
            }
            Err(RecvTimeoutError::Timeout) if left <= LOOK => Err(Failure::Runaway("works")),
            Err(RecvTimeoutError::Timeout) if grown(before) <= limits.memory => continue,
            Err(RecvTimeoutError::Timeout) => Err(Failure::Runaway("takes memory")),
        };
    }
}

/// Bytes that the process has grown by.
fn grown(before: Option<u64>) -> u64 {
    match (before, memory::own()) {
        (Some(before), Some(now)) => now.saturating_sub(before),
        _ => 0,
    }
}
