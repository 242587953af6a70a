//! Vectors of f32 of any width, so that a kernel whose shape does not depend on the instruction
//! set is written once: attention, norms and activations. Integer products are written for each.

use half::f16;

/// A vector of [`Lanes::N`] f32. Every method is unsafe for the same two reasons: the machine
/// must have the instructions, and pointers must be good for the numbers that are read or
/// written ([`Lanes::N`] where nothing else is said; no alignment is wanted).
#[allow(clippy::missing_safety_doc)] // said once, above
pub trait Lanes: Copy {
    /// A divisor of 16.
    const N: usize;
    /// How many vectors of sums stay in registers beside what is added to them.
    const SUMS: usize;

    /// `x` in every lane.
    unsafe fn splat(x: f32) -> Self;
    /// The numbers at `p`.
    unsafe fn load(p: *const f32) -> Self;
    /// From the bits of f16.
    unsafe fn load_f16(p: *const u16) -> Self;
    /// One number in every lane, from the bits of f16.
    unsafe fn splat_f16(p: *const u16) -> Self;
    /// From signed bytes.
    unsafe fn load_i8(p: *const i8) -> Self;
    /// Writes the numbers to `p`.
    unsafe fn store(self, p: *mut f32);
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`.
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * other`.
    unsafe fn mul(self, other: Self) -> Self;
    /// `self / other`.
    unsafe fn div(self, other: Self) -> Self;
    /// `other` where a number is not one.
    unsafe fn max(self, other: Self) -> Self;
    /// `other` where a number is not one.
    unsafe fn min(self, other: Self) -> Self;
    /// `self * a + b`, fused where the machine can.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    /// To the nearest whole number, ties to even, for magnitudes below 2^22.
    unsafe fn round(self) -> Self;
    /// 2 to the power of whole numbers in -127..=128; 0 and infinity at the ends.
    unsafe fn exp2_whole(self) -> Self;
    /// All lanes added up, in an order that depends on the set.
    unsafe fn sum(self) -> f32;
    /// The largest lane.
    unsafe fn largest(self) -> f32;

    /// The first `n` numbers at `p` (at most [`Lanes::N`]), `fill` after them.
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize, fill: f32) -> Self {
        let mut room = [fill; 16];
        // SAFETY: the caller's promise; `n` is at most 16.
        unsafe {
            std::ptr::copy_nonoverlapping(p, room.as_mut_ptr(), n);
            Self::load(room.as_ptr())
        }
    }

    /// Stores the first `n` numbers (at most [`Lanes::N`]).
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        let mut room = [0.0; 16];
        // SAFETY: the caller's promise; `n` is at most 16.
        unsafe {
            self.store(room.as_mut_ptr());
            std::ptr::copy_nonoverlapping(room.as_ptr(), p, n);
        }
    }
}

/// What [`super::Isa::vectorize`] runs. `run` must be `#[inline(always)]`, and so must all that it
/// calls, for it is compiled anew inside a function that has the instructions.
pub trait Vectorized {
    /// The result; `()` where all of it is written into slices.
    type Output;

    /// # Safety
    /// The machine must have the instructions of `L`.
    unsafe fn run<L: Lanes>(self) -> Self::Output;
}

/// Plain Rust.
#[derive(Clone, Copy)]
pub struct Portable([f32; Portable::N]);

impl Portable {
    #[inline(always)]
    fn each(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut out = self;
        for (o, x) in out.0.iter_mut().zip(other.0) {
            *o = f(*o, x);
        }
        out
    }
}

/// Adding this to a float of small magnitude rounds it to a whole number, ties to even, and leaves
/// that number in the low bits.
pub(super) const ROUND: f32 = 12_582_912.0;

impl Lanes for Portable {
    const N: usize = 8;
    const SUMS: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; Self::N])
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { p.cast::<[f32; Self::N]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self {
        // SAFETY: the caller's promise.
        let bits = unsafe { p.cast::<[u16; Self::N]>().read_unaligned() };
        Self(bits.map(|b| f16::from_bits(b).to_f32()))
    }

    #[inline(always)]
    unsafe fn splat_f16(p: *const u16) -> Self {
        // SAFETY: the caller's promise.
        Self([f16::from_bits(unsafe { *p }).to_f32(); Self::N])
    }

    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { p.cast::<[i8; Self::N]>().read_unaligned() }.map(f32::from))
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[f32; Self::N]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.each(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.each(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.each(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self.each(other, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.each(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        self.each(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // Not `f32::mul_add`, a call of the mathematics library on machines without it.
        self.each(a, |x, y| x * y).each(b, |x, y| x + y)
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        Self(self.0.map(|x| x + ROUND - ROUND))
    }

    #[inline(always)]
    unsafe fn exp2_whole(self) -> Self {
        Self(
            self.0
                .map(|n| f32::from_bits(((n as i32 + 127) << 23) as u32)),
        )
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        self.0.iter().sum()
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        self.0.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x))
    }
}
