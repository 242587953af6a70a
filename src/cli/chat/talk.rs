//! The conversation: its messages, its session, and how a turn is answered.

mod commands;

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::super::answer::{Asking, Decoder, answer};
use super::super::flags::SamplingArgs;
use super::super::interrupt::Interrupt;
use super::super::open::{Loaded, Texts};
use super::super::output::Output;
use super::super::thinker::Thinker;
use super::super::ui::Ui;
use super::super::{cot, figures, run, settings};
use super::ChatArgs;
use super::session_file::SessionFile;
use crate::Error;
use crate::generate::{Cot, FinishReason, Limits, Sampler, Session};
use crate::text::{ChatTemplate, Message, Role, Specials, Tokenizer};

/// A running chat.
pub struct Talk {
    loaded: Loaded,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    session: Session,
    interrupt: Interrupt,
    messages: Vec<Message>,
    /// What `/edit` asked without getting an answer: the next one goes on with that.
    unanswered: Option<Question>,
    /// Where the messages are kept, with --session.
    file: Option<SessionFile>,
    sampling: SamplingArgs,
    limits: Limits,
    stops: Vec<String>,
    cot: Option<Cot>,
    seed: u64,
    /// Turns that there had been when the seed was set.
    turns_before_seed: u64,
    stats: Stats,
    ui: Ui,
}

/// A question, and its place among the messages.
#[derive(Clone)]
struct Question {
    at: usize,
    text: String,
}

#[derive(Default)]
struct Stats {
    turns: u64,
    last: figures::Timings,
    all: figures::Timings,
}

/// What becomes of a turn.
#[derive(Clone, Copy)]
enum Turn {
    Answered,
    /// It has no answer, and why is said: the conversation is to be as if nothing had been asked.
    TakenBack,
}

impl Talk {
    pub fn new(
        args: &ChatArgs,
        loaded: Loaded,
        file: Option<SessionFile>,
        interrupt: Interrupt,
        ui: Ui,
    ) -> Result<Self> {
        let mut texts = Texts::open(&loaded.found, args.answer.template.as_deref())?;
        let tokenizer = texts.tokenizer(&loaded.found)?.clone();
        let template = match texts.template.take() {
            Some(template) => template,
            None => {
                ui.note("the model comes without a chat format: it goes on with what you type; --template chooses a format");
                ChatTemplate::builtin("plain").context("the plain format is missing")?
            }
        };
        // Flags are wrong before the first turn, not after it.
        settings::sampling(&args.sampling, &loaded.found.opened, loaded.found.card)?;
        let mut session = run::session(&args.context, &loaded, &interrupt, &ui, |_| {})?;
        session.set_draft(args.answer.draft());
        let limits = run::limits(
            &args.answer,
            &loaded,
            &Texts {
                tokenizer: Some(tokenizer.clone()),
                template: None,
            },
        )?;
        Ok(Self {
            messages: beginning(file.as_ref(), args.answer.system.as_deref(), &ui),
            unanswered: None,
            file,
            limits,
            session,
            tokenizer,
            template,
            interrupt,
            seed: settings::seed(&args.sampling),
            turns_before_seed: 0,
            sampling: args.sampling.clone(),
            stops: args.answer.stop.clone(),
            cot: args.answer.cot,
            stats: Stats::default(),
            loaded,
            ui,
        })
    }

    pub fn ui(&self) -> &Ui {
        &self.ui
    }

    /// The first line of an interactive chat.
    pub fn greet(&self) {
        self.ui.line(&format!(
            "{} ({}); /help for commands",
            self.loaded.found.name,
            self.template.name()
        ));
    }

    /// A turn. What does not fit or fails is taken back, and the chat goes on.
    ///
    /// # Errors
    /// The model fails, or the chat format works without end.
    pub fn say(&mut self, text: String) -> Result<()> {
        self.ask(self.messages.len(), text)
    }

