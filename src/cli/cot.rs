//! `wick run --cot`, and what is said of chains of thought.

use anyhow::Result;
use serde_json::{Value, json};

use super::exit::usage;
use super::interrupt::Interrupt;
use super::json::{PieceJson, TimingsJson};
use super::open::Loaded;
use super::output::Output;
use super::prompt::{self, Prompt};
use super::run::{self, Format, RunArgs};
use super::settings;
use super::thinker::{Thinker, Thought};
use super::ui::Ui;
use crate::Error;
use crate::generate::{Cot, FinishReason};
use crate::memory;

/// Refuses a vote among chains that are asked to be all the same.
pub fn check_temperature(cot: Option<Cot>, temp: Option<f32>) -> Result<()> {
    match (cot, temp) {
        (Some(Cot::Vote(_)), Some(0.0)) => Err(usage(
            "--temp 0: greedy chains are all the same, so that --cot vote:N has nothing to count; give a higher temperature, leave --temp out, or take --cot zero",
        )),
        _ => Ok(()),
    }
}

/// `wick run --cot`: thinks about `question` and prints steps and answer.
pub fn run(
    args: &RunArgs,
    question: &str,
    loaded: &Loaded,
    interrupt: &Interrupt,
    ui: &Ui,
    cot: Cot,
) -> Result<()> {
    let found = &loaded.found;
    let texts = args.texts(found)?;
    let system = args.answer.system.as_deref();
    let raw = args.raw();
    let thinker = Thinker {
        cot,
        tokenizer: texts.tokenizer(found)?,
        sampling: settings::sampling(&args.sampling, &found.opened, found.card)?,
        seed: settings::seed(&args.sampling),
        limits: run::limits(&args.answer, loaded, &texts)?,
        stops: &args.answer.stop,
        chat: texts.template.is_some(),
    };
    let render = |text: &str| {
        let rendered = prompt::render(&Prompt::Text(text.to_string()), system, raw, found, &texts)?;
        Ok(rendered.text.unwrap_or_default())
    };
    let mut session = run::session(&args.context, loaded, interrupt, ui, |_| {})?;
    session.set_draft(args.answer.draft());
    let mut out = Output::new();
    let thought = {
        let _soft = interrupt.softly();
        thinker.think(&mut session, question, &render, &mut |piece| {
            match args.output {
                Format::Text => out.text(piece)?,
                Format::Jsonl if !piece.is_empty() => {
                    let piece = PieceJson {
                        id: None,
                        text: piece,
                    };
                    out.line(&serde_json::to_string(&piece)?)?;
                }
                Format::Json | Format::Jsonl => {}
            }
            Ok(())
        })?
    };
    let object = || object(args, loaded, &thought, thinker.seed);
    match args.output {
        Format::Text => out.end()?,
        Format::Json => out.line(&serde_json::to_string_pretty(&object())?)?,
        Format::Jsonl => out.line(&object().to_string())?,
    }
    report(&thought, ui);
    let sampling = cot.sampling(thinker.sampling);
    ui.line(&run::figures(&thought.timings, &sampling, thinker.seed));
    match thought.chains.last().map(|c| c.finish_reason) {
        Some(FinishReason::Interrupted) => Err(Error::Interrupted.into()),
        _ => Ok(()),
    }
}

/// What -o json prints: all that it prints of an answer but ids, which several passes share.
pub fn object(args: &RunArgs, loaded: &Loaded, thought: &Thought, seed: u64) -> Value {
    let chosen = thought.chosen();
    json!({
        "model": loaded.found.name,
        "prompt": thought.prompt,
        "prompt_ids": thought.prompt_ids,
        "text": chosen.text,
        "answer": chosen.answer,
        "votes": thought.votes,
        "chains": thought.chains,
        "finish_reason": chosen.finish_reason.as_str(),
        "seed": seed,
        "timings": TimingsJson::new(loaded.load_s, args.answer.draft(), &thought.timings),
        "peak_rss_bytes": memory::peak_rss(),
    })
}

/// Says on stderr which answers the chains reached.
pub fn report(thought: &Thought, ui: &Ui) {
    let all = thought.chains.len();
    match &thought.chosen().answer {
        Some(answer) if all > 1 => ui.line(&format!(
            "answer {answer}: {} of {all} chains",
            thought.votes
        )),
        Some(_) => {}
        None => ui.note("no chain reached an answer"),
    }
}
