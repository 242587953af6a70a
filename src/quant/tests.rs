//! Every kernel against the definition in f64, and against the portable one.

use half::f16;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::kernels::forms::IQ4_NL_VALUES;
use super::kernels::pool::on_each_size;
use super::{Encoding, Isa, Matrix};
use crate::weights::{Data, HostTensor, Map, Mapped};

const QUANTIZED: [Encoding; 11] = [
    Encoding::Q4_0,
    Encoding::Q4_1,
    Encoding::Q5_0,
    Encoding::Q5_1,
    Encoding::Q8_0,
    Encoding::IQ4_NL,
    Encoding::Q2_K,
    Encoding::Q3_K,
    Encoding::Q4_K,
    Encoding::Q5_K,
    Encoding::Q6_K,
];
const FLOATS: [Encoding; 3] = [Encoding::F16, Encoding::BF16, Encoding::F32];

fn random(rng: &mut StdRng, n: usize) -> Vec<f32> {
    // Blocks of different magnitudes, so that a scale taken from the wrong place shows.
    (0..n)
        .map(|i| rng.random_range(-1.0..1.0f32) * (1 + (i / 16) % 7) as f32)
        .collect()
}

/// A random matrix and the weights that its bytes stand for.
fn matrix(rng: &mut StdRng, encoding: Encoding, rows: usize, cols: usize) -> (Matrix, Vec<f32>) {
    let tensor = HostTensor::from_f32(vec![rows, cols], &random(rng, rows * cols));
    let (tensor, weights) = if encoding == Encoding::IQ4_NL {
        iq4_nl(rng, rows, cols)
    } else {
        let mut tensor = tensor.to_encoding(encoding).unwrap().kept();
        if encoding == Encoding::Q8_0 {
            let mut data = tensor.data.into_owned();
            lowest(&mut data);
            tensor.data = Data::Owned(data);
        }
        let weights = tensor.to_f32().unwrap();
        (tensor, weights)
    };
    (Matrix::new(tensor).unwrap(), weights)
}

/// Puts −128, which no quantizer of floats writes but symmetric GPTQ has, into every `Q8_0` block,
/// twice side by side.
fn lowest(data: &mut [u8]) {
    for (i, block) in data.chunks_exact_mut(34).enumerate() {
        let at = 2 + i * 2 % 32;
        block[at..at + 2].fill(0x80);
    }
}

/// candle does not write IQ4_NL: random blocks, read by ggml's definition.
fn iq4_nl(rng: &mut StdRng, rows: usize, cols: usize) -> (HostTensor<'static>, Vec<f32>) {
    let (mut data, mut weights) = (Vec::new(), Vec::new());
    for _ in 0..rows * cols / 32 {
        let scale = f16::from_f32(rng.random_range(-0.01..0.01f32));
        let codes: [u8; 32] = std::array::from_fn(|_| rng.random_range(0..16));
        data.extend(scale.to_le_bytes());
        data.extend((0..16).map(|j| codes[j] | codes[j + 16] << 4));
        let value = |c: &u8| scale.to_f32() * f32::from(IQ4_NL_VALUES[usize::from(*c)]);
        weights.extend(codes.iter().map(value));
    }
    let tensor = HostTensor {
        encoding: Encoding::IQ4_NL,
        shape: vec![rows, cols],
        data: Data::Owned(data),
    };
    (tensor, weights)
}

