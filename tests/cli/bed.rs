//! What the program is run on: itself, and a small model that reads text.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Map, Value, json};

/// How the names begin of what the program listens to.
const HEEDED: [&str; 6] = [
    "HF_",
    "HUGGING",
    "TRANSFORMERS_",
    "WICK_",
    "LC_",
    "CLICOLOR",
];

/// The program, with nothing of this machine's environment that it listens to.
pub fn wick() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wick"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if HEEDED.iter().any(|begin| text.starts_with(begin)) {
            command.env_remove(&name);
        }
    }
    command
        .env_remove("COLUMNS")
        .env("LANG", "C")
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::null());
    command
}

pub fn oracle(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oracles")
        .join(name)
}

/// A command that ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Ended {
    /// Its output, if it did its work.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    /// Its message, if it failed with `code`.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self.stderr
    }
}

pub fn ended(command: &mut Command) -> Ended {
    command.output().unwrap().into()
}

/// `wick run -m MODEL ARGS -o json`, read.
#[track_caller]
pub fn answer(model: &Path, args: &[&str]) -> Value {
    let mut command = wick();
    command.args(["run", "-o", "json", "-m"]).arg(model);
    serde_json::from_str(&ended(command.args(args)).done()).unwrap()
}

/// A folder with an oracle's weights, a tokenizer whose ids are bytes, and a chat format.
pub struct Speaker(tempfile::TempDir);

impl Speaker {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in ["config.json", "model.safetensors", "generation_config.json"] {
            std::fs::copy(oracle("llama").join(file), dir.path().join(file)).unwrap();
        }
        std::fs::write(dir.path().join("tokenizer.json"), tokenizer().to_string()).unwrap();
        let config = json!({ "chat_template": "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]" });
        std::fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// GPT-2's byte-level vocabulary of single bytes, without merges.
fn tokenizer() -> Value {
    let plain = |b: u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let mut shifted = 256;
    let mut vocab = Map::new();
    for byte in 0..256 {
        let mut code = byte;
        if !plain(byte) {
            code = shifted;
            shifted += 1;
        }
        let piece = char::from_u32(code).unwrap().to_string();
        vocab.insert(piece, json!(byte));
    }
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false
    });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": byte_level, "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": false, "vocab": vocab, "merges": []
        }
    })
}
