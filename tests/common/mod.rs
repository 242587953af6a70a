//! What several tests share: the oracles, their references, and sessions over them.
#![allow(dead_code)] // each test file uses its own part

pub mod torch;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use wick::generate::{Limits, Sampler, Sampling, Session, SessionOptions};
use wick::load::Opened;
use wick::model::{Model, Pass, Rows};
use wick::nn::{CacheType, Plan, Storage};

/// The folders of `tests/oracles`.
pub fn oracles() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    let mut folders: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.join("reference.safetensors").exists())
        .collect();
    folders.sort();
    assert!(folders.len() >= 7, "the oracles are missing: {folders:?}");
    folders
}

/// A folder's name.
pub fn name(folder: &Path) -> String {
    folder.file_name().unwrap().to_string_lossy().into_owned()
}

/// Third-party data beside the checkout; `None`, said on stderr, where it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared")
        .join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not here", path.display());
    None
}

/// The tensors of a `reference.safetensors`.
pub struct Reference(HashMap<String, Tensor>);

impl Reference {
    pub fn load(folder: &Path) -> Self {
        let path = folder.join("reference.safetensors");
        Self(candle_core::safetensors::load(path, &Device::Cpu).unwrap())
    }

    pub fn ids(&self, name: &str) -> Vec<u32> {
        let ids: Vec<i64> = self.0[name].to_vec1().unwrap();
        ids.into_iter().map(|id| id as u32).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn rows(&self, name: &str) -> Option<Vec<Vec<f32>>> {
        self.0.get(name).map(|t| t.to_vec2().unwrap())
    }
}

pub fn load(path: &Path, storage: Storage) -> Arc<dyn Model> {
    let opened = Opened::open(path).unwrap();
    opened.model(&Device::Cpu, storage, &mut |_, _| {}).unwrap()
}

/// A session with an f32 cache that keeps its logits.
pub fn session(model: &Arc<dyn Model>, chunk: usize) -> Session {
    let options = SessionOptions {
        ctx_size: 256,
        cache_type: CacheType::F32,
        chunk,
        keep_logits: true,
        interrupt: Arc::default(),
        trace: None,
    };
    Session::new(model.clone(), options).unwrap()
}

/// `n` greedy tokens after what the session holds.
pub fn greedy(session: &mut Session, n: usize) -> Vec<u32> {
    let limits = Limits {
        max_tokens: Some(n),
        stop_ids: Vec::new(),
    };
    session.answer(Sampler::new(Sampling::default(), 0), limits);
    session.map(|t| t.unwrap()).collect()
}

/// The logits that the session kept.
pub fn rows(session: &Session) -> Vec<Vec<f32>> {
    session.logits().unwrap().unwrap().to_vec2().unwrap()
}

/// Logits of the reference's prompt in passes of `chunk` tokens; of an encoder-decoder those of
/// its decoder's tokens.
pub fn prompt_logits(model: &Arc<dyn Model>, reference: &Reference, chunk: usize) -> Vec<Vec<f32>> {
    let prompt = reference.ids("input_ids");
    if !reference.has("decoder_ids") {
        let mut session = session(model, chunk);
        session.prompt(&prompt).unwrap();
        return rows(&session);
    }
    let mut cache = model.new_cache(CacheType::F32, 256).unwrap();
    model.encode(&prompt, None, &mut cache).unwrap();
    let pass = Pass {
        plan: &Plan::START,
        rows: Rows::All,
        trace: None,
    };
    let mut found = Vec::new();
    for ids in reference.ids("decoder_ids").chunks(chunk) {
        let logits = model.forward(ids, pass, &mut cache).unwrap();
        found.extend(logits.to_vec2().unwrap());
    }
    found
}

/// The largest difference of the rows that `wanted` has.
pub fn max_gap(found: &[Vec<f32>], wanted: &[Vec<f32>]) -> f32 {
    assert!(found.len() >= wanted.len(), "too few rows");
    let mut gap = 0.0f32;
    for (found, wanted) in found.iter().zip(wanted) {
        assert_eq!(found.len(), wanted.len());
        for (a, b) in found.iter().zip(wanted) {
            // Not-a-number must not pass for a small gap.
            gap = if (a - b).abs() <= gap {
                gap
            } else {
                (a - b).abs()
            };
        }
    }
    gap
}
