//! `--cot`: steps before the answer, and the answer out of the steps.

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::answer::{Answer, Asking, Decoder, answer};
use super::exit::usage;
use super::interrupt::Interrupt;
use super::open::{Loaded, Texts};
use super::output::Output;
use super::prompt::{self, Prompt};
use super::run::{self, Format, RunArgs};
use super::settings;
use super::ui::Ui;
use crate::Error;
use crate::arch::Structure;
use crate::generate::{
    Cot, FinishReason, Language, Limits, Sampler, Sampling, Session, answer_in, conclusion,
    majority,
};
use crate::text::{Specials, Tokenizer};

/// Tokens that the second pass may take to say the answer.
const LONGEST_ANSWER: usize = 48;

/// What a chain of thought is made with.
pub struct Thinker<'a> {
    pub cot: Cot,
    pub tokenizer: &'a Tokenizer,
    pub sampling: Sampling,
    pub seed: u64,
    pub limits: Limits,
    pub stops: &'a [String],
    /// Whether questions go through a chat format.
    pub chat: bool,
}

/// Steps and the answer that they lead to.
#[derive(Debug, Clone, Serialize)]
pub struct Chain {
    pub text: String,
    /// Null where the steps lead to none.
    pub answer: Option<String>,
    #[serde(serialize_with = "as_str")]
    pub finish_reason: FinishReason,
}

fn as_str<S: serde::Serializer>(finish: &FinishReason, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(finish.as_str())
}

/// All chains to one question.
pub struct Thought {
    /// The prompt of the chains, as rendered.
    pub prompt: String,
    pub prompt_ids: Vec<u32>,
    pub chains: Vec<Chain>,
    /// The chain whose answer counts.
    pub chosen: usize,
    /// Chains that reach that answer.
    pub votes: usize,
}

impl Thought {
    pub fn chosen(&self) -> &Chain {
        &self.chains[self.chosen]
    }
}

/// Where a question goes, and how a text follows the prompt.
struct Place<'a> {
    session: &'a mut Session,
    render: &'a dyn Fn(&str) -> Result<String>,
    language: Language,
}

