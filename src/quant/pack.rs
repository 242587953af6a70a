//! From rows of blocks or floats, as files have them, to the panels that the kernels read.

use std::ops::Range;

use super::blocks::{BITS, Block, NIBBLES, PAIRS};
use super::kernels::forms::{Codes, GROUP, PANEL};
use super::kernels::product::fill_parts;

/// Bytes that one thread copies at a time.
const PIECE: usize = 1 << 20;

/// Copies rows as they are, on all threads.
pub fn rows(data: &[u8], out: &mut [u8]) {
    fill_parts(out, PIECE, |first, part| {
        part.copy_from_slice(&data[first * PIECE..][..part.len()]);
    });
}

/// Packs `rows` of blocks into panels. Rows missing from the last panel stay zero, as `out` must be.
pub fn int_panels<F: Block>(data: &[u8], rows: usize, out: &mut [u8]) {
    let row_bytes = data.len() / rows.max(1);
    let blocks = row_bytes / F::BYTES * F::SCALES.blocks();
    let panel_bytes = out.len() / rows.div_ceil(PANEL).max(1);
    fill_parts(out, panel_bytes, |first, panels| {
        for (p, out) in (first..).zip(panels.chunks_exact_mut(panel_bytes)) {
            let rows = p * PANEL..((p + 1) * PANEL).min(rows);
            let data = &data[rows.start * row_bytes..rows.end * row_bytes];
            panel::<F>(data, blocks, out);
        }
    });
}

/// Packs at most [`PANEL`] rows of so many `blocks` each. What missing rows would be stays as it is.
pub fn panel<F: Block>(data: &[u8], blocks: usize, out: &mut [u8]) {
    let per = F::SCALES.blocks();
    let rows = data.chunks_exact((blocks / per * F::BYTES).max(1));
    for b in 0..blocks {
        for (r, row) in rows.clone().enumerate() {
            let block = &row[b / per * F::BYTES..][..F::BYTES];
            if b % per == 0 {
                let record = &mut out[F::record_at(b)..][..F::SCALES.bytes()];
                F::scales(block, record, r);
            }
            let codes = &mut out[F::codes_at(b)..][..F::CODES.bytes()];
            put_codes::<F>(F::codes(block, b % per), codes, r);
        }
    }
}

/// Puts 32 codes of row `r` into a block of a panel.
#[inline(always)]
fn put_codes<F: Block>(codes: [u32; 8], out: &mut [u8], r: usize) {
    let mut put = |chunk: usize, word: u32| {
        out[chunk * GROUP + 4 * r..][..4].copy_from_slice(&word.to_le_bytes());
    };
    let bits = |at: usize| {
        let mut word = 0;
        for (g, c) in codes.iter().enumerate() {
            word |= ((c >> at) & BITS) << g;
        }
        word
    };
    let pairs = |four: [u32; 4], at: usize| {
        let mut word = 0;
        for (j, c) in four.iter().enumerate() {
            word |= ((c >> at) & PAIRS) << (2 * j);
        }
        word
    };
    let [a, b, c, d, e, f, g, h] = codes;
    let (first, last) = ([a, b, c, d], [e, f, g, h]);
    if matches!(
        F::CODES,
        Codes::Four | Codes::Five | Codes::Six | Codes::Table
    ) {
        for g in 0..4 {
            put(g, (codes[g] & NIBBLES) | (codes[g + 4] & NIBBLES) << 4);
        }
    }
    match F::CODES {
        Codes::Four | Codes::Table => {}
        Codes::Five => put(4, bits(4)),
        Codes::Six => {
            put(4, pairs(first, 4));
            put(5, pairs(last, 4));
        }
        Codes::Two => {
            put(0, pairs(first, 0));
            put(1, pairs(last, 0));
        }
        Codes::Three => {
            put(0, pairs(first, 0));
            put(1, pairs(last, 0));
            put(2, bits(2));
        }
        Codes::Byte => (0..8).for_each(|g| put(g, codes[g])),
    }
}

/// Packs columns `part` of at most [`PANEL`] rows of floats of `N` bytes each, `row` bytes a row, to
/// `[part][PANEL]`. What missing rows would be stays as it is.
pub fn float_panel<const N: usize>(data: &[u8], row: usize, part: Range<usize>, out: &mut [u8]) {
    // So many columns at a time that what is written stays in the cache over the rows.
    const STRIP: usize = 64;
    let (out, _) = out.as_chunks_mut::<N>();
    let strips = part.clone().step_by(STRIP);
    for (first, out) in strips.zip(out.chunks_mut(STRIP * PANEL)) {
        let strip = first * N..part.end.min(first + STRIP) * N;
        for (r, row) in data.chunks_exact(row.max(1)).enumerate() {
            let (row, _) = row[strip.clone()].as_chunks::<N>();
            for (column, v) in out.chunks_exact_mut(PANEL).zip(row) {
                column[r] = *v;
            }
        }
    }
}
