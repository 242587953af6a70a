//! Chain of thought: how a question is put so that the steps come before the answer.
//!
//! Zero-shot after Kojima et al. 2022 (a trigger, then a second pass that extracts), few-shot
//! after Wei et al. 2022 (worked examples), self-consistency after Wang et al. 2022 (sampled
//! chains, the majority of their answers).

use std::num::NonZeroUsize;
use std::str::FromStr;

use super::Sampling;

/// How a model is made to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cot {
    /// "Let's think step by step.", then a second pass for the answer.
    Zero,
    /// Worked examples before the question.
    Few,
    /// This many sampled chains of [`Cot::Zero`]; the answer that most of them reach.
    Vote(NonZeroUsize),
}

/// More chains than the literature uses are a slip of the finger.
pub const MOST_CHAINS: usize = 1024;

impl FromStr for Cot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("zero, few or vote:N with N from 1 to {MOST_CHAINS} is wanted");
        match text.split_once(':') {
            None if text == "zero" => Ok(Self::Zero),
            None if text == "few" => Ok(Self::Few),
            Some(("vote", n)) => n
                .parse()
                .ok()
                .filter(|n: &NonZeroUsize| n.get() <= MOST_CHAINS)
                .map(Self::Vote)
                .ok_or_else(wanted),
            _ => Err(wanted()),
        }
    }
}

impl Cot {
    /// How many chains are made.
    pub fn chains(self) -> usize {
        match self {
            Self::Zero | Self::Few => 1,
            Self::Vote(n) => n.get(),
        }
    }

    /// `sampling`, made to differ from chain to chain where they vote: greedy chains would all
    /// be the same. Wang et al. sample at 0.7 among 40.
    pub fn sampling(self, mut sampling: Sampling) -> Sampling {
        if matches!(self, Self::Vote(_)) && sampling.temperature == 0.0 {
            sampling.temperature = 0.7;
            sampling.top_k = sampling.top_k.or(Some(40));
        }
        sampling
    }
}

/// The language that a model is made to think in: that of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// For every question that is not Chinese.
    English,
    /// For a question with any character from U+4E00 to U+9FFF.
    Chinese,
}

impl Language {
    /// Chinese if any character is.
    pub fn of(text: &str) -> Self {
        match text.contains(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)) {
            true => Self::Chinese,
            false => Self::English,
        }
    }

    /// What sets the steps going.
    pub fn trigger(self) -> &'static str {
        match self {
            Self::English => "Let's think step by step.",
            Self::Chinese => "让我们一步一步地思考。",
        }
    }

    /// What asks for the answer after the steps.
    pub fn therefore(self) -> &'static str {
        match self {
            Self::English => "Therefore, the answer is",
            Self::Chinese => "因此，答案是",
        }
    }

    /// The worked examples of `prompts/cot`.
    pub fn examples(self) -> &'static str {
        match self {
            Self::English => include_str!("../../prompts/cot/en.txt"),
            Self::Chinese => include_str!("../../prompts/cot/zh.txt"),
        }
    }

    /// (before a question, before its answer), as the examples have them.
    pub fn marks(self) -> (&'static str, &'static str) {
        match self {
            Self::English => ("Q: ", "A:"),
            Self::Chinese => ("问：", "答："),
        }
    }

    /// `question` after the worked examples, where a model goes on with its answer.
    pub fn after_examples(self, question: &str) -> String {
        format!("{}\n\n{}", self.examples().trim_end(), self.asked(question))
    }

    /// `question` marked as one, where a model without a chat format goes on with its answer.
    pub fn asked(self, question: &str) -> String {
        let (q, a) = self.marks();
        format!("{q}{}\n{a}", question.trim())
    }

    /// What a model would begin if it went on with a question of its own.
    pub fn next_question(self) -> String {
        format!("\n\n{}", self.marks().0.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_think_are_read() {
        let n = |n| Cot::Vote(NonZeroUsize::new(n).unwrap());
        assert_eq!("zero".parse(), Ok(Cot::Zero));
        assert_eq!("few".parse(), Ok(Cot::Few));
        assert_eq!("vote:8".parse(), Ok(n(8)));
        assert_eq!(n(8).chains(), 8);
        for bad in [
            "",
            "vote",
            "vote:",
            "vote:0",
            "vote:-1",
            "vote:9999",
            "zero:1",
            "Zero",
        ] {
            let error = bad.parse::<Cot>().unwrap_err();
            assert!(error.contains("vote:N"), "{bad}: {error}");
        }
    }

    #[test]
    fn chains_that_vote_differ() {
        let vote = "vote:3".parse::<Cot>().unwrap();
        assert_eq!(vote.sampling(Sampling::default()).temperature, 0.7);
        let hot = Sampling {
            temperature: 1.5,
            ..Sampling::default()
        };
        assert_eq!(vote.sampling(hot).temperature, 1.5);
        assert_eq!(Cot::Zero.sampling(Sampling::default()).temperature, 0.0);
    }

    #[test]
    fn the_question_sets_the_language() {
        assert_eq!(Language::of("How many?"), Language::English);
        assert_eq!(Language::of("Tom有3个苹果"), Language::Chinese);
        let text = Language::Chinese.after_examples("几个？");
        assert!(text.ends_with("\n\n问：几个？\n答："), "{text}");
        let text = Language::English.after_examples(" How many? ");
        assert!(
            text.ends_with("The answer is 22.\n\nQ: How many?\nA:"),
            "{text}"
        );
    }
}
