//! Every family against its reference: `tests/oracles/NAME` holds a tiny random checkpoint in the
//! Hub's layout and what the reference implementation computes for it.

mod common;

use std::path::{Path, PathBuf};

use candle_core::Device;
use common::{Reference, greedy, load, max_gap, name, oracles, prompt_logits, rows, session};
use wick::arch::Position;
use wick::generate::{Draft, DraftCount};
use wick::load::Opened;
use wick::model::{Pass, Rows};
use wick::nn::{CacheType, Plan, Storage};

const TOLERANCE: f32 = 1e-4;

/// Where a reference's own float32 run strays from its float64 run (`logits_f64`), no other
/// float32 run can be asked to be nearer to it than that.
fn tolerance(reference: &Reference) -> f32 {
    let exact = reference.rows("logits_f64");
    let stray = exact.map_or(0.0, |e| max_gap(&reference.rows("logits").unwrap(), &e));
    TOLERANCE + stray
}

#[track_caller]
fn assert_close(what: &str, found: &[Vec<f32>], wanted: &[Vec<f32>], tolerance: f32) {
    let gap = max_gap(found, wanted);
    assert!(gap <= tolerance, "{what}: logits are off by {gap}");
}

#[test]
fn logits_and_greedy_ids_are_the_references() {
    for folder in oracles() {
        let name = name(&folder);
        let reference = Reference::load(&folder);
        let model = load(&folder, Storage::AsStored);
        let found = prompt_logits(&model, &reference, usize::MAX);
        assert_close(
            &name,
            &found,
            &reference.rows("logits").unwrap(),
            tolerance(&reference),
        );
        let mut session = session(&model, usize::MAX);
        session.prompt(&reference.ids("input_ids")).unwrap();
        let first = session.tokens_run().len() - 1;
        let generated = greedy(&mut session, 16);
        assert_eq!(generated, reference.ids("gen"), "{name}: greedy ids");
        if let Some(steps) = reference.rows("step_logits") {
            // The first was made by the prompt's last row.
            let found = rows(&session)[first..].to_vec();
            assert_close(&format!("{name}: steps"), &found, &steps, TOLERANCE);
        }
    }
}

#[test]
fn drafts_do_not_change_greedy_answers() {
    let mut all = DraftCount::default();
    for folder in oracles() {
        let name = name(&folder);
        let reference = Reference::load(&folder);
        let model = load(&folder, Storage::AsStored);
        let made = |draft| {
            let mut session = session(&model, usize::MAX);
            session.set_draft(draft);
            session.prompt(&reference.ids("input_ids")).unwrap();
            let ids = greedy(&mut session, 48);
            (ids, session)
        };
        let (wanted, one_by_one) = made(Draft::None);
        let (found, drafted) = made(Draft::Lookup);
        assert_eq!(found, wanted, "{name}: greedy ids");
        let both = [rows(&drafted), rows(&one_by_one)];
        assert_close(&name, &both[0], &both[1], tolerance(&reference));
        all = all.and(drafted.draft_count());
    }
    // Random weights repeat themselves enough.
    assert!(all.accepted > 0 && all.drafted > all.accepted, "{all:?}");
}

#[test]
fn a_prompt_in_chunks_or_token_by_token_gives_the_same() {
    for folder in oracles() {
        let name = name(&folder);
        let reference = Reference::load(&folder);
        let model = load(&folder, Storage::AsStored);
        for chunk in [1, 5] {
            let found = prompt_logits(&model, &reference, chunk);
            let wanted = reference.rows("logits").unwrap();
            assert_close(
                &format!("{name}, chunks of {chunk}"),
                &found,
                &wanted,
                tolerance(&reference),
            );
            let mut session = session(&model, chunk);
            session.prompt(&reference.ids("input_ids")).unwrap();
            assert_eq!(greedy(&mut session, 16), reference.ids("gen"), "{name}");
        }
    }
}

