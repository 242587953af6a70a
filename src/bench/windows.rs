//! A text's tokens, cut into the windows in which its perplexity is measured.

use crate::{Error, Result};

/// Tokens of one pass whose logits are all wanted: few enough that the logits of a large vocabulary
/// are small beside the model.
const PIECE: usize = 64;

/// A text in windows as llama.cpp's `llama-perplexity` cuts it: `n_ctx` tokens each, one after
/// another without overlap. What the tokenizer puts before a text (BOS, where it adds one) comes
/// first in the text and takes the place of each later window's first tokens. The tokens of a
/// window's second half are scored, so that each follows half a window at least; what remains
/// after the last whole window is left out. A text shorter than two windows is a single one of at
/// most `n_ctx` tokens, of which all but the first are scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// Those of the text, after what comes before it.
    ids: Vec<u32>,
    /// How many come before the text.
    n_before: usize,
    n_ctx: usize,
    /// Tokens of each window.
    size: usize,
    count: usize,
    /// In each window the first token that is scored.
    scored_from: usize,
}

impl Windows {
    /// Tokens of the shortest window that has one to score.
    pub const SHORTEST: usize = 3;

    /// Cuts `text`, before which the tokenizer puts `before`, into windows of `n_ctx` tokens.
    ///
    /// # Errors
    /// [`Error::Text`] if the text has no token that another comes before;
    /// [`Error::Unsupported`] if windows are too short to score one.
    pub fn new(before: &[u32], text: &[u32], n_ctx: usize) -> Result<Self> {
        // What comes before a text is not predicted, and nothing predicts a first token.
        let least = before.len().max(1);
        let ids = [before, text].concat();
        if ids.len() <= least {
            return Err(Error::Text(format!(
                "too short a text: at least {} tokens are needed, for each is predicted from those before it, and what the tokenizer puts first counts; {} found; give a longer one",
                least + 1,
                ids.len()
            )));
        }
        let shortest = Self::SHORTEST.max(least + 1);
        if n_ctx < shortest {
            return Err(Error::Unsupported(format!(
                "a window of {n_ctx} tokens has none to score; {shortest} are the least (--ctx-size)"
            )));
        }
        let (size, count, scored_from) = match ids.len() < n_ctx.saturating_mul(2) {
            true => (ids.len().min(n_ctx), 1, least),
            false => (n_ctx, ids.len() / n_ctx, least.max(n_ctx / 2 + 1)),
        };
        Ok(Self {
            ids,
            n_before: before.len(),
            n_ctx,
            size,
            count,
            scored_from,
        })
    }

    /// How many windows there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The most tokens that a window may have.
    pub fn n_ctx(&self) -> usize {
        self.n_ctx
    }

    /// Tokens of each window.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Tokens after the last window.
    pub fn left_out(&self) -> usize {
        self.ids.len() - self.count * self.size
    }

    /// The windows from the text's beginning on.
    pub fn iter(&self) -> impl Iterator<Item = Window> {
        let before = &self.ids[..self.n_before];
        let windows = self.ids.chunks_exact(self.size).take(self.count);
        windows.map(move |own| Window {
            ids: [before, &own[before.len()..]].concat(),
            scored_from: self.scored_from,
        })
    }
}

/// One window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    ids: Vec<u32>,
    /// The first token that is scored: not the first of all, and there is one.
    scored_from: usize,
}

impl Window {
    /// All tokens.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The tokens that are read before the first one that a scored token follows.
    pub fn context(&self) -> &[u32] {
        &self.ids[..self.scored_from - 1]
    }

