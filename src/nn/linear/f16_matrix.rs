//! Products with f16 weights on a GPU, whose results are f16 too.

use candle_core::{D, DType, Device, Tensor};

use crate::Result;

/// Numbers of a matrix that are added up at once.
const PART: usize = 1 << 24;
/// What no result may pass: half of f16's largest, as the sums are rounded.
const LARGEST_RESULT: f64 = 32768.0;

/// Weights `[out, in]` in f16.
///
/// Activations may be beyond f16's largest number (those of T5 and Gemma are), so each row is
/// divided by a power of two before it is rounded, and its results are multiplied by it again.
pub struct F16Matrix {
    weight: Tensor,
    /// The power of two that the numbers of a row stay below. It is as large as the weights allow,
    /// not 1 or 1/in: what is far below the largest of a row then stays above f16's subnormals.
    top: f64,
}

impl F16Matrix {
    /// Of a tensor `[out, in]` in f16.
    ///
    /// # Errors
    /// If it is no matrix, or the device fails.
    pub fn new(weight: Tensor) -> Result<Self> {
        // No result is larger than `top` times the sum of an output's weights.
        let room = LARGEST_RESULT / f64::from(largest_sum(&weight)?);
        let top = room.log2().floor().clamp(-16.0, 15.0).exp2();
        Ok(Self { weight, top })
    }

    /// `x·Wᵀ`: f32 `[T, in]` to f32 `[T, out]`.
    ///
    /// # Errors
    /// If the widths differ, or the device fails.
    pub fn matmul(&self, x: &Tensor) -> Result<Tensor> {
        self.multiply(&Rows::new(x, self.top)?)
    }

    /// The products of several matrices with the same input, which is rounded once for all of them.
    ///
    /// # Errors
    /// As of [`Self::matmul`].
    pub fn matmul_many(matrices: &[&Self], x: &Tensor) -> Result<Vec<Tensor>> {
        let tops = matrices.iter().map(|matrix| matrix.top);
        let rows = Rows::new(x, tops.fold(LARGEST_RESULT, f64::min))?;
        matrices.iter().map(|m| m.multiply(&rows)).collect()
    }

    fn multiply(&self, rows: &Rows) -> Result<Tensor> {
        let y = rows.numbers.matmul(&self.weight.t()?)?;
        Ok(y.to_dtype(DType::F32)?.broadcast_mul(&rows.scale)?)
    }

    /// Rows of the matrix in f32, `[ids, in]`.
    ///
    /// # Errors
    /// If there is no such row, or the device fails.
    pub fn gather(&self, ids: &[u32], device: &Device) -> Result<Tensor> {
        let rows = self.weight.index_select(&Tensor::new(ids, device)?, 0)?;
        Ok(rows.to_dtype(DType::F32)?)
    }
}

/// Activations in f16.
struct Rows {
    /// `[T, in]`, each number below a given power of two.
    numbers: Tensor,
    /// What each row was divided by, f32 `[T, 1]`.
    scale: Tensor,
}

impl Rows {
    /// Of `x`, f32 `[T, in]`, with numbers below `top`. A row with an infinite number becomes NaN.
    fn new(x: &Tensor, top: f64) -> Result<Self> {
        let largest = x.abs()?.max_keepdim(D::Minus1)?;
        // The distance to the next f32, or the one after, is a power of two, and 2^24 times it is
        // above the number: the device finds it by rounding, and nothing waits for the host. What
        // is added is for rows of zeros; it is rounded away elsewhere.
        let (step, tiny) = (f64::from(f32::EPSILON), f64::from(f32::MIN_POSITIVE));
        let next = largest.affine(1.0 + step, tiny)?;
        let scale = ((next - &largest)? * (2f64.powi(24) / top))?;
        let numbers = x.broadcast_div(&scale)?.to_dtype(DType::F16)?;
        Ok(Self { numbers, scale })
    }
}

