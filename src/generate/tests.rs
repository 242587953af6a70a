//! Sessions over a model of three tokens whose probabilities are known.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::{Device, Tensor};

use super::{Draft, DraftCount, Limits, Sampler, Sampling, Session, SessionOptions};
use crate::arch::Spec;
use crate::load::Opened;
use crate::model::{Model, Pass, Rows};
use crate::nn::{Cache, CacheType, Plan};
use crate::{Error, Result};

/// Three tokens, each chosen by the two before it, which the model remembers as a cache does.
struct Chain {
    spec: Spec,
    seen: Mutex<Vec<u32>>,
    /// Tokens of each pass.
    passes: Mutex<Vec<usize>>,
    interrupt: Arc<AtomicBool>,
    /// As Ctrl-C does, a pass interrupts that makes so many tokens.
    interrupt_at: AtomicUsize,
}

impl Chain {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/llama");
        let mut spec = Opened::open(&folder).unwrap().spec;
        (spec.n_layers, spec.vocab_size) = (0, 3);
        Self {
            spec,
            seen: Mutex::default(),
            passes: Mutex::default(),
            interrupt: Arc::default(),
            interrupt_at: AtomicUsize::new(usize::MAX),
        }
    }

    /// Logits after `a`, `b`.
    fn logits(a: u32, b: u32) -> [f32; 3] {
        let mut logits = [0.0, 0.4, -0.6];
        logits.rotate_left(a as usize);
        logits[(b as usize + 1) % 3] += 1.5;
        logits
    }
}

impl Model for Chain {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn plan(&self, prompt: &[u32]) -> Result<Plan> {
        Plan::new(&self.spec.structure, prompt)
    }

    fn reusable(&self, old: &Plan, new: &Plan, common: usize) -> usize {
        old.reusable(new, common)
    }

    fn new_cache(&self, kind: CacheType, capacity: usize) -> Result<Cache> {
        Cache::new(kind, &self.spec.attention, 0, capacity, &Device::Cpu)
    }

    fn forward(&self, ids: &[u32], pass: Pass<'_>, cache: &mut Cache) -> Result<Tensor> {
        cache.reserve(ids.len())?;
        let mut seen = self.seen.lock().unwrap();
        seen.truncate(cache.len());
        assert_eq!(seen.len(), cache.len(), "a gap in the sequence");
        let mut rows = Vec::new();
        for &id in ids {
            rows.push(Self::logits(seen.last().copied().unwrap_or(0), id));
            seen.push(id);
        }
        if pass.rows == Rows::Last {
            rows.drain(..rows.len() - 1);
        }
        self.passes.lock().unwrap().push(ids.len());
        if seen.len() >= self.interrupt_at.load(Ordering::Relaxed) {
            self.interrupt.store(true, Ordering::Relaxed);
        }
        cache.advance(ids.len());
        let n = rows.len();
        Ok(Tensor::from_vec(rows.concat(), (n, 3), &Device::Cpu)?)
    }

    fn weight_bytes(&self) -> usize {
        0
    }

    fn n_params(&self) -> usize {
        0
    }
}

const PROMPT: [u32; 8] = [0, 1, 2, 0, 1, 2, 0, 1];

fn options(model: &Chain, ctx_size: usize) -> SessionOptions {
    SessionOptions {
        ctx_size,
        cache_type: CacheType::F32,
        chunk: 512,
        keep_logits: true,
        interrupt: model.interrupt.clone(),
        trace: None,
    }
}

fn session(model: &Arc<Chain>, draft: Draft, ctx_size: usize) -> Session {
    let mut session = Session::new(model.clone(), options(model, ctx_size)).unwrap();
    session.set_draft(draft);
    session
}

/// `n` tokens after [`PROMPT`], the session, and what its drafts came to.
fn made(draft: Draft, sampling: &Sampling, seed: u64, limits: Limits) -> (Vec<u32>, Session) {
    let mut session = session(&Arc::new(Chain::new()), draft, 512);
    session.prompt(&PROMPT).unwrap();
    session.answer(Sampler::new(sampling.clone(), seed), limits);
    let ids = session.by_ref().map(Result::unwrap).collect();
    (ids, session)
}

fn at_most(n: usize) -> Limits {
    Limits {
        max_tokens: Some(n),
        stop_ids: Vec::new(),
    }
}

