//! The unigram model: the segmentation with the greatest sum of scores, found by dynamic
//! programming over the text's bytes (Viterbi).

use super::{Kind, Piece, Segment};

/// What a character without a piece costs more than the worst piece.
const UNKNOWN_PENALTY: f32 = 10.0;

/// The pieces in the order of their bytes, for finding all that a text begins with.
pub(super) struct Index {
    order: Vec<u32>,
    min_score: f32,
    max_score: f32,
}

/// The best way to reach a byte.
#[derive(Clone, Copy)]
struct Node {
    score: f32,
    start: usize,
    id: Option<u32>,
}

impl Index {
    pub fn new(pieces: &[Piece]) -> Self {
        let key = |&id: &u32| pieces[id as usize].text.as_bytes();
        let mut order: Vec<u32> = (0u32..)
            .zip(pieces)
            .filter(|(_, p)| matches!(p.kind, Kind::Normal | Kind::UserDefined))
            .map(|(id, _)| id)
            .collect();
        order.sort_by(|a, b| key(a).cmp(key(b)));
        let scores = || {
            let normal = pieces.iter().filter(|p| p.kind == Kind::Normal);
            normal.map(|p| p.score)
        };
        Self {
            min_score: scores().reduce(f32::min).unwrap_or(0.0),
            max_score: scores().reduce(f32::max).unwrap_or(0.0),
            order,
        }
    }

    /// Calls `found` with the id and length of every piece that `text` begins with, the shortest
    /// first.
    fn prefixes(&self, text: &[u8], pieces: &[Piece], mut found: impl FnMut(u32, usize)) {
        let byte = |id: u32, depth: usize| pieces[id as usize].text.as_bytes().get(depth).copied();
        let mut range = self.order.as_slice();
        for (depth, &wanted) in text.iter().enumerate() {
            let from = range.partition_point(|&id| byte(id, depth) < Some(wanted));
            let to = range.partition_point(|&id| byte(id, depth) <= Some(wanted));
            range = &range[from..to];
            let Some(&first) = range.first() else {
                return;
            };
            if byte(first, depth + 1).is_none() {
                found(first, depth + 1);
            }
        }
    }

    /// Cuts `text`, normalised, into pieces.
    pub fn segment<'a>(&self, text: &'a str, pieces: &[Piece]) -> Vec<Segment<'a>> {
        let unknown = self.min_score - UNKNOWN_PENALTY;
        let mut best: Vec<Option<Node>> = vec![None; text.len() + 1];
        let offer = |best: &mut Vec<Option<Node>>, end: usize, node: Node| {
            if best[end].is_none_or(|old| node.score > old.score) {
                best[end] = Some(node);
            }
        };
        for (start, c) in text.char_indices() {
            let so_far = best[start].map_or(0.0, |n| n.score);
            let mut whole_char = false;
            self.prefixes(&text.as_bytes()[start..], pieces, |id, len| {
                let piece = &pieces[id as usize];
                let score = match piece.kind {
                    Kind::UserDefined => len as f32 * self.max_score - 0.1,
                    _ => piece.score,
                };
                whole_char |= len == c.len_utf8();
                let score = so_far + score;
                let id = Some(id);
                offer(&mut best, start + len, Node { score, start, id });
            });
            if !whole_char {
                let score = so_far + unknown;
                let id = None;
                offer(&mut best, start + c.len_utf8(), Node { score, start, id });
            }
        }
        let mut segments = Vec::new();
        let mut end = text.len();
        while let Some(node) = best[end] {
            segments.push(Segment {
                text: &text[node.start..end],
                id: node.id,
            });
            end = node.start;
        }
        segments.reverse();
        segments
    }
}
