//! The built program where something is in its way: kills, Ctrl-C, a full disk, refusals.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli_bed::{Ended, ended};
use crate::program::{Desk, ID, safe};
use crate::stand_in::{Fault, blob_name, commit};

const KILLS: usize = 30;

/// The weights come in pieces, so that there is a while in which to stop.
#[cfg(unix)]
fn slow(desk: &Desk) {
    let drip = Fault::Drip(40_000, Duration::from_millis(6));
    desk.hub.fault("/cdn/", drip, usize::MAX);
}

/// Holds the next download where so many bytes of the weights are here, after the look at their
/// header.
fn hold(desk: &Desk, bytes: usize) {
    let pass = Fault::Drip(usize::MAX, Duration::ZERO);
    desk.hub.fault("/cdn/", pass, 1);
    let stop = Fault::Silence(bytes, Duration::from_secs(600));
    desk.hub.fault("/cdn/", stop, 1);
}

/// Waits until it is so.
#[track_caller]
fn wait_for(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "nothing came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn start(desk: &Desk) -> Child {
    let mut command = desk.wick(&["download", ID]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn weights(desk: &Desk) -> Vec<u8> {
    let mut found = Vec::new();
    desk.hub.edit(ID, |repo| {
        found = repo.commits[&commit(1)]["model.safetensors"].clone();
    });
    found
}

fn part(desk: &Desk) -> PathBuf {
    let blob = blob_name("model.safetensors", &weights(desk));
    desk.repo()
        .join("blobs")
        .join(blob)
        .with_added_extension("incomplete")
}

/// Bytes of a file that are here while it comes.
fn begun(part: &Path) -> usize {
    fs::metadata(part).map_or(0, |m| m.len() as usize)
}

/// Everything that loading needs is here, byte for byte, and nothing else.
fn assert_whole(desk: &Desk) {
    let snapshot = desk.repo().join("snapshots").join(commit(1));
    desk.hub.edit(ID, |repo| {
        for (name, bytes) in &repo.commits[&commit(1)] {
            if ["README.md", "pytorch_model.bin"].contains(&name.as_str()) {
                continue;
            }
            assert!(fs::read(snapshot.join(name)).unwrap() == *bytes, "{name}");
        }
    });
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(desk.repo().join(folder)).unwrap();
        entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let stray = |name: &String| name.len() != 40 && name.len() != 64;
    assert!(!names("blobs").iter().any(stray), "{:?}", names("blobs"));
    assert_eq!(names("").len(), 3, "{:?}", names(""));
    assert_eq!(names("snapshots"), [commit(1)]);
    assert_eq!(
        fs::read_to_string(desk.repo().join("refs/main")).unwrap(),
        commit(1)
    );
}

#[test]
fn killed_at_any_moment_the_next_start_ends_in_the_same_files_and_no_leftovers() {
    for kill in 0..=KILLS {
        let desk = Desk::new();
        let bytes = weights(&desk).len() * kill / KILLS;
        let (part, main) = (part(&desk), desk.repo().join("refs/main"));
        if bytes > 0 {
            hold(&desk, bytes);
        }
        let mut child = start(&desk);
        // From the first request, by way of the content, to the last byte, after which it goes on.
        wait_for(|| match bytes {
            0 => !desk.hub.requests().is_empty(),
            bytes => begun(&part) >= bytes || main.exists(),
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let is_within = 0 < kill && kill < KILLS;
        assert!(!is_within || begun(&part) == bytes && !main.exists());
        desk.hub.forget_faults();
        let again = start(&desk).wait_with_output().unwrap();
        safe(again.into()).done();
        assert_whole(&desk);
    }
}

/// What Ctrl-C sends.
#[cfg(unix)]
fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.unwrap().success());
}

#[test]
#[cfg(unix)]
fn ctrl_c_during_the_look_before_a_download_takes_the_temporary_folder_along() {
    let desk = Desk::new();
    let drip = Fault::Drip(8, Duration::from_millis(100));
    desk.hub.fault("/config.json", drip, usize::MAX);
    let temporary = desk.dir.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut command = desk.wick(&["download", "--dry-run", ID]);
    command.env("TMPDIR", &temporary);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let entries = || fs::read_dir(&temporary).unwrap().flatten();
    wait_for(|| entries().any(|entry| entry.path().join("config.json").exists()));
    interrupt(&child);
    let ended: Ended = child.wait_with_output().unwrap().into();
    safe(ended).failed(130);
    assert_eq!(entries().count(), 0);
}

#[test]
#[cfg(unix)]
fn ctrl_c_keeps_what_came_and_the_next_start_goes_on_from_there() {
    let desk = Desk::new();
    slow(&desk);
    let part = part(&desk);
    let child = start(&desk);
    wait_for(|| begun(&part) >= 100_000);
    interrupt(&child);
    let ended: Ended = child.wait_with_output().unwrap().into();
    let message = safe(ended).failed(130);
    assert!(message.contains("goes on"), "{message}");
    let kept = begun(&part);
    assert!(kept >= 100_000 && kept < weights(&desk).len());
    desk.hub.forget_requests();
    desk.run(&["download", ID]).done();
    let asked: Vec<_> = desk
        .hub
        .requests()
        .into_iter()
        .filter_map(|r| r.range)
        .collect();
    assert!(
        asked.contains(&format!("bytes={kept}-")),
        "{kept}: {asked:?}"
    );
    assert_whole(&desk);
}

/// The limit on a file's size stands for the full disk: a write fails in the middle of the file.
#[test]
#[cfg(unix)]
fn a_disk_that_fills_up_is_gone_on_from_once_there_is_room() {
    let desk = Desk::new();
    let mut shell = Command::new("bash");
    let program = desk.wick(&[]);
    // The signal that goes with the limit is ignored, as a full disk sends none.
    shell.args([
        "-c",
        "trap '' XFSZ; ulimit -f 200; exec \"$0\" download \"$1\"",
    ]);
    shell.arg(program.get_program()).arg(ID);
    crate::program::environment(&mut shell, &program);
    let message = safe(ended(&mut shell)).failed(1);
    for wanted in ["model.safetensors", "goes on", "wick models rm"] {
        assert!(message.contains(wanted), "{wanted:?} is not in {message}");
    }
    assert_eq!(fs::metadata(part(&desk)).unwrap().len(), 200 * 1024);
    desk.hub.forget_requests();
    desk.run(&["download", ID]).done();
    let asked: Vec<_> = desk
        .hub
        .requests()
        .into_iter()
        .filter_map(|r| r.range)
        .collect();
    assert!(asked.contains(&"bytes=204800-".to_string()), "{asked:?}");
    assert_whole(&desk);
}

#[test]
fn every_refusal_is_a_sentence_with_the_next_step() {
    type Prepare = fn(&Desk);
    let cases: [(&str, Prepare, &str, &[&str]); 8] = [
        (
            ID,
            |d| d.hub.edit(ID, |r| r.token = Some("x".into())),
            "401",
            &["token is not valid", "HF_TOKEN"],
        ),
        (
            ID,
            |d| d.hub.edit(ID, |r| r.gated = true),
            "403",
            &["gated", "accept its conditions"],
        ),
        (
            "test-org/Tiny-2",
            |_| {},
            "404",
            &["test-org/Tiny-2", "check the name"],
        ),
        (
            "test-org/Tiny-1@mian",
            |_| {},
            "revision",
            &["no revision", "did you mean main"],
        ),
        (
            "test-org/Tiny-1:modl.safetensors",
            |_| {},
            "file",
            &["no file", "did you mean model.safetensors"],
        ),
        (
            ID,
            |d| d.hub.fault("", Fault::Html, usize::MAX),
            "portal",
            &["web page", "log in to the network"],
        ),
        (
            ID,
            |d| d.hub.fault("", Fault::RedirectLoop, usize::MAX),
            "loop",
            &["redirect", "HF_ENDPOINT"],
        ),
        (
            ID,
            |d| d.hub.fault("/cdn/", Fault::WrongByte, usize::MAX),
            "mirror",
            &["hash", "wrong content"],
        ),
    ];
    for (id, prepare, what, wanted) in cases {
        let desk = Desk::new();
        prepare(&desk);
        for args in [&["download", id][..], &["run", "-m", id, "Hi"]] {
            let ended = desk.run(args);
            assert!(ended.stdout.is_empty(), "{what}: {}", ended.stdout);
            let message = ended.failed(1);
            for part in wanted {
                assert!(
                    message.contains(part),
                    "{what}: {part:?} is not in {message}"
                );
            }
        }
        assert!(!desk.repo().join("refs/main").exists(), "{what}");
    }
}

#[test]
fn a_token_does_not_follow_a_redirect_of_any_request() {
    let parts = ["/api/", "/tree/", "config.json", "model.safetensors"];
    let once = parts.map(|part| (part, Fault::Elsewhere));
    for (part, fault) in once.into_iter().chain([("/api/", Fault::ElsewhereTwice)]) {
        let desk = Desk::new();
        desk.hub.fault(part, fault, usize::MAX);
        desk.run(&["download", ID]).done();
        let elsewhere = |r: &&crate::stand_in::Request| r.cdn;
        let requests = desk.hub.requests();
        assert!(requests.iter().filter(elsewhere).count() > 0, "{part}");
        for request in requests.iter().filter(elsewhere) {
            assert_eq!(request.authorization, None, "{part}: {}", request.path);
        }
    }
}
