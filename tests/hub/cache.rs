//! Without the Hub: offline use, what the cache holds, making room in it.

use std::fs;
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

use wick::hub::cache::{list, remove};
use wick::hub::{HubError, ModelFiles, ModelRef, RepoId};

use crate::bed::{Bed, ID, noise, weights};
use crate::stand_in::{Fault, commit};

#[test]
fn offline_nothing_is_sent_and_what_is_missing_is_listed() {
    let mut bed = Bed::new();
    bed.options.offline = true;
    let message = bed.resolve(ID).unwrap_err().to_string();
    assert!(
        message.contains("missing: revision main") && message.contains("leave --offline"),
        "{message}"
    );

    bed.options.offline = false;
    bed.resolve(ID).unwrap();
    bed.hub.forget_requests();
    bed.options.offline = true;
    assert_eq!(bed.resolve(ID).unwrap(), ModelFiles::Folder(bed.snapshot()));
    fs::remove_file(bed.snapshot().join("model.safetensors")).unwrap();
    let message = bed.resolve(ID).unwrap_err().to_string();
    assert!(message.contains("missing: the weights"), "{message}");
    let ModelRef::Hub(model) = ModelRef::parse(ID).unwrap() else {
        panic!()
    };
    assert!(matches!(
        wick::hub::plan(&model, &bed.options, &bed.notes),
        Err(HubError::Offline { .. })
    ));
    assert!(bed.hub.requests().is_empty());
}

#[test]
fn offline_a_shard_that_is_not_here_is_named() {
    let mut bed = Bed::empty();
    let shards = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ];
    let index = format!(
        r#"{{"weight_map":{{"a":"{}","b":"{}"}}}}"#,
        shards[0], shards[1]
    );
    let (a, b) = (noise(1, 100), noise(2, 200));
    bed.hub.add(
        ID,
        &[
            ("config.json", b"{}"),
            ("model.safetensors.index.json", index.as_bytes()),
            (shards[0], &a),
            (shards[1], &b),
        ],
    );
    bed.resolve(ID).unwrap();
    let has_weights = || list(&bed.options.cache).unwrap()[0].has_weights();
    assert!(has_weights());
    fs::remove_file(bed.snapshot().join(shards[1])).unwrap();
    assert!(!has_weights());
    bed.options.offline = true;
    let message = bed.resolve(ID).unwrap_err().to_string();
    assert!(
        message.contains(&format!("missing: {}", shards[1])),
        "{message}"
    );
}

#[test]
fn removing_a_revision_keeps_the_blobs_that_another_uses() {
    let bed = Bed::new();
    bed.resolve(ID).unwrap();
    bed.hub.edit(ID, |repo| {
        let mut files = repo.commits[&commit(1)].clone();
        files.insert("config.json".into(), b"{\"new\":1}".to_vec());
        repo.commits.insert(commit(2), files);
        repo.refs.insert("main".into(), commit(2));
    });
    bed.resolve(ID).unwrap();

    let models = list(&bed.options.cache).unwrap();
    assert_eq!(models.len(), 1);
    let all = 300_000 + 3000 + 22 + 9;
    assert_eq!(
        (models[0].repo.to_string().as_str(), models[0].bytes),
        (ID, all)
    );
    let mut refs: Vec<(String, Vec<String>)> = models[0]
        .revisions
        .iter()
        .map(|r| (r.commit.clone(), r.refs.clone()))
        .collect();
    refs.sort();
    assert_eq!(
        refs,
        [(commit(1), vec![]), (commit(2), vec!["main".to_string()])]
    );

    let repo = RepoId::parse(ID).unwrap();
    let removed = remove(&bed.options.cache, &repo, Some(&commit(1))).unwrap();
    assert_eq!(removed.bytes, 22);
    let left = bed
        .repo()
        .join("snapshots")
        .join(commit(2))
        .join("model.safetensors");
    assert_eq!(fs::read(left).unwrap(), weights());

    assert!(remove(&bed.options.cache, &repo, Some("v9")).is_err());
    let removed = remove(&bed.options.cache, &repo, None).unwrap();
    assert_eq!(removed.bytes, all - 22);
    assert!(!bed.repo().exists() && list(&bed.options.cache).unwrap().is_empty());
    let message = remove(&bed.options.cache, &repo, None)
        .unwrap_err()
        .to_string();
    assert!(message.contains(ID), "{message}");
}

