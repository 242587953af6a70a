//! A packed matrix row by row: to f32, and to GGUF's blocks where they hold it exactly.

use half::f16;
use rayon::prelude::*;

use crate::quant::Encoding;
use crate::weights::Data;

/// A matrix whose rows can be unpacked one by one.
pub(super) enum Matrix<'a> {
    /// Small integers times scales.
    Integers(Box<dyn Integers + 'a>),
    /// Anything else.
    Values(Box<dyn Values + 'a>),
}

/// `w[row][col] = q[col] · scale[col]`.
pub(super) trait Integers: Sync {
    /// Writes a row's integers (zero point already subtracted) and the scale of each column.
    fn row(&self, row: usize, q: &mut [i32], scales: &mut [f32]);
}

/// INT8 with one scale for each row: `q` is `data`, row by row.
pub(super) struct Int8Rows<'a> {
    pub scales: Vec<f32>,
    pub data: Data<'a>,
}

impl Integers for Int8Rows<'_> {
    fn row(&self, row: usize, q: &mut [i32], scales: &mut [f32]) {
        scales.fill(self.scales[row]);
        for (q, &byte) in q.iter_mut().zip(&self.data[row * scales.len()..]) {
            *q = i32::from(byte as i8);
        }
    }
}

/// The `i`th word of little-endian data.
pub(super) fn word(data: &[u8], i: usize) -> u32 {
    let bytes = &data[i * 4..i * 4 + 4];
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Rows of f32.
pub(super) trait Values: Sync {
    /// Writes a row.
    fn row(&self, row: usize, out: &mut [f32]);
}

/// The matrix `[out, in]` as little-endian f32.
pub(super) fn dequantize(matrix: &Matrix<'_>, [rows, cols]: [usize; 2]) -> Vec<u8> {
    let mut out = vec![0; rows * cols * 4];
    if cols == 0 {
        return out;
    }
    let scratch = || (vec![0; cols], vec![0.0; cols]);
    out.par_chunks_mut(cols * 4)
        .enumerate()
        .for_each_init(scratch, |(q, values), (row, bytes)| {
            match matrix {
                Matrix::Values(m) => m.row(row, values),
                Matrix::Integers(m) => {
                    m.row(row, q, values);
                    for (value, &q) in values.iter_mut().zip(q.iter()) {
                        *value *= q as f32;
                    }
                }
            }
            for (word, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(values) {
                *word = value.to_le_bytes();
            }
        });
    out
}

/// The matrix in blocks of `encoding`, `None` unless they hold it bit for bit: one scale per
/// block that f16 can express, integers in the blocks' range. Symmetric 4-bit fits `Q4_0`, 4-bit
/// with any zero point `Q5_0`, 8-bit per row `Q8_0`.
pub(super) fn exact_blocks(
    matrix: &Matrix<'_>,
    [rows, cols]: [usize; 2],
    encoding: Encoding,
) -> Option<Vec<u8>> {
    let (Matrix::Integers(matrix), Encoding::Q4_0 | Encoding::Q5_0 | Encoding::Q8_0) =
        (matrix, encoding)
    else {
        return None;
    };
    let row_bytes = encoding.bytes_of(cols)?;
    let mut out = vec![0; rows.checked_mul(row_bytes)?];
    let scratch = || (vec![0; cols], vec![0.0; cols]);
    let fits = out
        .par_chunks_mut(row_bytes.max(1))
        .enumerate()
        .map_init(scratch, |(q, scales), (row, bytes)| {
            matrix.row(row, q, scales);
            let blocks = bytes.chunks_exact_mut(encoding.block_bytes());
            let q = q.as_chunks::<32>().0;
            let scales = scales.as_chunks::<32>().0;
            blocks
                .zip(q)
                .zip(scales)
                .all(|((block, q), scales)| write(encoding, block, q, scales).is_some())
        })
        .all(|fits| fits);
    fits.then_some(out)
}

/// One block of ggml's layout (`block_q4_0`, `block_q5_0`, `block_q8_0` in `ggml-common.h`).
fn write(encoding: Encoding, block: &mut [u8], q: &[i32; 32], scales: &[f32; 32]) -> Option<()> {
    let scale = f16::from_f32(scales[0]);
    if scales.iter().any(|&s| s != scale.to_f32()) {
        return None;
    }
    let (head, quants) = block.split_first_chunk_mut::<2>()?;
    *head = scale.to_le_bytes();
    let range = match encoding {
        Encoding::Q4_0 => -8..=7,
        Encoding::Q5_0 => -16..=15,
        _ => -128..=127,
    };
    if !q.iter().all(|q| range.contains(q)) {
        return None;
    }
    // Nibbles: the first half of the block low, the second high.
    let nibbles = |out: &mut [u8], offset: i32| {
        for (i, byte) in out.iter_mut().enumerate() {
            let (low, high) = (q[i] + offset, q[i + 16] + offset);
            *byte = (low & 15) as u8 | ((high & 15) as u8) << 4;
        }
    };
    match encoding {
        Encoding::Q4_0 => nibbles(quants, 8),
        Encoding::Q5_0 => {
            let (fifth, quants) = quants.split_first_chunk_mut::<4>()?;
            let bits = q.iter().enumerate();
            let bits = bits.fold(0u32, |m, (i, &q)| m | (((q + 16) as u32 >> 4) & 1) << i);
            *fifth = bits.to_le_bytes();
            nibbles(quants, 16);
        }
        _ => {
            for (byte, &q) in quants.iter_mut().zip(q) {
                *byte = q as i8 as u8;
            }
        }
    }
    Some(())
}
