//! Chain of thought: how a question is put so that the steps come before the answer, and how the
//! answer is found in them.
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
    English,
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

/// What stands before an answer that is said.
const SAID: [&str; 5] = ["answer is", "answer:", "答案是", "答案为", "答案："];

/// The answer that a chain of thought ends with: what follows the last "the answer is", else its
/// last number. `None` if it has neither.
pub fn conclusion(chain: &str) -> Option<String> {
    let lower = chain.to_ascii_lowercase();
    let said = SAID
        .iter()
        .filter_map(|mark| Some(lower.rfind(mark)? + mark.len()))
        .max();
    match said {
        Some(at) => answer_in(&chain[at..]),
        None => numbers(chain).pop(),
    }
}

/// The answer in what a model says when it is asked for it: the first number of its first line,
/// else that line without the marks around it. `None` if nothing is left.
pub fn answer_in(text: &str) -> Option<String> {
    let line = text.trim_start_matches([' ', ':', '：', '\n']);
    let line = line.lines().next().unwrap_or_default();
    let sentence = line.split(". ").next().unwrap_or_default();
    let sentence = sentence.split(['。', '！']).next().unwrap_or_default();
    numbers(sentence).into_iter().next().or_else(|| {
        let plain = sentence.trim_matches(|c: char| !c.is_alphanumeric());
        (!plain.is_empty()).then(|| plain.to_string())
    })
}

/// The decimal numbers of `text`, without the commas that group thousands and the zeros that say
/// nothing (`1,200.50` is `1200.5`).
fn numbers(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let digit = |i: usize| chars.get(i).is_some_and(char::is_ascii_digit);
    let groups = |i: usize| (1..=3).all(|n| digit(i + n)) && !digit(i + 4);
    let (mut found, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        if !digit(at) {
            at += 1;
            continue;
        }
        // A minus between two terms is no sign.
        let sign = at >= 1 && chars[at - 1] == '-' && (at < 2 || !chars[at - 2].is_alphanumeric());
        let mut number = String::new();
        while digit(at) || (chars.get(at) == Some(&',') && groups(at)) {
            number.extend(Some(chars[at]).filter(|c| *c != ','));
            at += 1;
        }
        if chars.get(at) == Some(&'.') && digit(at + 1) {
            let digits = chars[at + 1..].iter().take_while(|c| c.is_ascii_digit());
            let fraction: String = std::iter::once(&'.').chain(digits).collect();
            at += fraction.len();
            number.push_str(fraction.trim_end_matches('0').trim_end_matches('.'));
        }
        found.push(format!("{}{number}", if sign { "-" } else { "" }));
    }
    found
}

/// The answer that most chains reach, and how many do; of equals the one that was reached first.
/// Letter case does not count. `None` if no chain reached any.
pub fn majority(answers: &[Option<String>]) -> Option<(String, usize)> {
    let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    let mut best: Option<(String, usize)> = None;
    for answer in answers.iter().flatten() {
        let votes = answers.iter().flatten().filter(|a| same(a, answer)).count();
        if best.as_ref().is_none_or(|(_, most)| votes > *most) {
            best = Some((answer.clone(), votes));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn a_conclusion_is_what_is_said_last() {
        for (chain, wanted) in [
            ("3 + 4 = 7. The answer is 7.", "7"),
            ("The answer is 5. No, wait: 6. So the answer is 6", "6"),
            (
                "It costs $1,200.50 in all. The answer is $1,200.50.",
                "1200.5",
            ),
            ("12 - 3 = 9", "9"),
            ("3 - 5 = -2. The answer is -2.", "-2"),
            ("所以 9 + 13 = 22. 答案是 22。", "22"),
            ("The ANSWER IS (B).", "B"),
            ("The answer is about 40 dollars.", "40"),
            ("Answer: Paris", "Paris"),
        ] {
            assert_eq!(conclusion(chain).as_deref(), Some(wanted), "{chain}");
        }
        assert_eq!(conclusion("I do not know"), None);
        assert_eq!(conclusion("The answer is"), None);
    }

    #[test]
    fn an_answer_is_read_from_its_line() {
        assert_eq!(answer_in(" 42.\nAnd more: 43").as_deref(), Some("42"));
        assert_eq!(answer_in("：三十六。").as_deref(), Some("三十六"));
        assert_eq!(answer_in(" 10-3").as_deref(), Some("10"));
        assert_eq!(answer_in(" . \n"), None);
        assert_eq!(
            numbers("1.50, 3,000,000 x-4 10-3 -6 1,2"),
            ["1.5", "3000000", "4", "10", "3", "-6", "1", "2"]
        );
    }

    #[test]
    fn the_majority_wins_and_ties_go_to_the_first() {
        let some = |answers: &[&str]| -> Vec<Option<String>> {
            let or_none = |a: &&str| (!a.is_empty()).then(|| a.to_string());
            answers.iter().map(or_none).collect()
        };
        let won = |answers: &[&str]| majority(&some(answers));
        assert_eq!(won(&["7", "8", "8", ""]), Some(("8".to_string(), 2)));
        assert_eq!(won(&["9", "7", "7", "9"]), Some(("9".to_string(), 2)));
        assert_eq!(won(&["", "Yes", "yes", "no"]), Some(("Yes".to_string(), 2)));
        assert_eq!(won(&["", ""]), None);
        assert_eq!(won(&[]), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            let _ = (conclusion(&text), answer_in(&text));
        }

        #[test]
        fn a_number_that_is_said_is_found(n in -99_999i64..99_999) {
            prop_assert_eq!(conclusion(&format!("So the answer is {n}.")), Some(n.to_string()));
            prop_assert_eq!(conclusion(&format!("因此答案是{n}。")), Some(n.to_string()));
        }
    }
}
