//! Plain Rust: the reference that every other kernel is tested against, and the path of machines
//! without one of their own.

use half::{bf16, f16};

use super::activations::Quantized;
use super::forms::{
    BLOCK, Codes, Float, FloatPanel, Form, GROUP, IQ4_NL_VALUES, IntPanel, PANEL, Q8_BYTES, Rows,
    Scales, Tile,
};

/// Tokens of a tile.
pub const INT_TILE: usize = 4;
/// Tokens of a tile of float weights.
pub const FLOAT_TILE: usize = 6;

/// A block's codes, one byte each: `[group][row][column of the group]`.
pub type Unpacked = [u8; BLOCK * PANEL];

/// Spreads a block's codes over bytes; signed ones in two's complement.
#[inline(always)]
pub fn unpack<F: Form>(block: &[u8], out: &mut Unpacked) {
    let bit_plane = |out: &mut Unpacked, plane: &[u8], shift: usize| {
        for (g, group) in out.chunks_exact_mut(GROUP).enumerate() {
            for (o, b) in group.iter_mut().zip(plane) {
                *o |= ((b >> g) & 1) << shift;
            }
        }
    };
    let pairs = |out: &mut Unpacked, plane: &[u8], shift: usize| {
        for (g, group) in out.chunks_exact_mut(GROUP).enumerate() {
            for (o, b) in group.iter_mut().zip(&plane[g / 4 * GROUP..]) {
                *o |= ((b >> (2 * (g % 4))) & 3) << shift;
            }
        }
    };
    let nibbles = |out: &mut Unpacked, plane: &[u8]| {
        let (low, high) = out.split_at_mut(4 * GROUP);
        for ((l, h), b) in low.iter_mut().zip(high).zip(plane) {
            (*l, *h) = (b & 15, b >> 4);
        }
    };
    match F::CODES {
        Codes::Four => nibbles(out, block),
        Codes::Five => {
            nibbles(out, block);
            bit_plane(out, &block[4 * GROUP..], 4);
        }
        Codes::Six => {
            nibbles(out, block);
            pairs(out, &block[4 * GROUP..], 4);
        }
        Codes::Two => {
            *out = [0; BLOCK * PANEL];
            pairs(out, block, 0);
        }
        Codes::Three => {
            *out = [0; BLOCK * PANEL];
            pairs(out, block, 0);
            bit_plane(out, &block[2 * GROUP..], 2);
        }
        Codes::Byte => out.copy_from_slice(block),
        Codes::Table => {
            nibbles(out, block);
            for o in out.iter_mut() {
                *o = IQ4_NL_VALUES[usize::from(*o & 15)] as u8;
            }
        }
    }
}

/// Scales and minimums of both halves of a block: a weight is `scale[half][row] * code + min[half][row]`.
pub struct BlockScales {
    /// `[half][row]`.
    pub scale: [[f32; PANEL]; 2],
    /// `[half][row]`; the offset of symmetric types is in it.
    pub min: [[f32; PANEL]; 2],
}

