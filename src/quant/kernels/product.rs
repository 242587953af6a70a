//! Matrix products: activations prepared once, rows spread over the threads, tokens in tiles.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::activations::{Columns, Quantized, QuantizedRows, next_tile};
use super::forms::{
    BLOCK, Float, FloatPanel, Form, IntPanel, PANEL, PLACES, Q8_0, Q8_BYTES, ROW_TOKENS, Rows,
    Tile, are_short, rows_together,
};
use super::{Isa, pool};
use crate::quant::Encoding;

/// Multiply-adds below which waking other threads costs more than it saves.
const SMALL: usize = 1 << 17;
/// Bytes of activations that stay in a core's second-level cache while panels stream by.
const CHUNK: usize = 512 << 10;
/// Bytes of panels made of rows that stay there while the activations stream by,
const GROUP: usize = 256 << 10;
/// in pieces of so many bytes.
const PIECE: usize = 128 << 10;
/// The shortest stream, in bytes: every one begins with reads that nothing has asked for ahead.
const STREAM: usize = 256 << 10;
/// The most tokens that any set takes in a tile.
const MAX_TILE: usize = 24;

/// How a matrix lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Panels of codes and scales, in the form that the encoding names.
    IntPanels(Encoding),
    /// Rows of Q8_0 as files have them.
    Q8Rows,
    /// Rows of floats.
    FloatRows(Float),
}

impl Layout {
    /// The layout in which kernels read an encoding, if there are any for it ([`bytes`]).
    pub fn of(encoding: Encoding) -> Self {
        match encoding {
            Encoding::F16 => Self::FloatRows(Float::F16),
            Encoding::BF16 => Self::FloatRows(Float::BF16),
            Encoding::F32 => Self::FloatRows(Float::F32),
            Encoding::Q8_0 => Self::Q8Rows,
            _ => Self::IntPanels(encoding),
        }
    }

    fn is_int(self) -> bool {
        !matches!(self, Self::FloatRows(_))
    }
}

/// A matrix in memory.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    /// How `data` is to be read.
    pub layout: Layout,
    /// Outputs of the layer.
    pub rows: usize,
    /// Inputs of the layer.
    pub cols: usize,
    /// All rows, or all panels, one after another.
    pub data: &'a [u8],
}

/// Runs `$body` with `$form` naming the integer form of `$encoding`, `$other` for the rest.
macro_rules! with_form {
    ($encoding:expr, $form:ident => $body:expr, _ => $other:expr) => {
        with_form!(@ $encoding, $form, $body, $other,
            Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL Q2_K Q3_K Q4_K Q5_K Q6_K)
    };
    (@ $encoding:expr, $form:ident, $body:expr, $other:expr, $($name:ident)*) => {
        match $encoding {
            $($crate::quant::Encoding::$name => {
                type $form = $crate::quant::kernels::forms::$name;
                $body
            })*
            _ => $other,
        }
    };
}
pub(crate) use with_form;

impl<'a> Stored<'a> {
    /// How often [`PANEL`] rows there are; the last time perhaps fewer.
    fn panels(&self) -> usize {
        self.rows.div_ceil(PANEL)
    }

    /// Panel `p` of codes.
    fn int(&self, p: usize) -> IntPanel<'a> {
        let bytes = self.data.len() / self.panels().max(1);
        IntPanel {
            data: &self.data[p * bytes..(p + 1) * bytes],
            blocks: self.cols / BLOCK,
        }
    }

    /// Bytes of a row that lies as in a file.
    fn row_bytes(&self) -> usize {
        self.data.len() / self.rows.max(1)
    }

    /// The rows, as in a file, that would be panel `p`.
    fn panel_rows(&self, p: usize) -> &'a [u8] {
        let rows = p * PANEL..((p + 1) * PANEL).min(self.rows);
        &self.data[rows.start * self.row_bytes()..rows.end * self.row_bytes()]
    }
}

/// A slice whose disjoint parts several threads write.
pub(super) struct Disjoint<T>(*mut T, usize);

// SAFETY: the methods' callers keep the parts of different threads apart.
unsafe impl<T: Send> Sync for Disjoint<T> {}

impl<T> Disjoint<T> {
    pub(super) fn new(slice: &mut [T]) -> Self {
        Self(slice.as_mut_ptr(), slice.len())
    }

