//! Activations as the kernels read them: INT8 blocks, or f32 columns side by side.

use std::ops::Range;

use super::forms::BLOCK;
use super::lanes::ROUND;
use super::product::fill_parts;

/// Rows of activations in blocks of 32 signed bytes. Codes lie in -127..=127.
#[derive(Default)]
pub struct Quantized {
    /// Rows.
    pub t: usize,
    /// Blocks of each row.
    pub blocks: usize,
    /// Bytes from one row of codes to the next.
    pub stride: usize,
    /// `[t][stride]`, of which each row uses `32 * blocks`.
    pub codes: Vec<i8>,
    /// `[t][blocks]` of: scale, scale × sum, −8 × scale × sum, −128 × scale × sum.
    pub meta: Vec<[f32; 4]>,
    /// `[t][blocks]` of: scale × sum of each half.
    pub halves: Vec<[f32; 2]>,
    /// `[t][blocks]` of: sum of the codes of each half. AVX-512 takes offsets off in whole numbers;
    /// where registers are fewer, [`Quantized::halves`] in f32 cost less.
    pub sums: Vec<[i32; 2]>,
}

impl Quantized {
    /// Makes room for `t` rows of `cols` (a multiple of 32).
    pub fn resize(&mut self, t: usize, cols: usize) {
        self.t = t;
        self.blocks = cols / BLOCK;
        // Rows a power of two apart would fall into the same cache sets.
        self.stride = cols + 2 * BLOCK;
        self.codes.resize(t * self.stride, 0);
        self.meta.resize(t * self.blocks, [0.0; 4]);
        self.halves.resize(t * self.blocks, [0.0; 2]);
        self.sums.resize(t * self.blocks, [0; 2]);
    }

    /// Panics unless rows `t0..t0 + n` are there: what every kernel's reads rest on.
    pub fn check(&self, t0: usize, n: usize, blocks: usize) {
        assert!(t0 + n <= self.t && blocks == self.blocks);
        assert!(self.stride >= blocks * BLOCK && self.codes.len() >= self.t * self.stride);
        let each = [self.meta.len(), self.halves.len(), self.sums.len()];
        assert!(each.iter().all(|&len| len >= self.t * blocks));
    }
}

/// Room for some rows of [`Quantized`].
pub struct QuantizedRows<'a> {
    /// `[rows][stride]`.
    pub codes: &'a mut [i8],
    /// Bytes from one row of codes to the next.
    pub stride: usize,
    /// `[rows][blocks]`, as [`Quantized::meta`].
    pub meta: &'a mut [[f32; 4]],
    /// `[rows][blocks]`, as [`Quantized::halves`].
    pub halves: &'a mut [[f32; 2]],
    /// `[rows][blocks]`, as [`Quantized::sums`].
    pub sums: &'a mut [[i32; 2]],
    /// Blocks of each row.
    pub blocks: usize,
}

/// Rows of activations to INT8 blocks, each scaled by its largest magnitude / 127. The scale of a
/// block with a NaN or an infinity is NaN, so that no product with it passes for a number.
#[inline(always)]
pub fn quantize(x: &[f32], out: QuantizedRows<'_>) {
    each_block(x, out, quantize_block);
}

/// A block's scale and, for each half, the sum of its codes.
pub(super) type ScaleAndSums = (f32, [i32; 2]);

/// Fills `out` by `block`, which writes the codes of 32 numbers.
#[inline(always)]
pub(super) fn each_block(
    x: &[f32],
    out: QuantizedRows<'_>,
    block: impl Fn(&[f32; BLOCK], &mut [i8; BLOCK]) -> ScaleAndSums,
) {
    let rows = x.chunks_exact(out.blocks * BLOCK);
    let codes = out.codes.chunks_exact_mut(out.stride);
    let metas = out.meta.chunks_exact_mut(out.blocks);
    let halves = out.halves.chunks_exact_mut(out.blocks);
    let sums = out.sums.chunks_exact_mut(out.blocks);
    for ((((x, codes), metas), halves), all_sums) in
        rows.zip(codes).zip(metas).zip(halves).zip(sums)
    {
        let codes = codes.as_chunks_mut::<BLOCK>().0;
        let blocks = x.as_chunks::<BLOCK>().0.iter().zip(codes);
        for ((((x, codes), meta), halves), sums) in blocks.zip(metas).zip(halves).zip(all_sums) {
            let scale;
            (scale, *sums) = block(x, codes);
            *halves = sums.map(|s| scale * s as f32);
            let sum = scale * sums[0].wrapping_add(sums[1]) as f32;
            *meta = [scale, sum, -8.0 * sum, -128.0 * sum];
        }
    }
}

