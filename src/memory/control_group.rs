//! Linux's control groups, by which a container has less memory than the machine that it runs on.

use std::path::{Path, PathBuf};

use super::Bytes;

/// How one version of control groups tells of memory.
struct Version {
    /// The controller's name in `/proc/self/cgroup`; version 2 has none there.
    controller: &'static str,
    /// The folder of its groups.
    folder: &'static str,
    limit: &'static str,
    usage: &'static str,
    /// Lines of `memory.stat` that count the content of files in a group's usage: the kernel drops
    /// it where memory is wanted.
    files: [&'static str; 2],
}

const VERSIONS: [Version; 2] = [
    Version {
        controller: "",
        folder: "",
        limit: "memory.max",
        usage: "memory.current",
        files: ["active_file", "inactive_file"],
    },
    Version {
        controller: "memory",
        folder: "memory",
        limit: "memory.limit_in_bytes",
        usage: "memory.usage_in_bytes",
        files: ["total_active_file", "total_inactive_file"],
    },
];

/// The system's memory, bounded by every limit that stands above this process. `groups` is the text
/// of `/proc/self/cgroup`, `root` the folder where the groups are mounted.
pub(super) fn bounded(system: Bytes, groups: &str, root: &Path) -> Bytes {
    let mut least = system;
    for version in &VERSIONS {
        for folder in version.folders(groups, root) {
            if let Some(group) = version.read(&folder) {
                least.free = least.free.min(group.free);
                least.all = least.all.min(group.all);
            }
        }
    }
    least
}

impl Version {
    /// The folders of this process's group and of all that it is part of. In a container the first,
    /// where the groups are mounted, may be the process's own, whatever it is called outside.
    fn folders(&self, groups: &str, root: &Path) -> Vec<PathBuf> {
        let path = groups.lines().find_map(|line| {
            // `NUMBER:CONTROLLERS:PATH`.
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let mut names = controllers.split(',');
            names.any(|name| name == self.controller).then_some(path)
        });
        let mut folder = root.join(self.folder);
        let mut folders = vec![folder.clone()];
        let names = path.unwrap_or_default().split('/');
        // What lies above the mounted groups is not seen.
        for name in names.take_while(|name| *name != "..") {
            if !name.is_empty() {
                folder.push(name);
                folders.push(folder.clone());
            }
        }
        folders
    }

    /// A group's memory; `None` where it has no limit.
    fn read(&self, folder: &Path) -> Option<Bytes> {
        let text = |file: &str| std::fs::read_to_string(folder.join(file)).ok();
        let number = |file: &str| text(file)?.trim().parse::<u64>().ok();
        let limit = number(self.limit)?;
        let usage = number(self.usage).unwrap_or(0);
        let stat = text("memory.stat").unwrap_or_default();
        let files = self.files.iter().filter_map(|key| stat_line(&stat, key));
        let files = files.fold(0, u64::saturating_add);
        Some(Bytes {
            free: limit.saturating_sub(usage.saturating_sub(files)),
            all: limit,
        })
    }
}

/// The value of a line `KEY VALUE`.
fn stat_line(text: &str, key: &str) -> Option<u64> {
    let mut values = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = values.find(|(name, _)| *name == key)?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const SYSTEM: Bytes = Bytes {
        free: 60 * GIB,
        all: 64 * GIB,
    };

    /// Writes a group's files and returns the root.
    fn groups(files: &[(&str, String)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_container_has_what_its_group_allows_and_files_that_were_read_do_not_count() {
        let stat = |prefix: &str| {
            format!(
                "anon 5\n{prefix}active_file {GIB}\n{prefix}inactive_file {}\n",
                GIB / 2
            )
        };
        let two = groups(&[
            ("memory.max", format!("{}\n", 4 * GIB)),
            ("memory.current", format!("{}\n", 2 * GIB)),
            ("memory.stat", stat("")),
        ]);
        let one = groups(&[
            ("memory/memory.limit_in_bytes", format!("{}\n", 4 * GIB)),
            ("memory/memory.usage_in_bytes", format!("{}\n", 2 * GIB)),
            ("memory/memory.stat", stat("total_")),
        ]);
        let wanted = Bytes {
            free: 4 * GIB - GIB / 2,
            all: 4 * GIB,
        };
        assert_eq!(bounded(SYSTEM, "0::/\n", two.path()), wanted);
        // The path is the one outside of the container, which is not seen in it.
        let outside = "5:cpu,cpuacct:/x\n4:memory:/docker/0123abc\n0::/\n";
        assert_eq!(bounded(SYSTEM, outside, one.path()), wanted);
    }

    #[test]
    fn the_tightest_of_all_groups_above_counts() {
        let root = groups(&[
            ("user.slice/memory.max", (8 * GIB).to_string()),
            ("user.slice/memory.current", (7 * GIB).to_string()),
            ("user.slice/me.scope/memory.max", "max\n".to_string()),
            ("user.slice/me.scope/memory.current", GIB.to_string()),
            ("other.slice/memory.max", "1".to_string()),
        ]);
        let found = bounded(SYSTEM, "0::/user.slice/me.scope\n", root.path());
        assert_eq!((found.free, found.all), (GIB, 8 * GIB));
    }

    #[test]
    fn without_limits_the_system_counts() {
        let unlimited = "9223372036854771712".to_string();
        let root = groups(&[
            ("memory.max", "max\n".to_string()),
            ("memory/memory.limit_in_bytes", unlimited),
            ("memory/memory.usage_in_bytes", GIB.to_string()),
        ]);
        for text in ["0::/\n4:memory:/\n", "0::/../..\n", "nonsense", ""] {
            assert_eq!(bounded(SYSTEM, text, root.path()), SYSTEM, "{text:?}");
        }
        let nothing = Path::new("/there/is/no/such/folder");
        assert_eq!(bounded(SYSTEM, "0::/\n", nothing), SYSTEM);
    }
}
