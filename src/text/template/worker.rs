//! A thread for what a template makes minijinja do.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// minijinja reads, compares and drops nested code and values by recursion, up to 2 kB for each
/// byte of a source. What is not used of a stack takes no memory.
const STACK: usize = 256 << 20;
/// What a comparison of lists or the joining of texts costs is bounded by nothing else; an honest
/// template takes milliseconds.
const TIME: Duration = Duration::from_secs(5);

/// What `work` gives.
///
/// # Errors
/// What to say of the template, if its work does not end in time or cannot begin.
pub(super) fn run<T, F>(work: F) -> Result<T, String>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    run_for(TIME, work)
}

/// [`run`] with another limit.
pub(super) fn run_for<T, F>(limit: Duration, work: F) -> Result<T, String>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("chat template".to_string())
        .stack_size(STACK)
        .spawn(move || {
            // After the limit nobody waits for it.
            let _ = sender.send(work());
        })
        .map_err(|e| format!("needs a thread, which cannot be started: {e}"))?;
    receiver.recv_timeout(limit).map_err(|e| match e {
        RecvTimeoutError::Timeout => "works without end".to_string(),
        RecvTimeoutError::Disconnected => "made the template engine fail".to_string(),
    })
}
