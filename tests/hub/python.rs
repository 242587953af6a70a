//! Python's huggingface_hub and wick share one cache. Skipped where it is not installed: set
//! WICK_TEST_PYTHON to an interpreter that has it.

use std::fs;
use std::process::Command;

use wick::hub::ModelFiles;

use crate::bed::{Bed, ID, weights};

/// An interpreter with huggingface_hub.
fn python() -> Option<String> {
    let python = std::env::var("WICK_TEST_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let found = Command::new(&python)
        .args(["-c", "import huggingface_hub"])
        .output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!("skipped: {python} has no huggingface_hub (set WICK_TEST_PYTHON)");
    None
}

fn run(python: &str, bed: &Bed, offline: &str, script: &str) -> String {
    let mut command = Command::new(python);
    for name in [
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "TRANSFORMERS_OFFLINE",
    ] {
        command.env_remove(name);
    }
    let output = command
        .args(["-c", script])
        .env("HF_HOME", bed.dir.path())
        .env("HF_ENDPOINT", bed.hub.endpoint())
        .env("HF_HUB_OFFLINE", offline)
        .env("HF_TOKEN", "hf_test_secret")
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

#[test]
fn python_finds_what_wick_fetched() {
    let Some(python) = python() else { return };
    let bed = Bed::new();
    bed.resolve(ID).unwrap();
    let path = run(
        &python,
        &bed,
        "1",
        "from huggingface_hub import snapshot_download as s; print(s('test-org/Tiny-1'))",
    );
    assert_eq!(path, bed.snapshot().to_str().unwrap());

    bed.hub.forget_requests();
    let script = "from huggingface_hub import hf_hub_download as h\nfor f in ['config.json', 'model.safetensors']: print(h('test-org/Tiny-1', f))";
    let paths = run(&python, &bed, "0", script);
    assert!(paths.ends_with("model.safetensors"), "{paths}");
    assert_eq!(
        bed.hub.content_requests().len(),
        0,
        "{:?}",
        bed.hub.content_requests()
    );
    let sizes = "from huggingface_hub import scan_cache_dir as s; i = s(); print(i.size_on_disk, len(i.warnings))";
    assert_eq!(
        run(&python, &bed, "1", sizes),
        format!("{} 0", 300_000 + 3000 + 22)
    );
}

#[test]
fn wick_finds_what_python_fetched() {
    let Some(python) = python() else { return };
    let mut bed = Bed::new();
    run(
        &python,
        &bed,
        "0",
        "from huggingface_hub import snapshot_download as s; s('test-org/Tiny-1')",
    );
    bed.hub.forget_requests();
    assert_eq!(bed.resolve(ID).unwrap(), ModelFiles::Folder(bed.snapshot()));
    assert_eq!(bed.hub.content_requests().len(), 0);
    bed.options.offline = true;
    let files = bed.resolve(ID).unwrap();
    assert_eq!(
        fs::read(files.path().join("model.safetensors")).unwrap(),
        weights()
    );
}
