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
        Merger::new(self, text).run()
    }
}

/// A text on its way into pieces.
struct Merger<'s, 'a> {
    spm: &'s Spm,
    text: &'a str,
    symbols: Vec<Symbol<'a>>,
    pairs: BinaryHeap<Pair>,
    halves: Halves<'a>,
}

impl<'s, 'a> Merger<'s, 'a> {
    /// `text` as characters and user-defined pieces.
    fn new(spm: &'s Spm, text: &'a str) -> Self {
        let mut symbols = Vec::new();
        let mut start = 0;
        while start < text.len() {
            let rest = &text[start..];
            let verbatim = spm.normalizer.verbatim.prefix(rest).map(|(len, _)| len);
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
        Self {
            spm,
            text,
            symbols,
            pairs: BinaryHeap::new(),
            halves: Halves::new(),
        }
    }

    /// Merges until no union of neighbours is a piece.
    fn run(mut self) -> Vec<Segment<'a>> {
        for right in 1..self.symbols.len() {
            self.offer(right - 1, right);
        }
        while let Some(pair) = self.pairs.pop() {
            self.merge(&pair);
        }
        let mut segments = Vec::new();
        for symbol in self.symbols.iter().filter(|s| !s.text.is_empty()) {
            self.give(symbol.text, &mut segments);
        }
        segments
    }

    /// Adds the merge of two neighbours, if it gives a piece.
    fn offer(&mut self, left: usize, right: usize) {
        let (a, b) = (&self.symbols[left], &self.symbols[right]);
        if a.frozen || b.frozen {
            return;
        }
        let len = a.text.len() + b.text.len();
        let union = &self.text[a.start..a.start + len];
        let Some(&id) = self.spm.ids.get(union) else {
            return;
        };
        let piece = &self.spm.pieces[id as usize];
        if piece.kind == Kind::Unused {
            self.halves.insert(union, (a.text, b.text));
        }
        self.pairs.push(Pair {
            // Adding zero makes -0 and 0 equal.
            score: piece.score + 0.0,
            left,
            right,
            len,
        });
    }

    /// Merges a pair unless it is stale, and offers the merges with its new neighbours.
    fn merge(&mut self, pair: &Pair) {
        let (left, right) = (&self.symbols[pair.left], &self.symbols[pair.right]);
        if left.text.is_empty()
            || right.text.is_empty()
            || left.text.len() + right.text.len() != pair.len
        {
            return;
        }
        let (start, prev, next) = (left.start, left.prev, right.next);
        self.symbols[pair.left].text = &self.text[start..start + pair.len];
        self.symbols[pair.left].next = next;
        self.symbols[pair.right].text = "";
        if let Some(next) = next {
            self.symbols[next].prev = Some(pair.left);
            self.offer(pair.left, next);
        }
        if let Some(prev) = prev {
            self.offer(prev, pair.left);
        }
    }

    /// Gives out a symbol, unused pieces taken apart again.
    fn give(&self, symbol: &'a str, out: &mut Vec<Segment<'a>>) {
        let mut todo = vec![symbol];
        while let Some(text) = todo.pop() {
            let id = self.spm.ids.get(text).copied();
            let unused = id.is_some_and(|id| self.spm.pieces[id as usize].kind == Kind::Unused);
            match self.halves.get(text) {
                Some(&(a, b)) if unused => todo.extend([b, a]),
                _ => out.push(Segment { text, id }),
            }
        }
    }
}
