//! The conversation: its messages, its session, and what commands do to them.

use std::fmt::Write as _;

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
use super::command::{Command, HELP};
use super::file;
use super::setting::Settings;
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

#[derive(Default)]
struct Stats {
    turns: u64,
    last: figures::Timings,
    all: figures::Timings,
}

impl Talk {
    pub fn new(args: &ChatArgs, loaded: Loaded, interrupt: Interrupt, ui: Ui) -> Result<Self> {
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
        let system = args.answer.system.iter();
        Ok(Self {
            messages: system.map(|s| Message::new(Role::System, s)).collect(),
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
    pub fn say(&mut self, text: String) -> Result<()> {
        self.messages.push(Message::new(Role::User, text));
        self.answer()
    }

    /// Answers the last message; Ctrl-C stops that from its beginning on.
    fn answer(&mut self) -> Result<()> {
        let _soft = self.interrupt.softly();
        match self.cot {
            Some(cot) => self.think(cot),
            None => self.speak(),
        }
    }

    /// Another seed for each turn, all repeatable from the one that was set.
    fn turn_seed(&self) -> u64 {
        let turns = self.stats.turns - self.turns_before_seed;
        self.seed.wrapping_add(turns)
    }

    /// Answers the last message at once.
    fn speak(&mut self) -> Result<()> {
        let ids = self
            .template
            .render(&self.messages, true)
            .and_then(|text| self.tokenizer.encode_prompt(&text, Specials::Parse));
        let ids = match ids {
            Ok(ids) => ids,
            Err(e) => return self.take_back(&e),
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
            Err(e) => match e.downcast_ref() {
                Some(full @ Error::ContextFull { .. }) => return self.take_back(full),
                _ => return Err(e),
            },
        };
        out.end_line()?;
        match answer.finish {
            FinishReason::Interrupted if answer.ids.is_empty() => {
                self.stopped_before_answer();
                return Ok(());
            }
            FinishReason::ContextFull => self.ui.note(
                "the answer is cut: the context is full; /undo, /reset, or a larger --ctx-size",
            ),
            FinishReason::Interrupted => self.ui.line("(stopped)"),
            _ => {}
        }
        self.messages
            .push(Message::new(Role::Assistant, answer.text));
        self.stats.add(answer.timings);
        Ok(())
    }

    /// Answers the last message after thinking; the chain that counts becomes the answer.
    fn think(&mut self, cot: Cot) -> Result<()> {
        if let Err(e) = self.template.render(&self.messages, true) {
            return self.take_back(&e);
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
        let thought = match done {
            Ok(thought) => thought,
            Err(e) => match e.downcast_ref() {
                Some(full @ Error::ContextFull { .. }) => return self.take_back(full),
                _ => return Err(e),
            },
        };
        out.end_line()?;
        let finish = thought.chains.last().map(|chain| chain.finish_reason);
        if finish == Some(FinishReason::Interrupted) {
            if thought.timings.tokens == 0 {
                self.stopped_before_answer();
                return Ok(());
            }
            self.ui.line("(stopped)");
        }
        cot::report(&thought, &self.ui);
        let text = thought.chosen().text.clone();
        self.messages.push(Message::new(Role::Assistant, text));
        self.stats.add(thought.timings);
        Ok(())
    }

    /// Forgets the last message, which could not be answered.
    fn take_back(&mut self, why: &Error) -> Result<()> {
        self.messages.pop();
        self.ui.reply(&format!(
            "note: {why}; that turn is taken back (/reset begins anew, /undo forgets the one before)"
        ));
        Ok(())
    }

    /// Forgets the last message, of which Ctrl-C stopped the reading: it has no answer to keep.
    fn stopped_before_answer(&mut self) {
        self.messages.pop();
        self.ui
            .reply("(stopped before the answer; that turn is taken back)");
    }

    /// Carries a command out; one that fails changes nothing and is said.
    pub fn command(&mut self, command: Command) -> Result<()> {
        let done = match command {
            Command::Retry => return self.retry(),
            Command::Help => {
                self.ui.reply(HELP);
                Ok(())
            }
            Command::Exit => Ok(()),
            Command::Reset => {
                self.messages.retain(|m| m.role == Role::System);
                Ok(())
            }
            Command::System(text) => {
                self.messages.clear();
                self.messages
                    .extend(text.map(|t| Message::new(Role::System, t)));
                Ok(())
            }
            Command::Set(name, value) => self.set(&name, &value),
            Command::Show => self.show(),
            Command::Stats => {
                self.ui.reply(&self.stats.text(&self.session));
                Ok(())
            }
            Command::History => {
                self.ui.reply(&self.history());
                Ok(())
            }
            Command::Undo => self.undo(),
            Command::Save(path) => {
                let model = self.loaded.found.opened.weights.checkpoint().files();
                file::save(&self.messages, &path, &model)
            }
            Command::Load(path) => file::load(&path).map(|messages| self.messages = messages),
        };
        if let Err(e) = done {
            self.ui.reply(&format!("{e:#}"));
        }
        Ok(())
    }

    fn undo(&mut self) -> Result<()> {
        let last = self.messages.iter().rposition(|m| m.role == Role::User);
        let last = last.context("there is nothing to undo")?;
        self.messages.truncate(last);
        Ok(())
    }

    fn retry(&mut self) -> Result<()> {
        match self.messages.iter().rposition(|m| m.role == Role::User) {
            Some(last) => {
                self.messages.truncate(last + 1);
                self.answer()
            }
            None => {
                self.ui.reply("there is nothing to answer again");
                Ok(())
            }
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let mut changed = Settings {
            sampling: self.sampling.clone(),
            max_tokens: self.limits.max_tokens,
        };
        changed.set(name, value)?;
        settings::check(&changed.sampling)?;
        cot::check_temperature(self.cot, changed.sampling.temp)?;
        if name == "seed" {
            self.seed = settings::seed(&changed.sampling);
            self.turns_before_seed = self.stats.turns;
        }
        self.sampling = changed.sampling;
        self.limits.max_tokens = changed.max_tokens;
        Ok(())
    }

    fn show(&self) -> Result<()> {
        let found = &self.loaded.found;
        let s = settings::sampling(&self.sampling, &found.opened, found.card)?;
        let (top_k, top_p) = (s.top_k.filter(|&k| k > 0), s.top_p.filter(|&p| p < 1.0));
        let min_p = s.min_p.filter(|&p| p > 0.0);
        let or_off = |v: Option<String>| v.unwrap_or_else(|| "off".to_string());
        let rows = [
            ("model", found.name.clone()),
            ("format", self.template.name().to_string()),
            ("temp", s.temperature.to_string()),
            ("top-k", or_off(top_k.map(|v| v.to_string()))),
            ("top-p", or_off(top_p.map(|v| v.to_string()))),
            ("min-p", or_off(min_p.map(|v| v.to_string()))),
            ("repeat-penalty", s.repeat_penalty.to_string()),
            ("repeat-last-n", s.repeat_last_n.to_string()),
            (
                "max-tokens",
                or_off(self.limits.max_tokens.map(|v| v.to_string())),
            ),
            ("seed", self.seed.to_string()),
        ];
        let rows = rows.map(|(name, value)| format!("{name:<16} {value}"));
        self.ui.reply(&rows.join("\n"));
        Ok(())
    }

    fn history(&self) -> String {
        let mut out = String::new();
        for m in &self.messages {
            let _ = writeln!(out, "[{}] {}", m.role.name(), m.content);
        }
        out.trim_end().to_string()
    }
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
