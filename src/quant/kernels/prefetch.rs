//! Asking for weights before they are needed.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use crate::quant::kernels::forms::{Codes, Form};

/// How far ahead of their use weights are asked for: more than a page's end takes to be noticed,
/// less than what waits for memory at once.
const AHEAD: usize = 2 << 10;

/// Asks for the cache lines of the block [`AHEAD`] of block `b`, when few tokens leave the memory
/// as the limit: the processor's own prefetching stops at every page. Byte codes are so long a
/// stream that it does better alone.
#[inline(always)]
pub fn prefetch<F: Form, const T: usize>(codes: *const u8, scales: *const u8, b: usize) {
    if T > 4 || matches!(F::CODES, Codes::Byte) {
        return;
    }
    let n = F::CODES.bytes();
    for line in (0..n).step_by(64) {
        hint(codes.wrapping_add(b * n + AHEAD + line));
    }
    let (n, per) = (F::SCALES.bytes(), F::SCALES.blocks());
    hint(scales.wrapping_add(b * n / per + AHEAD / 4));
}

#[inline(always)]
fn hint(p: *const u8) {
    // SAFETY: a prefetch reads nothing that the program sees and cannot fault at any address; every
    // x86-64 machine has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
}
