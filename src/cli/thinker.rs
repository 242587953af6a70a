//! Steps before the answer, and the answer out of the steps.

use anyhow::Result;
use serde::Serialize;

use super::answer::{Answer, Asking, Decoder, answer};
use super::figures::Timings;
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
    /// Of all passes together.
    pub timings: Timings,
}

impl Thought {
    pub fn chosen(&self) -> &Chain {
        &self.chains[self.chosen]
    }
}

/// Where a question goes.
struct Place<'a> {
    session: &'a mut Session,
    render: &'a dyn Fn(&str) -> Result<String>,
    question: &'a str,
    language: Language,
    /// Of the passes so far.
    timings: Timings,
}

/// What all chains to a question begin with.
struct Begun {
    prompt: String,
    /// What of the chain's own text is in the prompt.
    before: &'static str,
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
            question,
            language: Language::of(question),
            timings: Timings::default(),
        };
        let begun = self.begin(&place)?;
        let prompt_ids = self
            .tokenizer
            .encode_prompt(&begun.prompt, Specials::Parse)?;
        let vote = matches!(self.cot, Cot::Vote(_));
        let mut chains = Vec::new();
        for n in 0..self.cot.chains() {
            let mut sink = |piece: &str| if vote { Ok(()) } else { out(piece) };
            let chain = self.chain(&mut place, &begun, n as u64, &mut sink)?;
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
            prompt: begun.prompt,
            prompt_ids,
            chosen: chosen.unwrap_or(0),
            votes: won.map_or(0, |(_, votes)| votes),
            timings: place.timings,
            chains,
        };
        if vote {
            out(&thought.chosen().text)?;
        }
        Ok(thought)
    }

    fn begin(&self, place: &Place<'_>) -> Result<Begun> {
        let (question, language) = (place.question, place.language);
        let trigger = language.trigger();
        let asked = match (self.cot, is_causal(place.session), self.chat) {
            (Cot::Few, _, _) => language.after_examples(question),
            (_, false, _) => format!("{question}\n{trigger}"),
            (_, true, true) => question.to_string(),
            (_, true, false) => language.asked(question),
        };
        let prompt = (place.render)(&asked)?;
        let begins = self.cot != Cot::Few && is_causal(place.session);
        Ok(match begins {
            true => Begun {
                prompt: joined(&prompt, trigger),
                before: trigger,
            },
            false => Begun { prompt, before: "" },
        })
    }

    /// One chain, with its answer.
    fn chain(
        &self,
        place: &mut Place<'_>,
        begun: &Begun,
        n: u64,
        out: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<Chain> {
        let Begun { prompt, before } = begun;
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
        let prompt = match is_causal(place.session) {
            true => format!("{prompt}{}\n{therefore}", steps.text),
            false => {
                let question = place.question;
                (place.render)(&format!("{question}\n{}\n{therefore}", chain.text))?
            }
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
        chain.answer = reached(&said.text, &chain.text);
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
        let answer = answer(place.session, &ids, asking, &mut |piece| out(&piece.text))?;
        place.timings = place.timings.and(answer.timings);
        Ok(answer)
    }
}

/// Whether the answer is the prompt's own continuation, so that words can be put into the model's
/// mouth: a prefix LM's begins after a mark, an encoder-decoder's in the decoder.
fn is_causal(session: &Session) -> bool {
    matches!(session.model().spec().structure, Structure::Causal)
}

/// The answer that the second pass `said`; where it said none, the one that the steps end with.
fn reached(said: &str, steps: &str) -> Option<String> {
    answer_in(said).or_else(|| conclusion(steps))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_steps_state_counts_where_the_second_pass_says_nothing() {
        let steps = "Let's think step by step. 12 + 7 = 19. 19 - 5 = 14.";
        let answer = |said: &str| reached(said, steps);
        assert_eq!(answer(" 13.").as_deref(), Some("13"));
        for nothing in ["", " ", " ...", "\u{fffd}"] {
            assert_eq!(answer(nothing).as_deref(), Some("14"), "{nothing:?}");
        }
        assert_eq!(reached("", "Let's think step by step."), None);
    }
}
