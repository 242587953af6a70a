//! Connections that break, servers that stumble, content that is not what was promised.

use std::fs;
use std::time::{Duration, Instant};

use wick::hub::{HubError, ModelFiles};

use crate::bed::{Bed, ID, files, weights};
use crate::stand_in::{Fault, commit};

/// First bytes of the ranges that the second host was asked for.
fn ranges(bed: &Bed) -> Vec<u64> {
    let from = |r: &String| {
        r.strip_prefix("bytes=")
            .unwrap()
            .trim_end_matches('-')
            .parse()
            .unwrap()
    };
    let cdn = bed.hub.requests().into_iter().filter(|r| r.cdn);
    cdn.map(|r| r.range.as_ref().map_or(0, from)).collect()
}

fn assert_fetched(bed: &Bed) {
    assert_eq!(
        fs::read(bed.snapshot().join("model.safetensors")).unwrap(),
        weights()
    );
    bed.assert_no_leftovers();
}

#[test]
fn a_cut_connection_goes_on_at_the_byte_where_it_stopped() {
    let bed = Bed::new();
    bed.hub.fault("/cdn/", Fault::CutAfter(70_000), 3);
    bed.resolve(ID).unwrap();
    assert_eq!(ranges(&bed), [0, 70_000, 140_000, 210_000]);
    assert_fetched(&bed);
    assert_eq!(*bed.notes.bytes.lock().unwrap(), 300_000 + 3000 + 22);
}