    /// # Safety
    /// No other part in use at the same time may overlap `range`, and the slice that this was made
    /// from must live.
    #[allow(clippy::mut_from_ref)] // that the parts are disjoint is the caller's promise
    pub(super) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.1);
        // SAFETY: inside the slice by the check, unshared by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(range.start), range.len()) }
    }
}

/// What is left of a job is dealt out in pieces of this share of a thread's part: large ones first,
/// for every piece begins with reads that nothing has asked for ahead, and at last single items,
/// so that all threads end together though a neighbour or a slower core hold one of them up.
const SHARE: usize = 2;

/// How many of the `left` items the next piece takes, after [`SHARE`].
fn piece(left: usize, threads: usize) -> usize {
    left.div_ceil(SHARE * threads)
}

/// Calls `f` with ranges that together are `0..len`, on as many threads as there are.
pub fn for_ranges(len: usize, f: impl Fn(Range<usize>) + Sync) {
    let pool = pool::current();
    let parts = pool.threads().min(len);
    match parts {
        0 => return,
        1 => return f(0..len),
        _ => {}
    }
    let next = AtomicUsize::new(0);
    let end = |from: usize| from + piece(len - from, parts);
    let take = || {
        let to = |from| (from < len).then(|| end(from));
        next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, to)
    };
    pool.run(parts, &|_| {
        while let Ok(from) = take() {
            f(from..end(from));
        }
    });
}

/// Fills the items of `out`, each `size` long but for the last, on all threads:
/// `f(first item, several items)`.
pub fn fill_parts<T: Send>(out: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let (len, size) = (out.len(), size.max(1));
    let out = Disjoint::new(out);
    for_ranges(len.div_ceil(size), |range| {
        // SAFETY: the ranges are disjoint.
        f(range.start, unsafe {
            out.part(range.start * size..(range.end * size).min(len))
        });
    });
}

thread_local! {
    /// The caller's activations, quantized and in columns, kept for their room.
    static SCRATCH: RefCell<(Quantized, Vec<f32>)> = RefCell::default();
}

/// `x` `[t][cols]` times each matrix, transposed: `[t][rows]` each.
///
/// # Panics
/// If `x` is not as long as the shapes say, or the matrices differ in columns.
pub fn multiply(isa: Isa, x: &[f32], t: usize, matrices: &[Stored<'_>]) -> Vec<Vec<f32>> {
    let cols = matrices.first().map_or(0, |w| w.cols);
    if cols == 0 || t == 0 {
        return matrices.iter().map(|w| vec![0.0; t * w.rows]).collect();
    }
    assert_eq!(x.len(), t * cols, "activations");
    let same = matrices.iter().all(|w| w.cols == cols);
    assert!(same, "matrices that share activations");
    // Not cleared first: that would be one thread's work while the others wait.
    let mut outs: Vec<_> = matrices
        .iter()
        .map(|w| Vec::with_capacity(t * w.rows))
        .collect();
    SCRATCH.with_borrow_mut(|(quantized, room)| {
        if matrices.iter().any(|w| w.layout.is_int()) {
            quantize(isa, x, t, cols, quantized);
        }
        let panels = t > ROW_TOKENS && !matrices.iter().all(|w| w.layout.is_int());
        let columns = panels.then(|| Columns::new(x, cols, isa.float_tile_tokens(), room));
        let job = Job {
            isa,
            x,
            t,
            quantized,
            columns,
        };
        let outs: Vec<_> = outs
            .iter_mut()
            .zip(matrices)
            .map(|(out, w)| Disjoint::new(&mut out.spare_capacity_mut()[..t * w.rows]))
            .collect();
        let panels: usize = matrices.iter().map(Stored::panels).sum();
        let run = |range: Range<usize>| {
            let mut first = 0;
            for (w, out) in matrices.iter().zip(&outs) {
                let mine = range.start.max(first)..range.end.min(first + w.panels());
                if !mine.is_empty() {
                    job.run(w, mine.start - first..mine.end - first, out);
                }
                first += w.panels();
            }
        };
        if panels * PANEL * cols * t < SMALL {
            run(0..panels);
        } else {
            for_ranges(panels, run);
        }
    });
    for (w, out) in matrices.iter().zip(&mut outs) {
        // SAFETY: there is room for so many, and the panels, all of which were run for all tokens,
        // have written every row.
        unsafe { out.set_len(t * w.rows) };
    }
    outs
}

fn quantize(isa: Isa, x: &[f32], t: usize, cols: usize, out: &mut Quantized) {
    out.resize(t, cols);
    let (stride, blocks) = (out.stride, out.blocks);
    let codes = Disjoint::new(&mut out.codes);
    let meta = Disjoint::new(&mut out.meta);
    let halves = Disjoint::new(&mut out.halves);
    let sums = Disjoint::new(&mut out.sums);
    let rows = |range: Range<usize>| {
        let per_row = |n: usize| range.start * n..range.end * n;
        // SAFETY: the ranges of rows are disjoint.
        let out = unsafe {
            QuantizedRows {
                codes: codes.part(per_row(stride)),
                stride,
                meta: meta.part(per_row(blocks)),
                halves: halves.part(per_row(blocks)),
                sums: sums.part(per_row(blocks)),
                blocks,
            }
        };
        isa.quantize(&x[per_row(cols)], out);
    };
    if t * cols < SMALL {
        rows(0..t);
    } else {
        for_ranges(t, rows);
    }
}

struct Job<'a> {
    isa: Isa,
    /// `[t][cols]`.
    x: &'a [f32],
    t: usize,
    /// `x` for matrices of integers.
    quantized: &'a Quantized,
    /// `x` for panels of floats.
    columns: Option<Columns<'a>>,
}

