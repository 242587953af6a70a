//! Help and common errors, word for word. `WICK_UPDATE=1 cargo test --test cli golden` writes
//! the files anew.

use std::path::{Path, PathBuf};

use crate::bed::{ended, wick};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cli/golden")
        .join(name)
}

fn compare(name: &str, found: &str) {
    let path = golden(name);
    if std::env::var_os("WICK_UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&path, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, wanted,
        "{name} is not current: WICK_UPDATE=1 cargo test --test cli golden"
    );
}

#[test]
fn help() {
    compare("help.txt", &ended(wick().arg("--help")).done());
    for name in [
        "run",
        "chat",
        "download",
        "quantize",
        "bench",
        "models",
        "inspect",
        "completions",
    ] {
        let help = ended(wick().args([name, "--help"])).done();
        compare(&format!("help-{name}.txt"), &help);
    }
}

#[test]
fn errors() {
    let lines: [(&str, i32); 15] = [
        ("run -m nowhere hi", 1),
        ("run -m ./nowhere.gguf hi", 1),
        ("run -m chatgml2-6b hi", 1),
        ("run -m x", 2),
        ("run -m x hi --quant int3", 2),
        ("run -m x hi --quant int8 --dtype f16", 2),
        ("run -m x hi --device tpu", 2),
        ("run -m x hi -p hi", 2),
        ("run -m x --prompt-ids 1,a", 2),
        ("run -m tests/oracles/llama --prompt-ids 1 --temp -1", 2),
        ("run -m tests/oracles/llama --prompt-ids 311", 1),
        ("run -m tests/oracles/llama --prompt-ids 1 -c 0", 2),
        ("run -m tests/oracles/llama --prompt-ids 1 -t 0", 2),
        ("bench -m tests/oracles/llama -r 0", 2),
        ("frobnicate", 2),
    ];
    let mut all = String::new();
    for (line, code) in lines {
        let mut command = wick();
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        let message = ended(command.args(line.split(' '))).failed(code);
        all.push_str(&format!("$ wick {line}\n{message}[{code}]\n\n"));
    }
    compare("errors.txt", &all);
}

#[test]
#[cfg(not(feature = "cuda"))]
fn a_device_that_is_not_built_in_is_named_with_its_feature() {
    let mut command = wick();
    command.args(["run", "-m"]).arg(crate::bed::oracle("llama"));
    let message = ended(command.args(["--prompt-ids", "1", "--device", "cuda:1"])).failed(1);
    assert!(message.contains("--features cuda"), "{message}");
}

#[test]
fn versions_and_underscores() {
    assert!(ended(wick().arg("-V")).done().starts_with("wick 0."));
    let mut command = wick();
    command.args(["run", "-m"]).arg(crate::bed::oracle("llama"));
    command.args(["--prompt_ids", "1", "--max_tokens=3", "--ignore_eos", "-q"]);
    assert_eq!(ended(&mut command).done().split(',').count(), 3);
}