#[test]
fn a_drafted_answer_is_the_seeds_own_whatever_the_sampling() {
    let plain = Sampling::default();
    let samplings = [
        plain.clone(),
        Sampling {
            temperature: 0.8,
            ..plain.clone()
        },
        Sampling {
            temperature: 1.3,
            top_k: Some(2),
            repeat_penalty: 1.4,
            repeat_last_n: 5,
            ..plain.clone()
        },
        Sampling {
            temperature: 0.7,
            top_p: Some(0.9),
            min_p: Some(0.1),
            ..plain
        },
    ];
    let mut all = DraftCount::default();
    for sampling in &samplings {
        for seed in 0..20 {
            for limits in [
                at_most(1),
                at_most(60),
                Limits {
                    stop_ids: vec![2],
                    ..at_most(60)
                },
            ] {
                let (wanted, one) = made(Draft::None, sampling, seed, limits.clone());
                let (found, drafted) = made(Draft::Lookup, sampling, seed, limits);
                assert_eq!(found, wanted, "{sampling:?}, seed {seed}");
                assert_eq!(drafted.finish_reason(), one.finish_reason());
                assert_eq!(drafted.tokens(), one.tokens());
                assert_eq!(drafted.tokens_run(), one.tokens_run());
                let rows = |s: &Session| s.logits().unwrap().unwrap().to_vec2::<f32>().unwrap();
                assert_eq!(rows(&drafted), rows(&one), "the logits that are kept");
                all = all.and(drafted.draft_count());
            }
        }
    }
    assert!(all.accepted > 0 && all.accepted < all.drafted, "{all:?}");
}

#[test]
fn sampled_tokens_have_the_models_probabilities_with_and_without_drafts() {
    const N: usize = 30_000;
    let temperature = 0.9;
    let sampling = Sampling {
        temperature,
        ..Sampling::default()
    };
    for draft in [Draft::None, Draft::Lookup] {
        // Many short answers: every seed begins anew.
        let mut counts = [[0usize; 3]; 9];
        for seed in 0..(N / 60) as u64 {
            let (ids, _) = made(draft, &sampling, seed, at_most(60));
            let all = [&PROMPT[6..], &ids].concat();
            for w in all.windows(3) {
                counts[(3 * w[0] + w[1]) as usize][w[2] as usize] += 1;
            }
        }
        let mut chi_square = 0.0;
        for (state, counts) in (0u32..).zip(&counts) {
            let weights =
                Chain::logits(state / 3, state % 3).map(|l| f64::from(l / temperature).exp());
            let total: usize = counts.iter().sum();
            for (w, &count) in weights.iter().zip(counts) {
                let expected = total as f64 * w / weights.iter().sum::<f64>();
                chi_square += (count as f64 - expected).powi(2) / expected;
            }
        }
        // 18 degrees of freedom; one draw of a thousand is above 42.3.
        assert!(chi_square < 42.3, "{draft:?}: {chi_square}");
    }
}

#[test]
fn drafts_save_passes_and_end_with_the_context() {
    let model = Arc::new(Chain::new());
    let mut session = session(&model, Draft::Lookup, 40);
    session.prompt(&PROMPT).unwrap();
    session.answer(Sampler::new(Sampling::default(), 0), Limits::default());
    let ids: Vec<u32> = session.by_ref().map(Result::unwrap).collect();
    // As many as fit, and the last, which is not run.
    assert_eq!(ids.len(), 40 - PROMPT.len() + 1);
    assert_eq!(session.tokens_run().len(), 40);
    let passes = model.passes.lock().unwrap().len();
    assert!(passes < ids.len() / 2, "{passes} passes");
}

#[test]
fn what_is_left_of_a_draft_is_gone_when_an_answer_is_stopped() {
    let model = Arc::new(Chain::new());
    let mut session = session(&model, Draft::Lookup, 512);
    let mut expected = PROMPT.to_vec();
    session.prompt(&PROMPT).unwrap();
    for turn in 0..4 {
        session.answer(Sampler::new(Sampling::default(), 0), Limits::default());
        for id in session.by_ref().take(3 + turn) {
            expected.push(id.unwrap());
        }
        assert_eq!(session.tokens(), expected);
        expected.extend([1, 1, 0]);
        // The model itself checks that nothing of the draft stays in the cache.
        session.prompt(&expected).unwrap();
        assert_eq!(*model.seen.lock().unwrap(), expected);
    }
}

#[test]
fn a_prompt_that_is_stopped_counts_what_it_ran_and_no_earlier_guesses() {
    let model = Arc::new(Chain::new());
    let options = SessionOptions {
        chunk: 4,
        ..options(&model, 512)
    };
    let mut session = Session::new(model.clone(), options).unwrap();
    session.set_draft(Draft::Lookup);
    session.prompt(&PROMPT).unwrap();
    assert_eq!(session.prompt_run(), PROMPT.len());
    session.answer(Sampler::new(Sampling::default(), 0), at_most(20));
    let answer: Vec<u32> = session.by_ref().map(Result::unwrap).collect();
    assert!(session.draft_count().drafted > 0);
    // The cache holds the prompt of this one, and nothing of what follows it.
    let other = (answer[0] + 1) % 3;
    let longer = [&PROMPT[..], &[other; 40]].concat();
    let stop_at = PROMPT.len() + 4;
    model.interrupt_at.store(stop_at, Ordering::Relaxed);
    let stopped = session.prompt(&longer);
    assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
    assert_eq!(session.prompt_run(), 4);
    assert_eq!(session.draft_count(), DraftCount::default());
}