impl Job<'_> {
    /// A range of a matrix's panels times all tokens.
    fn run(&self, w: &Stored<'_>, panels: Range<usize>, out: &Disjoint<MaybeUninit<f32>>) {
        let (isa, x) = (self.isa, self.quantized);
        match (w.layout, &self.columns) {
            (Layout::IntPanels(encoding), _) => with_form!(encoding, F => {
                let order = Order::of_codes(CHUNK, w.cols, isa.int_tile_tokens::<F>());
                self.tiles(w, panels, order, out, |p, t0, out| {
                    isa.int_tile::<F>(&w.int(p), x, t0, out);
                });
            }, _ => unreachable!("{encoding} panels")),
            (Layout::Q8Rows, _) if self.t <= ROW_TOKENS => {
                let bytes = panels.len() * PANEL * w.row_bytes();
                self.rows(w, panels, PLACES.min(bytes / STREAM), out, |rows, out| {
                    isa.q8_rows(rows, x, 0, out);
                });
            }
            (Layout::Q8Rows, _) => {
                let order = Order::of_codes(PIECE, w.cols, isa.int_tile_tokens::<Q8_0>());
                let blocks = w.cols / BLOCK;
                // A panel of a matrix that is in memory: it does not overflow.
                let bytes = Q8_0::panel_bytes(blocks).unwrap_or(0);
                in_groups(panels, bytes, |group, room| {
                    for (p, panel) in group.clone().zip(room.chunks_exact_mut(bytes)) {
                        isa.q8_panel(w.panel_rows(p), blocks, panel);
                    }
                    self.tiles(w, group.clone(), order, out, |p, t0, out| {
                        let data = &room[(p - group.start) * bytes..][..bytes];
                        isa.int_tile::<Q8_0>(&IntPanel { data, blocks }, x, t0, out);
                    });
                });
            }
            (Layout::FloatRows(float), None) => {
                let places = match are_short(self.t, w.cols) {
                    true => PLACES,
                    false => rows_together(self.t),
                };
                self.rows(w, panels, places, out, |rows, out| {
                    isa.float_rows(float, rows, self.x, out);
                });
            }
            (Layout::FloatRows(float), Some(columns)) => {
                for part in strips(w.cols) {
                    let order = Order::new(PIECE, part.len() * 4, isa.float_tile_tokens());
                    let (cols, bytes) = (part.len(), part.len() * PANEL * float.bytes());
                    in_groups(panels.clone(), bytes, |group, room| {
                        for (p, panel) in group.clone().zip(room.chunks_exact_mut(bytes)) {
                            let rows = w.panel_rows(p);
                            isa.float_panel(float, rows, w.row_bytes(), part.clone(), panel);
                        }
                        self.tiles(w, group.clone(), order, out, |p, t0, sums| {
                            sums.fill([0.0; PANEL]);
                            if part.start > 0 {
                                // SAFETY: the columns before these have met these tokens.
                                unsafe { so_far(w, p, t0, out, sums) };
                            }
                            let data = &room[(p - group.start) * bytes..][..bytes];
                            let x = columns.part(t0, part.clone(), sums.len());
                            isa.float_tile(float, &FloatPanel { data, cols }, x, sums);
                        });
                    });
                }
            }
        }
    }

    /// Rows that lie as in a file times all tokens, [`ROW_TOKENS`] at most: `kernel(rows, out)` for some
    /// rows at a time, taken in turn from so many places.
    fn rows(
        &self,
        w: &Stored<'_>,
        panels: Range<usize>,
        places: usize,
        out: &Disjoint<MaybeUninit<f32>>,
        kernel: impl Fn(&Rows<'_>, &mut Tile),
    ) {
        let rows = panels.start * PANEL..(panels.end * PANEL).min(w.rows);
        let bytes = w.row_bytes();
        let apart = rows.len().div_ceil(places.max(1)).max(1);
        let mut in_turn = (0..apart).flat_map(|i| (rows.start + i..rows.end).step_by(apart));
        let at_once = PANEL - PANEL % places.clamp(1, PANEL);
        let (mut some, mut room) = ([0; PANEL], [[0f32; PANEL]; ROW_TOKENS]);
        let sums = &mut room[..self.t];
        loop {
            let mut n = 0;
            for (place, row) in some[..at_once].iter_mut().zip(in_turn.by_ref()) {
                *place = row;
                n += 1;
            }
            if n == 0 {
                return;
            }
            let rows = Rows {
                data: w.data,
                bytes,
                which: &some[..n],
            };
            kernel(&rows, sums);
            for (t, sums) in sums.iter().enumerate() {
                for (&row, &sum) in rows.which.iter().zip(sums) {
                    let at = t * w.rows + row;
                    // SAFETY: this row of token `t` belongs to this range of rows alone.
                    let one = unsafe { out.part(at..at + 1) };
                    one[0].write(sum);
                }
            }
        }
    }

    /// Calls `tile(panel, first token, out)` for every tile of the panels, chunk by chunk.
    fn tiles(
        &self,
        w: &Stored<'_>,
        panels: Range<usize>,
        order: Order,
        out: &Disjoint<MaybeUninit<f32>>,
        tile: impl Fn(usize, usize, &mut Tile),
    ) {
        let Order { chunk, max } = order;
        let mut room = [[0f32; PANEL]; MAX_TILE];
        for chunk_start in (0..self.t).step_by(chunk) {
            let chunk_end = (chunk_start + chunk).min(self.t);
            for p in panels.clone() {
                let rows = p * PANEL..((p + 1) * PANEL).min(w.rows);
                let mut t0 = chunk_start;
                while t0 < chunk_end {
                    let n = next_tile(chunk_end - t0, max);
                    let sums = &mut room[..n];
                    tile(p, t0, sums);
                    for (t, sums) in (t0..).zip(sums.iter()) {
                        // SAFETY: these rows of token `t` belong to this panel alone.
                        let out =
                            unsafe { out.part(t * w.rows + rows.start..t * w.rows + rows.end) };
                        match <&mut [_; PANEL]>::try_from(&mut *out) {
                            // A known length: no call for every panel.
                            Ok(out) => *out = sums.map(MaybeUninit::new),
                            Err(_) => {
                                out.write_copy_of_slice(&sums[..out.len()]);
                            }
                        }
                    }
                    t0 += n;
                }
            }
        }
    }
}

