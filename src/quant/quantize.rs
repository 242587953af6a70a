//! Quantizers: our own of Q4_0 and Q8_0, which `int4` and `int8` mean, and of IQ4_NL; candle's of
//! the other types.

use candle_core::quantized::QTensor;
use candle_core::{Device, Tensor};
use half::f16;

use super::Encoding;
use super::kernels::forms::IQ4_NL_VALUES;
use super::kernels::product::fill_parts;
use crate::{Error, Result};

/// Values of a block, of all three types of our own.
const BLOCK: usize = 32;

/// `values` in blocks of `encoding`. Of Q4_0, Q8_0 and IQ4_NL each block's squared error is at most
/// that of the usual rule (the largest value decides the scale, ggml's `quantize_row_*_ref`), and
/// all threads work.
///
/// # Errors
/// If the values do not fill whole blocks, one of them is infinite or NaN, which no block holds, or
/// the encoding has no blocks.
pub fn quantize(values: Vec<f32>, encoding: Encoding) -> Result<Vec<u8>> {
    let bytes = encoding.bytes_of(values.len()).ok_or_else(|| {
        Error::Unsupported(format!(
            "{} values do not fill blocks of {encoding}",
            values.len()
        ))
    })?;
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(Error::Unsupported(format!(
            "number {at} is {}, which {encoding} cannot hold; if the file is damaged, get it anew, \
             or keep floats (--quant none)",
            values[at]
        )));
    }
    let block: fn(&[f32; BLOCK], &mut [u8]) = match encoding {
        Encoding::Q4_0 => nibbles::<Even>,
        Encoding::Q8_0 => q8_0,
        Encoding::IQ4_NL => nibbles::<Table>,
        _ => return by_candle(values, encoding),
    };
    let (values, _) = values.as_chunks::<BLOCK>();
    let mut out = vec![0u8; bytes];
    let size = encoding.block_bytes();
    fill_parts(&mut out, size, |first, part| {
        for (x, out) in values[first..].iter().zip(part.chunks_exact_mut(size)) {
            block(x, out);
        }
    });
    Ok(out)
}

/// `values`, which fill whole blocks, by candle's quantizers.
fn by_candle(mut values: Vec<f32>, encoding: Encoding) -> Result<Vec<u8>> {
    let dtype = encoding.to_candle().filter(|_| encoding.is_quantized());
    let dtype = dtype
        .ok_or_else(|| Error::Unsupported(format!("quantizing to {encoding} is not supported")))?;
    match encoding {
        Encoding::Q2_K => part_equals(&mut values, 16),
        Encoding::Q4_K | Encoding::Q5_K => part_equals(&mut values, 32),
        _ => {}
    }
    let n = values.len();
    let tensor = Tensor::from_vec(values, n, &Device::Cpu)?;
    Ok(QTensor::quantize(&tensor, dtype)?.data()?.into_owned())
}

/// Moves the first number of every sub-block of `n` equal ones: candle's `make_qkx1_quants` takes
/// one without a range for zeros.
fn part_equals(values: &mut [f32], n: usize) {
    // Less than the scales lose in f16, more than candle's sums in f32 do.
    const LESS: f32 = 1.0 - 1.0 / 16384.0;
    for block in values.chunks_exact_mut(n) {
        if block.iter().all(|v| *v == block[0]) {
            block[0] *= LESS;
        }
    }
}

/// A scale as the file has it: finite, so that no weight becomes infinite or NaN.
fn half(scale: f32) -> f16 {
    f16::from_f32(scale.clamp(-65504.0, 65504.0))
}

/// `1 / scale`, 0 for 0.
fn inverse(scale: f16) -> f32 {
    match scale.to_f32() {
        0.0 => 0.0,
        scale => scale.recip(),
    }
}

fn q8_0(x: &[f32; BLOCK], out: &mut [u8]) {
    let largest = x.iter().fold(0f32, |a, v| a.max(v.abs()));
    let scale = half(largest / 127.0);
    let inverse = inverse(scale);
    out[..2].copy_from_slice(&scale.to_le_bytes());
    for (o, v) in out[2..].iter_mut().zip(x) {
        *o = (v * inverse).round().clamp(-127.0, 127.0) as i8 as u8;
    }
}

/// What codes stand for, before the scale.
trait Levels {
    /// The scales to try, as the value that the block's largest is taken for; the first is the
    /// usual rule's.
    const TRIED: &[f32];

    /// The code of the level next to `v`, and that level.
    fn nearest(v: f32) -> (u8, f32);
}

