//! Attention of several queries over cached keys and values: tiles of queries by tiles of keys
//! with an online softmax, so that nothing of size T × T exists, and each key head is read once
//! for all the query heads that share it. Dao et al. 2022 (arXiv:2205.14135).

mod softmax;
pub mod store;
#[cfg(test)]
mod tests;
mod tile;

use std::cell::RefCell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use softmax::{Bias, RoundedSlope};
use softmax::{Running, Scores, weigh};
use store::{KEY_GROUP, Numbers, Stored, q8_blocks};
use tile::{mix, most_rows, scores};

use super::lanes::{Lanes, Vectorized};
use super::product::Disjoint;
use super::{Isa, pool};

/// Keys of one tile: at 128 f16 numbers each, they and their values fit into a second-level cache
/// beside everything else.
const KEY_TILE: usize = 128;
/// Queries of one tile, about.
const ROWS: usize = 64;
/// Keys that are worth a task of their own when there are few heads and tokens,
const SPLIT: usize = 256;
/// until there are so many tasks: two threads help each other, sixteen have one each, and adding the
/// splits up stays a few microseconds.
const TASKS: usize = 16;
/// Below this many multiply-adds a thread, or a split, costs more than it saves.
const SMALL: usize = 1 << 16;

/// Queries and what they look at.
pub struct Attention<'a> {
    /// Whose kernels work.
    pub isa: Isa,
    /// Heads of the keys and of the values.
    pub kv_heads: usize,
    /// Query heads to a key head.
    pub shared: usize,
    /// Numbers of a head's query, key or value.
    pub head_dim: usize,
    /// Queries of each head, at positions one after another.
    pub tokens: usize,
    /// `[kv_heads]` of groups of keys; see [`store`].
    pub keys: Numbers<'a>,
    /// `[kv_heads]` of values.
    pub values: Numbers<'a>,
    /// Keys that each head has room for.
    pub capacity: usize,
    /// Scores become `softcap * tanh(score / softcap)`; `None` leaves them.
    pub softcap: Option<f32>,
    /// The position of the first token.
    pub start: usize,
    /// The bias of a head's scores.
    pub bias: &'a (dyn Fn(usize) -> Bias<'a> + Sync),
    /// Which keys a token sees.
    pub visible: &'a (dyn Fn(usize) -> Range<usize> + Sync),
    /// Writes the query of a token and a head, times the scale of the scores.
    pub query: &'a (dyn Fn(usize, usize, &mut [f32]) + Sync),
}

/// What one thread works in.
#[derive(Default)]
struct Scratch {
    /// `[rows][head_dim]`.
    q: Vec<f32>,
    /// `[rows][columns]`.
    out: Vec<f32>,
    states: Vec<Running>,
    visible: Vec<Range<usize>>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
    /// What the parts of split queries gave.
    static PARTIAL: RefCell<(Vec<f32>, Vec<Running>)> = RefCell::default();
}

/// A tile of tokens on a key head, over some of the keys.
struct Task {
    head: usize,
    tokens: Range<usize>,
    keys: Range<usize>,
}

/// How the work is cut.
struct Cut {
    /// Tokens of a tile.
    tokens: usize,
    tiles: usize,
    splits: usize,
    threads: Threads,
}

/// On how many threads the work is done.
enum Threads {
    One,
    All,
}

