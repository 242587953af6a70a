//! One answer: tokens from a session, text from tokens, until it ends.

use std::time::Instant;

use anyhow::Result;

use super::figures::Timings;
use crate::Error;
use crate::generate::{FinishReason, Limits, Sampler, Session};
use crate::text::{StopStrings, TextStream, Tokenizer};

/// What is new after a token. A piece without an id is what was held back until the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub id: Option<u32>,
    pub text: String,
}

/// A finished answer.
pub struct Answer {
    pub ids: Vec<u32>,
    /// Empty where there is no tokenizer.
    pub text: String,
    pub finish: FinishReason,
    pub timings: Timings,
}

/// From tokens to text.
pub struct Decoder {
    stream: Option<TextStream>,
    stops: StopStrings,
}

impl Decoder {
    /// Without a tokenizer every text is empty. An answer that `continues` the prompt's text
    /// keeps its first space.
    pub fn new(tokenizer: Option<&Tokenizer>, continues: bool, stops: &[String]) -> Self {
        let stream = |t: &Tokenizer| match continues {
            true => t.stream_continuing(),
            false => t.stream(),
        };
        Self {
            stream: tokenizer.map(stream),
            stops: StopStrings::new(stops.to_vec()),
        }
    }

    /// The text that `id` makes certain, and whether a stop string was met.
    fn push(&mut self, id: u32) -> (String, bool) {
        match &mut self.stream {
            Some(stream) => self.stops.push(&stream.push(id)),
            None => (String::new(), false),
        }
    }

    /// What was held back.
    fn finish(&mut self) -> String {
        let Some(stream) = &mut self.stream else {
            return String::new();
        };
        let (mut text, stopped) = self.stops.push(&stream.finish());
        if !stopped {
            text.push_str(&self.stops.finish());
        }
        text
    }
}

/// How an answer is made.
pub struct Asking {
    pub sampler: Sampler,
    pub limits: Limits,
    pub decoder: Decoder,
}

/// Runs `prompt` and answers it, giving each piece to `sink` as soon as it is certain.
///
/// # Errors
/// If the prompt does not fit, the model fails or `sink` does.
pub fn answer(
    session: &mut Session,
    prompt: &[u32],
    asking: Asking,
    sink: &mut dyn FnMut(&Piece) -> Result<()>,
) -> Result<Answer> {
    let mut decoder = asking.decoder;
    let begin = Instant::now();
    let run = match session.prompt(prompt) {
        Ok(run) => {
            session.answer(asking.sampler, asking.limits);
            run
        }
        // An answer without a token: what there is.
        Err(Error::Interrupted) => {
            session.stop(FinishReason::Interrupted);
            session.prompt_run()
        }
        Err(e) => return Err(e.into()),
    };
    let prompted = Instant::now();
    let (mut ids, mut text) = (Vec::new(), String::new());
    let mut first = None;
    let mut held_back = true;
    while let Some(id) = session.next() {
        let id = id?;
        first.get_or_insert_with(|| begin.elapsed());
        ids.push(id);
        let (piece, stopped) = decoder.push(id);
        text.push_str(&piece);
        let id = Some(id);
        sink(&Piece { id, text: piece })?;
        if stopped {
            session.stop(FinishReason::Stop);
            held_back = false;
            break;
        }
    }
    let generate_s = prompted.elapsed().as_secs_f64();
    if held_back {
        let piece = decoder.finish();
        text.push_str(&piece);
        if !piece.is_empty() {
            let (id, text) = (None, piece);
            sink(&Piece { id, text })?;
        }
    }
    Ok(Answer {
        timings: Timings {
            prompt_tokens: run,
            prompt_s: (prompted - begin).as_secs_f64(),
            first_token_s: first.map(|d| d.as_secs_f64()),
            answers: usize::from(!ids.is_empty()),
            tokens: ids.len(),
            generate_s,
            drafts: session.draft_count(),
        },
        ids,
        text,
        finish: session.finish_reason().unwrap_or(FinishReason::Stop),
    })
}
