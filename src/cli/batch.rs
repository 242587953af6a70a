//! `wick run --batch`: a question on each line of a file, an answer on each line of the output.

mod lines;

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::value::RawValue;

use self::lines::{Line, Lines, Question};
use super::answer::{Asking, Decoder, answer};
use super::figures::Timings;
use super::interrupt::Interrupt;
use super::json::{self, About};
use super::open::{Loaded, Texts};
use super::output::Output;
use super::prompt::{self, Prompt};
use super::run::{self, RunArgs};
use super::task::Task;
use super::thinker::Thinker;
use super::ui::Ui;
use super::{cot, settings};
use crate::Error;
use crate::generate::{Cot, FinishReason, Limits, Sampler, Sampling, Session};

/// What is to be answered.
pub struct Batch {
    lines: Lines,
    task: Option<Task>,
}

impl Batch {
    /// The lines of a file, or of standard input for `-`, put into the template of `task`.
    ///
    /// # Errors
    /// If the file cannot be opened, or a variable suits no line.
    pub fn open(path: &Path, task: Option<Task>) -> Result<Self> {
        if let Some(task) = &task {
            task.check()?;
        }
        let lines = Lines::open(path)?;
        Ok(Self { lines, task })
    }
}

/// Answers each line and prints its object at once. A line that cannot be answered has one too.
///
/// # Errors
/// If any line failed, at the end; at once if nobody reads the output, after Ctrl-C, or if a
/// template's work does not end.
pub fn run(
    args: &RunArgs,
    batch: Batch,
    loaded: &Loaded,
    interrupt: &Interrupt,
    ui: &Ui,
) -> Result<()> {
    let Batch { mut lines, task } = batch;
    let mut desk = Desk::new(args, task, loaded, interrupt, ui)?;
    let mut out = Output::new();
    let (mut all, mut failed) = (0, 0);
    // While a line is waited for, Ctrl-C ends the process.
    while let Some(line) = lines.read()? {
        let _soft = interrupt.softly();
        let Line {
            number,
            id,
            question,
        } = line;
        let id = id.as_deref();
        all += 1;
        let printed = match question.and_then(|question| desk.answer(question, id)) {
            Ok(line) => line,
            Err(e) => match e.downcast_ref() {
                Some(Error::Interrupted) => return Err(e),
                // Its work goes on, and each further line would start as much again.
                Some(Error::Runaway(_)) => return Err(e.context(format!("--batch line {number}"))),
                _ => {
                    failed += 1;
                    json::failure(id, number, &e)?
                }
            },
        };
        out.line(&printed)?;
        // It came after the answer was there.
        if interrupt.take() {
            return Err(Error::Interrupted.into());
        }
    }
    desk.report(all, ui);
    match failed {
        0 => Ok(()),
        _ => bail!("--batch: {failed} of {all} lines failed; standard output says which and why"),
    }
}

/// Where all lines are answered.
struct Desk<'a> {
    args: &'a RunArgs,
    task: Option<Task>,
    loaded: &'a Loaded,
    texts: Texts,
    session: Session,
    sampling: Sampling,
    seed: u64,
    limits: Limits,
    /// Of the answers so far.
    timings: Timings,
    /// Answers that the end of the context cut.
    cut: usize,
}

impl<'a> Desk<'a> {
    fn new(
        args: &'a RunArgs,
        task: Option<Task>,
        loaded: &'a Loaded,
        interrupt: &Interrupt,
        ui: &Ui,
    ) -> Result<Self> {
        let found = &loaded.found;
        let texts = args.texts(found)?;
        texts.tokenizer(found)?;
        if texts.template.is_none() && args.answer.system.is_some() {
            return Err(prompt::no_chat_format());
        }
        let mut session = run::session(&args.context, loaded, interrupt, ui, |_| {})?;
        session.set_draft(args.answer.draft());
        Ok(Self {
            sampling: settings::sampling(&args.sampling, &found.opened, found.card)?,
            seed: settings::seed(&args.sampling),
            limits: run::limits(&args.answer, loaded, &texts)?,
            timings: Timings::default(),
            cut: 0,
            args,
            task,
            loaded,
            texts,
            session,
        })
    }