/// The largest sum of a row's magnitudes; NaN does not count.
fn largest_sum(weight: &Tensor) -> Result<f32> {
    let (rows, cols) = weight.dims2()?;
    // A copy of the whole in f32 may not fit beside it.
    let part = (PART / cols.max(1)).max(1);
    let mut largest = 0f32;
    for start in (0..rows).step_by(part) {
        let part = weight.narrow(0, start, part.min(rows - start))?;
        let sums = part.to_dtype(DType::F32)?.abs()?.sum(1)?;
        largest = largest.max(sums.max(0)?.to_scalar()?);
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLS: usize = 64;

    /// Numbers in (-1, 1), about evenly.
    fn noise(n: usize, seed: usize) -> Vec<f32> {
        let number = |i: usize| (((seed * 1000 + i) as f64 * 12.9898).sin() * 43758.547).fract();
        (0..n).map(|i| number(i) as f32).collect()
    }

    fn noise_of(size: f32, n: usize, seed: usize) -> Vec<f32> {
        noise(n, seed).iter().map(|number| number * size).collect()
    }

    fn tensor(numbers: Vec<f32>, cols: usize) -> Tensor {
        let rows = numbers.len() / cols;
        Tensor::from_vec(numbers, (rows, cols), &Device::Cpu).unwrap()
    }

    fn matrix(numbers: Vec<f32>) -> F16Matrix {
        let numbers = tensor(numbers, COLS).to_dtype(DType::F16).unwrap();
        F16Matrix::new(numbers).unwrap()
    }

    /// Each result is off by less than 2^-9 of the sum of its products' magnitudes: that is f16's
    /// 2^-11 for rounding the input, as much for the result, and the order of the additions.
    fn assert_near(y: &Tensor, x: &Tensor, matrix: &F16Matrix) {
        let rows = |t: &Tensor| t.to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
        let (y, x, weights) = (rows(y), rows(x), rows(&matrix.weight));
        for (y, x) in y.iter().zip(&x) {
            for (y, weights) in y.iter().zip(&weights) {
                let products: Vec<f64> = x.iter().zip(weights).map(|(x, w)| x * w).collect();
                let wanted: f64 = products.iter().sum();
                let bound = products.iter().map(|p| p.abs()).sum::<f64>() / 512.0;
                assert!((y - wanted).abs() <= bound, "{y} for {wanted} ± {bound}");
            }
        }
    }

    #[test]
    fn rows_of_any_magnitude_are_as_near_as_f16_allows() {
        let sizes = [1e6, 1e-6, 1.0, 3e30, 1e-30, 0.0].into_iter().enumerate();
        let x = sizes.flat_map(|(t, size)| noise_of(size, COLS, t));
        let x = tensor(x.collect(), COLS);
        for size in [0.05, 0.0005, 50.0] {
            let matrix = matrix(noise_of(size, 48 * COLS, 7));
            let y = matrix.matmul(&x).unwrap();
            assert_near(&y, &x, &matrix);
            assert_eq!(y.to_vec2::<f32>().unwrap()[5], [0.0; 48]);
        }
    }

    #[test]
    fn one_large_activation_leaves_the_others_their_bits() {
        // As Qwen has them: one channel at 10000 times the others, which this output ignores.
        let mut row = noise(COLS, 3);
        row[0] = 1e4;
        let mut weights = noise_of(0.05, COLS, 5);
        weights[0] = 0.0;
        let (x, matrix) = (tensor(row, COLS), matrix(weights));
        assert_near(&matrix.matmul(&x).unwrap(), &x, &matrix);
    }

    #[test]
    fn sums_beyond_f16_are_numbers() {
        let large = matrix(vec![60_000.0; 2 * COLS]);
        let x = tensor([vec![1f32; COLS], vec![-3e5; COLS]].concat(), COLS);
        assert_near(&large.matmul(&x).unwrap(), &x, &large);
        // Several matrices share the range of the one that needs most.
        let small = matrix(noise(3 * COLS, 2));
        let y = F16Matrix::matmul_many(&[&small, &large], &x).unwrap();
        assert_near(&y[0], &x, &small);
        assert_near(&y[1], &x, &large);
    }

    #[test]
    fn what_is_no_number_passes_for_none_and_stays_in_its_row() {
        let matrix = matrix(noise(5 * COLS, 4));
        let good = noise(COLS, 9);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, COLS - 1] {
                let mut row = good.clone();
                row[at] = bad;
                let x = tensor([row, good.clone(), vec![bad; COLS]].concat(), COLS);
                let y = matrix.matmul(&x).unwrap();
                let rows = y.to_vec2::<f32>().unwrap();
                assert!(rows[0].iter().chain(&rows[2]).all(|y| !y.is_finite()));
                let (x, y) = (x.narrow(0, 1, 1).unwrap(), y.narrow(0, 1, 1).unwrap());
                assert_near(&y, &x, &matrix);
            }
        }
    }

    #[test]
    fn rows_are_divided_by_powers_of_two() {
        let edges = (-90..100).flat_map(|e: i32| {
            let power = 2f32.powi(e);
            [power, power.next_up(), power.next_down(), power * 1.5]
        });
        let others = noise(1000, 1).into_iter().filter(|n| *n != 0.0);
        let x = tensor(edges.chain(others).collect(), 1);
        for top in [2f64.powi(-16), 1.0, 32768.0] {
            let rows = Rows::new(&x, top).unwrap();
            let scales = rows.scale.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(scales.iter().all(|s| s.to_bits() & 0x7f_ffff == 0));
            let numbers = rows.numbers.to_dtype(DType::F64).unwrap();
            let numbers = numbers.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let in_range = |n: &f64| (top / 4.0..=top).contains(&n.abs());
            assert!(numbers.iter().all(in_range), "{top}: {numbers:?}");
        }
    }
}
