//! Every family against its reference: `tests/oracles/NAME` holds a tiny random checkpoint in the
//! Hub's layout and what the reference implementation computes for it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use wick::generate::{Limits, Sampler, Sampling, Session, SessionOptions};
use wick::load::Opened;
use wick::model::Model;
use wick::nn::{CacheType, Storage};

const TOLERANCE: f32 = 1e-4;

fn oracles() -> Vec<PathBuf> {
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

struct Reference(HashMap<String, Tensor>);

impl Reference {
    fn load(folder: &Path) -> Self {
        let path = folder.join("reference.safetensors");
        Self(candle_core::safetensors::load(path, &Device::Cpu).unwrap())
    }

    fn ids(&self, name: &str) -> Vec<u32> {
        let ids: Vec<i64> = self.0[name].to_vec1().unwrap();
        ids.into_iter().map(|id| id as u32).collect()
    }

    fn rows(&self, name: &str) -> Option<Vec<Vec<f32>>> {
        self.0.get(name).map(|t| t.to_vec2().unwrap())
    }
}

fn load(folder: &Path) -> Arc<dyn Model> {
    let opened = Opened::open(folder).unwrap();
    opened
        .model(&Device::Cpu, Storage::AsStored, &mut |_, _| {})
        .unwrap()
}

fn session(model: &Arc<dyn Model>, chunk: usize) -> Session {
    let options = SessionOptions {
        ctx_size: 128,
        cache_type: CacheType::F32,
        chunk,
        keep_logits: true,
        interrupt: Arc::default(),
        trace: None,
    };
    Session::new(model.clone(), options).unwrap()
}

fn greedy(session: &mut Session, n: usize) -> Vec<u32> {
    let limits = Limits {
        max_tokens: Some(n),
        stop_ids: Vec::new(),
    };
    session.answer(Sampler::new(Sampling::default(), 0), limits);
    session.map(|t| t.unwrap()).collect()
}

fn assert_close(what: &str, found: &[Vec<f32>], wanted: &[Vec<f32>]) {
    assert!(found.len() >= wanted.len(), "{what}: too few rows");
    for (t, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert_eq!(found.len(), wanted.len(), "{what}: row {t}");
        let gap = found
            .iter()
            .zip(wanted)
            .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(gap <= TOLERANCE, "{what}: row {t} is off by {gap}");
    }
}

fn rows(session: &Session) -> Vec<Vec<f32>> {
    session.logits().unwrap().unwrap().to_vec2().unwrap()
}

#[test]
fn logits_and_greedy_ids_are_the_references() {
    for folder in oracles() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let reference = Reference::load(&folder);
        let model = load(&folder);
        let prompt = reference.ids("input_ids");
        let mut session = session(&model, usize::MAX);
        session.prompt(&prompt).unwrap();
        let generated = greedy(&mut session, 16);
        let found = rows(&session);
        assert_close(&name, &found, &reference.rows("logits").unwrap());
        assert_eq!(generated, reference.ids("gen"), "{name}: greedy ids");
        if let Some(steps) = reference.rows("step_logits") {
            // The last of the 16 is not run, and the first was made by the prompt's last row.
            let found = &found[prompt.len() - 1..];
            assert_close(&format!("{name}: steps"), found, &steps);
        }
    }
}

#[test]
fn a_prompt_in_chunks_or_token_by_token_gives_the_same() {
    for folder in oracles() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let reference = Reference::load(&folder);
        let model = load(&folder);
        let prompt = reference.ids("input_ids");
        for chunk in [1, 5] {
            let mut session = session(&model, chunk);
            session.prompt(&prompt).unwrap();
            let wanted = reference.rows("logits").unwrap();
            assert_close(
                &format!("{name}, chunks of {chunk}"),
                &rows(&session),
                &wanted,
            );
            assert_eq!(greedy(&mut session, 16), reference.ids("gen"), "{name}");
        }
    }
}

#[test]
fn a_rolled_back_cache_is_as_good_as_a_new_one() {
    for folder in oracles() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let reference = Reference::load(&folder);
        let model = load(&folder);
        let prompt = reference.ids("input_ids");
        let mut session = session(&model, usize::MAX);
        // Another continuation first, which the second prompt must forget.
        let mut other = prompt[..prompt.len() / 2].to_vec();
        other.extend([7, 8, 9]);
        session.prompt(&other).unwrap();
        greedy(&mut session, 5);
        let run = session.prompt(&prompt).unwrap();
        assert!(
            run < prompt.len(),
            "{name}: nothing of the cache was reused"
        );
        assert_close(&name, &rows(&session), &reference.rows("logits").unwrap());
        assert_eq!(greedy(&mut session, 16), reference.ids("gen"), "{name}");
    }
}
