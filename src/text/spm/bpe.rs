//! BPE by score: of all neighbours whose union is a piece, the best-scored pair merges first, the
//! leftmost of equals; until none is left.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::{Kind, Segment, Spm};

/// A stretch of the text in a linked list.
struct Symbol<'a> {
    text: &'a str,
    /// Byte at which it begins.
    start: usize,
    prev: Option<usize>,
    next: Option<usize>,
    /// Never merged: a user-defined piece.
    frozen: bool,
}

/// A possible merge; stale once either side has changed, which its length shows.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    len: usize,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

/// Halves of pieces that may be merged through but not given out.
type Halves<'a> = HashMap<&'a str, (&'a str, &'a str)>;

impl Spm {
    /// Cuts `text`, normalised, into pieces.
    pub(super) fn bpe<'a>(&self, text: &'a str) -> Vec<Segment<'a>> {
        let mut symbols = self.symbols(text);
        let mut pairs = BinaryHeap::new();
        let mut halves = Halves::new();
        for right in 1..symbols.len() {
            self.offer(text, &symbols, right - 1, right, &mut pairs, &mut halves);
        }
        while let Some(pair) = pairs.pop() {
            let (left, right) = (&symbols[pair.left], &symbols[pair.right]);
            if left.text.is_empty()
                || right.text.is_empty()
                || left.text.len() + right.text.len() != pair.len
            {
                continue;
            }
            let (start, next) = (left.start, right.next);
            symbols[pair.left].text = &text[start..start + pair.len];
            symbols[pair.left].next = next;
            symbols[pair.right].text = "";
            if let Some(next) = next {
                symbols[next].prev = Some(pair.left);
                self.offer(text, &symbols, pair.left, next, &mut pairs, &mut halves);
            }
            if let Some(prev) = symbols[pair.left].prev {
                self.offer(text, &symbols, prev, pair.left, &mut pairs, &mut halves);
            }
        }
        let mut segments = Vec::new();
        for symbol in symbols.iter().filter(|s| !s.text.is_empty()) {
            self.give(symbol.text, &halves, &mut segments);
        }
        segments
    }

    /// Characters and user-defined pieces.
    fn symbols<'a>(&self, text: &'a str) -> Vec<Symbol<'a>> {
        let mut symbols = Vec::new();
        let mut start = 0;
        while start < text.len() {
            let rest = &text[start..];
            let verbatim = self.normalizer.verbatim.prefix(rest).map(|(len, _)| len);
            let len = verbatim.unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
            let at = symbols.len();
            symbols.push(Symbol {
                text: &rest[..len],
                start,
                prev: at.checked_sub(1),
                next: (start + len < text.len()).then_some(at + 1),
                frozen: verbatim.is_some(),
            });
            start += len;
        }
        symbols
    }

    /// Adds the merge of two neighbours, if it gives a piece.
    fn offer<'a>(
        &self,
        text: &'a str,
        symbols: &[Symbol<'a>],
        left: usize,
        right: usize,
        pairs: &mut BinaryHeap<Pair>,
        halves: &mut Halves<'a>,
    ) {
        let (a, b) = (&symbols[left], &symbols[right]);
        if a.frozen || b.frozen {
            return;
        }
        let len = a.text.len() + b.text.len();
        let union = &text[a.start..a.start + len];
        let Some(&id) = self.ids.get(union) else {
            return;
        };
        let piece = &self.pieces[id as usize];
        if piece.kind == Kind::Unused {
            halves.insert(union, (a.text, b.text));
        }
        pairs.push(Pair {
            // Adding zero makes -0 and 0 equal.
            score: piece.score + 0.0,
            left,
            right,
            len,
        });
    }

    /// Gives out a symbol, unused pieces taken apart again.
    fn give<'a>(&self, symbol: &'a str, halves: &Halves<'a>, out: &mut Vec<Segment<'a>>) {
        let mut todo = vec![symbol];
        while let Some(text) = todo.pop() {
            let id = self.ids.get(text).copied();
            let unused = id.is_some_and(|id| self.pieces[id as usize].kind == Kind::Unused);
            match halves.get(text) {
                Some(&(a, b)) if unused => todo.extend([b, a]),
                _ => out.push(Segment { text, id }),
            }
        }
    }
}
