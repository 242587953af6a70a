//! The JSON that `run -o json`, `-o jsonl` and `--batch` print.

use anyhow::{Error, Result};
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::{Answer, Piece};
use super::figures::Timings;
use crate::generate::Draft;

/// One answer.
#[derive(Serialize)]
pub struct AnswerJson<'a> {
    /// As it was named.
    pub model: &'a str,
    /// As rendered; null where ids were given and there is no tokenizer.
    pub prompt: Option<&'a str>,
    pub prompt_ids: &'a [u32],
    /// Null where there is no tokenizer.
    pub text: Option<&'a str>,
    pub ids: &'a [u32],
    /// `stop`, `length` or `interrupted`.
    pub finish_reason: &'static str,
    pub seed: u64,
    pub timings: TimingsJson,
    /// Null where the system does not say.
    pub peak_rss_bytes: Option<u64>,
}

/// Seconds, and tokens for each second; null where nothing was measured.
#[derive(Serialize)]
pub struct TimingsJson {
    pub load_s: f64,
    pub prompt_s: f64,
    pub prompt_tokens_per_s: Option<f64>,
    pub first_token_s: Option<f64>,
    pub generate_s: f64,
    pub tokens_per_s: Option<f64>,
    /// With --draft only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<DraftJson>,
}

/// What guesses came to.
#[derive(Serialize)]
pub struct DraftJson {
    pub drafted_tokens: usize,
    pub accepted_tokens: usize,
    /// Null where nothing was guessed.
    pub acceptance_rate: Option<f64>,
}

impl TimingsJson {
    pub fn new(load_s: f64, draft: Draft, t: &Timings) -> Self {
        Self {
            load_s,
            prompt_s: t.prompt_s,
            prompt_tokens_per_s: t.prompt_rate(),
            first_token_s: t.first_token_s,
            generate_s: t.generate_s,
            tokens_per_s: t.rate(),
            draft: (draft != Draft::None).then(|| DraftJson {
                drafted_tokens: t.drafts.drafted,
                accepted_tokens: t.drafts.accepted,
                acceptance_rate: t.drafts.rate(),
            }),
        }
    }
}

/// A line of `-o jsonl` before the last: what a token adds. A stop string, or a character spread
/// over several tokens, holds text back, so `text` may be empty; what is held at the end comes
/// without an `id`.
#[derive(Serialize)]
pub struct PieceJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    pub text: &'a str,
}

impl<'a> From<&'a Piece> for PieceJson<'a> {
    fn from(piece: &'a Piece) -> Self {
        Self {
            id: piece.id,
            text: &piece.text,
        }
    }
}

/// What surrounds an answer.
pub struct About<'a> {
    pub model: &'a str,
    pub prompt: Option<&'a str>,
    pub prompt_ids: &'a [u32],
    pub has_text: bool,
    pub seed: u64,
    pub load_s: f64,
    pub draft: Draft,
}

/// The object of an answer.
pub fn answer<'a>(about: &About<'a>, answer: &'a Answer) -> AnswerJson<'a> {
    AnswerJson {
        model: about.model,
        prompt: about.prompt,
        prompt_ids: about.prompt_ids,
        text: about.has_text.then_some(answer.text.as_str()),
        ids: &answer.ids,
        finish_reason: answer.finish.as_str(),
        seed: about.seed,
        timings: TimingsJson::new(about.load_s, about.draft, &answer.timings),
        peak_rss_bytes: crate::memory::peak_rss(),
    }
}

/// What `--batch` prints of a line: an answer's object after the line's `id`, where it has one.
#[derive(Serialize)]
struct LineJson<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(flatten)]
    object: T,
}

/// What `--batch` prints of a line that cannot be answered.
#[derive(Serialize)]
struct FailureJson {
    /// From 1 on.
    line: usize,
    error: String,
}

/// Characters of a message that are printed: it may hold a whole line.
const LONGEST_MESSAGE: usize = 1000;

/// The line that `--batch` prints of `object`, the answer to the line with this `id`.
pub fn line(id: Option<&RawValue>, object: impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(&LineJson { id, object })?)
}

/// The line that `--batch` prints where its line of this `number` failed.
pub fn failure(id: Option<&RawValue>, number: usize, error: &Error) -> Result<String> {
    let message = format!("{error:#}");
    let failure = FailureJson {
        line: number,
        error: message.chars().take(LONGEST_MESSAGE).collect(),
    };
    line(id, failure)
}
