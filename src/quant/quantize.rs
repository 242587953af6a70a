//! Quantizers for the two types that `wick` writes: Q4_0 and Q8_0.

use half::f16;

use super::Encoding;
use super::kernels::product::fill_parts;
use crate::{Error, Result};

/// Values of a block, of both types.
const BLOCK: usize = 32;

/// `values` in blocks of `encoding`, Q4_0 or Q8_0, on all threads. Each block's squared error is at
/// most that of the usual rule (the largest value decides the scale, ggml's `quantize_row_*_ref`).
///
/// # Errors
/// If the values do not fill whole blocks, or for another encoding.
pub fn quantize(values: &[f32], encoding: Encoding) -> Result<Vec<u8>> {
    let block: fn(&[f32; BLOCK], &mut [u8]) = match encoding {
        Encoding::Q4_0 => q4_0,
        Encoding::Q8_0 => q8_0,
        _ => {
            return Err(Error::Unsupported(format!(
                "quantizing to {encoding} is not supported; Q4_0 and Q8_0 are"
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

/// The nearest codes -8..=7 for a scale, and their squared error.
fn q4_codes(x: &[f32; BLOCK], scale: f16) -> ([i8; BLOCK], f32) {
    let (inverse, scale) = (inverse(scale), scale.to_f32());
    let mut error = 0f32;
    let codes = x.map(|v| {
        let code = (v * inverse).round().clamp(-8.0, 7.0);
        error += (v - code * scale).powi(2);
        code as i8
    });
    (codes, error)
}

/// Tries the usual scale, which gives the largest value the code -8, and some near it, each
/// followed by the scale that fits its codes best in the least-squares sense.
fn q4_0(x: &[f32; BLOCK], out: &mut [u8]) {
    let largest = x
        .iter()
        .fold(0f32, |a, &v| if v.abs() > a.abs() { v } else { a });
    let usual = half(largest / -8.0);
    let (mut scale, (mut codes, mut error)) = (usual, q4_codes(x, usual));
    let mut consider = |candidate: f16| {
        let (c, e) = q4_codes(x, candidate);
        if e < error {
            (scale, codes, error) = (candidate, c, e);
        }
        c
    };
    for levels in [-8.0f32, -7.5, -7.0, -8.5, 7.5, 8.0] {
        let tried = consider(half(largest / levels));
        let (mut xq, mut qq) = (0f32, 0f32);
        for (&v, &q) in x.iter().zip(&tried) {
            let q = f32::from(q);
            xq += v * q;
            qq += q * q;
        }
        if qq > 0.0 {
            consider(half(xq / qq));
        }
    }
    out[..2].copy_from_slice(&scale.to_le_bytes());
    let (low, high) = codes.split_at(BLOCK / 2);
    for (o, (l, h)) in out[2..].iter_mut().zip(low.iter().zip(high)) {
        *o = (l + 8) as u8 | ((h + 8) as u8) << 4;
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::weights::HostTensor;
    use candle_core::quantized::QTensor;
    use candle_core::{Device, Tensor};

    fn errors(values: &[f32], data: Vec<u8>, encoding: Encoding) -> Vec<f64> {
        let shape = vec![values.len()];
        let tensor = HostTensor {
            encoding,
            shape,
            data: data.into(),
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
    fn odd_blocks_stay_finite() {
        for odd in [0.0, f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, f32::NAN] {
            let mut values = [0.5; BLOCK];
            values[3] = odd;
            for encoding in [Encoding::Q4_0, Encoding::Q8_0] {
                let data = quantize(&values, encoding).unwrap();
                let tensor = HostTensor {
                    encoding,
                    shape: vec![BLOCK],
                    data: data.into(),
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
