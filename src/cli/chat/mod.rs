//! `wick chat`: a conversation, its KV cache kept between the turns.

mod command;
mod edit;
mod file;
mod folder;
mod lines;
mod reader;
mod session_file;
mod setting;
mod talk;

use anyhow::Result;
use clap::Args;

use self::command::Command;
use self::reader::{Input, Reader};
use self::session_file::{SessionFile, SessionName};
use self::talk::Talk;
use super::flags::{AnswerArgs, ContextArgs, ModelArgs, SamplingArgs};
use super::interrupt::Interrupt;
use super::ui::Ui;
use super::{cot, open, settings, threads};

/// Chat with a model; piped input is one turn per line
#[derive(Debug, Args)]
#[command(
    after_help = "Type /help for the commands. Ctrl-C stops an answer; twice at the prompt, \
                        or Ctrl-D, leaves. A line that ends in \\ goes on; \"\"\" begins and ends \
                        several lines; // at the beginning stands for a / of your own."
)]
pub struct ChatArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    answer: AnswerArgs,
    /// Keep the chat on disk under this name, and go on with what is kept under it
    #[arg(long, value_name = "NAME")]
    session: Option<SessionName>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

impl ChatArgs {
    /// Refuses what makes sense for no model, before one is fetched.
    fn check(&self) -> Result<()> {
        settings::check(&self.sampling)?;
        cot::check_temperature(self.answer.cot, self.sampling.temp)?;
        open::check_template(self.answer.template.as_deref())?;
        open::check_device(&self.model.load, &self.context)
    }
}

pub fn run(args: &ChatArgs, ui: &Ui) -> Result<()> {
    args.check()?;
    let session = args.session.as_ref().map(SessionFile::open).transpose()?;
    let name = open::named(&args.model, ui)?;
    let interrupt = Interrupt::install()?;
    let n = threads::number(args.model.load.threads)?;
    threads::with(n, || {
        let loaded = open::load(name, &args.model.hub, &args.model.load, ui)?;
        let reader = Reader::open(&interrupt, ui)?;
        let talk = Talk::new(args, loaded, session, interrupt.clone(), *ui)?;
        // At the keyboard one leaves by the prompt, also where Ctrl-C comes just before it; a pipe
        // has none.
        let _soft = reader.is_interactive().then(|| interrupt.softly());
        converse(talk, reader)
    })?
}

/// Reads turns until the input ends.
fn converse(mut talk: Talk, mut reader: Reader) -> Result<()> {
    if reader.is_interactive() {
        talk.greet();
    }
    loop {
        let text = match reader.read()? {
            Input::Text(text) if text.trim().is_empty() => continue,
            Input::Text(text) => text,
            Input::Empty => continue,
            Input::End => return talk.end(),
        };
        match Command::parse(&text) {
            None => talk.say(
                text.strip_prefix("//")
                    .map_or(text.clone(), |t| format!("/{t}")),
            )?,
            Some(Ok(Command::Exit)) => return talk.end(),
            Some(Ok(command)) => talk.command(command)?,
            Some(Err(message)) => talk.ui().reply(&message),
        }
    }
}