/// Reads what is there of panel `p` for tokens `t0..`.
///
/// # Safety
/// It must have been written, and nobody else may have these rows of these tokens.
unsafe fn so_far(
    w: &Stored<'_>,
    p: usize,
    t0: usize,
    out: &Disjoint<MaybeUninit<f32>>,
    sums: &mut Tile,
) {
    let rows = p * PANEL..((p + 1) * PANEL).min(w.rows);
    for (t, sums) in (t0..).zip(sums) {
        // SAFETY: both are the caller's promise.
        let there = unsafe { out.part(t * w.rows + rows.start..t * w.rows + rows.end) };
        for (sum, there) in sums.iter_mut().zip(there) {
            *sum = unsafe { there.assume_init() };
        }
    }
}

/// Columns of floats that are multiplied before the next, in parts of one length but for the last: the
/// tokens of a tile stay in the second-level cache beside a group of panels.
fn strips(cols: usize) -> impl Iterator<Item = Range<usize>> {
    const MOST: usize = 4096;
    const VECTOR: usize = 16;
    let each = cols
        .div_ceil(cols.div_ceil(MOST).max(1))
        .next_multiple_of(VECTOR);
    let parts = (0..cols).step_by(each.max(1));
    parts.map(move |first| first..cols.min(first + each))
}

