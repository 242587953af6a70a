//! What the commands do to the conversation.

use std::fmt::Write as _;

use anyhow::{Context, Result, anyhow};

use super::{Question, Talk};
use crate::cli::chat::command::{Command, HELP};
use crate::cli::chat::setting::Settings;
use crate::cli::chat::{edit, file};
use crate::cli::{cot, settings};
use crate::files::Readers;
use crate::text::{Message, Role};

impl Talk {
    /// Carries a command out; one that fails changes nothing and is said.
    pub fn command(&mut self, command: Command) -> Result<()> {
        let done = match command {
            Command::Retry => return self.retry(),
            Command::Edit => return self.edit(),
            Command::Help => {
                self.ui.reply(HELP);
                Ok(())
            }
            Command::Exit => Ok(()),
            Command::Reset => self.reset(),
            Command::System(text) => {
                let system = text.map(|t| Message::new(Role::System, t));
                self.go_on_with(system.into_iter().collect())
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
                let model = self.model_files();
                file::save(&self.messages, &path, &model, Readers::Usual)
            }
            Command::Load(path) => file::load(&path).and_then(|read| self.go_on_with(read)),
        };
        if let Err(e) = done {
            self.ui.reply(&format!("{e:#}"));
        }
        self.keep();
        Ok(())
    }

    fn reset(&mut self) -> Result<()> {
        let mut system = self.messages.clone();
        system.retain(|m| m.role == Role::System);
        self.go_on_with(system)
    }

    /// Puts another conversation in the place of this one, of which --session keeps a copy.
    fn go_on_with(&mut self, messages: Vec<Message>) -> Result<()> {
        if let Some(file) = &self.file {
            let copy = file.back_up(&self.model_files());
            let copy = copy.map_err(|e| anyhow!("{e:#}; nothing is changed"))?;
            if let Some(path) = copy {
                let path = path.display();
                self.ui
                    .note(format!("what the session kept so far is now in {path}"));
            }
        }
        self.messages = messages;
        self.unanswered = None;
        Ok(())
    }

    /// The place of the last question.
    fn last_question(&self) -> Option<usize> {
        self.messages.iter().rposition(|m| m.role == Role::User)
    }

    fn undo(&mut self) -> Result<()> {
        let last = self.last_question().context("there is nothing to undo")?;
        self.messages.truncate(last);
        Ok(())
    }

    fn retry(&mut self) -> Result<()> {
        let Some(last) = self.last_question() else {
            self.ui.reply("there is nothing to answer again");
            return Ok(());
        };
        let text = self.messages[last].content.clone();
        self.ask(last, text)
    }

    /// Asks the last question again, as the editor leaves it.
    fn edit(&mut self) -> Result<()> {
        let Some(Question { at, text }) = self.to_edit() else {
            self.ui.reply("there is nothing to edit");
            return Ok(());
        };
        let left = match edit::edited(&text, &self.interrupt) {
            Ok(left) => left,
            Err(e) => {
                self.ui.reply(&format!("/edit: {e:#}; nothing is changed"));
                return Ok(());
            }
        };
        let there = self.messages.get(at).map_or("", |m| m.content.as_str());
        if left.trim().is_empty() || left.trim_end() == there.trim_end() {
            self.unanswered = None;
            self.ui
                .reply("(the text is as it was, or empty; nothing is changed)");
            return Ok(());
        }
        self.unanswered = Some(Question {
            at,
            text: left.clone(),
        });
        self.ask(at, left)?;
        if self.unanswered.is_some() {
            self.ui.reply("(the next /edit goes on with your text)");
        }
        Ok(())
    }

    /// What `/edit` begins with: what the last one left, where that got no answer.
    fn to_edit(&self) -> Option<Question> {
        if let Some(mut question) = self.unanswered.clone() {
            // /undo may have taken the turn that it was to replace.
            question.at = question.at.min(self.messages.len());
            return Some(question);
        }
        let at = self.last_question()?;
        let text = self.messages[at].content.clone();
        Some(Question { at, text })
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
        let kept = self.file.as_ref();
        let kept = kept.map(|file| ("session", file.path().display().to_string()));
        let rows = rows.into_iter().chain(kept);
        let rows: Vec<String> = rows
            .map(|(name, value)| format!("{name:<16} {value}"))
            .collect();
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