/// The scales of block `b`.
#[inline(always)]
pub fn scales<F: Form>(panel: &IntPanel<'_>, b: usize) -> BlockScales {
    let record = &panel.data[F::record_at(b)..][..F::SCALES.bytes()];
    let i = b % F::SCALES.blocks();
    let half = |at: usize| -> [f32; PANEL] {
        std::array::from_fn(|r| {
            f16::from_le_bytes([record[at + 2 * r], record[at + 2 * r + 1]]).to_f32()
        })
    };
    let both = |scale: [f32; PANEL], min: [f32; PANEL]| BlockScales {
        scale: [scale; 2],
        min: [min; 2],
    };
    match F::SCALES {
        Scales::Block { offset } => {
            let scale = half(0);
            both(scale, scale.map(|s| -(offset as f32) * s))
        }
        Scales::BlockMin => both(half(0), half(2 * PANEL)),
        Scales::Super => {
            let (d, dmin) = (half(0), half(2 * PANEL));
            let bytes = &record[4 * PANEL..];
            let (sc, mn) = (&bytes[i * PANEL..], &bytes[(8 + i) * PANEL..]);
            both(
                std::array::from_fn(|r| d[r] * f32::from(sc[r])),
                std::array::from_fn(|r| -(dmin[r] * f32::from(mn[r]))),
            )
        }
        Scales::Halves { offset } => {
            let d = half(0);
            let scale = [0, 1].map(|h| {
                let sc = &record[(2 + 2 * i + h) * PANEL..];
                std::array::from_fn(|r| d[r] * f32::from(sc[r] as i8))
            });
            let min = scale.map(|s: [f32; PANEL]| s.map(|s| -(offset as f32) * s));
            BlockScales { scale, min }
        }
        Scales::HalvesMin => {
            let (d, dmin) = (half(0), half(2 * PANEL));
            let byte = |h: usize, r: usize| record[(4 + 2 * i + h) * PANEL + r];
            BlockScales {
                scale: [0, 1].map(|h| std::array::from_fn(|r| d[r] * f32::from(byte(h, r) & 15))),
                min: [0, 1]
                    .map(|h| std::array::from_fn(|r| -(dmin[r] * f32::from(byte(h, r) >> 4)))),
            }
        }
    }
}

/// Rows of activations `t0..` times a panel; as many as `out` has.
pub fn int_tile<F: Form>(panel: &IntPanel<'_>, x: &Quantized, t0: usize, out: &mut Tile) {
    panel.check::<F>();
    x.check(t0, out.len(), panel.blocks);
    let mut codes: Unpacked = [0; BLOCK * PANEL];
    out.fill([0.0; PANEL]);
    for b in 0..panel.blocks {
        unpack::<F>(
            &panel.data[F::codes_at(b)..][..F::CODES.bytes()],
            &mut codes,
        );
        let s = scales::<F>(panel, b);
        for (j, out) in out.iter_mut().enumerate() {
            let t = t0 + j;
            let a = &x.codes[t * x.stride + b * BLOCK..][..BLOCK];
            let [scale, ..] = x.meta[t * x.blocks + b];
            let sums = x.halves[t * x.blocks + b];
            for h in 0..2 {
                let dot = half_dot::<F>(&codes, a, h);
                for r in 0..PANEL {
                    out[r] += s.scale[h][r] * (scale * dot[r] as f32) + s.min[h][r] * sums[h];
                }
            }
        }
    }
}

/// The integer products of half `h` of a block with one token's codes.
#[inline(always)]
fn half_dot<F: Form>(codes: &Unpacked, a: &[i8], h: usize) -> [i32; PANEL] {
    let mut dot = [0i32; PANEL];
    for g in 4 * h..4 * h + 4 {
        let a: [i32; 4] = std::array::from_fn(|i| i32::from(a[4 * g + i]));
        let (rows, _) = codes[g * GROUP..(g + 1) * GROUP].as_chunks::<4>();
        for (dot, row) in dot.iter_mut().zip(rows) {
            let w = row.map(|c| match F::CODES.is_signed() {
                true => i32::from(c as i8),
                false => i32::from(c),
            });
            *dot += w[0] * a[0] + w[1] * a[1] + w[2] * a[2] + w[3] * a[3];
        }
    }
    dot
}

/// Number `i` of `data`.
#[inline(always)]
pub fn float_at(float: Float, data: &[u8], i: usize) -> f32 {
    match float {
        Float::F16 => f16::from_le_bytes([data[2 * i], data[2 * i + 1]]).to_f32(),
        Float::BF16 => bf16::from_le_bytes([data[2 * i], data[2 * i + 1]]).to_f32(),
        Float::F32 => f32::from_le_bytes([
            data[4 * i],
            data[4 * i + 1],
            data[4 * i + 2],
            data[4 * i + 3],
        ]),
    }
}

