//! `wick run`: one prompt, one answer; or a batch of them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};

use super::answer::{Answer, Asking, Decoder, answer};
use super::batch::{self, Batch};
use super::cot;
use super::exit::usage;
use super::figures::Timings;
use super::flags::{AnswerArgs, ContextArgs, ModelArgs, SamplingArgs};
use super::infill;
use super::interrupt::Interrupt;
use super::json::{self, About, PieceJson};
use super::open::{self, Found, Loaded, Texts};
use super::output::Output;
use super::prompt::{self, Prompt, PromptArgs, Rendered};
use super::tensor_file::Files;
use super::ui::Ui;
use super::{settings, threads};
use crate::Error;
use crate::generate::{Cot, FinishReason, Limits, Sampler, Sampling, Session, SessionOptions};
use crate::nn::Trace;

/// Answer one prompt; standard output gets the answer and nothing else
#[derive(Debug, Args)]
#[command(after_help = OUTPUT_HELP)]
pub struct RunArgs {
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    pub(super) context: ContextArgs,
    #[command(flatten)]
    pub(super) answer: AnswerArgs,
    /// Fill the blanks of the prompt, [MASK], [sMASK] or [gMASK] (GLM), <extra_id_0> … (T5), and
    /// print the text with them; -n holds for each of GLM's, for all of T5's together
    #[arg(long, conflicts_with_all = ["prompt_ids", "raw", "system", "template", "stop", "logits", "dump", "cot", "task"])]
    infill: bool,
    /// What standard output gets
    #[arg(short, long, value_enum, default_value = "text", ignore_case = true)]
    pub(super) output: Format,
    /// Also write `ids` (i64 [T]) and `logits` (f32 [T, V]) of every position that was run
    #[arg(long, value_name = "FILE.safetensors", conflicts_with = "cot")]
    logits: Option<PathBuf>,
    /// Also write every named intermediate (blk.3.attn_out …)
    #[arg(long, value_name = "FILE.safetensors", conflicts_with_all = ["cot", "draft"])]
    dump: Option<PathBuf>,
    #[command(flatten)]
    pub(super) sampling: SamplingArgs,
}

const OUTPUT_HELP: &str = "\
-o json prints one object: model, prompt (as rendered), prompt_ids, text, ids, finish_reason \
(stop, length, interrupted), seed, timings (load_s, prompt_s, prompt_tokens_per_s, first_token_s, \
generate_s, tokens_per_s; with --draft drafted_tokens, accepted_tokens and acceptance_rate in \
draft), peak_rss_bytes. With --cot also answer, votes and chains, timings of all passes together \
and no ids, for the text is of several passes; with --infill the ids that fill the blanks, prompt as \
it was given, and neither prompt_ids nor timings.
--batch prints such an object for each line, on one line, whatever -o says, with the line's id if it \
has one; for a line that cannot be answered {\"id\": …, \"line\": N, \"error\": …}, and the exit code \
is 1 in the end.
-o jsonl prints {\"id\": …, \"text\": …} for each token as it comes (text that was held back until \
the end, and that of --cot, comes without an id; of --infill there are no such lines), then the \
object of -o json.
Without a tokenizer (--prompt-ids), text output is the answer's ids: 5,6,7.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
    Jsonl,
}

impl RunArgs {
    /// Refuses what makes sense for no model, before one is fetched.
    fn check(&self) -> Result<()> {
        settings::check(&self.sampling)?;
        cot::check_temperature(self.answer.cot, self.sampling.temp)?;
        open::check_template(self.answer.template.as_deref())?;
        if self.prompt.batch.is_some() && matches!(self.answer.cot, Some(Cot::Vote(_))) {
            return Err(usage(
                "--cot vote:N does not go with --batch; take --cot zero or --cot few",
            ));
        }
        open::check_device(&self.model.load, &self.context)
    }

