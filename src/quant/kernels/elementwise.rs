//! Activations and norms of rows of f32, on all threads where that is worth it.

use super::Isa;
use super::lanes::{Lanes, Vectorized};
use super::math::{gelu, gelu_tanh, silu};
use super::product::{Disjoint, for_ranges};
use crate::arch::Activation;

/// Numbers below which waking other threads costs more than it saves.
const SMALL: usize = 1 << 14;
/// Numbers that one thread takes at a time.
const PIECE: usize = 1 << 12;

/// Calls `f` with ranges of pieces, `piece` numbers each but for the last, that make up `len`.
fn in_pieces(len: usize, piece: usize, f: impl Fn(std::ops::Range<usize>) + Sync) {
    let pieces = len.div_ceil(piece.max(1));
    let numbers = |r: std::ops::Range<usize>| r.start * piece..(r.end * piece).min(len);
    match len {
        ..SMALL => f(0..len),
        _ => for_ranges(pieces, |r| f(numbers(r))),
    }
}

/// The activation of every number of `x`, times the number of `up` if there is one, into `x`.
///
/// # Panics
/// If the lengths differ.
pub fn activate(isa: Isa, x: &mut [f32], up: Option<&[f32]>, activation: Activation) {
    assert!(up.is_none_or(|up| up.len() == x.len()));
    let (len, x) = (x.len(), Disjoint::new(x));
    in_pieces(len, PIECE, |range| {
        let up = up.map(|up| &up[range.clone()]);
        // SAFETY: the ranges are disjoint.
        let x = unsafe { x.part(range) };
        isa.vectorize(Activate { x, up, activation });
    });
}

struct Activate<'a> {
    x: &'a mut [f32],
    up: Option<&'a [f32]>,
    activation: Activation,
}

impl Vectorized for Activate<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the instructions are the caller's promise; `each` gives good vectors.
        unsafe {
            match self.activation {
                Activation::Silu => each::<L>(self.x, self.up, |x| silu(x)),
                Activation::Gelu => each::<L>(self.x, self.up, |x| gelu(x)),
                Activation::GeluTanh => each::<L>(self.x, self.up, |x| gelu_tanh(x)),
                // The constant first: what is not a number stays none.
                Activation::Relu => each::<L>(self.x, self.up, |x| L::splat(0.0).max(x)),
            }
        }
    }
}

/// Puts `f` of each number of `x`, times that of `up`, in its place.
///
/// # Safety
/// The machine must have the instructions of `L`; `up` is as long as `x`.
#[inline(always)]
unsafe fn each<L: Lanes>(x: &mut [f32], up: Option<&[f32]>, f: impl Fn(L) -> L) {
    let n = x.len();
    for i in (0..n).step_by(L::N) {
        // SAFETY: at most the `n - i` numbers that are left of both.
        unsafe {
            let p = x.as_mut_ptr().add(i);
            let mut y = f(load::<L>(p, n - i, 0.0));
            if let Some(up) = up {
                y = y.mul(load(up.as_ptr().add(i), n - i, 0.0));
            }
            store(y, p, n - i);
        }
    }
}

/// A vector of the next `left` numbers, if there are so many; `fill` after them.
///
/// # Safety
/// The machine must have the instructions of `L`, and `p` be good for the numbers; so for `store`.
#[inline(always)]
unsafe fn load<L: Lanes>(p: *const f32, left: usize, fill: f32) -> L {
    // SAFETY: the caller's promise.
    unsafe {
        match left < L::N {
            true => L::load_part(p, left, fill),
            false => L::load(p),
        }
    }
}

/// The reverse of [`load`].
///
/// # Safety
/// As [`load`].
#[inline(always)]
unsafe fn store<L: Lanes>(y: L, p: *mut f32, left: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        match left < L::N {
            true => y.store_part(p, left),
            false => y.store(p),
        }
    }
}

/// A norm of rows.
#[derive(Clone, Copy)]
pub struct Norm<'a> {
    /// What each column is multiplied by once it is normalized, `[cols]`.
    pub weight: &'a [f32],
    /// Present where the rows' mean is subtracted (layer norm); absent for RMS norm.
    pub bias: Option<&'a [f32]>,
    /// Added to the variance (of RMS norm, the mean square) before its root is taken.
    pub eps: f32,
}

/// Normalizes the rows of `x`, `[rows][weight.len()]`, into `out`.
///
/// # Panics
/// If the lengths differ.
pub fn normalize(isa: Isa, norm: Norm<'_>, x: &[f32], out: &mut [f32]) {
    let n = norm.weight.len();
    assert!(n > 0 && x.len().is_multiple_of(n) && x.len() == out.len());
    assert!(norm.bias.is_none_or(|bias| bias.len() == n));
    let out = Disjoint::new(out);
    in_pieces(x.len(), n, |range| {
        // SAFETY: the ranges are disjoint.
        let (x, out) = unsafe { (&x[range.clone()], out.part(range)) };
        isa.vectorize(Normalize { norm, x, out });
    });
}