/// Adds `x` `[cols][tokens]` times a panel of floats to `out`.
pub fn float_tile(float: Float, panel: &FloatPanel<'_>, x: &[f32], out: &mut Tile) {
    for (k, column) in x.chunks_exact(out.len().max(1)).enumerate() {
        let w: [f32; PANEL] = std::array::from_fn(|r| float_at(float, panel.data, k * PANEL + r));
        for (out, x) in out.iter_mut().zip(column) {
            for (o, w) in out.iter_mut().zip(&w) {
                *o += w * x;
            }
        }
    }
}

/// `x` `[tokens][cols]` times rows of floats.
pub fn float_rows(float: Float, rows: &Rows<'_>, x: &[f32], out: &mut Tile) {
    rows.check();
    let cols = rows.bytes / float.bytes();
    for (i, &r) in rows.which.iter().enumerate() {
        let row = &rows.data[r * rows.bytes..(r + 1) * rows.bytes];
        for (out, x) in out.iter_mut().zip(x.chunks_exact(cols.max(1))) {
            let products = x
                .iter()
                .enumerate()
                .map(|(k, x)| x * float_at(float, row, k));
            out[i] = products.sum();
        }
    }
}

/// Row `r` of an integer panel as f32.
pub fn int_row<F: Form>(panel: &IntPanel<'_>, r: usize, out: &mut [f32]) {
    let mut codes: Unpacked = [0; BLOCK * PANEL];
    for (b, out) in out.chunks_exact_mut(BLOCK).enumerate() {
        unpack::<F>(
            &panel.data[F::codes_at(b)..][..F::CODES.bytes()],
            &mut codes,
        );
        let s = scales::<F>(panel, b);
        for (k, o) in out.iter_mut().enumerate() {
            let code = codes[k / 4 * GROUP + r * 4 + k % 4];
            let code = match F::CODES.is_signed() {
                true => f32::from(code as i8),
                false => f32::from(code),
            };
            let h = k / (BLOCK / 2);
            *o = s.scale[h][r] * code + s.min[h][r];
        }
    }
}

/// The scale and the codes of a block of Q8_0 as files have it.
fn q8_block(block: &[u8; Q8_BYTES]) -> (f32, [i8; BLOCK]) {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    (scale, std::array::from_fn(|k| block[2 + k] as i8))
}

/// Rows of activations `t0..` times rows of Q8_0.
pub fn q8_rows(rows: &Rows<'_>, x: &Quantized, t0: usize, out: &mut Tile) {
    rows.check();
    x.check(t0, out.len(), rows.bytes / Q8_BYTES);
    out.fill([0.0; PANEL]);
    let all = rows.data.as_chunks::<Q8_BYTES>().0;
    for (i, &r) in rows.which.iter().enumerate() {
        let row = &all[r * x.blocks..(r + 1) * x.blocks];
        for (b, block) in row.iter().enumerate() {
            let (scale, codes) = q8_block(block);
            for (t, out) in (t0..).zip(out.iter_mut()) {
                let a = &x.codes[t * x.stride + b * BLOCK..][..BLOCK];
                let products = codes
                    .iter()
                    .zip(a)
                    .map(|(&w, &a)| i32::from(w) * i32::from(a));
                let dot: i32 = products.sum();
                out[i] += scale * (x.meta[t * x.blocks + b][0] * dot as f32);
            }
        }
    }
}

/// Row `r` of Q8_0 as f32.
pub fn q8_row(data: &[u8], r: usize, out: &mut [f32]) {
    let blocks = out.len() / BLOCK;
    let row = &data.as_chunks::<Q8_BYTES>().0[r * blocks..(r + 1) * blocks];
    for (block, out) in row.iter().zip(out.as_chunks_mut::<BLOCK>().0) {
        let (scale, codes) = q8_block(block);
        *out = codes.map(|c| scale * f32::from(c));
    }
}