    /// Asks `text` in place of the messages from `at` on, which come back if it gets no answer.
    /// Ctrl-C stops that softly from its beginning on until it is kept.
    fn ask(&mut self, at: usize, text: String) -> Result<()> {
        let _soft = self.interrupt.softly();
        let replaced = self.messages.split_off(at);
        self.messages.push(Message::new(Role::User, text));
        let turn = match self.cot {
            Some(cot) => self.think(cot),
            None => self.speak(),
        };
        match turn? {
            Turn::Answered => self.unanswered = None,
            Turn::TakenBack => {
                self.messages.truncate(at);
                if !replaced.is_empty() {
                    self.ui.reply("(the turn that was there stays)");
                }
                self.messages.extend(replaced);
            }
        }
        self.keep();
        Ok(())
    }

    /// Writes what --session keeps. A failure is said, and the next turn tries again.
    fn keep(&mut self) {
        if let Err(e) = self.write() {
            self.ui.reply(&format!(
                "{e:#}; the last turns are not kept there (/save FILE writes them elsewhere)"
            ));
        }
    }

    fn write(&mut self) -> Result<()> {
        let model = self.model_files();
        match &mut self.file {
            Some(file) => file.write(&self.messages, &model),
            None => Ok(()),
        }
    }

    /// What no conversation is written over.
    fn model_files(&self) -> Vec<PathBuf> {
        self.loaded.found.opened.weights.checkpoint().files()
    }

    /// Ends the chat.
    ///
    /// # Errors
    /// What --session keeps cannot be written.
    pub fn end(&mut self) -> Result<()> {
        self.write()
    }

    /// Another seed for each turn, all repeatable from the one that was set.
    fn turn_seed(&self) -> u64 {
        let turns = self.stats.turns - self.turns_before_seed;
        self.seed.wrapping_add(turns)
    }

    /// The conversation as the model gets it, at least one token.
    fn prompt(&self) -> Result<Vec<u32>, Error> {
        let text = self.template.render(&self.messages, true)?;
        let ids = self.tokenizer.encode_prompt(&text, Specials::Parse)?;
        let nothing = "the message spells no token of the model's vocabulary";
        match ids.is_empty() {
            true => Err(Error::Text(nothing.to_string())),
            false => Ok(ids),
        }
    }

    /// Answers the last message at once.
    fn speak(&mut self) -> Result<Turn> {
        let ids = match self.prompt() {
            Ok(ids) => ids,
            Err(e) => return self.refused(e),
        };
        let found = &self.loaded.found;
        let sampling = settings::sampling(&self.sampling, &found.opened, found.card)?;
        let asking = Asking {
            sampler: Sampler::new(sampling, self.turn_seed()),
            limits: self.limits.clone(),
            decoder: Decoder::new(Some(&self.tokenizer), false, &self.stops),
        };
        let mut out = Output::new();
        let done = answer(&mut self.session, &ids, asking, &mut |piece| {
            Ok(out.text(&piece.text)?)
        });
        let answer = match done {
            Ok(answer) => answer,
            Err(e) => return self.failed(e),
        };
        out.end_line()?;
        if answer.finish == FinishReason::Interrupted && answer.ids.is_empty() {
            return Ok(self.stopped_before_answer());
        }
        self.say_why_it_ended(answer.finish);
        self.messages
            .push(Message::new(Role::Assistant, answer.text));
        self.stats.add(answer.timings);
        Ok(Turn::Answered)
    }