/// What the codes of a block are multiplied by, and its reciprocal, that the `largest` magnitude
/// become 127. There is no reciprocal, and all codes are 0, where the block is not finite, zero or
/// as good as zero.
#[inline(always)]
pub(super) fn largest_code(largest: f32) -> (f32, Option<f32>) {
    if !largest.is_finite() {
        return (f32::NAN, None);
    }
    let inverse = 127.0 / largest;
    (largest / 127.0, inverse.is_finite().then_some(inverse))
}

#[inline(always)]
fn quantize_block(x: &[f32; BLOCK], codes: &mut [i8; BLOCK]) -> ScaleAndSums {
    // The bits of magnitudes are in their order, with infinity and NaN above all numbers.
    let mut lanes = [0u32; 8];
    for eight in x.as_chunks::<8>().0 {
        for (lane, v) in lanes.iter_mut().zip(eight) {
            *lane = v.abs().to_bits().max(*lane);
        }
    }
    let largest = f32::from_bits(lanes.into_iter().fold(0, u32::max));
    let (scale, inverse) = largest_code(largest);
    let Some(inverse) = inverse else {
        codes.fill(0);
        return (scale, [0; 2]);
    };
    let mut whole = [0i32; BLOCK];
    for (w, v) in whole.iter_mut().zip(x) {
        *w = ((v * inverse + ROUND).to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    }
    for (c, w) in codes.iter_mut().zip(&whole) {
        *c = *w as i8;
    }
    let sums = [0, 1].map(|h| {
        let half = &whole[h * BLOCK / 2..(h + 1) * BLOCK / 2];
        half.iter().fold(0i32, |a, &b| a.wrapping_add(b))
    });
    (scale, sums)
}

/// f32 activations for tiles of several tokens: each tile is `[cols][tokens of the tile]`.
pub struct Columns<'a> {
    cols: usize,
    data: &'a [f32],
}

/// Columns that are laid out together, so that what is written stays in the first-level cache.
const STRIP: usize = 16;

/// The tokens of the next tile when `left` are left and a kernel takes at most `max`.
pub fn next_tile(left: usize, max: usize) -> usize {
    [24, 16, 12, 8, 6, 4, 3, 2, 1]
        .into_iter()
        .find(|&n| n <= left && n <= max)
        .unwrap_or(left)
}

impl<'a> Columns<'a> {
    /// Lays out `x` `[t][cols]` in tiles of at most `max` tokens, in `room`.
    pub fn new(x: &'a [f32], cols: usize, max: usize, room: &'a mut Vec<f32>) -> Self {
        if room.len() < x.len() {
            room.resize(x.len(), 0.0);
        }
        let data = &mut room[..x.len()];
        let whole = max * cols;
        fill_parts(data, whole, |first, tiles| {
            let mut rows = &x[first * whole..][..tiles.len()];
            for tokens in tiles.chunks_mut(whole.max(1)) {
                let mut left = tokens;
                while !left.is_empty() {
                    let n = next_tile(left.len() / cols, max);
                    let (tile, rest) = left.split_at_mut(n * cols);
                    for (strip, out) in tile.chunks_mut(n * STRIP).enumerate() {
                        for (j, row) in rows[..n * cols].chunks_exact(cols).enumerate() {
                            let row = &row[strip * STRIP..];
                            for (column, v) in out.chunks_exact_mut(n).zip(row) {
                                column[j] = *v;
                            }
                        }
                    }
                    (left, rows) = (rest, &rows[n * cols..]);
                }
            }
        });
        Self { cols, data }
    }

    /// Columns `part` of the tile of tokens `t0..t0 + n`.
    pub fn part(&self, t0: usize, part: Range<usize>, n: usize) -> &[f32] {
        let tile = &self.data[t0 * self.cols..(t0 + n) * self.cols];
        &tile[part.start * n..part.end * n]
    }
}