impl Attention<'_> {
    /// The mixed values, `[tokens][kv_heads · shared · head_dim]`.
    ///
    /// # Panics
    /// If `out`, keys or values are not as large as the shapes say, or a token sees keys beyond
    /// the capacity.
    pub fn run(&self, out: &mut [f32]) {
        let heads = self.kv_heads * self.shared;
        assert_eq!(out.len(), self.tokens * heads * self.head_dim);
        let blocks = q8_blocks(self.head_dim);
        let groups = self.kv_heads * self.capacity.div_ceil(KEY_GROUP) * KEY_GROUP;
        self.keys.check(groups * self.head_dim, groups * blocks);
        let n = self.kv_heads * self.capacity;
        self.values
            .check(n * self.head_dim + store::SLACK, n * blocks);
        if out.is_empty() {
            return;
        }
        let cut = self.cut();
        let count = self.kv_heads * cut.tiles * cut.splits;
        let out = Disjoint::new(out);
        PARTIAL.with_borrow_mut(|(sums, states)| {
            let rows = match cut.splits {
                1 => 0,
                splits => splits * self.tokens * heads,
            };
            sums.resize(sums.len().max(rows * self.head_dim), 0.0);
            states.resize(states.len().max(rows), Running::START);
            let partial = (Disjoint::new(sums), Disjoint::new(states));
            let next = AtomicUsize::new(0);
            let work = |_| {
                SCRATCH.with_borrow_mut(|scratch| {
                    loop {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        if i >= count {
                            break;
                        }
                        let (task, split) = self.task(&cut, i);
                        self.isa.vectorize(Run {
                            attention: self,
                            task: &task,
                            scratch,
                        });
                        match cut.splits {
                            1 => self.finish(&task, scratch, &out),
                            _ => self.keep(&task, split, scratch, &partial),
                        }
                    }
                });
            };
            match cut.threads {
                Threads::One => work(0),
                Threads::All => {
                    let pool = pool::current();
                    pool.run(pool.threads(), &work);
                }
            }
            if cut.splits > 1 {
                self.merge(cut.splits, (sums, states), &out);
            }
        });
    }

    /// By the shapes alone, whatever the number of threads: where sums are cut decides how they are
    /// rounded, and a seed is to give the same answer on any number of threads.
    fn cut(&self) -> Cut {
        let tokens = (ROWS / self.shared).clamp(1, self.tokens);
        let tiles = self.tokens.div_ceil(tokens);
        let seen = (self.visible)(self.tokens - 1).len();
        let work = self.tokens * self.kv_heads * self.shared * self.head_dim * seen;
        let units = tiles * self.kv_heads;
        let splits = TASKS.div_ceil(units).min(seen / SPLIT).max(1);
        let (threads, splits) = match work {
            ..SMALL => (Threads::One, 1),
            _ => (Threads::All, splits),
        };
        Cut {
            tokens,
            tiles,
            splits,
            threads,
        }
    }

    /// Task `i` and the number of its split. The last tokens, which see most, come first.
    fn task(&self, cut: &Cut, i: usize) -> (Task, usize) {
        let (split, i) = (i % cut.splits, i / cut.splits);
        let (head, i) = (i % self.kv_heads, i / self.kv_heads);
        let first = (cut.tiles - 1 - i) * cut.tokens;
        let tokens = first..(first + cut.tokens).min(self.tokens);
        let seen = tokens.clone().map(self.visible);
        let (begin, end) = seen.fold((usize::MAX, 0), |(b, e), v| (b.min(v.start), e.max(v.end)));
        assert!(end <= self.capacity);
        // Cut where groups of keys begin.
        let groups = begin.min(end) / KEY_GROUP..end.div_ceil(KEY_GROUP);
        let at = |s: usize| groups.start + groups.len() * s / cut.splits;
        let keys = at(split) * KEY_GROUP..(at(split + 1) * KEY_GROUP).min(end);
        (Task { head, tokens, keys }, split)
    }

    /// Where row `r` of a task is in `[tokens][heads]`.
    fn place(&self, task: &Task, r: usize) -> usize {
        let token = task.tokens.start + r / self.shared;
        (token * self.kv_heads + task.head) * self.shared + r % self.shared
    }

    /// Writes a task's finished sums.
    fn finish(&self, task: &Task, scratch: &Scratch, out: &Disjoint<f32>) {
        let stride = columns(self.head_dim);
        let rows = scratch.out.chunks_exact(stride).zip(&scratch.states);
        for (r, (sums, state)) in rows.enumerate() {
            let at = self.place(task, r) * self.head_dim;
            // SAFETY: this token and head are this task's alone.
            let out = unsafe { out.part(at..at + self.head_dim) };
            let inverse = 1.0 / state.total;
            for (o, s) in out.iter_mut().zip(sums) {
                *o = s * inverse;
            }
        }
    }

    /// Keeps the sums of one split.
    fn keep(
        &self,
        task: &Task,
        split: usize,
        scratch: &Scratch,
        (sums, states): &(Disjoint<f32>, Disjoint<Running>),
    ) {
        let stride = columns(self.head_dim);
        let all = self.tokens * self.kv_heads * self.shared;
        let rows = scratch.out.chunks_exact(stride).zip(&scratch.states);
        for (r, (from, state)) in rows.enumerate() {
            let at = split * all + self.place(task, r);
            // SAFETY: this split of this token and head is this task's alone.
            let (to, kept) = unsafe {
                (
                    sums.part(at * self.head_dim..(at + 1) * self.head_dim),
                    states.part(at..at + 1),
                )
            };
            to.copy_from_slice(&from[..self.head_dim]);
            kept[0] = *state;
        }
    }

    /// Adds the splits of every query.
    fn merge(&self, splits: usize, (sums, states): (&[f32], &[Running]), out: &Disjoint<f32>) {
        let all = self.tokens * self.kv_heads * self.shared;
        for row in 0..all {
            // SAFETY: no other thread writes any more.
            let out = unsafe { out.part(row * self.head_dim..(row + 1) * self.head_dim) };
            let parts = (0..splits).map(|s| s * all + row);
            let largest = |max: f32, part: usize| max.max(states[part].max);
            let max = parts.clone().fold(f32::NEG_INFINITY, largest);
            let mut total = 0.0;
            out.fill(0.0);
            for part in parts {
                let keep = (states[part].max - max).exp();
                total += states[part].total * keep;
                let from = &sums[part * self.head_dim..][..self.head_dim];
                for (o, x) in out.iter_mut().zip(from) {
                    *o += keep * x;
                }
            }
            let inverse = 1.0 / total;
            out.iter_mut().for_each(|o| *o *= inverse);
        }
    }
}

/// Room for a row of sums: whole vectors.
fn columns(head_dim: usize) -> usize {
    head_dim.next_multiple_of(16)
}

