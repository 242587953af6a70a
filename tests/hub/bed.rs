//! What every test stands on: a stand-in with a model, an empty cache, options that fit.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use wick::hub::{Event, HubError, HubOptions, ModelFiles, ModelRef, Progress, Token, resolve};

use crate::stand_in::{StandIn, blob_name, commit};

pub const ID: &str = "test-org/Tiny-1";

pub struct Bed {
    pub hub: StandIn,
    pub dir: tempfile::TempDir,
    pub options: HubOptions,
    pub notes: Notes,
}

/// Bytes that no shift or cut leaves the same.
pub fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(2_654_435_761) | 1;
    let step = |_| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        (x >> 8) as u8
    };
    (0..len).map(step).collect()
}

/// A model of the hub's layout with things that loading does not need.
pub fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("README.md", b"# Tiny".to_vec()),
        ("config.json", br#"{"model_type":"llama"}"#.to_vec()),
        ("tokenizer.json", noise(1, 3000)),
        ("model.safetensors", noise(2, 300_000)),
        ("pytorch_model.bin", noise(3, 5000)),
    ]
}

pub fn weights() -> Vec<u8> {
    noise(2, 300_000)
}

impl Bed {
    pub fn new() -> Self {
        let bed = Self::empty();
        let files = files();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (*n, b.as_slice())).collect();
        bed.hub.add(ID, &files);
        bed
    }

    pub fn empty() -> Self {
        let hub = StandIn::start();
        let dir = tempfile::tempdir().unwrap();
        let options = options(&hub.endpoint(), dir.path());
        Self {
            hub,
            dir,
            options,
            notes: Notes::default(),
        }
    }

    pub fn resolve(&self, name: &str) -> Result<ModelFiles, HubError> {
        resolve(&ModelRef::parse(name)?, &self.options, &self.notes)
    }

    /// The repository's folder in the cache.
    pub fn repo(&self) -> PathBuf {
        self.options.cache.join("models--test-org--Tiny-1")
    }

    pub fn snapshot(&self) -> PathBuf {
        self.repo().join("snapshots").join(commit(1))
    }

    pub fn part(&self) -> PathBuf {
        self.blob("model.safetensors", &weights())
            .with_added_extension("incomplete")
    }

    pub fn blob(&self, name: &str, bytes: &[u8]) -> PathBuf {
        self.repo().join("blobs").join(blob_name(name, bytes))
    }

    /// Nothing unfinished may be left.
    pub fn assert_no_leftovers(&self) {
        for entry in std::fs::read_dir(self.repo().join("blobs")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name.len() == 40 || name.len() == 64, "{name} is left over");
        }
    }
}

pub fn options(endpoint: &str, dir: &Path) -> HubOptions {
    let vars = |name: &str| match name {
        "HF_HOME" => Some(dir.to_str().unwrap().to_string()),
        "HF_ENDPOINT" => Some(endpoint.to_string()),
        // hf-hub looks for a token of its own where it is given none, so it is given one.
        "HF_TOKEN" => Some("hf_test_secret".to_string()),
        _ => None,
    };
    let mut options = HubOptions::from_vars(vars).unwrap();
    assert_eq!(options.token, Token::new("hf_test_secret"));
    options.backoff = Duration::from_millis(5);
    options.timeout = Duration::from_secs(5);
    options
}

/// Keeps the notes and the bytes that a user would be shown.
#[derive(Default)]
pub struct Notes {
    pub lines: Mutex<Vec<String>>,
    pub bytes: Mutex<u64>,
}

impl Progress for Notes {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Note(line) => self.lines.lock().unwrap().push(line.to_string()),
            Event::Advanced { bytes, .. } => *self.bytes.lock().unwrap() += bytes,
            _ => {}
        }
    }
}