#[test]
fn what_an_earlier_run_left_is_gone_on_from() {
    let mut bed = Bed::new();
    bed.options.attempts = 1;
    bed.hub.fault("/cdn/", Fault::CutAfter(123_456), 1);
    let error = bed.resolve(ID).unwrap_err();
    assert!(
        matches!(
            error,
            HubError::Interrupted {
                at: 123_456,
                size: 300_000,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(fs::metadata(bed.part()).unwrap().len(), 123_456);
    assert!(
        !bed.repo().join("refs/main").exists()
            && !bed.snapshot().join("model.safetensors").exists()
    );
    bed.hub.forget_requests();
    bed.resolve(ID).unwrap();
    assert_eq!(ranges(&bed), [123_456]);
    assert_fetched(&bed);
}

#[test]
fn a_whole_part_is_checked_and_not_fetched_again() {
    let bed = Bed::new();
    fs::create_dir_all(bed.part().parent().unwrap()).unwrap();
    fs::write(bed.part(), weights()).unwrap();
    bed.resolve(ID).unwrap();
    assert!(ranges(&bed).is_empty());
    assert_fetched(&bed);
}

#[test]
fn a_part_that_is_not_the_files_beginning_is_dropped_and_the_next_run_starts_clean() {
    let bed = Bed::new();
    fs::create_dir_all(bed.part().parent().unwrap()).unwrap();
    fs::write(bed.part(), vec![7; 1000]).unwrap();
    let error = bed.resolve(ID).unwrap_err();
    assert!(matches!(error, HubError::WrongHash { .. }), "{error}");
    assert!(!bed.part().exists());
    bed.resolve(ID).unwrap();
    assert_fetched(&bed);

    let bed = Bed::new();
    fs::create_dir_all(bed.part().parent().unwrap()).unwrap();
    fs::write(bed.part(), vec![7; 300_001]).unwrap();
    bed.resolve(ID).unwrap();
    assert_eq!(ranges(&bed), [0]);
    assert_fetched(&bed);
}

#[test]
fn a_server_without_ranges_or_with_416_is_asked_for_the_whole() {
    for fault in [Fault::NoRanges, Fault::Status(416, "", "")] {
        let bed = Bed::new();
        fs::create_dir_all(bed.part().parent().unwrap()).unwrap();
        fs::write(bed.part(), &weights()[..1000]).unwrap();
        bed.hub.fault("/cdn/", fault.clone(), 1);
        bed.resolve(ID).unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_fetched(&bed);
    }
}

#[test]
fn wrong_content_is_never_visible() {
    for (part, name) in [
        ("/cdn/", "model.safetensors"),
        ("tokenizer.json", "tokenizer.json"),
    ] {
        let bed = Bed::new();
        bed.hub.fault(part, Fault::WrongByte, 1);
        let message = bed.resolve(ID).unwrap_err().to_string();
        assert!(
            message.contains(name)
                && message.contains("hash")
                && message.contains("run the command again"),
            "{message}"
        );
        assert!(!bed.snapshot().join(name).exists());
        let bytes = files().into_iter().find(|f| f.0 == name).unwrap().1;
        let blob = bed.blob(name, &bytes);
        assert!(!blob.exists() && !blob.with_added_extension("incomplete").exists());
        bed.resolve(ID).unwrap();
        assert_fetched(&bed);
    }
}

#[test]
fn a_wrong_length_is_an_error_whichever_way_it_is_wrong() {
    for fault in [Fault::Longer(5), Fault::TooMany(5)] {
        let bed = Bed::new();
        bed.hub.fault("/cdn/", fault.clone(), 1);
        let error = bed.resolve(ID).unwrap_err();
        assert!(
            matches!(
                error,
                HubError::WrongLength {
                    wanted: 300_000,
                    ..
                }
            ),
            "{fault:?}: {error}"
        );
        bed.assert_no_leftovers();
        bed.resolve(ID).unwrap();
        assert_fetched(&bed);
    }
}

#[test]
fn a_slow_server_is_waited_for_and_a_silent_one_is_asked_again() {
    let bed = Bed::new();
    bed.hub
        .fault("/cdn/", Fault::Drip(30_000, Duration::from_millis(60)), 1);
    bed.resolve(ID).unwrap();
    assert_eq!(ranges(&bed), [0]);
    assert_fetched(&bed);

    let mut bed = Bed::new();
    bed.options.timeout = Duration::from_secs(2);
    bed.hub
        .fault("/cdn/", Fault::Silence(50_000, Duration::from_secs(600)), 1);
    bed.resolve(ID).unwrap();
    assert_eq!(ranges(&bed), [0, 50_000]);
    let notes = bed.notes.lines.lock().unwrap();
    let told = |line: &String| line.contains("no answer in time");
    assert!(notes.iter().any(told), "{notes:?}");
    assert_fetched(&bed);
}

#[test]
fn a_stumbling_server_is_asked_again_everywhere() {
    for part in ["/revision/", "/tree/", "config.json", "/cdn/"] {
        for status in [500, 503, 429] {
            let bed = Bed::new();
            bed.hub.fault(part, Fault::Status(status, "", ""), 2);
            bed.resolve(ID)
                .unwrap_or_else(|e| panic!("{part} {status}: {e}"));
            assert_fetched(&bed);
        }
    }
}

#[test]
fn retry_after_is_minded_and_an_endless_refusal_ends() {
    for part in ["/revision/", "/tree/", "/cdn/"] {
        let bed = Bed::new();
        bed.hub.fault(part, Fault::Status(429, "", "1"), 1);
        let start = Instant::now();
        bed.resolve(ID).unwrap();
        assert!(start.elapsed() >= Duration::from_secs(1), "{part}");
        assert!(
            bed.notes
                .lines
                .lock()
                .unwrap()
                .iter()
                .any(|l| l.contains("1.0 s"))
        );
    }
    let mut bed = Bed::new();
    bed.options.attempts = 3;
    bed.hub
        .fault("/revision/", Fault::Status(429, "", "1000"), usize::MAX);
    let message = bed.resolve(ID).unwrap_err().to_string();
    assert!(message.contains("1000 s"), "{message}");
    assert_eq!(bed.hub.requests().len(), 1);

    let mut bed = Bed::new();
    bed.options.attempts = 3;
    bed.hub
        .fault("/cdn/", Fault::Status(500, "", ""), usize::MAX);
    let error = bed.resolve(ID).unwrap_err();
    assert!(
        matches!(error, HubError::Status { status: 500, .. }),
        "{error}"
    );
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(ranges(&bed).len(), 3);
}

#[test]
fn a_hub_that_stumbles_is_asked_once_where_the_cache_can_stand_in() {
    let bed = Bed::new();
    bed.resolve(ID).unwrap();
    bed.hub.forget_requests();
    bed.hub
        .fault("/revision/", Fault::Status(500, "", ""), usize::MAX);
    assert_eq!(bed.resolve(ID).unwrap(), ModelFiles::Folder(bed.snapshot()));
    assert_eq!(bed.hub.requests().len(), 1);
}

#[test]
fn a_file_that_never_began_leaves_nothing() {
    let bed = Bed::new();
    bed.hub.fault("/cdn/", Fault::Status(403, "", ""), 1);
    bed.resolve(ID).unwrap_err();
    bed.assert_no_leftovers();
}

#[test]
fn endless_redirects_end() {
    for part in ["/revision/", "/tree/", "config.json", "/cdn/"] {
        let bed = Bed::new();
        bed.hub.fault(part, Fault::RedirectLoop, usize::MAX);
        let message = bed.resolve(ID).unwrap_err().to_string();
        assert!(
            message.contains("redirect") && message.contains("HF_ENDPOINT"),
            "{part}: {message}"
        );
        assert!(
            bed.hub.requests().len() < 60,
            "{part}: {}",
            bed.hub.requests().len()
        );
    }
}

#[test]
fn a_branch_that_moves_meanwhile_does_not_mix_commits() {
    let bed = Bed::new();
    bed.hub.edit(ID, |repo| {
        let changed = repo.commits[&commit(1)]
            .keys()
            .map(|name| (name.clone(), b"other".to_vec()))
            .collect();
        repo.commits.insert(commit(2), changed);
        repo.next_main = Some(commit(2));
    });
    bed.resolve(ID).unwrap();
    assert_fetched(&bed);
    assert_eq!(
        fs::read(bed.snapshot().join("config.json")).unwrap(),
        br#"{"model_type":"llama"}"#
    );
    assert_eq!(
        fs::read_to_string(bed.repo().join("refs/main")).unwrap(),
        commit(1)
    );
}