/// One task, to be compiled for each instruction set.
struct Run<'a, 'b> {
    attention: &'a Attention<'b>,
    task: &'a Task,
    scratch: &'a mut Scratch,
}

impl Vectorized for Run<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let a = self.attention;
        let dim = a.head_dim;
        let blocks = q8_blocks(dim);
        let group = a.capacity.div_ceil(KEY_GROUP) * KEY_GROUP * self.task.head;
        let value = a.capacity * self.task.head;
        let keys = a.keys.from(group * dim, group * blocks);
        let values = a.values.from(value * dim, value * blocks);
        // SAFETY: the instructions are the caller's promise; [`Attention::run`] has checked that
        // every head's keys and values are there.
        unsafe {
            match (keys, values) {
                (Numbers::F32(k), Numbers::F32(v)) => self.over::<L, _>(k.as_ptr(), v.as_ptr()),
                (Numbers::F16(k), Numbers::F16(v)) => self.over::<L, _>(k.as_ptr(), v.as_ptr()),
                (Numbers::Q8(k, ks), Numbers::Q8(v, vs)) => {
                    self.over::<L, _>((k.as_ptr(), ks.as_ptr()), (v.as_ptr(), vs.as_ptr()));
                }
                _ => unreachable!("keys and values of one type"),
            }
        }
    }
}

impl Run<'_, '_> {
    /// # Safety
    /// The machine must have the instructions of `L`; `keys` and `values` are those of the task's
    /// head, to the capacity.
    #[inline(always)]
    unsafe fn over<L: Lanes, S: Stored>(self, keys: S, values: S) {
        let (a, task) = (self.attention, self.task);
        let (dim, stride) = (a.head_dim, columns(a.head_dim));
        let rows = task.tokens.len() * a.shared;
        let Scratch {
            q,
            out,
            states,
            visible,
        } = self.scratch;
        q.resize(rows * dim, 0.0);
        for (r, q) in q.chunks_exact_mut(dim).enumerate() {
            let token = task.tokens.start + r / a.shared;
            (a.query)(token, task.head * a.shared + r % a.shared, q);
        }
        out.clear();
        out.resize(rows * stride, 0.0);
        states.clear();
        states.resize(rows, Running::START);
        visible.clear();
        visible.extend(task.tokens.clone().map(a.visible));
        let mut weights = [0f32; 8 * KEY_TILE];
        for from in task.keys.clone().step_by(KEY_TILE) {
            let to = (from + KEY_TILE).min(task.keys.end);
            let mut first = 0;
            while first < rows {
                let n = next_rows(rows - first, most_rows::<L>());
                let seen = &visible[first / a.shared..=(first + n - 1) / a.shared];
                let lo = seen.iter().fold(to, |lo, v| lo.min(v.start)).max(from);
                let hi = seen.iter().fold(from, |hi, v| hi.max(v.end)).min(to);
                if lo < hi {
                    let groups = lo / KEY_GROUP..hi.div_ceil(KEY_GROUP);
                    let (begin, len) = (groups.start * KEY_GROUP, groups.len() * KEY_GROUP);
                    // SAFETY: the instructions are the caller's promise. The groups begin at a
                    // multiple of KEY_GROUP not before `from`, itself one, and end before the next
                    // tile, so `weights` holds their scores; rows `first..first + n` are of `q`
                    // and `out`.
                    unsafe {
                        let q = (q.as_ptr().add(first * dim), dim);
                        scores::<L, S>(n, q, keys, groups, weights.as_mut_ptr());
                        for r in 0..n {
                            let row = first + r;
                            let scores = Scores {
                                row: &mut weights[r * KEY_TILE..][..len],
                                first: begin,
                                visible: visible[row / a.shared].clone(),
                                query: a.start + task.tokens.start + row / a.shared,
                            };
                            let bias = (a.bias)(task.head * a.shared + row % a.shared);
                            let keep = weigh::<L>(scores, a.softcap, bias, &mut states[row]);
                            if keep != 1.0 {
                                scale::<L>(&mut out[row * stride..][..stride], keep);
                            }
                        }
                        let out = (out.as_mut_ptr().add(first * stride), stride);
                        let weights = weights.as_ptr().add(lo - begin);
                        mix::<L, S>(n, weights, (values, dim), lo..hi, out);
                    }
                }
                first += n;
            }
        }
    }
}

/// The rows of the next product when `left` are left.
fn next_rows(left: usize, most: usize) -> usize {
    [8, 4, 2]
        .into_iter()
        .find(|&n| n <= left && n <= most)
        .unwrap_or(1)
}

/// Multiplies a row of whole vectors.
///
/// # Safety
/// The machine must have the instructions of `L`.
#[inline(always)]
unsafe fn scale<L: Lanes>(row: &mut [f32], factor: f32) {
    // SAFETY: a vector at a time, all inside the row.
    unsafe {
        let factor = L::splat(factor);
        for x in row.chunks_exact_mut(L::N) {
            L::load(x.as_ptr()).mul(factor).store(x.as_mut_ptr());
        }
    }
}