    /// Whether the prompt goes to the model as it is.
    pub(super) fn raw(&self) -> bool {
        self.prompt.raw
    }

    /// What the prompt goes through.
    pub(super) fn texts(&self, found: &Found) -> Result<Texts> {
        match self.raw() {
            true => Texts::plain(found),
            false => Texts::open(found, self.answer.template.as_deref()),
        }
    }
}

pub fn run(args: &RunArgs, ui: &Ui) -> Result<()> {
    args.check()?;
    let name = open::named(&args.model, ui)?;
    let asked = Asked::read(&args.prompt)?;
    let interrupt = Interrupt::install()?;
    let n = threads::number(args.model.load.threads)?;
    let files = Files::open(args.logits.as_deref(), args.dump.as_deref())?;
    threads::with(n, || {
        let loaded = open::load(name, &args.model.hub, &args.model.load, ui)?;
        let prompt = match asked {
            Asked::Batch(batch) => return batch::run(args, batch, &loaded, &interrupt, ui),
            Asked::Once(prompt) => prompt,
        };
        match (&prompt, args.infill, args.answer.cot) {
            (Prompt::Text(text), true, _) => infill::fill(args, text, &loaded, &interrupt, ui),
            (Prompt::Text(text), false, Some(cot)) => {
                cot::run(args, text, &loaded, &interrupt, ui, cot)
            }
            // Ids go with neither, as clap sees to.
            _ => answer_one(args, &prompt, &loaded, &interrupt, files, ui),
        }
    })?
}

/// What is to be answered.
enum Asked {
    Once(Prompt),
    Batch(Batch),
}

impl Asked {
    fn read(args: &PromptArgs) -> Result<Self> {
        let task = args.task()?;
        match &args.batch {
            Some(path) => Batch::open(path, task).map(Self::Batch),
            None => args.read(task.as_ref()).map(Self::Once),
        }
    }
}

fn answer_one(
    args: &RunArgs,
    prompt: &Prompt,
    loaded: &Loaded,
    interrupt: &Interrupt,
    files: Files,
    ui: &Ui,
) -> Result<()> {
    let found = &loaded.found;
    files.check(&found.opened)?;
    let texts = texts(args, prompt, found, ui)?;
    let system = args.answer.system.as_deref();
    let rendered = prompt::render(prompt, system, args.prompt.raw, found, &texts)?;
    let sampling = settings::sampling(&args.sampling, &found.opened, found.card)?;
    let seed = settings::seed(&args.sampling);
    let trace = files.wants_trace().then(|| Arc::new(Trace::default()));
    let mut session = session(&args.context, loaded, interrupt, ui, |options| {
        options.keep_logits = files.wants_logits();
        options.trace = trace.clone();
    })?;
    session.set_draft(args.answer.draft());
    let asking = Asking {
        sampler: Sampler::new(sampling.clone(), seed),
        limits: limits(&args.answer, loaded, &texts)?,
        decoder: Decoder::new(
            texts.tokenizer.as_ref(),
            rendered.continues,
            &args.answer.stop,
        ),
    };
    let about = About {
        model: &found.name,
        prompt: rendered.text.as_deref(),
        prompt_ids: &rendered.ids,
        has_text: texts.tokenizer.is_some(),
        seed,
        load_s: loaded.load_s,
        draft: args.answer.draft(),
    };
    let printed = {
        let _soft = interrupt.softly();
        print(args.output, &mut session, asking, &rendered, &about)
    };
    // Also where nobody reads the answer, or the model failed: what was run can be looked at.
    let written = files.write(&session, trace.as_deref());
    let answer = printed?;
    written?;
    report(&answer, &sampling, seed, &session, ui);
    match answer.finish {
        FinishReason::Interrupted => Err(Error::Interrupted.into()),
        _ => Ok(()),
    }
}

