//! The blocks of ggml's files (`block_q4_0` and the others of `ggml-common.h`), read as four codes
//! to a word.

use super::kernels::forms::{
    Form, IQ4_NL, PANEL, Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0,
};

/// How a form's blocks stand in a file.
pub trait Block: Form {
    /// Bytes of a block; it has as many weights as one record of the form's scales.
    const BYTES: usize;

    /// The codes of 32 weights, part `i` of the block: byte `c` of word `g` is code `4g + c`.
    fn codes(block: &[u8], i: usize) -> [u32; 8];

    /// Puts the block's scales into row `r` of a panel's record.
    fn scales(block: &[u8], record: &mut [u8], r: usize);
}

/// The lowest four bits of each code of a word,
pub(super) const NIBBLES: u32 = 0x0f0f_0f0f;
/// the lowest two,
pub(super) const PAIRS: u32 = 0x0303_0303;
/// the lowest.
pub(super) const BITS: u32 = 0x0101_0101;

#[inline(always)]
fn word(bytes: &[u8], i: usize) -> u32 {
    u32::from_le_bytes([
        bytes[4 * i],
        bytes[4 * i + 1],
        bytes[4 * i + 2],
        bytes[4 * i + 3],
    ])
}

/// Sixteen bytes whose low halves are the first sixteen codes, the high halves the others.
#[inline(always)]
fn halves(qs: &[u8]) -> [u32; 8] {
    std::array::from_fn(|g| (word(qs, g % 4) >> (g / 4 * 4)) & NIBBLES)
}

/// Four bits of `bits`, from `4g` on, as the fifth bits of four codes.
#[inline(always)]
fn fifth(bits: u32, g: usize) -> u32 {
    let four = (bits >> (4 * g)) & 15;
    // One bit to a byte: 1, 2, 4, 8 times these land in bits 0, 8, 16, 24.
    (four.wrapping_mul(0x0020_4081) & BITS) << 4
}

/// Copies the half float at `from` of the block into row `r` at `to` of the record.
#[inline(always)]
fn half(block: &[u8], from: usize, record: &mut [u8], to: usize, r: usize) {
    record[to + 2 * r..][..2].copy_from_slice(&block[from..][..2]);
}

macro_rules! simple_blocks {
    ($($form:ty: $bytes:expr, $halves:expr, $codes:expr;)*) => {$(
        impl Block for $form {
            const BYTES: usize = $bytes;

            #[inline(always)]
            fn codes(block: &[u8], _: usize) -> [u32; 8] {
                $codes(block)
            }

            #[inline(always)]
            fn scales(block: &[u8], record: &mut [u8], r: usize) {
                for i in 0..$halves {
                    half(block, 2 * i, record, 2 * PANEL * i, r);
                }
            }
        }
    )*};
}

simple_blocks! {
    Q4_0: 18, 1, |block: &[u8]| halves(&block[2..18]);
    Q4_1: 20, 2, |block: &[u8]| halves(&block[4..20]);
    IQ4_NL: 18, 1, |block: &[u8]| halves(&block[2..18]);
    Q5_0: 22, 1, |block: &[u8]| five(&block[2..22]);
    Q5_1: 24, 2, |block: &[u8]| five(&block[4..24]);
    Q8_0: 34, 1, |block: &[u8]| std::array::from_fn(|g| word(&block[2..34], g));
}

/// Four bytes of fifth bits, then sixteen of nibbles.
#[inline(always)]
fn five(bytes: &[u8]) -> [u32; 8] {
    let (bits, low) = (word(bytes, 0), halves(&bytes[4..20]));
    std::array::from_fn(|g| low[g] | fifth(bits, g))
}

