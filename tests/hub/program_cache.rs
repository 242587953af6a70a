//! The built program after a download: what is cached, making room, quantized copies.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::cli_bed::{Ended, Speaker, ended, oracle, wick};
use crate::program::{Desk, ID, assert_says, safe, serve};
use crate::stand_in::commit;

/// `wick ARGS` with an answer on standard input.
fn answered(desk: &Desk, args: &[&str], answer: &str) -> Ended {
    let mut command = desk.wick(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(answer.as_bytes())
        .unwrap();
    safe(child.wait_with_output().unwrap().into())
}

#[test]
fn what_is_cached_is_listed_with_sizes_and_removed_after_asking() {
    let desk = Desk::new();
    let empty = desk.run(&["models", "--cached"]).done();
    assert_says(&empty, &["0 models", "0 B", desk.cache().to_str().unwrap()]);
    desk.run(&["download", ID]).done();
    let listed = desk.run(&["models", "--cached"]).done();
    let bytes: u64 = fs::read_dir(desk.repo().join("blobs"))
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().len())
        .sum();
    let size = wick::hub::readable_bytes(bytes);
    assert_says(
        &listed,
        &[
            ID,
            &size,
            "main (0101010)",
            "5 files",
            "used today",
            "1 model,",
        ],
    );

    let asked = answered(&desk, &["models", "rm", ID], "n\n");
    assert_says(&asked.stderr, &["[y/N]", ID, &size, "kept"]);
    asked.done();
    let nobody = desk.run(&["models", "rm", ID]).failed(1);
    assert_says(&nobody, &["nobody answered", "--yes"]);
    let message = desk
        .run(&["models", "rm", "-y", "test-org/Tiny-2"])
        .failed(1);
    assert_says(
        &message,
        &["test-org/Tiny-2", "did you mean test-org/Tiny-1"],
    );
    assert!(desk.repo().join("refs/main").exists());
    answered(&desk, &["models", "rm", ID], "y\n").done();
    assert!(!desk.repo().exists());
    assert_says(
        &desk.run(&["models", "rm", "-y", ID]).failed(1),
        &["no model", ID],
    );
}

#[test]
fn only_a_model_with_whole_weights_counts_as_cached() {
    const REPO: &str = "Qwen/Qwen3-0.6B";
    let desk = Desk::empty();
    serve(&desk.hub, REPO, Speaker::new().path());
    let is_cached = || {
        let table = desk.run(&["models"]).done();
        let mut rows = table.lines();
        let row = rows.find(|row| row.starts_with("  qwen3-0.6b "));
        row.unwrap().ends_with("[cached]")
    };
    let card = || desk.run(&["models", "qwen3-0.6b"]).done();
    assert!(!is_cached());

    desk.run(&["download", REPO, "--include", "*.json"]).done();
    let blobs = desk.cache().join("models--Qwen--Qwen3-0.6B/blobs");
    let part = blobs.join("ab".repeat(32)).with_extension("incomplete");
    fs::write(&part, [0u8; 1000]).unwrap();
    assert!(!is_cached());
    assert_says(&card(), &[REPO, ", unfinished)"]);

    desk.run(&["download", REPO]).done();
    assert!(is_cached());
    assert_says(&card(), &["1000 B unfinished"]);
    fs::remove_file(part).unwrap();
    assert!(is_cached() && !card().contains("unfinished"));
}

#[test]
fn a_revision_is_removed_by_the_name_that_is_listed() {
    let desk = Desk::new();
    desk.run(&["download", ID]).done();
    desk.hub.edit(ID, |repo| {
        let files = repo.commits[&commit(1)].clone();
        repo.commits.insert(commit(2), files);
        repo.refs.insert("main".into(), commit(2));
    });
    desk.run(&["download", ID]).done();
    let remove = |revision: &str| {
        let name = format!("{ID}@{revision}");
        desk.run(&["models", "rm", "-y", &name])
    };
    let snapshots = desk.repo().join("snapshots");
    let here = |n: u8| snapshots.join(commit(n)).exists();
    for other in ["xyz", "01", "0101011", "02020202f"] {
        let message = remove(other).failed(1);
        assert_says(&message, &["no revision", other, "test-org/Tiny-1@main"]);
        assert!(!message.contains("--revision"), "{message}");
    }
    assert!(here(1) && here(2));
    let listed = desk.run(&["models", "--cached"]).done();
    assert_says(&listed, &["  0101010 ", "main (0202020)"]);
    remove("0101010").done();
    assert!(!here(1) && here(2));
    remove("main").done();
    assert!(!desk.repo().exists());
}

