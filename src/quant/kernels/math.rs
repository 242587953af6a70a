//! Functions of vectors of f32.

use super::lanes::Lanes;

/// e^x within 2 ulp (relative error 2^-22, tested); 0 below -87.7 and infinity above 88.3, where
/// f32 has no normal number left or almost none. Reduction and polynomial: Cephes, `expf.c`.
///
/// # Safety
/// The machine must have the instructions of `L`; so for every function here.
#[inline(always)]
pub unsafe fn exp<L: Lanes>(x: L) -> L {
    // SAFETY: the caller's promise.
    unsafe {
        // The constants first: what is not a number stays none.
        let x = L::splat(-88.0).max(x);
        let x = L::splat(88.8).min(x);
        let n = x.mul(L::splat(std::f32::consts::LOG2_E)).round();
        let r = n.mul_add(L::splat(-0.693_359_4), x);
        let r = n.mul_add(L::splat(2.121_944_4e-4), r);
        let mut p = L::splat(1.987_569_1e-4);
        for c in [
            1.398_199_9e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_5e-1,
            0.5,
        ] {
            p = p.mul_add(r, L::splat(c));
        }
        p.mul_add(r.mul(r), r.add(L::splat(1.0)))
            .mul(n.exp2_whole())
    }
}

/// tanh x within 2^-22.
///
/// # Safety
/// As [`exp`].
#[inline(always)]
pub unsafe fn tanh<L: Lanes>(x: L) -> L {
    // SAFETY: the caller's promise.
    unsafe {
        let (one, two) = (L::splat(1.0), L::splat(2.0));
        one.sub(two.div(exp(x.add(x)).add(one)))
    }
}

/// x / (1 + e^-y): x times the logistic function of y.
///
/// # Safety
/// As [`exp`].
#[inline(always)]
unsafe fn gated_by<L: Lanes>(x: L, y: L) -> L {
    // SAFETY: the caller's promise.
    unsafe { x.div(exp(L::splat(0.0).sub(y)).add(L::splat(1.0))) }
}

/// x times the logistic function of x.
///
/// # Safety
/// As [`exp`].
#[inline(always)]
pub unsafe fn silu<L: Lanes>(x: L) -> L {
    // SAFETY: the caller's promise.
    unsafe { gated_by(x, x) }
}

/// GELU by its approximation 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))), which is x times the
/// logistic function of twice tanh's argument (Hendrycks & Gimpel 2016, arXiv:1606.08415).
///
/// # Safety
/// As [`exp`].
#[inline(always)]
pub unsafe fn gelu_tanh<L: Lanes>(x: L) -> L {
    const TWICE: f32 = 1.595_769;
    // SAFETY: the caller's promise.
    unsafe {
        let cubic = x
            .mul(x)
            .mul_add(L::splat(TWICE * 0.044_715), L::splat(TWICE));
        gated_by(x, x.mul(cubic))
    }
}

/// GELU, x Φ(x) = x erfc(-x / √2) / 2, within 4e-7 · max(1, |x|); erfc by the Chebyshev fit of
/// Numerical Recipes, section 6.2 (`erfcc`, relative error below 1.2e-7).
///
/// # Safety
/// As [`exp`].
#[inline(always)]
pub unsafe fn gelu<L: Lanes>(x: L) -> L {
    // SAFETY: the caller's promise.
    unsafe {
        let one = L::splat(1.0);
        let minus = L::splat(0.0).sub(x);
        let z = x.max(minus).mul(L::splat(std::f32::consts::FRAC_1_SQRT_2));
        let t = one.div(z.mul_add(L::splat(0.5), one));
        let mut p = L::splat(0.170_872_77);
        for c in [
            -0.822_152_23,
            1.488_515_9,
            -1.135_204,
            0.278_868_07,
            -0.186_288_06,
            0.096_784_18,
            0.374_091_96,
            1.000_023_7,
            -1.265_512_2,
        ] {
            p = p.mul_add(t, L::splat(c));
        }
        // Half of erfc(|x| / √2): what Φ lacks of 1 on the positive side, and is on the negative.
        let tail = t.mul(exp(p.sub(z.mul(z)))).mul(L::splat(0.5));
        // x - |x| tail for x ≥ 0, x tail below: both are max(x, 0) - |x| tail.
        x.max(L::splat(0.0)).sub(x.max(minus).mul(tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::Isa;
    use crate::quant::kernels::lanes::Vectorized;

    /// e^x of whole vectors, in place.
    struct Exp<'a>(&'a mut [f32]);

    impl Vectorized for Exp<'_> {
        type Output = ();

        #[inline(always)]
        unsafe fn run<L: Lanes>(self) {
            for x in self.0.chunks_exact_mut(L::N) {
                // SAFETY: the instructions are the caller's promise; `x` is a vector.
                unsafe { exp(L::load(x.as_ptr())).store(x.as_mut_ptr()) }
            }
        }
    }

    #[test]
    fn exp_is_within_its_bound_in_every_instruction_set() {
        let x: Vec<f32> = (0..17_504).map(|i| i as f32 * 0.01 - 87.0).collect();
        for isa in Isa::available() {
            let mut out = x.clone();
            isa.vectorize(Exp(&mut out));
            for (x, y) in x.iter().zip(&out) {
                let wanted = f64::from(*x).exp();
                let off = (f64::from(*y) / wanted - 1.0).abs();
                assert!(
                    off <= 2f64.powi(-22),
                    "{} e^{x}: {y} for {wanted}",
                    isa.name()
                );
            }
            let mut ends = [f32::NEG_INFINITY, -1e9, 1e9, f32::NAN];
            let mut room = [0.0; 16];
            room[..4].copy_from_slice(&ends);
            isa.vectorize(Exp(&mut room));
            ends.copy_from_slice(&room[..4]);
            assert!(ends[0] < 1e-37 && ends[1] < 1e-37 && ends[2] > 1e38 && ends[3].is_nan());
        }
    }
}
