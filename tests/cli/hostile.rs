//! Files that are cut short or lie: an error with the file's name, never a panic.

use std::path::Path;
use std::process::Command;

use crate::bed::{ended, oracle};
use candle_core::Device;
use proptest::prelude::*;
use wick::load::Opened;
use wick::nn::Storage;
use wick::quant::Encoding;

/// Opens and loads; the message of what went wrong.
fn load(path: &Path) -> Result<(), String> {
    let opened = Opened::open(path).map_err(|e| e.to_string())?;
    let model = opened.model(&Device::Cpu, Storage::AsStored, &mut |_, _| {});
    model.map(|_| ()).map_err(|e| e.to_string())
}

#[track_caller]
fn refused(path: &Path, name: &str) {
    let message = load(path).expect_err("a broken file was loaded");
    assert!(message.contains(name), "{name} is not named in: {message}");
}

/// A GGUF of an oracle.
fn gguf() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("model.gguf");
    let opened = Opened::open(&oracle("llama-gqa")).unwrap();
    let storage = Storage::Float(Encoding::F32);
    wick::quantize::to_gguf(&opened, storage, &out, &mut |_, _| {}).unwrap();
    std::fs::read(out).unwrap()
}

/// A copy of an oracle's folder.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(oracle("llama-gqa").join(file), dir.path().join(file)).unwrap();
    }
    dir
}

/// Where the header of a safetensors file ends.
fn header_end(bytes: &[u8]) -> usize {
    8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize
}

#[test]
fn a_gguf_cut_anywhere_in_its_header_is_refused() {
    let whole = gguf();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.gguf");
    // The header is far shorter than the last of these.
    let cuts = (0..6000.min(whole.len())).step_by(7);
    for cut in cuts.chain([whole.len() / 2, whole.len() - 1]) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        refused(&path, "cut.gguf");
    }
}

#[test]
fn a_safetensors_file_cut_anywhere_is_refused() {
    let dir = folder();
    let path = dir.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let cuts = (0..header_end(&whole) + 8).step_by(7);
    for cut in cuts.chain([whole.len() / 2, whole.len() - 1]) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        refused(dir.path(), "model.safetensors");
    }
}

#[test]
fn a_configuration_cut_anywhere_is_refused() {
    let dir = folder();
    let path = dir.path().join("config.json");
    let whole = std::fs::read(&path).unwrap();
    let end = whole.iter().rposition(|&b| b == b'}').unwrap();
    for cut in 0..end {
        std::fs::write(&path, &whole[..cut]).unwrap();
        refused(dir.path(), "config.json");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn bytes_that_lie_never_panic(at in 0usize..6000, to in any::<u8>(), and in 0usize..6000, too in any::<u8>()) {
        static WHOLE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(gguf);
        let mut bytes = WHOLE.clone();
        bytes[at] = to;
        bytes[and] = too;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lie.gguf");
        std::fs::write(&path, &bytes).unwrap();
        if let Err(message) = load(&path) {
            prop_assert!(message.contains("lie.gguf"), "{}", message);
        }
    }

    #[test]
    fn a_safetensors_header_that_lies_never_panics(at in 0usize..3000, to in any::<u8>()) {
        let dir = folder();
        let path = dir.path().join("model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let end = header_end(&bytes);
        bytes[at % end] = to;
        std::fs::write(&path, &bytes).unwrap();
        if let Err(message) = load(dir.path()) {
            prop_assert!(message.contains("model.safetensors"), "{}", message);
        }
    }

    #[test]
    fn a_configuration_that_lies_never_panics(at in 0usize..2000, to in any::<u8>()) {
        let dir = folder();
        let path = dir.path().join("config.json");
        let mut bytes = std::fs::read(&path).unwrap();
        let n = bytes.len();
        bytes[at % n] = to;
        std::fs::write(&path, &bytes).unwrap();
        // The weights may be what no longer fits the configuration.
        if let Err(message) = load(dir.path()) {
            prop_assert!(
                message.contains("config.json") || message.contains("safetensors"),
                "{}", message
            );
        }
    }
}

/// Runs the program with 3 GB of address space, so that a huge allocation fails.
#[cfg(target_os = "linux")]
fn bounded(model: &Path) -> String {
    let wick = env!("CARGO_BIN_EXE_wick");
    let shell = format!(
        "ulimit -v 3000000; exec {wick} run -q -t 2 -m {} --prompt-ids 1 -n 1",
        model.display()
    );
    ended(Command::new("sh").args(["-c", &shell])).failed(1)
}

#[test]
#[cfg(target_os = "linux")]
fn absurd_sizes_are_refused_without_memory_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge.gguf");
    let whole = gguf();
    // Magic and version, then the numbers of tensors and of metadata entries.
    for at in [8, 16] {
        for size in [u64::MAX, 1 << 62, 1 << 40, 1 << 31] {
            let mut bytes = whole.clone();
            bytes[at..at + 8].copy_from_slice(&size.to_le_bytes());
            std::fs::write(&path, &bytes).unwrap();
            assert!(bounded(&path).contains("huge.gguf"));
        }
    }
    let dir = folder();
    let path = dir.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    for size in [u64::MAX, 1 << 40, 1 << 31] {
        let mut bytes = whole.clone();
        bytes[..8].copy_from_slice(&size.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        assert!(bounded(dir.path()).contains("model.safetensors"));
    }
    std::fs::write(&path, &whole).unwrap();
    let config = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
    for key in [
        "hidden_size",
        "num_hidden_layers",
        "vocab_size",
        "intermediate_size",
    ] {
        let mut json: serde_json::Value = serde_json::from_str(&config).unwrap();
        json[key] = serde_json::json!(1u64 << 40);
        std::fs::write(dir.path().join("config.json"), json.to_string()).unwrap();
        bounded(dir.path());
    }
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    std::fs::write(dir.path().join("config.json"), deep).unwrap();
    assert!(bounded(dir.path()).contains("config.json"));
}