/// In what order a part of a matrix meets the tokens.
#[derive(Clone, Copy)]
struct Order {
    /// Tokens that stay in the cache while the panels stream by.
    chunk: usize,
    /// The most tokens of a tile.
    max: usize,
}

impl Order {
    /// For `room` bytes of quantized activations: a byte for each code, 24 for each block's scales.
    fn of_codes(room: usize, cols: usize, max: usize) -> Self {
        Self::new(room, cols * 7 / 4, max)
    }

    /// For `room` bytes of activations, `row_bytes` a token.
    fn new(room: usize, row_bytes: usize, max: usize) -> Self {
        // Whole tiles, so that chunks cut the tokens as `Columns` did.
        let chunk = (room / row_bytes.max(1)).max(1).next_multiple_of(max);
        Self { chunk, max }
    }
}

/// Calls `f` with groups of the panels and room for each, `bytes` a panel, that stays in the cache.
fn in_groups(panels: Range<usize>, bytes: usize, mut f: impl FnMut(Range<usize>, &mut [u8])) {
    thread_local! {
        static ROOM: RefCell<Vec<u8>> = RefCell::default();
    }
    const LINE: usize = 64;
    ROOM.with_borrow_mut(|room| {
        let n = (GROUP / bytes.max(1)).max(1).min(panels.len());
        if room.len() < n * bytes + LINE {
            room.resize(n * bytes + LINE, 0);
        }
        let at = room.as_ptr().align_offset(LINE);
        for first in panels.clone().step_by(n.max(1)) {
            let group = first..(first + n).min(panels.end);
            let len = group.len() * bytes;
            f(group, &mut room[at..at + len]);
        }
    });
}

/// Row `r` of a matrix as f32.
pub fn row(w: &Stored<'_>, r: usize, out: &mut [f32]) {
    match w.layout {
        Layout::FloatRows(float) => {
            for (k, o) in out.iter_mut().enumerate() {
                *o = super::portable::float_at(float, w.data, r * w.cols + k);
            }
        }
        Layout::Q8Rows => super::portable::q8_row(w.data, r, out),
        Layout::IntPanels(encoding) => with_form!(encoding, F => {
            super::portable::int_row::<F>(&w.int(r / PANEL), r % PANEL, out)
        }, _ => unreachable!("{encoding} panels")),
    }
}

/// Bytes that a matrix takes; `None` if that overflows or there are no kernels for it.
pub fn bytes(layout: Layout, rows: usize, cols: usize) -> Option<usize> {
    match layout {
        Layout::FloatRows(float) => rows.checked_mul(cols)?.checked_mul(float.bytes()),
        Layout::Q8Rows => rows.checked_mul(cols / BLOCK)?.checked_mul(Q8_BYTES),
        Layout::IntPanels(encoding) => with_form!(encoding, F => {
            rows.div_ceil(PANEL).checked_mul(<F as Form>::panel_bytes(cols / BLOCK)?)
        }, _ => None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_begin_large_and_end_small() {
        for (len, threads) in [(1, 2), (7, 2), (704, 2), (1000, 16), (5, 8)] {
            let mut left = len;
            while left > 0 {
                let n = piece(left, threads);
                assert!((1..=left.div_ceil(SHARE * threads)).contains(&n));
                assert!(left > n || n == 1, "the last piece is a single item");
                left -= n;
            }
        }
    }

    #[test]
    fn ranges_are_each_item_once() {
        for len in [0, 1, 2, 7, 704] {
            let counts: Vec<_> = (0..len).map(|_| AtomicUsize::new(0)).collect();
            for_ranges(len, |range| {
                for count in &counts[range] {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
        }
    }
}
