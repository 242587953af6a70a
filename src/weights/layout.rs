//! How numbers lie in a stored tensor, changed row by row or byte by byte.

use super::HostTensor;
use crate::Result;
use crate::quant::Encoding;

/// The transpose of a stored matrix; `row_bytes` are those of a row of the result.
pub(super) fn transpose(data: &[u8], encoding: Encoding, row_bytes: usize) -> Vec<u8> {
    match encoding.bytes_of(1) {
        Some(8) => transposed::<8>(data, row_bytes),
        Some(4) => transposed::<4>(data, row_bytes),
        Some(2) => transposed::<2>(data, row_bytes),
        _ => transposed::<1>(data, row_bytes),
    }
}

/// The transpose of numbers of `N` bytes, tile by tile so that both sides stay in the cache.
fn transposed<const N: usize>(data: &[u8], row_bytes: usize) -> Vec<u8> {
    const TILE: usize = 64;
    let (numbers, _) = data.as_chunks::<N>();
    let cols = (row_bytes / N).max(1);
    let rows = numbers.len() / cols;
    let mut out = vec![[0; N]; numbers.len()];
    for first_row in (0..rows).step_by(TILE) {
        for first_col in (0..cols).step_by(TILE) {
            for row in first_row..(first_row + TILE).min(rows) {
                for col in first_col..(first_col + TILE).min(cols) {
                    out[row * cols + col] = numbers[col * rows + row];
                }
            }
        }
    }
    out.into_flattened()
}

/// Divides each row by its L2 norm; the encoding stays. Blocks whose rows have unit length but
/// for their rounding were made from such rows and stay as they are.
pub(super) fn unit_rows<'a>(tensor: HostTensor<'a>) -> Result<HostTensor<'a>> {
    const ROUNDING: f64 = 0.02;
    let mut values = tensor.to_f32()?;
    let cols = tensor.shape.last().copied().unwrap_or(1).max(1);
    let length = |row: &[f32]| {
        row.iter()
            .map(|v| f64::from(*v).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    let is_unit = |row: &[f32]| (length(row) - 1.0).abs() < ROUNDING;
    if tensor.encoding.is_quantized() && values.chunks_exact(cols).all(is_unit) {
        return Ok(tensor);
    }
    for row in values.chunks_exact_mut(cols) {
        let length = length(row).max(1e-12);
        row.iter_mut()
            .for_each(|v| *v = (f64::from(*v) / length) as f32);
    }
    let plain = HostTensor::from_f32(tensor.shape.clone(), &values);
    Ok(plain.to_encoding(tensor.encoding)?.kept())
}

/// Rows of each head with pairs side by side → pairs half of `rotary` apart.
pub(super) fn part_rope_pairs(
    data: &[u8],
    row_bytes: usize,
    head_dim: usize,
    rotary: usize,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for head in data.chunks_exact(head_dim * row_bytes) {
        let mut row = |i: usize| out.extend_from_slice(&head[i * row_bytes..(i + 1) * row_bytes]);
        (0..rotary).step_by(2).for_each(&mut row);
        (1..rotary).step_by(2).for_each(&mut row);
        (rotary..head_dim).for_each(&mut row);
    }
    out
}

/// The inverse of [`part_rope_pairs`].
pub(super) fn join_rope_pairs(
    data: &[u8],
    row_bytes: usize,
    head_dim: usize,
    rotary: usize,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for head in data.chunks_exact(head_dim * row_bytes) {
        let mut row = |i: usize| out.extend_from_slice(&head[i * row_bytes..(i + 1) * row_bytes]);
        for i in 0..rotary / 2 {
            row(i);
            row(i + rotary / 2);
        }
        (rotary..head_dim).for_each(&mut row);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_has_the_columns_as_rows() {
        // [[1, 2, 3], [4, 5, 6]] in bytes, then as pairs of bytes.
        let data = [1, 2, 3, 4, 5, 6];
        assert_eq!(transpose(&data, Encoding::U8, 2), [1, 4, 2, 5, 3, 6]);
        let pairs = [1, 0, 2, 0, 3, 0, 4, 0];
        let found = transpose(&pairs, Encoding::F16, 4);
        assert_eq!(found, [1, 0, 3, 0, 2, 0, 4, 0]);
        // More rows and columns than a tile has.
        let wide: Vec<u8> = (0..70 * 130).flat_map(|i: u32| i.to_le_bytes()).collect();
        let tall = transpose(&wide, Encoding::F32, 70 * 4);
        let words = |bytes: &[u8], at: usize| bytes[at * 4..][..4].to_vec();
        for (row, col) in [(0, 0), (129, 0), (63, 64), (64, 63), (129, 69)] {
            assert_eq!(words(&tall, row * 70 + col), words(&wide, col * 130 + row));
        }
        assert_eq!(transpose(&tall, Encoding::F32, 130 * 4), wide);
    }

    #[test]
    fn rows_get_unit_length_and_rounded_unit_rows_stay() {
        let rows = HostTensor::from_f32(vec![2, 2], &[3.0, 4.0, 0.0, 0.0]);
        let unit = unit_rows(rows).unwrap().to_f32().unwrap();
        assert_eq!(unit, [0.6, 0.8, 0.0, 0.0]);
        let values: Vec<f32> = (0..64)
            .map(|i| ((i * 37 % 64) as f32 - 31.5) / 148.0)
            .collect();
        let rows = unit_rows(HostTensor::from_f32(vec![1, 64], &values)).unwrap();
        let blocks = rows.to_encoding(Encoding::Q8_0).unwrap().kept();
        let again = unit_rows(blocks.clone()).unwrap();
        assert_eq!(*again.data, *blocks.data);
    }

    #[test]
    fn rotating_pairs_part_and_join() {
        let rows: Vec<u8> = (0..12).collect();
        let parted = part_rope_pairs(&rows, 1, 6, 4);
        assert_eq!(parted, [0, 2, 1, 3, 4, 5, 6, 8, 7, 9, 10, 11]);
        assert_eq!(join_rope_pairs(&parted, 1, 6, 4), rows);
    }
}