/// The quantized copies beside the cache.
fn copies(desk: &Desk) -> Vec<PathBuf> {
    wick::hub::cache::copies(&desk.cache())
        .into_iter()
        .map(|c| c.path)
        .collect()
}

const ANSWER: [&str; 9] = [
    "Hi",
    "--temp",
    "0",
    "-n",
    "12",
    "--ignore-eos",
    "-o",
    "json",
    "-m",
];

/// What the model says with these flags.
#[track_caller]
fn ids(desk: &Desk, flags: &[&str]) -> Value {
    ids_of(desk, ID, flags)
}

/// What the model `id` says with these flags.
#[track_caller]
fn ids_of(desk: &Desk, id: &str, flags: &[&str]) -> Value {
    let text = desk
        .run(&[&["run"][..], &ANSWER, &[id], flags].concat())
        .done();
    let object: Value = serde_json::from_str(&text).unwrap();
    json!([object["ids"], object["text"], object["prompt"]])
}

#[test]
fn a_quantized_copy_answers_as_quantizing_while_loading_does() {
    let desk = Desk::new();
    let cached = |wanted: usize| assert_eq!(copies(&desk).len(), wanted);
    for (quant, n) in [("int8", 1), ("int4", 2)] {
        let flags = ["--quant", quant];
        let plain = ids(&desk, &[&flags[..], &["--no-quant-cache"]].concat());
        cached(n - 1);
        assert_eq!(ids(&desk, &flags), plain, "{quant}, as the copy is made");
        cached(n);
        let made = fs::metadata(&copies(&desk)[0]).unwrap().modified().unwrap();
        assert_eq!(ids(&desk, &flags), plain, "{quant}, from the copy");
        assert_eq!(
            fs::metadata(&copies(&desk)[0]).unwrap().modified().unwrap(),
            made
        );
    }
    ids(&desk, &[]);
    ids(&desk, &["--dtype", "f16"]);
    cached(2);

    // It is the copy that is read: another model's in its place is heard.
    let int8 = copies(&desk)
        .into_iter()
        .find(|p| p.ends_with("model.Q8_0-Q8_0.gguf"))
        .unwrap();
    let mut quantize = wick();
    quantize.arg("quantize").arg(oracle("llama-linear-rope"));
    quantize
        .args(["--quant", "int8", "--force", "-o"])
        .arg(&int8);
    ended(&mut quantize).done();
    let other = ids(&desk, &["--quant", "int8"]);
    assert_ne!(other, ids(&desk, &["--quant", "int8", "--no-quant-cache"]));
    // A broken one is made anew.
    fs::write(&int8, b"GGUF").unwrap();
    assert_eq!(
        ids(&desk, &["--quant", "int8"]),
        ids(&desk, &["--quant", "int8", "--no-quant-cache"])
    );

    let listed = desk.run(&["models", "--cached"]).done();
    assert_says(
        &listed,
        &[
            "quantized copy Q8_0-Q8_0 of 0101010",
            "quantized copy Q4_0-Q8_0",
        ],
    );
    desk.run(&["models", "rm", "-y", "--copies", ID]).done();
    cached(0);
    assert!(desk.repo().join("refs/main").exists());
    ids(&desk, &["--quant", "int8"]);
    cached(1);
    desk.run(&["models", "rm", "-y", ID]).done();
    cached(0);
    assert!(!desk.repo().exists());
}

/// A model's weights with another head: each token is taken for one five further on.
fn other_weights(model: &Path) -> Vec<u8> {
    let mut bytes = fs::read(model.join("model.safetensors")).unwrap();
    let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
    let head = &header["lm_head.weight"];
    let at = |i: usize| 8 + len + head["data_offsets"][i].as_u64().unwrap() as usize;
    let row = 4 * head["shape"][1].as_u64().unwrap() as usize;
    bytes[at(0)..at(1)].rotate_left(5 * row);
    bytes
}

