//! When all goes well: what is fetched, how often, and where it lies.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use wick::hub::{
    Disk, HubError, ModelFiles, ModelRef, Plan, Quiet, fetch, plan, resolve, resolve_after,
};

use crate::bed::{Bed, ID, files, noise, weights};
use crate::stand_in::{commit, git_hash, sha256};

#[test]
fn what_loading_needs_lies_in_the_layout_that_python_shares() {
    let bed = Bed::new();
    assert_eq!(bed.resolve(ID).unwrap(), ModelFiles::Folder(bed.snapshot()));
    for (name, bytes) in files() {
        let wanted = ["config.json", "tokenizer.json", "model.safetensors"].contains(&name);
        assert_eq!(bed.snapshot().join(name).exists(), wanted, "{name}");
        if wanted {
            assert_eq!(
                fs::read(bed.snapshot().join(name)).unwrap(),
                bytes,
                "{name}"
            );
        }
    }
    assert_eq!(
        fs::read_to_string(bed.repo().join("refs/main")).unwrap(),
        commit(1)
    );
    assert_eq!(
        fs::read(bed.blob("model.safetensors", &weights())).unwrap(),
        weights()
    );
    let config = &files()[1].1;
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(bed.snapshot().join("config.json")).unwrap(),
        Path::new("../../blobs").join(git_hash(config))
    );
    let lock = format!(
        ".locks/models--test-org--Tiny-1/{}.lock",
        sha256(&weights())
    );
    assert!(bed.options.cache.join(lock).exists());
    bed.assert_no_leftovers();
    let all: u64 = files()[1..4].iter().map(|(_, b)| b.len() as u64).sum();
    assert_eq!(*bed.notes.bytes.lock().unwrap(), all);
}

#[test]
fn what_is_here_is_not_fetched_again() {
    let bed = Bed::new();
    bed.resolve(ID).unwrap();
    assert_eq!(bed.hub.content_requests().len(), 3);
    bed.hub.forget_requests();
    bed.resolve(ID).unwrap();
    assert_eq!(bed.hub.content_requests().len(), 0);
}

/// A second commit of `main`, in which only `file` is another.
fn push(bed: &Bed, file: &str, content: &[u8]) {
    bed.hub.edit(ID, |repo| {
        let mut files = repo.commits[&commit(1)].clone();
        files.insert(file.into(), content.to_vec());
        repo.commits.insert(commit(2), files);
        repo.refs.insert("main".into(), commit(2));
    });
}

/// The weights are in what was resolved, and `main` is the second commit.
#[track_caller]
fn assert_pushed(bed: &Bed, files: &ModelFiles) {
    let found = fs::read(files.path().join("model.safetensors")).unwrap();
    assert_eq!(found, weights());
    let main = fs::read_to_string(bed.repo().join("refs/main")).unwrap();
    assert_eq!(main, commit(2));
}

#[test]
fn a_new_commit_brings_only_what_changed() {
    let bed = Bed::new();
    bed.resolve(ID).unwrap();
    push(&bed, "config.json", b"{}");
    bed.hub.forget_requests();
    let files = bed.resolve(ID).unwrap();
    assert_eq!(bed.hub.content_requests().len(), 1);
    assert_eq!(fs::read(files.path().join("config.json")).unwrap(), b"{}");
    assert_pushed(&bed, &files);
}

#[test]
fn a_new_commit_with_the_same_weights_misses_nothing() {
    let bed = Bed::new();
    bed.resolve(ID).unwrap();
    push(&bed, "README.md", b"# Tidy");
    let reference = ModelRef::parse(ID).unwrap();
    let ModelRef::Hub(model) = &reference else {
        panic!()
    };
    let dry = plan(model, &bed.options, &Quiet).unwrap();
    assert_eq!(dry.missing_bytes(), 0);
    assert!(dry.files.iter().all(|f| f.is_here()));
    assert_eq!(Disk::new(&dry, &bed.options).needed, 0);

    bed.hub.forget_requests();
    let refuse = |_: &Plan| -> Result<(), HubError> { panic!("there is nothing to be asked") };
    let files = resolve_after(&reference, &bed.options, &Quiet, refuse).unwrap();
    assert_eq!(bed.hub.content_requests().len(), 0);
    assert!(files.path().ends_with(commit(2)));
    assert_pushed(&bed, &files);
}

