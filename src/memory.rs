//! Memory: what this machine has for this process, what the process took, what a model will take.

#[cfg(any(target_os = "linux", test))]
mod control_group;
mod forecast;

pub use forecast::{Forecast, cache_bytes_per_token, tensor_bytes};

/// Bytes of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bytes {
    /// Those that this process may still take.
    free: u64,
    /// Those that it could have if all others had none.
    all: u64,
}

/// Bytes of memory that this process may still take: what the system has left, bounded by the
/// process's control groups; `None` where the system does not say.
pub fn free() -> Option<u64> {
    of_system().map(|memory| memory.free)
}

/// Bytes of memory that this process could have if all others had none: the machine's, bounded by
/// the process's control groups; `None` where the system does not say.
pub fn all() -> Option<u64> {
    of_system().map(|memory| memory.all)
}

/// The most memory that this process had at any time, in bytes; `None` where the system does not
/// say.
pub fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    kib_line(&status, "VmHWM:")
}

/// The memory that is this process's alone at the moment, in bytes, without files that it reads in
/// place; `None` where the system does not say.
pub fn own() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    kib_line(&status, "RssAnon:")
}

/// Begins the count of [`peak_rss`] anew, where the system can (Linux, `proc(5)`, clear_refs).
pub fn reset_peak_rss() {
    // Where it cannot, the peak stays one of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(target_os = "linux")]
fn of_system() -> Option<Bytes> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let system = Bytes {
        free: kib_line(&meminfo, "MemAvailable:")?,
        all: kib_line(&meminfo, "MemTotal:")?,
    };
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let root = std::path::Path::new("/sys/fs/cgroup");
    Some(control_group::bounded(system, &groups, root))
}

#[cfg(not(target_os = "linux"))]
fn of_system() -> Option<Bytes> {
    use sysinfo::{MemoryRefreshKind, RefreshKind, System};

    let ram = MemoryRefreshKind::nothing().with_ram();
    let system = System::new_with_specifics(RefreshKind::nothing().with_memory(ram));
    // It gives 0 for what it does not know.
    let known = |bytes: u64| (bytes > 0).then_some(bytes);
    Some(Bytes {
        free: known(system.available_memory())?,
        all: known(system.total_memory())?,
    })
}

/// A line `KEY   123 kB` of one of Linux's files, in bytes.
fn kib_line(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(any(target_os = "linux", target_os = "macos", windows))]
    fn the_system_says_what_there_is() {
        let (free, all) = (free().unwrap(), all().unwrap());
        assert!(free > 0 && free <= all, "{free} of {all}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn there_is_more_than_this_process_took() {
        let (peak, all) = (peak_rss().unwrap(), all().unwrap());
        assert!(peak > 1 << 20 && peak < all, "{peak} of {all}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_this_process_holds_counts_as_its_own() {
        let held = std::hint::black_box(vec![1u8; 64 << 20]);
        let own = own().unwrap();
        assert!(own > held.len() as u64, "{own} of {}", held.len());
    }

    #[test]
    fn lines_are_read_in_bytes() {
        let text = "MemTotal:       100 kB\nMemAvailable:      7 kB\n";
        assert_eq!(kib_line(text, "MemAvailable:"), Some(7168));
        assert_eq!(kib_line("MemAvailable: many", "MemAvailable:"), None);
    }
}