/// Q4_0: -8 to 7.
struct Even;

impl Levels for Even {
    const TRIED: &[f32] = &[-8.0, -7.5, -7.0, -8.5, 7.5, 8.0];

    fn nearest(v: f32) -> (u8, f32) {
        let level = v.round().clamp(-8.0, 7.0);
        ((level + 8.0) as u8, level)
    }
}

/// IQ4_NL: [`IQ4_NL_VALUES`], close together near zero, where most weights are.
struct Table;

impl Levels for Table {
    const TRIED: &[f32] = &[-127.0, -119.0, -111.0, -104.0, -135.0, 113.0, 105.0, 120.0];

    fn nearest(v: f32) -> (u8, f32) {
        let between = |pair: &[i8; 2]| f32::from(pair[0]).midpoint(f32::from(pair[1]));
        let above = IQ4_NL_VALUES
            .array_windows()
            .take_while(|&pair| v > between(pair));
        let code = above.count();
        (code as u8, f32::from(IQ4_NL_VALUES[code]))
    }
}

/// The numbers of a block of IQ4_NL (ggml's `dequantize_row_iq4_nl`).
pub fn iq4_nl_values(block: &[u8; 18]) -> [f32; BLOCK] {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    std::array::from_fn(|i| {
        let pair = block[2 + i % (BLOCK / 2)];
        let code = if i < BLOCK / 2 { pair & 15 } else { pair >> 4 };
        scale * f32::from(IQ4_NL_VALUES[usize::from(code)])
    })
}

/// A block's codes and levels by one scale, and their squared error.
struct Fit {
    scale: f16,
    codes: [u8; BLOCK],
    levels: [f32; BLOCK],
    error: f32,
}

impl Fit {
    fn new<L: Levels>(x: &[f32; BLOCK], scale: f16) -> Self {
        let inverse = inverse(scale);
        let nearest = x.map(|v| L::nearest(v * inverse));
        let levels = nearest.map(|(_, level)| level);
        let scaled = scale.to_f32();
        let errors = x.iter().zip(&levels).map(|(v, l)| (v - l * scaled).powi(2));
        Self {
            scale,
            codes: nearest.map(|(code, _)| code),
            error: errors.sum(),
            levels,
        }
    }

    /// The scale that fits the levels best in the least-squares sense.
    fn refitted(&self, x: &[f32; BLOCK]) -> Option<f16> {
        let (mut xq, mut qq) = (0f32, 0f32);
        for (v, q) in x.iter().zip(&self.levels) {
            xq += v * q;
            qq += q * q;
        }
        (qq > 0.0).then(|| half(xq / qq))
    }
}