#[test]
fn a_rolled_back_cache_is_as_good_as_a_new_one() {
    for folder in oracles() {
        let name = name(&folder);
        let reference = Reference::load(&folder);
        let model = load(&folder, Storage::AsStored);
        let prompt = reference.ids("input_ids");
        let mut session = session(&model, usize::MAX);
        // Another continuation first, which the second prompt must forget.
        let mut other = prompt[..prompt.len() / 2].to_vec();
        other.extend([7, 8, 9]);
        let mut common = prompt.len() / 2;
        if model.plan(&other).is_err() {
            // A prefix LM's prompt must be whole.
            other = prompt.clone();
            common = prompt.len() - 1;
        }
        session.prompt(&other).unwrap();
        greedy(&mut session, 5);
        let run = session.prompt(&prompt).unwrap();
        let kept = model.reusable(
            &model.plan(&other).unwrap(),
            &model.plan(&prompt).unwrap(),
            common,
        );
        if !reference.has("decoder_ids") {
            assert_eq!(run, prompt.len() - kept, "{name}: what was reused");
        }
        if !reference.has("decoder_ids") {
            assert_close(
                &name,
                &rows(&session),
                &reference.rows("logits").unwrap(),
                tolerance(&reference),
            );
        }
        assert_eq!(greedy(&mut session, 16), reference.ids("gen"), "{name}");
    }
}

#[test]
fn a_shorter_prompt_after_a_longer_one_is_answered_as_in_a_new_session() {
    for folder in oracles() {
        let (name, reference) = (name(&folder), Reference::load(&folder));
        let model = load(&folder, Storage::AsStored);
        let prompt = reference.ids("input_ids");
        let short = &prompt[..prompt.len() / 2];
        if model.plan(short).is_err() {
            // A prefix LM's prompt must be whole.
            continue;
        }
        let answered = |longer_first: bool| {
            let mut session = session(&model, usize::MAX);
            if longer_first {
                session.prompt(&prompt).unwrap();
                greedy(&mut session, 5);
            }
            session.prompt(short).unwrap();
            greedy(&mut session, 16)
        };
        assert_eq!(answered(true), answered(false), "{name}");
    }
}

fn oracle(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    root.join(name)
}

#[test]
fn what_fills_a_blank_stands_where_its_mask_is_or_runs_on() {
    for (name, mask, start, wanted) in [
        ("glm130b", 249, 250, [2, 3, 5]),
        ("glm130b", 248, 250, [2, 1, 1]),
        // Its tokenizer's [sMASK], for which the oracle's vocabulary is too small.
        ("glm130b", 150_002, 250, [2, 1, 1]),
        ("chatglm1", 249, 250, [2, 1, 1]),
        ("chatglm1", 248, 250, [2, 1, 1]),
        ("glm10b", 250, 251, [2, 1, 1]),
    ] {
        let spec = Opened::open(&oracle(name)).unwrap().spec;
        let plan = Plan::new(&spec.structure, &[9, mask, 9, start]).unwrap();
        let found = [2, 3, 5].map(|i| plan.position(i));
        assert_eq!(found, wanted, "{name} with {mask}");
    }
}

#[test]
fn keys_that_outgrow_f16_are_kept_in_f32_alone() {
    let palm = load(&oracle("palm"), Storage::AsStored);
    assert!(palm.new_cache(CacheType::F32, 8).is_ok());
    for kind in [CacheType::F16, CacheType::Q8] {
        let message = palm.new_cache(kind, 8).err().unwrap().to_string();
        assert!(message.contains("--cache-type f32"), "{message}");
    }
}

#[test]
fn a_pass_over_nothing_is_refused() {
    for folder in oracles() {
        let name = name(&folder);
        let model = load(&folder, Storage::AsStored);
        let mut cache = model.new_cache(CacheType::F32, 8).unwrap();
        model.encode(&[5], None, &mut cache).unwrap();
        let pass = Pass {
            plan: &Plan::START,
            rows: Rows::Last,
            trace: None,
        };
        let error = model.forward(&[], pass, &mut cache).err().unwrap();
        assert!(error.to_string().contains("no tokens"), "{name}: {error}");
    }
}

#[test]
fn a_head_must_have_the_pairs_that_turn() {
    for (name, dim) in [("llama", 15), ("llama", 18), ("chatglm1", 10)] {
        let mut opened = Opened::open(&oracle(name)).unwrap();
        match &mut opened.spec.position {
            Position::Rope(rope) | Position::Rope2d(rope) => rope.rotary_dim = dim,
            other => panic!("{other:?}"),
        }
        let loaded = opened.model(&Device::Cpu, Storage::AsStored, &mut |_, _| {});
        let error = loaded.err().unwrap();
        assert!(error.to_string().contains("RoPE turns"), "{name}: {error}");
    }
}
