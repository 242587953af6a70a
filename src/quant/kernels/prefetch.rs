//! Asking for weights before they are needed.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use crate::quant::kernels::forms::{Codes, Form};

/// How far ahead of their use weights are asked for: more than a page's end takes to be noticed,
/// less than what waits for memory at once.
const AHEAD: usize = 2 << 10;

/// Asks for the codes that stand [`AHEAD`] of a block's and, with the first block under a record, for
/// what stands as far ahead of that: where unpacking takes long, the processor's own prefetching falls
/// behind. Byte codes need none.
#[inline(always)]
pub fn prefetch<F: Form>(codes: *const u8, record: *const u8, i: usize) {
    if matches!(F::CODES, Codes::Byte) {
        return;
    }
    for line in (0..F::CODES.bytes()).step_by(64) {
        hint(codes.wrapping_add(AHEAD + line));
    }
    if i == 0 {
        for line in (0..F::SCALES.bytes()).step_by(64) {
            hint(record.wrapping_add(AHEAD + line));
        }
    }
}

#[inline(always)]
fn hint(p: *const u8) {
    // SAFETY: a prefetch reads nothing that the program sees and cannot fault at any address; every
    // x86-64 machine has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
}
