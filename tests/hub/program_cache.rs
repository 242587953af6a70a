//! The built program after a download: what is cached, making room, quantized copies.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::cli_bed::{Ended, ended, oracle, wick};
use crate::program::{Desk, ID, assert_says, safe};
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
    let text = desk
        .run(&[&["run"][..], &ANSWER, &[ID], flags].concat())
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