    /// Answers the last message after thinking; the chain that counts becomes the answer.
    fn think(&mut self, cot: Cot) -> Result<Turn> {
        if let Err(e) = self.prompt() {
            return self.refused(e);
        }
        let found = &self.loaded.found;
        let thinker = Thinker {
            cot,
            tokenizer: &self.tokenizer,
            sampling: settings::sampling(&self.sampling, &found.opened, found.card)?,
            seed: self.turn_seed(),
            limits: self.limits.clone(),
            stops: &self.stops,
            chat: true,
        };
        let (last, earlier) = self.messages.split_last().context("nothing was asked")?;
        let render = |text: &str| {
            let mut messages = earlier.to_vec();
            messages.push(Message::new(Role::User, text));
            Ok(self.template.render(&messages, true)?)
        };
        let mut out = Output::new();
        let mut print = |piece: &str| Ok(out.text(piece)?);
        let done = thinker.think(&mut self.session, &last.content, &render, &mut print);
        // Also where it failed: the first words may be there.
        out.end_line()?;
        let thought = match done {
            Ok(thought) => thought,
            Err(e) => return self.failed(e),
        };
        let finish = match thought.chains.last().map(|chain| chain.finish_reason) {
            Some(FinishReason::Interrupted) => FinishReason::Interrupted,
            _ => thought.chosen().finish_reason,
        };
        if finish == FinishReason::Interrupted && thought.timings.tokens == 0 {
            return Ok(self.stopped_before_answer());
        }
        self.say_why_it_ended(finish);
        cot::report(&thought, &self.ui);
        let text = thought.chosen().text.clone();
        self.messages.push(Message::new(Role::Assistant, text));
        self.stats.add(thought.timings);
        Ok(Turn::Answered)
    }

    /// Says why an answer ended, where that was not as it should be.
    fn say_why_it_ended(&self, finish: FinishReason) {
        match finish {
            FinishReason::ContextFull => self.ui.note(
                "the answer is cut: the context is full; /undo, /reset, or a larger --ctx-size",
            ),
            FinishReason::Interrupted => self.ui.line("(stopped)"),
            FinishReason::Stop | FinishReason::Length => {}
        }
    }

    /// What becomes of a turn that makes no prompt.
    fn refused(&self, error: Error) -> Result<Turn> {
        match error {
            // The template goes on on its thread, and would take all memory in the end.
            Error::Runaway(_) => Err(error.into()),
            _ => Ok(self.take_back(&error)),
        }
    }

    /// What becomes of a turn that failed. One that is too long is no end of the chat.
    fn failed(&self, error: anyhow::Error) -> Result<Turn> {
        match error.downcast_ref() {
            Some(full @ Error::ContextFull { .. }) => Ok(self.take_back(full)),
            _ => Err(error),
        }
    }

    /// Says why the last message cannot be answered.
    fn take_back(&self, why: &Error) -> Turn {
        self.ui.reply(&format!(
            "note: {why}; that turn is taken back (/reset begins anew, /undo forgets the one before)"
        ));
        Turn::TakenBack
    }

    /// Ctrl-C stopped the reading of the last message: it has no answer to keep.
    fn stopped_before_answer(&self) -> Turn {
        self.ui
            .reply("(stopped before the answer; that turn is taken back)");
        Turn::TakenBack
    }
}

/// What a chat begins with: what `file` keeps, with the system message of the flags where they give
/// one. Says what goes on.
fn beginning(file: Option<&SessionFile>, system: Option<&str>, ui: &Ui) -> Vec<Message> {
    let mut messages = file.map(SessionFile::messages).unwrap_or_default();
    let mut change = "";
    if let Some(system) = system {
        let system = Message::new(Role::System, system);
        if messages.first() != Some(&system) {
            change = ", with another system message";
        }
        messages.retain(|m| m.role != Role::System);
        messages.insert(0, system);
    }
    if let Some(goes_on) = file.and_then(SessionFile::goes_on) {
        ui.note(format!("{goes_on}{change}"));
    }
    messages
}

impl Stats {
    fn add(&mut self, t: figures::Timings) {
        self.turns += 1;
        self.last = t;
        self.all = self.all.and(t);
    }

    fn text(&self, session: &Session) -> String {
        format!(
            "last turn: {}\n{} turns: {}\n{} tokens in the cache",
            self.last.line(),
            self.turns,
            self.all.line(),
            session.tokens_run().len()
        )
    }
}