    /// What is read after [`Self::context`], in pieces: tokens, and the scored ones that follow
    /// each of them.
    pub fn pieces(&self) -> impl Iterator<Item = (&[u32], &[u32])> {
        let read = &self.ids[self.scored_from - 1..self.ids.len() - 1];
        let scored = &self.ids[self.scored_from..];
        read.chunks(PIECE).zip(scored.chunks(PIECE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The windows' tokens and those of them that are scored.
    fn cut(before: &[u32], n: u32, n_ctx: usize) -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
        let text: Vec<u32> = (0..n).collect();
        let windows = Windows::new(before, &text, n_ctx).unwrap();
        let (mut all, mut all_scored) = (Vec::new(), Vec::new());
        for window in windows.iter() {
            assert_eq!(window.ids().len(), windows.size());
            let (mut read, mut scored) = (window.context().to_vec(), Vec::new());
            for (some, next) in window.pieces() {
                assert_eq!(some.len(), next.len());
                read.extend(some);
                scored.extend_from_slice(next);
            }
            // All but the last, which is only scored.
            assert_eq!(read, window.ids()[..windows.size() - 1]);
            all.push(window.ids);
            all_scored.push(scored);
        }
        assert_eq!(all.len(), windows.count());
        (all, all_scored)
    }

    #[test]
    fn windows_do_not_overlap_and_second_halves_are_scored() {
        let (windows, scored) = cut(&[], 20, 6);
        assert_eq!(windows.len(), 3);
        assert_eq!(windows[1], [6, 7, 8, 9, 10, 11]);
        assert_eq!(scored, [[4, 5], [10, 11], [16, 17]]);
        let (windows, scored) = cut(&[], 10, 5);
        assert_eq!(windows.len(), 2);
        assert_eq!(scored, [[3, 4], [8, 9]]);
        assert_eq!(cut(&[], 7, 3).1, [[2], [5]]);
        // As many as llama.cpp counts: n_ctx - n_ctx / 2 - 1.
        let (_, scored) = cut(&[], 2000, 512);
        assert_eq!(scored.iter().map(Vec::len).collect::<Vec<_>>(), [255; 3]);
    }

    #[test]
    fn what_comes_before_a_text_begins_every_window_and_is_never_scored() {
        let (windows, scored) = cut(&[99], 12, 6);
        assert_eq!(windows, [[99, 0, 1, 2, 3, 4], [99, 6, 7, 8, 9, 10]]);
        assert_eq!(scored, [[3, 4], [9, 10]]);
        let (windows, scored) = cut(&[98, 99], 8, 3);
        assert_eq!(windows, [[98, 99, 0], [98, 99, 3], [98, 99, 6]]);
        assert_eq!(scored, [[0], [3], [6]]);
    }

    #[test]
    fn all_of_a_short_text_is_scored_but_the_first_token() {
        let (windows, scored) = cut(&[], 4, 512);
        assert_eq!(windows, [[0, 1, 2, 3]]);
        assert_eq!(scored, [[1, 2, 3]]);
        let (windows, scored) = cut(&[99], 2, 512);
        assert_eq!(windows, [[99, 0, 1]]);
        assert_eq!(scored, [[0, 1]]);
        assert_eq!(cut(&[98, 99], 1, 4).1, [[0]]);
        // Longer than a window, shorter than two.
        let text: Vec<u32> = (0..11).collect();
        let windows = Windows::new(&[], &text, 6).unwrap();
        assert_eq!((windows.count(), windows.size()), (1, 6));
        assert_eq!(windows.n_ctx(), 6);
        assert_eq!(windows.left_out(), 5);
        assert_eq!(cut(&[], 11, 6).1, [[1, 2, 3, 4, 5]]);
        assert_eq!(cut(&[], 4, usize::MAX).1, [[1, 2, 3]]);
    }

    #[test]
    fn nothing_to_score_is_an_error() {
        let short: [(&[u32], &[u32]); 4] = [(&[], &[]), (&[], &[5]), (&[1], &[]), (&[1, 2], &[])];
        for (before, text) in short {
            let error = Windows::new(before, text, 512).unwrap_err().to_string();
            assert!(error.contains("too short a text"), "{error}");
        }
        let narrow: [(&[u32], usize, usize); 3] = [(&[], 2, 3), (&[1], 2, 3), (&[1, 2, 3], 3, 4)];
        for (before, n_ctx, least) in narrow {
            let error = Windows::new(before, &[7; 100], n_ctx).unwrap_err();
            let wanted = format!("{least} are the least");
            assert!(error.to_string().contains(&wanted), "{error}");
            assert!(Windows::new(before, &[7; 100], least).is_ok());
        }
    }
}
