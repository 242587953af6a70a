//! Quantizers of our own: Q4_0 and Q8_0, which `int4` and `int8` mean, and IQ4_NL.

use half::f16;

use super::Encoding;
use super::kernels::forms::IQ4_NL_VALUES;
use super::kernels::product::fill_parts;
use crate::{Error, Result};

/// Values of a block, of all three types.
const BLOCK: usize = 32;

/// `values` in blocks of `encoding`, Q4_0, Q8_0 or IQ4_NL, on all threads. Each block's squared error is at
/// most that of the usual rule (the largest value decides the scale, ggml's `quantize_row_*_ref`).
///
/// # Errors
/// If the values do not fill whole blocks, or for another encoding.
pub fn quantize(values: &[f32], encoding: Encoding) -> Result<Vec<u8>> {
    let block: fn(&[f32; BLOCK], &mut [u8]) = match encoding {
        Encoding::Q4_0 => nibbles::<Even>,
        Encoding::Q8_0 => q8_0,
        Encoding::IQ4_NL => nibbles::<Table>,
        _ => {
            return Err(Error::Unsupported(format!(
                "quantizing to {encoding} is not supported; Q4_0, Q8_0 and IQ4_NL are"
            )));
        }
    };
    let bytes = encoding.bytes_of(values.len()).ok_or_else(|| {
        Error::Unsupported(format!(
            "{} values do not fill blocks of {encoding}",
            values.len()
        ))
    })?;
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
    use candle_core::quantized::QTensor;
    use candle_core::{Device, Tensor};

    fn errors(values: &[f32], data: Vec<u8>, encoding: Encoding) -> Vec<f64> {
        let shape = vec![values.len()];
        let tensor = HostTensor {
            encoding,
            shape,
            data: Data::Owned(data),
        };
        let back = tensor.to_f32().unwrap();
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
            let ours = errors(&values, quantize(&values, encoding).unwrap(), encoding);
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
            let data = quantize(&values, encoding).unwrap();
            errors(&values, data, encoding).iter().sum()
        };
        let (even, uneven) = (sum(Encoding::Q4_0), sum(Encoding::IQ4_NL));
        assert!(uneven < 0.9 * even, "{uneven} {even}");
        // Every level is the nearest of itself, and a block of them is exact.
        let mut levels = [0f32; BLOCK];
        for (v, level) in levels.iter_mut().zip(IQ4_NL_VALUES.iter().cycle()) {
            *v = f32::from(*level) / 64.0;
        }
        let data = quantize(&levels, Encoding::IQ4_NL).unwrap();
        assert_eq!(errors(&levels, data, Encoding::IQ4_NL), [0.0]);
    }

    #[test]
    fn odd_blocks_stay_finite() {
        for odd in [0.0, f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, f32::NAN] {
            let mut values = [0.5; BLOCK];
            values[3] = odd;
            for encoding in [Encoding::Q4_0, Encoding::Q8_0, Encoding::IQ4_NL] {
                let data = quantize(&values, encoding).unwrap();
                let tensor = HostTensor {
                    encoding,
                    shape: vec![BLOCK],
                    data: Data::Owned(data),
                };
                let back = tensor.to_f32().unwrap();
                assert!(
                    back.iter().all(|v| v.is_finite()),
                    "{encoding} of {odd}: {back:?}"
                );
            }
        }
        assert!(quantize(&[0.0; 31], Encoding::Q4_0).is_err());
        assert!(quantize(&[0.0; 256], Encoding::Q6_K).is_err());
    }
}