/// The product in f64 and, for each element, how far a kernel may be from it.
///
/// Quantized activations are off by at most half their block's scale, and the scale itself is
/// rounded: an element by at most `largest / 127 * (0.5 + 2^-10)`. Sums in f32 add a relative
/// error of `2^-24` per operation, of the magnitudes summed; zero offsets of up to 128 make those
/// a hundred and twenty-eight times the scale.
fn exact(weights: &[f32], x: &[f32], cols: usize, encoding: Encoding) -> Vec<(f64, f64)> {
    let mut out = Vec::new();
    for x in x.chunks_exact(cols) {
        for w in weights.chunks_exact(cols) {
            let (mut sum, mut bound) = (0f64, 1e-30);
            for (w, x) in w.chunks(32).zip(x.chunks(32)) {
                let largest = x.iter().fold(0f32, |a, v| a.max(v.abs()));
                let heaviest = w.iter().fold(0f32, |a, v| a.max(v.abs()));
                let step = match encoding.is_quantized() {
                    true => f64::from(largest) / 127.0 * (0.5 + 1.0 / 1024.0),
                    false => 0.0,
                };
                for (w, x) in w.iter().zip(x) {
                    sum += f64::from(*w) * f64::from(*x);
                    bound += f64::from(w.abs()) * step;
                }
                let magnitude = f64::from(heaviest) * f64::from(largest) * w.len() as f64;
                bound += magnitude * 2f64.powi(-24) * (cols as f64 / 8.0 + 16.0);
            }
            out.push((sum, bound));
        }
    }
    out
}

fn check(rng: &mut StdRng, encoding: Encoding, (t, rows, cols): (usize, usize, usize)) {
    let (matrix, weights) = matrix(rng, encoding, rows, cols);
    // One number in, so that the slice is not aligned for vectors.
    let room = random(rng, t * cols + 1);
    check_product(&matrix, &weights, &room[1..], t);
}

/// Every set's product of `matrix`, whose weights are given, with `x` `[t][cols]`.
fn check_product(matrix: &Matrix, weights: &[f32], x: &[f32], t: usize) {
    let (rows, cols, encoding) = (matrix.rows(), matrix.cols(), matrix.encoding());
    let wanted = exact(weights, x, cols, encoding);
    let portable = matrix.matmul_on(Isa::PORTABLE, x, t);
    for isa in Isa::available() {
        let out = matrix.matmul_on(isa, x, t);
        assert_eq!(out.len(), t * rows);
        for (i, (&got, &(want, bound))) in out.iter().zip(&wanted).enumerate() {
            let place = format!("{encoding} {t}x{rows}x{cols} {} at {i}", isa.name());
            let off = (f64::from(got) - want).abs();
            assert!(
                off <= bound,
                "{place}: {got} for {want}, off by {off}, {bound} allowed"
            );
            // The integers are the same: only the order of the f32 sums differs.
            let off = (got - portable[i]).abs();
            let size = portable.iter().fold(1e-3f32, |a, v| a.max(v.abs()));
            assert!(
                off <= 2e-6 * size * (cols as f32).sqrt(),
                "{place}: {got}, portable {}",
                portable[i]
            );
        }
    }
}

#[test]
fn every_kernel_computes_the_product() {
    let mut rng = StdRng::seed_from_u64(1);
    for encoding in QUANTIZED.into_iter().chain(FLOATS) {
        let n = encoding.block_len().max(32);
        for rows in [1, 3, 16, 17, 40] {
            for t in [1, 2, 3, 4, 5, 7, 8, 12, 13, 29] {
                check(&mut rng, encoding, (t, rows, n));
            }
        }
        for (t, rows, cols) in [(1, 50, 4 * n), (9, 33, 3 * n), (2, 16, 9 * n)] {
            check(&mut rng, encoding, (t, rows, cols));
        }
    }
}

#[test]
fn float_rows_may_be_of_any_length() {
    let mut rng = StdRng::seed_from_u64(2);
    for encoding in FLOATS {
        for cols in [1, 2, 3, 5, 63, 65, 100] {
            for t in [1, 2, 3, 4, 6, 14, 43] {
                check(&mut rng, encoding, (t, 19, cols));
            }
        }
        // Longer than what is multiplied before the next: by rows, and by panels.
        for t in [1, 2, 3, 4, 27] {
            check(&mut rng, encoding, (t, 18, 8229));
        }
    }
}