struct Normalize<'a> {
    norm: Norm<'a>,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Vectorized for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Norm { weight, bias, eps } = self.norm;
        let n = weight.len();
        for (x, out) in self.x.chunks_exact(n).zip(self.out.chunks_exact_mut(n)) {
            // SAFETY: the instructions are the caller's promise; at `i`, `n - i` numbers are left
            // of every row.
            unsafe {
                let at = |row: &[f32], i: usize, fill| load::<L>(row.as_ptr().add(i), n - i, fill);
                let mut mean = 0.0;
                if bias.is_some() {
                    let mut sum = L::splat(0.0);
                    for i in (0..n).step_by(L::N) {
                        sum = sum.add(at(x, i, 0.0));
                    }
                    mean = sum.sum() / n as f32;
                }
                let center = L::splat(mean);
                let mut squares = L::splat(0.0);
                for i in (0..n).step_by(L::N) {
                    let y = at(x, i, mean).sub(center);
                    squares = y.mul_add(y, squares);
                }
                let factor = L::splat(1.0 / (squares.sum() / n as f32 + eps).sqrt());
                for i in (0..n).step_by(L::N) {
                    let mut y = at(x, i, 0.0)
                        .sub(center)
                        .mul(factor)
                        .mul(at(weight, i, 0.0));
                    if let Some(bias) = bias {
                        y = y.add(at(bias, i, 0.0));
                    }
                    store(y, out.as_mut_ptr().add(i), n - i);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize) -> Vec<f32> {
        (0..n)
            .map(|i| ((i * 7919 + 13) % 2003) as f32 / 100.0 - 10.0)
            .collect()
    }

    /// The normal distribution: the density's integral from 0 by Simpson's rule.
    fn phi(x: f64) -> f64 {
        let n = 2000;
        let h = x / f64::from(n);
        let density = |t: f64| (-t * t / 2.0).exp() / std::f64::consts::TAU.sqrt();
        let weight = |i: i32| match i {
            0 => 1.0,
            i if i == n => 1.0,
            i if i % 2 == 1 => 4.0,
            _ => 2.0,
        };
        0.5 + (0..=n)
            .map(|i| weight(i) * density(f64::from(i) * h))
            .sum::<f64>()
            * h
            / 3.0
    }

    #[test]
    fn activations_are_the_formulas() {
        let up = noise(1000);
        for isa in Isa::available() {
            for (activation, exact) in [
                (
                    Activation::Silu,
                    (|x| x / (1.0 + (-x).exp())) as fn(f64) -> f64,
                ),
                (Activation::Relu, |x| x.max(0.0)),
                (Activation::Gelu, |x| x * phi(x)),
                (Activation::GeluTanh, |x| {
                    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                    0.5 * x * (1.0 + inner.tanh())
                }),
            ] {
                // Whole vectors, tails and pieces of several threads; one number in, not aligned.
                for n in [1, 7, 16, 33, 1000, SMALL + 5] {
                    let x = noise(n + 1);
                    for up in [None, Some(&up)]
                        .into_iter()
                        .filter(|up| up.is_none() || n <= 1000)
                    {
                        let up = up.map(|up| &up[up.len() - n..]);
                        let mut found = x.clone();
                        activate(isa, &mut found[1..], up, activation);
                        for (i, &y) in found[1..].iter().enumerate().step_by(1 + n / 1000) {
                            let x = f64::from(x[i + 1]);
                            let factor = up.map_or(1.0, |up| f64::from(up[i]));
                            let off = (f64::from(y) - exact(x) * factor).abs();
                            let bound = 1e-6 * x.abs().max(1.0) * factor.abs() + 1e-12;
                            assert!(off <= bound, "{} {activation:?} {x}: {off}", isa.name());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_none() {
        for isa in Isa::available() {
            for activation in [
                Activation::Silu,
                Activation::Relu,
                Activation::Gelu,
                Activation::GeluTanh,
            ] {
                for n in [1, 7, 16, 33] {
                    let mut found = noise(n);
                    found[n - 1] = f32::NAN;
                    activate(isa, &mut found, None, activation);
                    let nan = found.iter().map(|y| y.is_nan());
                    let place = format!("{} {activation:?} {n}", isa.name());
                    assert!(nan.eq((1..=n).map(|i| i == n)), "{place}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn rows_have_the_norms_mean_and_size() {
        for isa in Isa::available() {
            for (rows, n) in [(1, 1), (3, 7), (2, 16), (5, 100), (9, 2048)] {
                let (x, weight, bias) = (noise(rows * n), noise(n), noise(n + 1)[1..].to_vec());
                for bias in [None, Some(bias.as_slice())] {
                    let norm = Norm {
                        weight: &weight,
                        bias,
                        eps: 1e-5,
                    };
                    let mut found = vec![f32::NAN; rows * n];
                    normalize(isa, norm, &x, &mut found);
                    for (x, y) in x.chunks(n).zip(found.chunks(n)) {
                        let of = |v: &f32| f64::from(*v);
                        let mean = match bias {
                            Some(_) => x.iter().map(of).sum::<f64>() / n as f64,
                            None => 0.0,
                        };
                        let variance =
                            x.iter().map(|v| (of(v) - mean).powi(2)).sum::<f64>() / n as f64;
                        for i in 0..n {
                            let wanted = (of(&x[i]) - mean) / (variance + 1e-5).sqrt()
                                * of(&weight[i])
                                + bias.map_or(0.0, |b| of(&b[i]));
                            let off = (of(&y[i]) - wanted).abs();
                            assert!(off < 2e-5, "{} {rows}x{n}: {off}", isa.name());
                        }
                    }
                }
            }
        }
    }
}
