//! Keys and values as attention reads them.
//!
//! Keys of one head lie in groups of [`KEY_GROUP`], `[group][dim][key of the group]`, so that
//! scores come out as vectors of keys without sums across a vector; values lie `[key][dim]`. Q8
//! has a scale for each [`Q8_BLOCK`] dimensions of a vector (fewer in the last block, if the
//! head's size wants it): `[group][block][key]` and `[key][block]`.

use half::f16;

use crate::quant::kernels::lanes::Lanes;

/// Keys side by side.
pub const KEY_GROUP: usize = 16;
/// Dimensions of a head that share a scale.
pub const Q8_BLOCK: usize = 32;
/// Numbers after the last value that a vector may read and does not use.
pub const SLACK: usize = 16;

/// Blocks of a vector of `dim` numbers.
pub const fn q8_blocks(dim: usize) -> usize {
    dim.div_ceil(Q8_BLOCK)
}

/// The numbers of a cache, of one head or of several.
#[derive(Clone, Copy)]
pub enum Numbers<'a> {
    /// As they were computed.
    F32(&'a [f32]),
    /// The bits of f16.
    F16(&'a [u16]),
    /// Codes, and the bits of their scales in f16.
    Q8(&'a [i8], &'a [u16]),
}

impl<'a> Numbers<'a> {
    /// Those from number `from` on, whose scale is `scale`.
    pub fn from(self, from: usize, scale: usize) -> Self {
        match self {
            Self::F32(x) => Self::F32(&x[from..]),
            Self::F16(x) => Self::F16(&x[from..]),
            Self::Q8(x, scales) => Self::Q8(&x[from..], &scales[scale..]),
        }
    }

    /// Panics unless there are `n` numbers with `scales` scales.
    pub fn check(self, n: usize, scales: usize) {
        assert!(match self {
            Self::F32(x) => x.len() >= n,
            Self::F16(x) => x.len() >= n,
            Self::Q8(x, s) => x.len() >= n && s.len() >= scales,
        });
    }
}

/// A type of cached numbers, unchecked.
pub trait Stored: Copy {
    /// Whether numbers have scales.
    const SCALED: bool;

    /// [`Lanes::N`] numbers from the `at`-th on, without their scales.
    ///
    /// # Safety
    /// They must exist, and the machine must have the instructions; so for all three.
    unsafe fn load<L: Lanes>(self, at: usize) -> L;
    /// [`Lanes::N`] scales.
    ///
    /// # Safety
    /// As [`Stored::load`].
    unsafe fn scales<L: Lanes>(self, at: usize) -> L;
    /// One scale, in every lane.
    ///
    /// # Safety
    /// As [`Stored::load`].
    unsafe fn scale<L: Lanes>(self, at: usize) -> L;
}

impl Stored for *const f32 {
    const SCALED: bool = false;

    #[inline(always)]
    unsafe fn load<L: Lanes>(self, at: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load(self.add(at)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(self, _: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::splat(1.0) }
    }

    #[inline(always)]
    unsafe fn scale<L: Lanes>(self, _: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::splat(1.0) }
    }
}

impl Stored for *const u16 {
    const SCALED: bool = false;

    #[inline(always)]
    unsafe fn load<L: Lanes>(self, at: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load_f16(self.add(at)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(self, _: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::splat(1.0) }
    }

    #[inline(always)]
    unsafe fn scale<L: Lanes>(self, _: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::splat(1.0) }
    }
}

impl Stored for (*const i8, *const u16) {
    const SCALED: bool = true;

    #[inline(always)]
    unsafe fn load<L: Lanes>(self, at: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load_i8(self.0.add(at)) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(self, at: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load_f16(self.1.add(at)) }
    }

    #[inline(always)]
    unsafe fn scale<L: Lanes>(self, at: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::splat_f16(self.1.add(at)) }
    }
}

/// Rounds a block to whole multiples of a scale in f16, which is the least that is not below the
/// largest magnitude / 127: each number is off by at most half the scale, so by
/// largest / 254 · (1 + 2^-10), or by 2^-25 where that scale is no normal f16. Returns the scale's
/// bits. A block with a NaN, an infinity or what such a scale cannot hold becomes NaN as a whole.
pub fn quantize_q8(x: &[f32], codes: &mut [i8]) -> u16 {
    // The bits of magnitudes are in their order, with infinity and NaN above all numbers.
    let largest = x.iter().fold(0, |m, v| v.abs().to_bits().max(m));
    let wanted = f32::from_bits(largest) / 127.0;
    let mut scale = f16::from_f32(wanted);
    if scale.to_f32() < wanted {
        scale = f16::from_bits(scale.to_bits() + 1);
    }
    // The codes of a scale that is not finite are zeros: their products with it are NaN.
    let inverse = match scale.to_f32() {
        s if s > 0.0 => 1.0 / s,
        _ => 0.0,
    };
    for (code, v) in codes.iter_mut().zip(x) {
        *code = (v * inverse).round_ties_even() as i8;
    }
    scale.to_bits()
}