#[test]
fn the_copy_of_a_file_that_is_named_is_of_that_file() {
    let desk = Desk::new();
    desk.hub.edit(ID, |repo| {
        let files = repo.commits.get_mut(&commit(1)).unwrap();
        let other = other_weights(Speaker::new().path());
        files.insert("other.safetensors".into(), other);
    });
    let usual = ids(&desk, &["--quant", "int8"]);
    let named = format!("{ID}:other.safetensors");
    let said = |flags: &[&str]| ids_of(&desk, &named, flags);
    let plain = said(&["--quant", "int8", "--no-quant-cache"]);
    assert_ne!(plain, usual);
    assert_eq!(said(&["--quant", "int8"]), plain, "as the copy is made");
    assert_eq!(copies(&desk).len(), 2);
    assert_eq!(said(&["--quant", "int8"]), plain, "from the copy");
}

/// ID as others may have spelled it.
const OTHER_ID: &str = "TEST-ORG/tiny-1";

#[test]
fn of_two_spellings_the_one_that_is_named_is_removed() {
    let desk = Desk::new();
    if Path::new(&desk.dir.path().to_string_lossy().to_uppercase()).exists() {
        eprintln!("skipped: names of files do not differ by case here");
        return;
    }
    serve(&desk.hub, OTHER_ID, Speaker::new().path());
    let other = desk.cache().join("models--TEST-ORG--tiny-1");
    for id in [ID, OTHER_ID] {
        desk.run(&["download", id]).done();
    }
    desk.run(&["models", "rm", "-y", ID]).done();
    assert!(other.join("refs/main").exists() && !desk.repo().exists());

    // Where only the other is here, it is meant, and its copies are.
    ids_of(&desk, OTHER_ID, &["--quant", "int8"]);
    assert_eq!(copies(&desk).len(), 1);
    let removed = desk.run(&["models", "rm", "-y", "--copies", ID]);
    assert_says(&removed.stderr, &["removed", OTHER_ID]);
    removed.done();
    assert!(copies(&desk).is_empty() && other.join("refs/main").exists());
}

#[test]
#[cfg(unix)]
fn what_stays_in_pythons_shared_store_is_said() {
    let desk = Desk::new();
    desk.run(&["download", ID]).done();
    let (blobs, store) = (desk.repo().join("blobs"), desk.cache().join("blobs/ab"));
    let snapshot = desk.repo().join("snapshots").join(commit(1));
    let link = fs::read_link(snapshot.join("model.safetensors")).unwrap();
    let name = link.file_name().unwrap();
    fs::create_dir_all(&store).unwrap();
    fs::rename(blobs.join(name), store.join(name)).unwrap();
    let target = Path::new("../../blobs/ab").join(name);
    std::os::unix::fs::symlink(target, blobs.join(name)).unwrap();
    let size = wick::hub::readable_bytes(fs::metadata(store.join(name)).unwrap().len());

    let removed = desk.run(&["models", "rm", "-y", ID]);
    let stays = format!("{size} stay in the store");
    assert_says(&removed.stderr, &["hf cache prune", &stays]);
    removed.done();
    assert!(store.join(name).exists() && !desk.repo().exists());
}

#[test]
fn a_new_commit_does_not_use_the_copy_of_the_old_one() {
    let desk = Desk::new();
    let old = ids(&desk, &["--quant", "int8"]);
    desk.hub.edit(ID, |repo| {
        let mut files = repo.commits[&commit(1)].clone();
        let config = String::from_utf8(files["config.json"].clone()).unwrap();
        let other = config.replace("1e-05", "0.5");
        assert_ne!(config, other);
        files.insert("config.json".into(), other.into_bytes());
        repo.commits.insert(commit(2), files);
        repo.refs.insert("main".into(), commit(2));
    });
    assert_ne!(ids(&desk, &["--quant", "int8"]), old);
    assert_eq!(copies(&desk).len(), 2);
    assert_eq!(
        ids(&desk, &["--quant", "int8", "--revision", &commit(1)]),
        old
    );
}