#[test]
fn unfinished_downloads_are_counted_and_removed() {
    let mut bed = Bed::new();
    bed.options.attempts = 1;
    bed.hub.fault("/cdn/", Fault::CutAfter(1000), 1);
    bed.resolve(ID).unwrap_err();
    let models = list(&bed.options.cache).unwrap();
    assert_eq!(models[0].unfinished, 1000);
    let removed = remove(&bed.options.cache, &models[0].repo, None).unwrap();
    assert_eq!(removed.bytes, 1000 + 3000 + 22);
    assert!(!bed.repo().exists());
}

#[test]
fn a_first_file_that_is_unfinished_was_used_when_it_grew() {
    let mut bed = Bed::empty();
    let weights = noise(1, 5000);
    bed.hub.add(ID, &[("m-Q8_0.gguf", &weights)]);
    bed.options.attempts = 1;
    bed.hub.fault("/cdn/", Fault::CutAfter(1000), 1);
    bed.resolve(ID).unwrap_err();
    let models = list(&bed.options.cache).unwrap();
    assert_eq!(models[0].unfinished, 1000);
    let ago = models[0].last_used.elapsed().unwrap_or_default();
    assert!(ago < Duration::from_secs(3600), "{ago:?}");
}

/// Moves the weights into the store that huggingface_hub 2 shares between repositories, and puts
/// a link in their place, as it does.
#[cfg(unix)]
fn share(bed: &Bed) -> PathBuf {
    let blob = bed.blob("model.safetensors", &weights());
    let hash = "ab".repeat(32);
    let stored = bed.options.cache.join("blobs/ab").join(&hash);
    fs::create_dir_all(stored.parent().unwrap()).unwrap();
    fs::rename(&blob, &stored).unwrap();
    std::os::unix::fs::symlink(format!("../../blobs/ab/{hash}"), &blob).unwrap();
    stored
}

#[test]
#[cfg(unix)]
fn what_repositories_share_stays_and_does_not_count_as_freed() {
    let repo = RepoId::parse(ID).unwrap();
    let bed = Bed::new();
    bed.resolve(ID).unwrap();
    let stored = share(&bed);
    bed.hub.edit(ID, |repo| {
        let mut files = repo.commits[&commit(1)].clone();
        files.insert("model.safetensors".into(), noise(7, 500));
        repo.commits.insert(commit(2), files);
        repo.refs.insert("main".into(), commit(2));
    });
    bed.resolve(ID).unwrap();
    let removed = remove(&bed.options.cache, &repo, Some(&commit(1))).unwrap();
    assert_eq!((removed.bytes, removed.shared), (0, 300_000));
    let link = bed.blob("model.safetensors", &weights());
    assert!(fs::symlink_metadata(link).is_err());
    assert_eq!(fs::read(stored).unwrap(), weights());

    let bed = Bed::new();
    bed.resolve(ID).unwrap();
    let stored = share(&bed);
    let removed = remove(&bed.options.cache, &repo, None).unwrap();
    assert_eq!((removed.bytes, removed.shared), (3000 + 22, 300_000));
    assert!(!bed.repo().exists());
    assert_eq!(fs::read(stored).unwrap(), weights());
}

#[test]
#[cfg(unix)]
fn removal_does_not_follow_a_link_out_of_the_cache() {
    let bed = Bed::new();
    bed.resolve(ID).unwrap();
    let outside = bed.dir.path().join("precious");
    fs::write(&outside, "mine").unwrap();
    let other = bed.repo().join("snapshots").join(commit(3));
    fs::create_dir_all(&other).unwrap();
    std::os::unix::fs::symlink(&outside, other.join("x")).unwrap();
    remove(
        &bed.options.cache,
        &RepoId::parse(ID).unwrap(),
        Some(&commit(3)),
    )
    .unwrap();
    remove(&bed.options.cache, &RepoId::parse(ID).unwrap(), None).unwrap();
    assert_eq!(fs::read_to_string(outside).unwrap(), "mine");
}
