//! Figures for people: how long things took, how large they are.

pub use crate::hub::readable_bytes as bytes;

use crate::generate::DraftCount;

/// Time and number of tokens of one answer, or of several.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// Prompt tokens that were run; fewer than the prompt has where the cache held some.
    pub prompt_tokens: usize,
    pub prompt_s: f64,
    /// Seconds from the prompt's first token to the answer's first.
    pub first_token_s: Option<f64>,
    /// Answers that have any tokens. The first of each comes from the prompt's pass.
    pub answers: usize,
    pub tokens: usize,
    pub generate_s: f64,
    /// Tokens that were guessed.
    pub drafts: DraftCount,
}

impl Timings {
    /// Those of both; the time to the first token is that of `self`, where it has one.
    pub fn and(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens + other.prompt_tokens,
            prompt_s: self.prompt_s + other.prompt_s,
            first_token_s: self.first_token_s.or(other.first_token_s),
            answers: self.answers + other.answers,
            tokens: self.tokens + other.tokens,
            generate_s: self.generate_s + other.generate_s,
            drafts: self.drafts.and(other.drafts),
        }
    }

    /// Prompt tokens for each second.
    pub fn prompt_rate(&self) -> Option<f64> {
        rate(self.prompt_tokens, self.prompt_s)
    }

    /// Generated tokens for each second, without those that come from the prompts' passes.
    pub fn rate(&self) -> Option<f64> {
        rate(self.tokens.saturating_sub(self.answers), self.generate_s)
    }

    /// One line.
    pub fn line(&self) -> String {
        let per_second = |rate: Option<f64>| match rate {
            Some(rate) => format!(" ({rate:.1} tokens/s)"),
            None => String::new(),
        };
        let drafts = match self.drafts.rate() {
            Some(rate) => format!(
                "; {} of {} drafted tokens accepted ({:.0} %)",
                self.drafts.accepted,
                self.drafts.drafted,
                100.0 * rate
            ),
            None => String::new(),
        };
        format!(
            "prompt: {} tokens in {:.2} s{}; answer: {} tokens in {:.2} s{}{drafts}",
            self.prompt_tokens,
            self.prompt_s,
            per_second(self.prompt_rate()),
            self.tokens,
            self.generate_s,
            per_second(self.rate()),
        )
    }
}

fn rate(n: usize, seconds: f64) -> Option<f64> {
    (n > 0 && seconds > 0.0).then(|| n as f64 / seconds)
}

/// A number of parameters: 1.10 B, 260.0 K.
pub fn params(n: usize) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{:.1} K", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", n as f64 / 1e6),
        _ => format!("{:.2} B", n as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answers_first_token_counts_as_generated() {
        let one = Timings {
            answers: 1,
            tokens: 11,
            generate_s: 2.0,
            ..Timings::default()
        };
        let empty = Timings {
            generate_s: 1.0,
            ..Timings::default()
        };
        assert_eq!(one.rate(), Some(5.0));
        assert_eq!(one.and(one).and(one).rate(), Some(5.0));
        assert_eq!(one.and(empty).rate(), Some(10.0 / 3.0));
        assert_eq!(empty.rate(), None);
    }

    #[test]
    fn sizes_are_rounded_to_their_unit() {
        assert_eq!(params(1_100_000_000), "1.10 B");
        assert_eq!(params(260_032), "260.0 K");
    }
}
