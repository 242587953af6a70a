//! Integer and float kernels, one folder per instruction set, chosen at run time.
//!
//! A kernel multiplies a tile of a few tokens by [`forms::PANEL`] rows, in a panel or as files have
//! them. It sees slices and shapes; [`product`] cuts matrices into tiles and spreads them over the
//! [`pool`].

// Loops over the lanes and tokens of several arrays at once read better with their indices.
#![allow(clippy::needless_range_loop)]

/// `[expr; 8]` with the index `$i` in each: unlike `array::from_fn`, it calls no function that lacks
/// the caller's target features, which would keep the vectors out of registers.
#[cfg(target_arch = "x86_64")]
macro_rules! eight {
    ($i:ident => $e:expr) => {
        eight!(@ $i, $e, 0 1 2 3 4 5 6 7)
    };
    (@ $i:ident, $e:expr, $($n:literal)*) => {
        [$({ let $i: usize = $n; $e }),*]
    };
}

/// `[expr; 2]`, as [`eight`].
#[cfg(target_arch = "x86_64")]
macro_rules! two {
    ($i:ident => $e:expr) => {
        eight!(@ $i, $e, 0 1)
    };
}

/// Runs `$body` for every block of a panel of form `$F`, with its number `$b`, its place `$i` under its
/// record, which the compiler knows, and the places in memory of its codes and of that record.
macro_rules! each_block {
    ($F:ident, $panel:expr, |$b:ident, $i:ident, $codes:ident, $record:ident| $body:block) => {
        let (head, shared) = ($F::SCALES.head(), $F::SCALES.blocks());
        let mut record = $panel.data.as_ptr();
        let mut codes = record.wrapping_add(head);
        for first in (0..$panel.blocks).step_by(shared) {
            for $i in 0..shared {
                let ($b, $codes, $record) = (first + $i, codes, record);
                $body
                codes = codes.add($F::CODES.bytes());
            }
            // A section ends where its last block does; the next has its records first.
            if (first + shared).is_multiple_of($F::SCALES.section()) {
                record = codes;
                codes = codes.wrapping_add(head);
            } else {
                record = record.add($F::SCALES.bytes());
            }
        }
    };
}

pub mod activations;
pub mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod elementwise;
pub mod forms;
mod isa;
pub mod lanes;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod peak;
pub mod pool;
pub mod portable;
#[cfg(target_arch = "x86_64")]
mod prefetch;
pub mod product;

pub use isa::Isa;
pub use peak::Multiply;