/// A block of nibbles: the usual scale and some near it are tried, each followed by the one that
/// fits its levels best.
fn nibbles<L: Levels>(x: &[f32; BLOCK], out: &mut [u8]) {
    let largest = x
        .iter()
        .fold(0f32, |a, &v| if v.abs() > a.abs() { v } else { a });
    let mut best = Fit::new::<L>(x, half(largest / L::TRIED[0]));
    for level in L::TRIED {
        let tried = Fit::new::<L>(x, half(largest / level));
        let refitted = tried.refitted(x).map(|scale| Fit::new::<L>(x, scale));
        for fit in [Some(tried), refitted].into_iter().flatten() {
            if fit.error < best.error {
                best = fit;
            }
        }
    }
    out[..2].copy_from_slice(&best.scale.to_le_bytes());
    let (low, high) = best.codes.split_at(BLOCK / 2);
    for (o, (l, h)) in out[2..].iter_mut().zip(low.iter().zip(high)) {
        *o = l | h << 4;
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::weights::{Data, HostTensor};

    /// The numbers that blocks stand for.
    fn read(data: Vec<u8>, n: usize, encoding: Encoding) -> Vec<f32> {
        let tensor = HostTensor {
            encoding,
            shape: vec![n],
            data: Data::Owned(data),
        };
        tensor.to_f32().unwrap()
    }

    fn errors(values: &[f32], data: Vec<u8>, encoding: Encoding) -> Vec<f64> {
        let back = read(data, values.len(), encoding);
        let pairs = values.chunks(BLOCK).zip(back.chunks(BLOCK));
        let square = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
        pairs
            .map(|(v, b)| v.iter().zip(b).map(square).sum())
            .collect()
    }

    #[test]
    fn no_block_is_worse_than_by_the_usual_rule() {
        let mut rng = StdRng::seed_from_u64(7);
        let values: Vec<f32> = (0..256 * BLOCK)
            .map(|i| {
                rng.random_range(-1.0..1.0f32)
                    .powi(1 + 2 * (i as i32 / 256 % 3))
            })
            .collect();
        for (encoding, gain) in [(Encoding::Q4_0, 0.9), (Encoding::Q8_0, 1.0)] {
            let data = quantize(values.clone(), encoding).unwrap();
            let ours = errors(&values, data, encoding);
            let tensor = Tensor::new(values.as_slice(), &Device::Cpu).unwrap();
            let usual = QTensor::quantize(&tensor, encoding.to_candle().unwrap()).unwrap();
            let usual = usual.data().unwrap().into_owned();
            let usual = errors(&values, usual, encoding);
            for (ours, usual) in ours.iter().zip(&usual) {
                assert!(*ours <= usual * (1.0 + 1e-5), "{encoding}: {ours} {usual}");
            }
            let (ours, usual): (f64, f64) = (ours.iter().sum(), usual.iter().sum());
            assert!(ours <= gain * usual, "{encoding}: {ours} of {usual}");
        }
    }

    #[test]
    fn uneven_levels_fit_bell_shaped_weights_better() {
        let mut rng = StdRng::seed_from_u64(8);
        let mut bell = || (0..12).map(|_| rng.random_range(-1.0..1.0f32)).sum::<f32>();
        let values: Vec<f32> = (0..256 * BLOCK).map(|_| bell()).collect();
        let sum = |encoding| -> f64 {
            let data = quantize(values.clone(), encoding).unwrap();
            errors(&values, data, encoding).iter().sum()
        };
        let (even, uneven) = (sum(Encoding::Q4_0), sum(Encoding::IQ4_NL));
        assert!(uneven < 0.9 * even, "{uneven} {even}");
        // Every level is the nearest of itself, and a block of them is exact.
        let mut levels = [0f32; BLOCK];
        for (v, level) in levels.iter_mut().zip(IQ4_NL_VALUES.iter().cycle()) {
            *v = f32::from(*level) / 64.0;
        }
        let data = quantize(levels.to_vec(), Encoding::IQ4_NL).unwrap();
        assert_eq!(errors(&levels, data, Encoding::IQ4_NL), [0.0]);
    }

    #[test]
    fn odd_blocks_stay_finite() {
        for odd in [0.0, f32::MAX, f32::MIN_POSITIVE] {
            let mut values = vec![0.5; BLOCK];
            values[3] = odd;
            for encoding in [Encoding::Q4_0, Encoding::Q8_0, Encoding::IQ4_NL] {
                let data = quantize(values.clone(), encoding).unwrap();
                let back = read(data, BLOCK, encoding);
                assert!(
                    back.iter().all(|v| v.is_finite()),
                    "{encoding} of {odd}: {back:?}"
                );
            }
        }
    }

    #[test]
    fn what_no_block_holds_is_refused() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![0.5; 512];
            values[300] = odd;
            for encoding in [
                Encoding::Q4_0,
                Encoding::Q8_0,
                Encoding::IQ4_NL,
                Encoding::Q4_1,
                Encoding::Q2_K,
                Encoding::Q6_K,
            ] {
                let error = quantize(values.clone(), encoding).unwrap_err().to_string();
                let wanted = format!("number 300 is {odd}, which {encoding} cannot hold");
                assert!(error.contains(&wanted), "{error}");
            }
        }
        assert!(quantize(vec![0.0; 31], Encoding::Q4_0).is_err());
        assert!(quantize(vec![0.0; 255], Encoding::Q6_K).is_err());
        assert!(quantize(vec![0.0; 256], Encoding::F16).is_err());
    }

    #[test]
    fn a_value_that_repeats_comes_back() {
        for encoding in [Encoding::Q2_K, Encoding::Q4_K, Encoding::Q5_K] {
            for pair in [[0.7, 0.7], [-0.7, -0.7], [4.0, -4.0], [0.0, 2.0]] {
                // Every sub-block is constant, also among others.
                let value = |i: usize| pair[i / 32 % 2];
                let values: Vec<f32> = (0..512).map(value).collect();
                let data = quantize(values.clone(), encoding).unwrap();
                for (wanted, found) in values.iter().zip(read(data, 512, encoding)) {
                    // Scales are rounded to f16.
                    let off = (found - wanted).abs();
                    let place = format!("{encoding} {pair:?}");
                    assert!(off <= wanted.abs() / 1000.0, "{place}: {found}");
                }
            }
        }
    }
}