#[test]
fn products_that_use_all_threads_and_chunks_are_the_same() {
    let mut rng = StdRng::seed_from_u64(3);
    for encoding in [Encoding::Q4_0, Encoding::Q6_K, Encoding::F16] {
        check(&mut rng, encoding, (1, 200, 1024));
        check(&mut rng, encoding, (517, 35, 512));
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let mut rng = StdRng::seed_from_u64(10);
    // More than one thread is worth waking for; the floats' rows are short, and long.
    for (encoding, cols) in [
        (Encoding::Q4_0, 256),
        (Encoding::Q8_0, 256),
        (Encoding::Q6_K, 256),
        (Encoding::F16, 256),
        (Encoding::F16, 3328),
    ] {
        let (matrix, _) = matrix(&mut rng, encoding, 700, cols);
        for t in [1, 3, 9] {
            let x = random(&mut rng, t * cols);
            for isa in Isa::available() {
                let found = on_each_size(|| matrix.matmul_on(isa, &x, t));
                let [one, others @ ..] = &found;
                let same = others.iter().all(|other| other == one);
                assert!(same, "{encoding} {t} {}", isa.name());
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_none() {
    const COLS: usize = 256;
    let mut rng = StdRng::seed_from_u64(11);
    for encoding in QUANTIZED.into_iter().chain(FLOATS) {
        let (matrix, _) = matrix(&mut rng, encoding, 19, COLS);
        for t in [1, 2, 9] {
            let x = random(&mut rng, t * COLS);
            for isa in Isa::available() {
                let before = matrix.matmul_on(isa, &x, t);
                for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let mut x = x.clone();
                    x[77] = odd;
                    let found = matrix.matmul_on(isa, &x, t);
                    let place = format!("{encoding} {t} {} {odd}", isa.name());
                    // The first token's products are lost, the others' what they were.
                    let lost = found[..19].iter().all(|y| !y.is_finite());
                    assert!(lost, "{place}: {:?}", &found[..19]);
                    assert_eq!(found[19..], before[19..], "{place}");
                }
            }
        }
    }
}

#[test]
fn sums_of_the_largest_codes_fit() {
    const ROWS: usize = 16;
    const COLS: usize = 256;
    for encoding in QUANTIZED {
        // Where the half floats of a block stand; all its other bytes are of one value.
        let halves: &[usize] = match encoding {
            Encoding::Q4_1 | Encoding::Q5_1 | Encoding::Q4_K | Encoding::Q5_K => &[0, 2],
            Encoding::Q2_K => &[80, 82],
            Encoding::Q3_K => &[108],
            Encoding::Q6_K => &[208],
            _ => &[0],
        };
        for value in [0x00, 0x7f, 0x80, 0xff] {
            let mut data = vec![value; encoding.bytes_of(ROWS * COLS).unwrap()];
            for block in data.chunks_exact_mut(encoding.block_bytes()) {
                for &at in halves {
                    block[at..at + 2].copy_from_slice(&f16::from_f32(0.01).to_le_bytes());
                }
            }
            let matrix = Matrix::new(HostTensor {
                encoding,
                shape: vec![ROWS, COLS],
                data: Data::Owned(data),
            });
            let matrix = matrix.unwrap();
            let rows: Vec<u32> = (0..ROWS as u32).collect();
            let weights = matrix.gather(&rows).unwrap().flatten_all().unwrap();
            let weights = weights.to_vec1::<f32>().unwrap();
            if weights.iter().all(|&w| w == 0.0) {
                continue; // no large codes, and nothing to take a bound from
            }
            // Activations of one magnitude: codes of 127 and of -127.
            for sign in [1.0, -1.0] {
                for t in [1, 4, 8] {
                    check_product(&matrix, &weights, &vec![sign; t * COLS], t);
                }
            }
        }
    }
}

#[test]
fn gathered_rows_are_the_weights() {
    let mut rng = StdRng::seed_from_u64(4);
    for encoding in QUANTIZED.into_iter().chain(FLOATS) {
        let (matrix, weights) = matrix(&mut rng, encoding, 21, 512);
        let ids = [20, 0, 7, 20];
        let rows = matrix.gather(&ids).unwrap().to_vec2::<f32>().unwrap();
        for (id, row) in ids.iter().zip(rows) {
            for (got, want) in row.iter().zip(&weights[*id as usize * 512..]) {
                assert!(
                    (got - want).abs() <= 1e-6 * want.abs().max(1.0),
                    "{encoding}: {got} for {want}"
                );
            }
        }
        assert!(matrix.gather(&[21]).is_err());
    }
}

#[test]
fn several_matrices_share_activations() {
    let mut rng = StdRng::seed_from_u64(5);
    let kinds = [Encoding::Q4_K, Encoding::F16, Encoding::Q8_0, Encoding::F32];
    let all: Vec<_> = kinds.map(|e| matrix(&mut rng, e, 37, 256).0).into();
    let refs: Vec<_> = all.iter().collect();
    let x = candle_core::Tensor::from_vec(
        random(&mut rng, 3 * 256),
        (1, 3, 256),
        &candle_core::Device::Cpu,
    )
    .unwrap();
    let together = Matrix::matmul_many(&refs, &x).unwrap();
    for (m, got) in all.iter().zip(together) {
        assert_eq!(got.dims(), [1, 3, 37]);
        let alone = m.matmul(&x).unwrap();
        assert_eq!(
            got.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            alone.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        );
    }
}

#[test]
fn what_cannot_be_a_matrix_is_refused() {
    let tensor = |encoding, shape: &[usize], bytes| HostTensor {
        encoding,
        shape: shape.to_vec(),
        data: Data::Owned(vec![0; bytes]),
    };
    for (encoding, shape, bytes) in [
        (Encoding::F32, &[4][..], 16),
        (Encoding::F32, &[2, 2], 15),
        (Encoding::F16, &[1 << 40, 1 << 40], 4),
        (Encoding::Q4_0, &[1, 33], 18),
        (Encoding::Q4_K, &[1, 32], 18),
        (Encoding::Bool, &[2, 2], 4),
        (Encoding::Q8_K, &[1, 256], 292),
    ] {
        assert!(
            Matrix::new(tensor(encoding, shape, bytes)).is_err(),
            "{encoding} {shape:?}"
        );
    }
    for shape in [[0, 32], [3, 0]] {
        let empty = Matrix::new(tensor(Encoding::Q8_0, &shape, 0)).unwrap();
        let out = empty.matmul_on(Isa::best(), &vec![1.0; shape[1]], 1);
        assert_eq!(out.len(), shape[0]);
        assert!(out.iter().all(|&v| v == 0.0));
    }
}

#[test]
fn a_large_matrix_that_lies_as_in_its_file_gives_every_row() {
    // So large that its rows are taken from several places, which do not divide it evenly.
    let mut rng = StdRng::seed_from_u64(9);
    for t in [1, 2, 3, 4] {
        check(&mut rng, Encoding::Q8_0, (t, 2053, 1536));
        check(&mut rng, Encoding::F16, (t, 2053, 600));
        check(&mut rng, Encoding::BF16, (t, 1003, 3080));
    }
}

#[test]
fn mapped_rows_are_used_where_they_lie() {
    for encoding in FLOATS.into_iter().chain([Encoding::Q8_0]) {
        used_where_it_lies(encoding);
    }
}

fn used_where_it_lies(encoding: Encoding) {
    let mut rng = StdRng::seed_from_u64(6);
    let values = random(&mut rng, 21 * 64);
    let tensor = HostTensor::from_f32(vec![21, 64], &values);
    let tensor = tensor.to_encoding(encoding).unwrap();
    // Behind one byte, so that nothing in the file is aligned.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [&[7][..], &*tensor.data].concat()).unwrap();
    let map = Map::open(file.path()).unwrap();
    let data = Mapped::new(&map, 1..1 + tensor.data.len()).unwrap();
    assert!(Mapped::new(&map, 2..2 + tensor.data.len()).is_none());
    let file_bytes = data.as_ptr_range();
    drop(map);
    let mapped = Matrix::new(HostTensor {
        data: Data::Mapped(data),
        ..tensor.clone()
    });
    let (mapped, own) = (mapped.unwrap(), Matrix::new(tensor).unwrap());
    assert!(file_bytes.contains(&mapped.place()) && !file_bytes.contains(&own.place()));
    for t in [1, 3, 9] {
        let x = random(&mut rng, t * 64);
        for isa in Isa::available() {
            assert_eq!(mapped.matmul_on(isa, &x, t), own.matmul_on(isa, &x, t));
        }
    }
}