#[test]
fn a_weights_file_that_is_named_is_not_taken_for_its_folder() {
    let bed = Bed::new();
    bed.resolve(ID).unwrap();
    for name in ["model.safetensors", "pytorch_model.bin"] {
        let found = bed.resolve(&format!("{ID}:{name}")).unwrap();
        assert_eq!(found, ModelFiles::Safetensors(bed.snapshot().join(name)));
    }
}

#[test]
fn the_token_goes_to_the_endpoint_and_not_where_it_redirects_to() {
    let bed = Bed::new();
    bed.resolve(ID).unwrap();
    let requests = bed.hub.requests();
    assert!(requests.iter().any(|r| r.cdn));
    for request in requests {
        let wanted = (!request.cdn).then_some("Bearer hf_test_secret");
        assert_eq!(request.authorization.as_deref(), wanted, "{}", request.path);
    }
}

#[test]
fn revisions_are_told_apart_and_kept_by_name() {
    let bed = Bed::new();
    bed.hub.edit(ID, |repo| {
        let mut files = repo.commits[&commit(1)].clone();
        files.insert("config.json".into(), b"{\"v\":2}".to_vec());
        repo.commits.insert(commit(2), files);
        repo.refs.insert("feature/x".into(), commit(2));
    });
    for name in [format!("{ID}@feature/x"), format!("{ID}@{}", commit(2))] {
        let files = bed.resolve(&name).unwrap();
        assert_eq!(
            fs::read(files.path().join("config.json")).unwrap(),
            b"{\"v\":2}"
        );
    }
    assert_eq!(
        fs::read_to_string(bed.repo().join("refs/feature/x")).unwrap(),
        commit(2)
    );
    assert!(!bed.repo().join("refs/main").exists());
}

#[test]
fn one_gguf_is_taken_by_quantization_and_a_split_one_whole() {
    let bed = Bed::empty();
    let (a, b, c) = (noise(1, 1000), noise(2, 2000), noise(3, 3000));
    bed.hub.add(
        ID,
        &[
            ("m-Q4_0.gguf", &a),
            ("q8/m-Q8_0-00001-of-00002.gguf", &b),
            ("q8/m-Q8_0-00002-of-00002.gguf", &c),
        ],
    );
    let found = bed.resolve(&format!("{ID}:q8_0")).unwrap();
    let first = bed.snapshot().join("q8/m-Q8_0-00001-of-00002.gguf");
    assert_eq!(found, ModelFiles::Gguf(first.clone()));
    assert_eq!(fs::read(&first).unwrap(), b);
    assert_eq!(
        fs::read(bed.snapshot().join("q8/m-Q8_0-00002-of-00002.gguf")).unwrap(),
        c
    );
    assert!(!bed.snapshot().join("m-Q4_0.gguf").exists());
    let message = bed
        .resolve(&format!("{ID}:Q5_K_M"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("Q4_0") && message.contains("Q8_0"),
        "{message}"
    );
}

#[test]
fn shards_that_only_the_index_names_are_fetched_too() {
    let bed = Bed::empty();
    let (a, b) = (noise(1, 1000), noise(2, 2000));
    let index =
        br#"{"weight_map":{"x":"model-00001-of-00001.safetensors","y":"extra/rest.safetensors"}}"#;
    bed.hub.add(
        ID,
        &[
            ("config.json", b"{}"),
            ("model.safetensors.index.json", index),
            ("model-00001-of-00001.safetensors", &a),
            ("extra/rest.safetensors", &b),
        ],
    );
    bed.resolve(ID).unwrap();
    assert_eq!(
        fs::read(bed.snapshot().join("extra/rest.safetensors")).unwrap(),
        b
    );

    let hostile = br#"{"weight_map":{"x":"../../../../x.safetensors"}}"#;
    bed.hub.add(
        "test-org/Tiny-2",
        &[
            ("config.json", b"{}"),
            ("model.safetensors.index.json", hostile),
            ("model-00001-of-00001.safetensors", &a),
        ],
    );
    let message = bed.resolve("test-org/Tiny-2").unwrap_err().to_string();
    assert!(
        message.contains("model.safetensors.index.json") && message.contains("../"),
        "{message}"
    );
}

#[test]
fn shards_that_are_excluded_stay_away_though_the_index_names_them() {
    let mut bed = Bed::empty();
    let names = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "extra/rest.safetensors",
    ];
    let index = format!(
        r#"{{"weight_map":{{"x":"{}","y":"{}","z":"{}"}}}}"#,
        names[0], names[1], names[2]
    );
    let (a, b, c) = (noise(1, 1000), noise(2, 2000), noise(3, 3000));
    bed.hub.add(
        ID,
        &[
            ("config.json", b"{}"),
            ("model.safetensors.index.json", index.as_bytes()),
            (names[0], &a),
            (names[1], &b),
            (names[2], &c),
        ],
    );
    bed.options.exclude = vec!["*-00002-*".into(), "extra/*".into()];
    bed.resolve(ID).unwrap();
    let here = names.map(|name| bed.snapshot().join(name).exists());
    assert_eq!(here, [true, false, false]);
}