/// The six-bit scales and minimums of Q4_K and Q5_K.
#[inline(always)]
fn super_scales(block: &[u8], record: &mut [u8], r: usize) {
    half(block, 0, record, 0, r);
    half(block, 2, record, 2 * PANEL, r);
    let q = &block[4..16];
    for j in 0..8 {
        let (scale, min) = match j {
            0..4 => (q[j] & 63, q[j + 4] & 63),
            _ => (
                (q[j + 4] & 15) | (q[j - 4] >> 6) << 4,
                (q[j + 4] >> 4) | (q[j] >> 6) << 4,
            ),
        };
        record[(4 + j) * PANEL + r] = scale;
        record[(12 + j) * PANEL + r] = min;
    }
}

/// Nibbles of 64 weights in 32 bytes: the first 32 in the low halves.
#[inline(always)]
fn wide_nibbles(qs: &[u8], i: usize) -> [u32; 8] {
    std::array::from_fn(|g| (word(&qs[i / 2 * 32..][..32], g) >> (i % 2 * 4)) & NIBBLES)
}

impl Block for Q4_K {
    const BYTES: usize = 144;

    #[inline(always)]
    fn codes(block: &[u8], i: usize) -> [u32; 8] {
        wide_nibbles(&block[16..144], i)
    }

    #[inline(always)]
    fn scales(block: &[u8], record: &mut [u8], r: usize) {
        super_scales(block, record, r);
    }
}

impl Block for Q5_K {
    const BYTES: usize = 176;

    #[inline(always)]
    fn codes(block: &[u8], i: usize) -> [u32; 8] {
        let low = wide_nibbles(&block[48..176], i);
        std::array::from_fn(|g| low[g] | ((word(&block[16..48], g) >> i) & BITS) << 4)
    }

    #[inline(always)]
    fn scales(block: &[u8], record: &mut [u8], r: usize) {
        super_scales(block, record, r);
    }
}

impl Block for Q6_K {
    const BYTES: usize = 210;

    #[inline(always)]
    fn codes(block: &[u8], i: usize) -> [u32; 8] {
        let (n, j) = (i / 4, i % 4);
        let low = wide_nibbles(&block[64 * n + 32 * (j % 2)..][..32], j / 2);
        let high = pairs(&block[128 + 32 * n..][..32], j);
        std::array::from_fn(|g| low[g] | high[g] << 4)
    }

    #[inline(always)]
    fn scales(block: &[u8], record: &mut [u8], r: usize) {
        half(block, 208, record, 0, r);
        for (k, &scale) in block[192..208].iter().enumerate() {
            record[(2 + k) * PANEL + r] = scale;
        }
    }
}

/// Two bits of 128 weights in 32 bytes.
#[inline(always)]
fn pairs(qs: &[u8], i: usize) -> [u32; 8] {
    std::array::from_fn(|g| (word(&qs[i / 4 * 32..][..32], g) >> (2 * (i % 4))) & PAIRS)
}

impl Block for Q3_K {
    const BYTES: usize = 110;

    #[inline(always)]
    fn codes(block: &[u8], i: usize) -> [u32; 8] {
        let low = pairs(&block[32..96], i);
        std::array::from_fn(|g| low[g] | ((word(&block[..32], g) >> i) & BITS) << 2)
    }

    #[inline(always)]
    fn scales(block: &[u8], record: &mut [u8], r: usize) {
        half(block, 108, record, 0, r);
        let q = &block[96..108];
        for k in 0..16 {
            let low = match k {
                0..8 => q[k] & 15,
                _ => q[k - 8] >> 4,
            };
            let high = (q[8 + k % 4] >> (2 * (k / 4))) & 3;
            record[(2 + k) * PANEL + r] = (low | high << 4).wrapping_sub(32);
        }
    }
}

impl Block for Q2_K {
    const BYTES: usize = 84;

    #[inline(always)]
    fn codes(block: &[u8], i: usize) -> [u32; 8] {
        pairs(&block[16..80], i)
    }

    #[inline(always)]
    fn scales(block: &[u8], record: &mut [u8], r: usize) {
        half(block, 80, record, 0, r);
        half(block, 82, record, 2 * PANEL, r);
        for (k, &both) in block[..16].iter().enumerate() {
            record[(4 + k) * PANEL + r] = both;
        }
    }
}