    /// The line that is printed of the answer to `question`.
    fn answer(&mut self, question: Question, id: Option<&RawValue>) -> Result<String> {
        if self.args.raw() && question.system.is_some() {
            bail!("\"system\" does not go with --raw");
        }
        let asked = self.asked(&question)?;
        let system = question.system.as_deref();
        let system = system.or(self.args.answer.system.as_deref());
        // Nothing of other lines is kept: which tokens share a pass makes a difference in rounding,
        // so that the answer would hang on them.
        self.session.truncate(0);
        match self.args.answer.cot {
            Some(cot) => self.think(cot, &asked, system, id),
            None => self.speak(asked, system, id),
        }
    }

    /// What the model is asked, before its chat format.
    fn asked(&self, question: &Question) -> Result<String> {
        let Question { prompt, var, .. } = question;
        let text = match &self.task {
            Some(task) => task.render(prompt, var)?,
            None if !var.is_empty() => bail!("\"var\" is for the template of a --task"),
            None => Some(prompt.clone()).filter(|prompt| !prompt.is_empty()),
        };
        text.context("there is no prompt: give it as \"prompt\"")
    }

    fn speak(
        &mut self,
        asked: String,
        system: Option<&str>,
        id: Option<&RawValue>,
    ) -> Result<String> {
        let (args, loaded) = (self.args, self.loaded);
        let found = &loaded.found;
        let asked = Prompt::Text(asked);
        let rendered = prompt::render(&asked, system, args.raw(), found, &self.texts)?;
        let tokenizer = self.texts.tokenizer.as_ref();
        let asking = Asking {
            sampler: Sampler::new(self.sampling.clone(), self.seed),
            limits: self.limits.clone(),
            decoder: Decoder::new(tokenizer, rendered.continues, &args.answer.stop),
        };
        let answer = answer(&mut self.session, &rendered.ids, asking, &mut |_| Ok(()))?;
        self.count(answer.finish, answer.timings)?;
        let about = About {
            model: &found.name,
            prompt: rendered.text.as_deref(),
            prompt_ids: &rendered.ids,
            has_text: true,
            seed: self.seed,
            load_s: loaded.load_s,
            draft: args.answer.draft(),
        };
        json::line(id, json::answer(&about, &answer))
    }

    fn think(
        &mut self,
        cot: Cot,
        asked: &str,
        system: Option<&str>,
        id: Option<&RawValue>,
    ) -> Result<String> {
        let (args, loaded, texts) = (self.args, self.loaded, &self.texts);
        let found = &loaded.found;
        let thinker = Thinker {
            cot,
            tokenizer: texts.tokenizer(found)?,
            sampling: self.sampling.clone(),
            seed: self.seed,
            limits: self.limits.clone(),
            stops: &args.answer.stop,
            chat: texts.template.is_some(),
        };
        let render = |text: &str| {
            let asked = Prompt::Text(text.to_string());
            let rendered = prompt::render(&asked, system, args.raw(), found, texts)?;
            Ok(rendered.text.unwrap_or_default())
        };
        let thought = thinker.think(&mut self.session, asked, &render, &mut |_| Ok(()))?;
        let last = thought.chains.last().map(|chain| chain.finish_reason);
        self.count(last.unwrap_or(FinishReason::Stop), thought.timings)?;
        json::line(id, cot::object(args, loaded, &thought, self.seed))
    }

    /// Counts an answer, unless Ctrl-C stopped it.
    fn count(&mut self, finish: FinishReason, timings: Timings) -> Result<()> {
        match finish {
            FinishReason::Interrupted => return Err(Error::Interrupted.into()),
            FinishReason::ContextFull => self.cut += 1,
            FinishReason::Stop | FinishReason::Length => {}
        }
        self.timings = self.timings.and(timings);
        Ok(())
    }

    /// Says how it went with `all` lines.
    fn report(&self, all: usize, ui: &Ui) {
        if all == 0 {
            ui.note("--batch: there was no line to answer");
            return;
        }
        if self.cut > 0 {
            ui.note(format!(
                "{} of the answers are cut: the context was full; raise --ctx-size",
                self.cut
            ));
        }
        let figures = run::figures(&self.timings, &self.sampling, self.seed);
        ui.line(&format!("lines: {all}; {figures}"));
    }
}