/// What `prompt` goes through, with a tokenizer where it cannot do without.
fn texts(args: &RunArgs, prompt: &Prompt, found: &Found, ui: &Ui) -> Result<Texts> {
    let texts = match (args.texts(found), prompt) {
        // A model that is asked by ids needs none of its texts to be whole.
        (Err(e), Prompt::Ids(_)) => {
            ui.note(format!("no text is shown: {e:#}"));
            Texts::none()
        }
        (texts, _) => texts?,
    };
    if let Prompt::Text(_) = prompt {
        let tokenizer = texts.tokenizer(found);
        tokenizer.map_err(|e| anyhow!("{e}; or give token ids with --prompt-ids"))?;
    }
    if !args.answer.stop.is_empty() {
        texts.tokenizer(found).context("--stop")?;
    }
    Ok(texts)
}

/// A session of the size and kind that the flags ask for.
pub fn session(
    flags: &ContextArgs,
    loaded: &Loaded,
    interrupt: &Interrupt,
    ui: &Ui,
    change: impl FnOnce(&mut SessionOptions),
) -> Result<Session> {
    let opened = &loaded.found.opened;
    let cache_type = settings::cache_type(flags, opened, loaded.storage);
    let context = settings::context(flags, opened, cache_type)?;
    if let Some(note) = &context.note {
        ui.note(note);
    }
    let mut options = SessionOptions {
        ctx_size: context.size,
        cache_type,
        chunk: SessionOptions::CHUNK,
        keep_logits: false,
        interrupt: interrupt.flag(),
        trace: None,
    };
    change(&mut options);
    Ok(Session::new(loaded.model.clone(), options)?)
}

/// Where answers end: at the model's end tokens, unless they are to be ignored.
pub fn limits(flags: &AnswerArgs, loaded: &Loaded, texts: &Texts) -> Result<Limits> {
    let mut stop_ids = Vec::new();
    if !flags.ignore_eos {
        stop_ids = loaded.found.opened.defaults()?.stop_ids;
        stop_ids.extend(texts.tokenizer.iter().flat_map(|t| t.end_ids()));
    }
    Ok(Limits {
        max_tokens: flags.max_tokens,
        stop_ids,
    })
}

/// Makes the answer and prints it as it comes.
fn print(
    format: Format,
    session: &mut Session,
    asking: Asking,
    rendered: &Rendered,
    about: &About<'_>,
) -> Result<Answer> {
    let mut out = Output::new();
    let mut n = 0;
    let answer = answer(session, &rendered.ids, asking, &mut |piece| {
        match (format, piece.id) {
            (Format::Text, Some(id)) if !about.has_text => {
                let comma = if n == 0 { "" } else { "," };
                out.text(&format!("{comma}{id}"))?;
            }
            (Format::Text, _) => out.text(&piece.text)?,
            (Format::Json, _) => {}
            (Format::Jsonl, _) => out.line(&serde_json::to_string(&PieceJson::from(piece))?)?,
        }
        n += 1;
        Ok(())
    })?;
    match format {
        Format::Text => out.end()?,
        Format::Json => out.line(&serde_json::to_string_pretty(&json::answer(
            about, &answer,
        ))?)?,
        Format::Jsonl => out.line(&serde_json::to_string(&json::answer(about, &answer))?)?,
    }
    Ok(answer)
}

/// Says how it went.
fn report(answer: &Answer, sampling: &Sampling, seed: u64, session: &Session, ui: &Ui) {
    if answer.finish == FinishReason::ContextFull {
        ui.note(format!(
            "the answer is cut: the context of {} tokens is full; raise --ctx-size",
            session.tokens_run().len()
        ));
    }
    ui.line(&figures(&answer.timings, sampling, seed));
}

/// A line of figures, with the seed where chance was in it.
pub fn figures(timings: &Timings, sampling: &Sampling, seed: u64) -> String {
    let seed = match sampling.temperature > 0.0 {
        true => format!("; seed {seed}"),
        false => String::new(),
    };
    format!("{}{seed}", timings.line())
}