impl Thinker<'_> {
    /// Thinks about `question`, which `render` turns into a prompt. What is made certain of the
    /// first chain goes to `out` at once; a vote is printed when it is over.
    ///
    /// # Errors
    /// If the model fails, the prompt does not fit, or `out` is closed.
    pub fn think(
        &self,
        session: &mut Session,
        question: &str,
        render: &dyn Fn(&str) -> Result<String>,
        out: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<Thought> {
        let mut place = Place {
            session,
            render,
            language: Language::of(question),
        };
        let (prompt, before) = self.begin(&mut place, question)?;
        let prompt_ids = self.tokenizer.encode_prompt(&prompt, Specials::Parse)?;
        let vote = matches!(self.cot, Cot::Vote(_));
        let mut chains = Vec::new();
        for n in 0..self.cot.chains() {
            let mut sink = |piece: &str| if vote { Ok(()) } else { out(piece) };
            let chain = self.chain(&mut place, question, &prompt, before, n as u64, &mut sink)?;
            let interrupted = chain.finish_reason == FinishReason::Interrupted;
            chains.push(chain);
            if interrupted {
                break;
            }
        }
        let answers: Vec<_> = chains.iter().map(|c| c.answer.clone()).collect();
        let won = majority(&answers);
        let chosen = match &won {
            Some((answer, _)) => answers.iter().position(|a| a.as_ref() == Some(answer)),
            None => None,
        };
        let thought = Thought {
            prompt,
            prompt_ids,
            chosen: chosen.unwrap_or(0),
            votes: won.map_or(0, |(_, votes)| votes),
            chains,
        };
        if vote {
            out(&thought.chosen().text)?;
        }
        Ok(thought)
    }

    /// The prompt of a chain, and what of the chain's own text is in it.
    fn begin(&self, place: &mut Place<'_>, question: &str) -> Result<(String, &'static str)> {
        let language = place.language;
        let trigger = language.trigger();
        if self.cot == Cot::Few {
            return Ok(((place.render)(&language.after_examples(question))?, ""));
        }
        if !goes_on(place.session) {
            return Ok(((place.render)(&format!("{question}\n{trigger}"))?, ""));
        }
        let asked = match self.chat {
            true => (place.render)(question)?,
            false => (place.render)(&language.asked(question))?,
        };
        Ok((joined(&asked, trigger), trigger))
    }

    /// One chain, with its answer.
    fn chain(
        &self,
        place: &mut Place<'_>,
        question: &str,
        prompt: &str,
        before: &str,
        n: u64,
        out: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<Chain> {
        let language = place.language;
        let mut stops = self.stops.to_vec();
        if self.cot == Cot::Few || !self.chat {
            stops.push(language.next_question());
        }
        out(before)?;
        let asking = Asking {
            sampler: Sampler::new(
                self.cot.sampling(self.sampling.clone()),
                self.seed.wrapping_add(n),
            ),
            limits: self.limits.clone(),
            decoder: Decoder::new(Some(self.tokenizer), !before.is_empty(), &stops),
        };
        let steps = self.answer(place, prompt, asking, out)?;
        let mut chain = Chain {
            text: format!("{before}{}", steps.text),
            answer: None,
            finish_reason: steps.finish,
        };
        let ended = matches!(steps.finish, FinishReason::Stop | FinishReason::Length);
        if self.cot == Cot::Few || !ended {
            chain.answer = conclusion(&chain.text);
            return Ok(chain);
        }
        let therefore = language.therefore();
        let prompt = match goes_on(place.session) {
            true => format!("{prompt}{}\n{therefore}", steps.text),
            false => (place.render)(&format!("{question}\n{}\n{therefore}", chain.text))?,
        };
        let asking = Asking {
            sampler: Sampler::new(Sampling::default(), self.seed),
            limits: Limits {
                max_tokens: Some(LONGEST_ANSWER),
                stop_ids: self.limits.stop_ids.clone(),
            },
            decoder: Decoder::new(Some(self.tokenizer), true, &["\n".to_string()]),
        };
        let said = match self.answer(place, &prompt, asking, &mut |_| Ok(())) {
            Err(e) if matches!(e.downcast_ref(), Some(Error::ContextFull { .. })) => {
                chain.answer = conclusion(&chain.text);
                return Ok(chain);
            }
            said => said?,
        };
        if said.finish == FinishReason::Interrupted {
            chain.finish_reason = said.finish;
        }
        chain.answer = answer_in(&said.text);
        let last = format!("\n{therefore}{}", joined_answer(language, &said.text));
        out(&last)?;
        chain.text.push_str(&last);
        Ok(chain)
    }

    fn answer(
        &self,
        place: &mut Place<'_>,
        prompt: &str,
        asking: Asking,
        out: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<Answer> {
        let ids = self.tokenizer.encode_prompt(prompt, Specials::Parse)?;
        answer(place.session, &ids, asking, &mut |piece| out(&piece.text))
    }
}

/// Whether the model goes on with its prompt, so that words can be put into its mouth.
fn goes_on(session: &Session) -> bool {
    matches!(session.model().spec().structure, Structure::Causal)
}

/// `text` after a prompt: with a space where the prompt ends in a word or a letter's mark.
fn joined(prompt: &str, text: &str) -> String {
    let close = |c: char| c.is_whitespace() || matches!(c, '>' | '：');
    let space = match prompt.ends_with(close) || prompt.is_empty() {
        true => "",
        false => " ",
    };
    format!("{prompt}{space}{text}")
}

/// What the second pass said, after its question.
fn joined_answer(language: Language, said: &str) -> String {
    let said = said.trim();
    match language {
        Language::English => format!(" {said}"),
        Language::Chinese => said.to_string(),
    }
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

/// `wick run --cot`: thinks about `prompt` and prints steps and answer.
pub fn run(
    args: &RunArgs,
    prompt: &Prompt,
    loaded: &Loaded,
    interrupt: &Interrupt,
    ui: &Ui,
    cot: Cot,
) -> Result<()> {
    let Prompt::Text(question) = prompt else {
        return Err(usage("--cot thinks about a text, not token ids"));
    };
    let found = &loaded.found;
    let texts = Texts::open(found, args.answer.template.as_deref())?;
    let system = args.answer.system.as_deref();
    let raw = args.raw();
    let thinker = Thinker {
        cot,
        tokenizer: texts.tokenizer(found)?,
        sampling: settings::sampling(&args.sampling, &found.opened, found.card)?,
        seed: settings::seed(&args.sampling),
        limits: run::limits(&args.answer, loaded, &texts)?,
        stops: &args.answer.stop,
        chat: texts.template.is_some() && !raw,
    };
    let render = |text: &str| {
        let rendered = prompt::render(&Prompt::Text(text.to_string()), system, raw, found, &texts)?;
        Ok(rendered.text.unwrap_or_default())
    };
    let mut session = run::session(&args.context, loaded, interrupt, ui, |_| {})?;
    let mut out = Output::new();
    let thought = {
        let _soft = interrupt.softly();
        thinker.think(&mut session, question, &render, &mut |piece| {
            match args.output {
                Format::Text => out.text(piece)?,
                Format::Json | Format::Jsonl => {}
            }
            Ok(())
        })?
    };
    let chosen = thought.chosen();
    match args.output {
        Format::Text => out.end()?,
        Format::Json | Format::Jsonl => out.line(&serde_json::to_string(&json!({
            "model": found.name,
            "prompt": thought.prompt,
            "prompt_ids": thought.prompt_ids,
            "text": chosen.text,
            "answer": chosen.answer,
            "votes": thought.votes,
            "chains": thought.chains,
            "finish_reason": chosen.finish_reason.as_str(),
            "seed": thinker.seed,
        }))?)?,
    }
    report(&thought, ui);
    match thought.chains.last().map(|c| c.finish_reason) {
        Some(FinishReason::Interrupted) => Err(Error::Interrupted.into()),
        _ => Ok(()),
    }
}