#[test]
fn a_plan_says_files_and_sizes_and_fetches_nothing() {
    let bed = Bed::new();
    let ModelRef::Hub(model) = ModelRef::parse(ID).unwrap() else {
        panic!()
    };
    let dry = plan(&model, &bed.options, &Quiet).unwrap();
    let sizes: BTreeSet<(String, u64, bool)> = dry
        .files
        .iter()
        .map(|f| (f.remote.path.clone(), f.remote.size, f.is_here()))
        .collect();
    let wanted = files()[1..4]
        .iter()
        .map(|(n, b)| (n.to_string(), b.len() as u64, false))
        .collect();
    assert_eq!(sizes, wanted);
    assert_eq!(bed.hub.content_requests().len(), 0);
    assert!(!bed.options.cache.exists());
    bed.resolve(ID).unwrap();
    assert_eq!(
        plan(&model, &bed.options, &Quiet).unwrap().missing_bytes(),
        0
    );
}

#[test]
fn globs_choose_and_a_local_dir_holds_plain_files() {
    let mut bed = Bed::new();
    let folder = bed.dir.path().join("here");
    bed.options.local_dir = Some(folder.clone());
    bed.options.include = vec!["*.md".into(), "*.json".into()];
    bed.options.exclude = vec!["tok*".into()];
    let ModelRef::Hub(model) = ModelRef::parse(ID).unwrap() else {
        panic!()
    };
    let get = |bed: &Bed| {
        fetch(
            &plan(&model, &bed.options, &Quiet).unwrap(),
            &bed.options,
            &Quiet,
        )
        .unwrap()
    };
    assert_eq!(get(&bed), ModelFiles::Folder(folder.clone()));
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [".cache", "README.md", "config.json"]);
    assert!(
        fs::symlink_metadata(folder.join("README.md"))
            .unwrap()
            .is_file()
    );
    assert!(!bed.repo().exists());

    bed.hub.forget_requests();
    get(&bed);
    assert_eq!(bed.hub.content_requests().len(), 0);
    fs::write(folder.join("README.md"), "# Tidy").unwrap();
    fs::remove_dir_all(folder.join(".cache")).unwrap();
    get(&bed);
    assert_eq!(
        fs::read_to_string(folder.join("README.md")).unwrap(),
        "# Tiny"
    );
    assert_eq!(bed.hub.content_requests().len(), 1);
}

#[test]
fn two_at_once_fetch_each_file_once() {
    let bed = Bed::new();
    bed.hub.fault(
        "/cdn/",
        crate::stand_in::Fault::Drip(30_000, std::time::Duration::from_millis(20)),
        4,
    );
    std::thread::scope(|scope| {
        let one = || resolve(&ModelRef::parse(ID).unwrap(), &bed.options, &bed.notes).unwrap();
        let handles = [0, 1, 2].map(|_| scope.spawn(one));
        for handle in handles {
            assert_eq!(handle.join().unwrap(), ModelFiles::Folder(bed.snapshot()));
        }
    });
    assert_eq!(
        fs::read(bed.snapshot().join("model.safetensors")).unwrap(),
        weights()
    );
    assert_eq!(
        bed.hub.content_requests().iter().filter(|r| r.cdn).count(),
        1
    );
    bed.assert_no_leftovers();
}
