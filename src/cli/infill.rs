//! `wick run --infill`: a text with blanks, printed with the blanks filled.

use anyhow::Result;
use serde_json::json;

use super::interrupt::Interrupt;
use super::open::{Loaded, Texts};
use super::output::Output;
use super::run::{self, Format, RunArgs};
use super::settings;
use super::ui::Ui;
use crate::Error;
use crate::generate::{FinishReason, Sampler, infill};
use crate::memory;

/// Fills the blanks of `text` and prints it.
pub fn fill(
    args: &RunArgs,
    text: &str,
    loaded: &Loaded,
    interrupt: &Interrupt,
    ui: &Ui,
) -> Result<()> {
    let found = &loaded.found;
    let texts = Texts::open(found, None)?;
    let tokenizer = texts.tokenizer(found)?;
    let sampling = settings::sampling(&args.sampling, &found.opened, found.card)?;
    let seed = settings::seed(&args.sampling);
    let mut session = run::session(&args.context, loaded, interrupt, ui, |_| {})?;
    session.set_draft(args.answer.draft());
    let limits = run::limits(&args.answer, loaded, &texts)?;
    let filled = {
        let _soft = interrupt.softly();
        let mut sampler = || Sampler::new(sampling.clone(), seed);
        infill(&mut session, tokenizer, text, &mut sampler, &limits)?
    };
    let mut out = Output::new();
    let object = json!({
        "model": found.name,
        "prompt": text,
        "text": filled.text,
        "ids": filled.ids,
        "finish_reason": filled.finish.as_str(),
        "seed": seed,
        "peak_rss_bytes": memory::peak_rss(),
    });
    match args.output {
        Format::Text => {
            out.text(&filled.text)?;
            out.end()?;
        }
        Format::Json => out.line(&serde_json::to_string_pretty(&object)?)?,
        Format::Jsonl => out.line(&object.to_string())?,
    }
    if sampling.temperature > 0.0 {
        ui.line(&format!("seed {seed}"));
    }
    match filled.finish {
        FinishReason::Interrupted => Err(Error::Interrupted.into()),
        _ => Ok(()),
    }
}
