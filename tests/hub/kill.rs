//! A process that is killed at any moment leaves nothing that the next run does not mend.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use wick::hub::{ModelRef, Quiet, resolve};

use crate::bed::{Bed, ID, files, options};
use crate::stand_in::Fault;

const ENDPOINT: &str = "WICK_TEST_KILL_ENDPOINT";
const FOLDER: &str = "WICK_TEST_KILL_FOLDER";
const REPETITIONS: u32 = 30;

/// The process that is killed: this test, started by the one below.
#[test]
fn child() {
    let (Ok(endpoint), Ok(folder)) = (std::env::var(ENDPOINT), std::env::var(FOLDER)) else {
        return;
    };
    let options = options(&endpoint, folder.as_ref());
    resolve(&ModelRef::parse(ID).unwrap(), &options, &Quiet).unwrap();
}

fn start(bed: &Bed) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--test-threads=1"])
        .env(ENDPOINT, bed.hub.endpoint())
        .env(FOLDER, bed.dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_at_any_moment_the_next_run_ends_in_the_same_files_and_no_leftovers() {
    let mut cut_short = 0;
    for i in 0..REPETITIONS {
        let bed = Bed::new();
        // Slow enough that the kills land before, within and after the content.
        bed.hub
            .fault("/cdn/", Fault::Drip(30_000, Duration::from_millis(8)), 1);
        let mut child = start(&bed);
        std::thread::sleep(Duration::from_millis(5 + u64::from(i) * 7));
        child.kill().unwrap();
        child.wait().unwrap();
        cut_short += u32::from(!bed.repo().join("refs/main").exists());

        assert!(start(&bed).wait().unwrap().success(), "after {i}");
        for (name, bytes) in files().into_iter().skip(1).take(3) {
            assert_eq!(
                fs::read(bed.snapshot().join(name)).unwrap(),
                bytes,
                "{name} after {i}"
            );
        }
        bed.assert_no_leftovers();
        let root: Vec<_> = fs::read_dir(bed.repo())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(root.len(), 3, "{root:?}");
    }
    assert!(
        cut_short >= REPETITIONS / 4,
        "only {cut_short} of {REPETITIONS} kills came in time"
    );
}
