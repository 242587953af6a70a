//! Drafts: guesses at the next tokens, all run in one pass over the weights and then verified.
//!
//! A guess is taken exactly where the sampler, given the logits at that place, chooses the same
//! token. For a guess made without chance this is the rule of speculative sampling (Leviathan et
//! al. 2023, arXiv:2211.17192): the guess is accepted with its probability under the model, and
//! otherwise the token comes from the rest of the distribution. So the answer's distribution, and
//! for a seed the answer itself, is that of generating one by one, as far as the kernels' logits
//! of several rows are those of one.

use std::collections::VecDeque;

/// Where guesses come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Draft {
    /// Nowhere: one token for each pass.
    #[default]
    None,
    /// What followed the last tokens when they stood in the prompt or the answer before (prompt
    /// lookup decoding, Saxena 2023).
    Lookup,
}

/// How many tokens were guessed, and how many of them were right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DraftCount {
    /// Guesses that the model ran.
    pub drafted: usize,
    /// Those of them that the sampler then chose too.
    pub accepted: usize,
}

impl DraftCount {
    /// The part that was right; `None` if nothing was guessed.
    pub fn rate(self) -> Option<f64> {
        (self.drafted > 0).then(|| self.accepted as f64 / self.drafted as f64)
    }

    /// The counts of both.
    pub fn and(self, other: Self) -> Self {
        Self {
            drafted: self.drafted + other.drafted,
            accepted: self.accepted + other.accepted,
        }
    }
}

/// Last tokens that are looked up: the most, and the fewest that count as a match.
const NGRAM: [usize; 2] = [4, 2];
/// Tokens of a draft: the fewest, those of the first, and the most.
const LENGTH: [usize; 3] = [2, 4, 16];

/// The drafts of a session.
pub(super) struct Drafts {
    kind: Draft,
    /// Most tokens of the next draft.
    length: usize,
    /// What the draft that is being verified has had right so far.
    right: usize,
    /// Tokens that were run beyond the session's own, each with the logits after it.
    ahead: VecDeque<(u32, Vec<f32>)>,
    count: DraftCount,
}

impl Drafts {
    pub fn new(kind: Draft) -> Self {
        Self {
            kind,
            length: LENGTH[1],
            right: 0,
            ahead: VecDeque::new(),
            count: DraftCount::default(),
        }
    }

    /// The counts so far.
    pub fn count(&self) -> DraftCount {
        self.count
    }

    /// Begins a new answer.
    pub fn restart(&mut self) {
        *self = Self::new(self.kind);
    }

    /// At most `room` guesses at what comes after the tokens that `history` gives.
    pub fn guess(&self, room: usize, history: impl FnOnce() -> Vec<u32>) -> Vec<u32> {
        match (self.kind, self.length.min(room)) {
            (Draft::None, _) | (_, 0) => Vec::new(),
            (Draft::Lookup, most) => lookup(&history(), most),
        }
    }

    /// A draft has been run: its tokens with the logits after each.
    pub fn add(&mut self, ahead: VecDeque<(u32, Vec<f32>)>) {
        self.count.drafted += ahead.len();
        self.right = 0;
        self.ahead = ahead;
    }

    /// The logits after `ids`, the sequence's next tokens, if a draft has them; `None` ends what is
    /// left of the draft.
    pub fn verify(&mut self, ids: &[u32]) -> Option<Vec<f32>> {
        let (guess, _) = self.ahead.front()?;
        if *ids != [*guess] {
            self.length = (self.right + 1).clamp(LENGTH[0], LENGTH[2]);
            self.ahead.clear();
            return None;
        }
        self.count.accepted += 1;
        self.right += 1;
        let (_, logits) = self.ahead.pop_front()?;
        if self.ahead.is_empty() {
            self.length = (2 * self.length).min(LENGTH[2]);
        }
        Some(logits)
    }

    /// Forgets a draft that is not verified.
    pub fn clear(&mut self) {
        self.ahead.clear();
    }
}

/// What followed the last place where the longest of the last n-grams stood before, repeated
/// where it reaches the end; at most `most` tokens.
fn lookup(history: &[u32], most: usize) -> Vec<u32> {
    let [longest, shortest] = NGRAM;
    for n in (shortest..=longest).rev() {
        let Some(begin) = history.len().checked_sub(n) else {
            continue;
        };
        let (before, last) = (&history[..history.len() - 1], &history[begin..]);
        if let Some(at) = before.windows(n).rposition(|w| w == last) {
            let after = &history[at + n..];
            return after.iter().copied().cycle().take(most).collect();
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_followed_the_longest_match_is_guessed() {
        assert_eq!(lookup(&[1, 2, 3, 9, 2, 3, 8, 1, 2, 3], 2), [9, 2]);
        assert_eq!(lookup(&[2, 3, 7, 2, 3, 8, 2, 3], 1), [8], "the last place");
        assert_eq!(lookup(&[5, 6, 5, 6], 5), [5, 6, 5, 6, 5], "repeated");
        assert_eq!(lookup(&[7, 7, 7], 3), [7, 7, 7]);
        for none in [&[][..], &[1], &[1, 1], &[1, 2, 3, 2]] {
            assert!(lookup(none, 4).is_empty(), "{none:?}");
        }
    }

    #[test]
    fn drafts_grow_with_what_is_right_and_shrink_with_what_is_not() {
        let mut drafts = Drafts::new(Draft::Lookup);
        let run = |ids: &[u32]| ids.iter().map(|&id| (id, vec![id as f32])).collect();
        let most = |drafts: &Drafts| drafts.guess(100, || vec![7; 50]).len();
        assert_eq!(
            (most(&drafts), drafts.guess(3, || vec![7; 50]).len()),
            (4, 3)
        );
        drafts.add(run(&[1, 2, 3, 4]));
        for id in 1..=4 {
            assert_eq!(drafts.verify(&[id]), Some(vec![id as f32]));
        }
        assert_eq!(drafts.verify(&[5]), None);
        assert_eq!(most(&drafts), 8);
        drafts.add(run(&[5, 6, 7]));
        assert!(drafts.verify(&[5]).is_some() && drafts.verify(&[9]).is_none());
        assert_eq!(drafts.verify(&[6]), None, "the rest is gone");
        assert_eq!(most(&drafts), 2);
        let count = drafts.count();
        assert_eq!((count.drafted, count.accepted), (7, 5));
        assert_eq!(count.rate(), Some(5.0 / 7.0));
    }
}
