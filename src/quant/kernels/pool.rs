//! The thread pool of the matrix products: workers that wait spinning for a while, then asleep, so
//! that one product after another starts without a system call.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Job = *const (dyn Fn(usize) + Sync);

/// How long a worker spins before it sleeps: longer than the pauses between a token's products.
const SPIN: Duration = Duration::from_micros(300);

struct Shared {
    /// Counts jobs; a worker that sees it change has work.
    epoch: AtomicUsize,
    /// The job of this epoch and its number of parts. Written only while no worker reads it: when
    /// `running` is zero and `busy` is held.
    job: std::cell::UnsafeCell<(Option<Job>, usize)>,
    /// Threads, the caller's own among them.
    threads: AtomicUsize,
    /// Workers that have not finished this epoch.
    running: AtomicUsize,
    busy: AtomicBool,
    stop: AtomicBool,
    panicked: AtomicBool,
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `job` is the only field that is not `Sync` by itself. It is written by the thread that
// holds `busy`, before the epoch's release store, and read by workers after they acquire that
// epoch and before they decrement `running`, for which the writer waits. The closure behind it is
// `Sync` and outlives the job, for `run` returns only when `running` is zero.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

/// Threads that run the parts of one job at a time.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of `threads` threads, the caller's own among them.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            job: std::cell::UnsafeCell::new((None, 0)),
            threads: AtomicUsize::new(1),
            running: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            lock: Mutex::new(()),
            wake: Condvar::new(),
        });
        // Fewer workers than asked for is slower, not wrong.
        let workers: Vec<_> = (1..threads.max(1))
            .map_while(|part| {
                let shared = shared.clone();
                std::thread::Builder::new()
                    .name(format!("wick-{part}"))
                    .spawn(move || work(&shared, part))
                    .ok()
            })
            .collect();
        shared.threads.store(workers.len() + 1, Ordering::SeqCst);
        Self { shared, workers }
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `f` once with each of `0..parts`, on the caller's thread if the pool is busy (so also
    /// when a job starts another). At most [`Pool::threads`] parts run at a time.
    ///
    /// # Panics
    /// If `f` panics.
    pub fn run(&self, parts: usize, f: &(dyn Fn(usize) + Sync)) {
        let shared = &*self.shared;
        if parts <= 1 || self.workers.is_empty() || shared.busy.swap(true, Ordering::Acquire) {
            (0..parts).for_each(f);
            return;
        }
        // SAFETY: only the lifetime changes, and no worker keeps the pointer beyond this call.
        let job = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), Job>(f) };
        shared.running.store(self.workers.len(), Ordering::Relaxed);
        // SAFETY: `busy` is ours, and every worker has finished the last epoch.
        unsafe { *shared.job.get() = (Some(job), parts) };
        shared.epoch.fetch_add(1, Ordering::SeqCst);
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            drop(shared.lock.lock().unwrap_or_else(PoisonError::into_inner));
            shared.wake.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(|| {
            (0..parts).step_by(self.threads()).for_each(f);
        }));
        let mut spins = 0u32;
        while shared.running.load(Ordering::Acquire) > 0 {
            spins += 1;
            match spins {
                0..20_000 => std::hint::spin_loop(),
                _ => std::thread::yield_now(),
            }
        }
        let panicked = shared.panicked.swap(false, Ordering::Relaxed);
        shared.busy.store(false, Ordering::Release);
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!panicked, "a worker thread panicked");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(
            self.shared
                .lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker's panic was reported by `run`.
            let _ = worker.join();
        }
    }
}

fn work(shared: &Shared, first: usize) {
    let mut seen = 0;
    while let Some(epoch) = wait(shared, seen) {
        seen = epoch;
        // SAFETY: `running` counts this worker, so the job stands until it is decremented.
        let (job, parts) = unsafe { *shared.job.get() };
        if let Some(job) = job {
            // SAFETY: as above: the closure outlives the job.
            let f = unsafe { &*job };
            let mine = || {
                (first..parts)
                    .step_by(shared.threads.load(Ordering::Relaxed))
                    .for_each(f)
            };
            if catch_unwind(AssertUnwindSafe(mine)).is_err() {
                shared.panicked.store(true, Ordering::Relaxed);
            }
        }
        shared.running.fetch_sub(1, Ordering::Release);
    }
}

/// The next epoch after `seen`, or `None` when the pool stops.
fn wait(shared: &Shared, seen: usize) -> Option<usize> {
    let news = || {
        let epoch = shared.epoch.load(Ordering::SeqCst);
        (epoch != seen).then_some(epoch)
    };
    let start = Instant::now();
    while start.elapsed() < SPIN {
        for _ in 0..100 {
            if let Some(epoch) = news() {
                return Some(epoch);
            }
            std::hint::spin_loop();
        }
        if shared.stop.load(Ordering::Relaxed) {
            return None;
        }
    }
    let mut guard = shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
    shared.sleepers.fetch_add(1, Ordering::SeqCst);
    // The epoch is looked at after `sleepers` is raised and with the lock held, so that `run`
    // either is seen here or sees a sleeper and notifies it after it waits.
    let epoch = loop {
        if let Some(epoch) = news() {
            break Some(epoch);
        }
        if shared.stop.load(Ordering::SeqCst) {
            break None;
        }
        guard = shared
            .wake
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner);
    };
    shared.sleepers.fetch_sub(1, Ordering::SeqCst);
    epoch
}

fn global() -> &'static RwLock<Arc<Pool>> {
    static POOL: OnceLock<RwLock<Arc<Pool>>> = OnceLock::new();
    POOL.get_or_init(|| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        RwLock::new(Arc::new(Pool::new(threads)))
    })
}

/// The pool that the products run on; by default it has a thread for every processor.
pub fn current() -> Arc<Pool> {
    global()
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// Replaces the pool by one of `threads` threads (at least one).
pub fn set_threads(threads: usize) {
    let threads = threads.max(1);
    if current().threads() != threads {
        let pool = Arc::new(Pool::new(threads));
        *global().write().unwrap_or_else(PoisonError::into_inner) = pool;
    }
}

/// What `f` gives on pools of one thread to four; no other call changes the pool meanwhile.
#[cfg(test)]
pub fn on_each_size<T>(f: impl Fn() -> T) -> [T; 4] {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = current().threads();
    let found = [1, 2, 3, 4].map(|threads| {
        set_threads(threads);
        f()
    });
    set_threads(before);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_runs_once_also_nested_and_from_many_threads() {
        let pool = Pool::new(3);
        for parts in [0, 1, 2, 3, 7] {
            let counts: Vec<_> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
            pool.run(parts, &|part| {
                pool.run(2, &|_| {
                    counts[part].fetch_add(1, Ordering::Relaxed);
                });
            });
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 2));
        }
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        pool.run(3, &|_| {
                            total.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(total.load(Ordering::Relaxed), 4 * 200 * 3);
    }

    #[test]
    fn a_job_reaches_workers_that_sleep() {
        let pool = Pool::new(2);
        std::thread::sleep(SPIN * 20);
        let total = AtomicUsize::new(0);
        pool.run(2, &|part| {
            total.fetch_add(part + 1, Ordering::Relaxed);
        });
        assert_eq!(total.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_panic_in_a_part_reaches_the_caller_and_leaves_the_pool_usable() {
        let pool = Pool::new(2);
        for bad in 0..2 {
            let run = || pool.run(2, &|part| assert_ne!(part, bad, "as wanted"));
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        }
        pool.run(2, &|_| {});
    }
}
