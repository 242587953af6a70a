//! Integer panels: four products of unsigned codes with signed activations summed in 32 bits by
//! one instruction (`vpdpbusd`). Signed codes are offset by 128, and the activations' sum
//! corrects for it.

use std::arch::x86_64::*;

use crate::quant::kernels::activations::Quantized;
use crate::quant::kernels::forms::{
    BLOCK, Codes, Form, GROUP, IQ4_NL_VALUES, IntPanel, PANEL, Scales, Tile,
};

/// Rows of activations `t0..` times a panel; as many as `out` has: 1, 2, 3, 4, 6, 8, 12
/// or 16.
///
/// # Safety
/// The machine must have AVX-512 F, BW, VL and VNNI.
pub unsafe fn int_tile<F: Form>(panel: &IntPanel<'_>, x: &Quantized, t0: usize, out: &mut Tile) {
    panel.check::<F>();
    x.check(t0, out.len(), panel.blocks);
    // SAFETY: the features are the caller's promise; the two checks above hold what `tile` reads.
    unsafe {
        match out.len() {
            1 => tile::<F, 1>(panel, x, t0, out),
            2 => tile::<F, 2>(panel, x, t0, out),
            3 => tile::<F, 3>(panel, x, t0, out),
            4 => tile::<F, 4>(panel, x, t0, out),
            6 => tile::<F, 6>(panel, x, t0, out),
            8 => tile::<F, 8>(panel, x, t0, out),
            12 => tile::<F, 12>(panel, x, t0, out),
            16 => tile::<F, 16>(panel, x, t0, out),
            n => unreachable!("a tile of {n} tokens"),
        }
    }
}

/// `T` tokens times a panel.
///
/// # Safety
/// The features of [`int_tile`]; `panel` and `x` checked for blocks and tokens `t0..t0 + T`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile<F: Form, const T: usize>(
    panel: &IntPanel<'_>,
    x: &Quantized,
    t0: usize,
    out: &mut Tile,
) {
    // SAFETY: rows `t0 + t` are inside `x`, by the caller's check.
    let rows: [(*const i8, *const [f32; 4], *const [i32; 2]); T] =
        std::array::from_fn(|t| unsafe {
            (
                x.codes.as_ptr().add((t0 + t) * x.stride),
                x.meta.as_ptr().add((t0 + t) * x.blocks),
                x.sums.as_ptr().add((t0 + t) * x.blocks),
            )
        });
    let mut acc = [_mm512_setzero_ps(); T];
    // SAFETY: block `b` lies inside the panel and the rows of `x`, by the caller's checks.
    unsafe {
        each_block!(F, panel, |b, i, codes, record| {
            let w = unpack::<F>(codes);
            let s = scales::<F>(record, i);
            for t in 0..T {
                let (a, meta, sums) = rows[t];
                let (meta, sums) = (&*meta.add(b), &*sums.add(b));
                acc[t] = step::<F>(&w, &s, a.add(b * BLOCK), meta, sums, acc[t]);
            }
        });
    }
    for t in 0..T {
        // SAFETY: sixteen floats.
        unsafe { _mm512_storeu_ps(out[t].as_mut_ptr(), acc[t]) };
    }
}

/// Scales and minimums of the panel's rows, for the halves of a block or, twice, for the whole.
/// [`Scales::Halves`] has no minimums: its offset is taken off the products.
struct RowScales {
    scale: [__m512; 2],
    min: [__m512; 2],
}

/// One block of one token: `acc + scale * codes · a + min * sum(a)`.
///
/// # Safety
/// The features of [`int_tile`]; `a` points to a block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn step<F: Form>(
    w: &[__m512i; 8],
    s: &RowScales,
    a: *const i8,
    meta: &[f32; 4],
    sums: &[i32; 2],
    acc: __m512,
) -> __m512 {
    let scale = _mm512_set1_ps(meta[0]);
    let dot = |from: usize, to: usize| {
        let mut sum = _mm512_setzero_si512();
        for g in from..to {
            // SAFETY: four of the codes at `a`.
            let a = _mm512_set1_epi32(unsafe { a.add(4 * g).cast::<i32>().read_unaligned() });
            sum = _mm512_dpbusd_epi32(sum, w[g], a);
        }
        sum
    };
    let whole = || _mm512_cvtepi32_ps(dot(0, 8));
    let by_halves = |dots: [__m512i; 2]| {
        let y = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[0]), s.scale[0]);
        _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[1]), s.scale[1], y)
    };
    match F::SCALES {
        // The offset of the codes is taken off in whole numbers, where it costs least.
        Scales::Halves { offset } => {
            // A power of two: a shift of what one load spreads.
            let by = _mm_cvtsi32_si128(offset.trailing_zeros() as i32);
            let offset = |h: usize| _mm512_sll_epi32(_mm512_set1_epi32(sums[h]), by);
            let dots = [
                _mm512_sub_epi32(dot(0, 4), offset(0)),
                _mm512_sub_epi32(dot(4, 8), offset(1)),
            ];
            _mm512_fmadd_ps(by_halves(dots), scale, acc)
        }
        Scales::HalvesMin => {
            let sum = |h: usize| _mm512_cvtepi32_ps(_mm512_set1_epi32(sums[h]));
            let y = _mm512_fmadd_ps(s.min[0], sum(0), by_halves([dot(0, 4), dot(4, 8)]));
            let y = _mm512_fmadd_ps(s.min[1], sum(1), y);
            _mm512_fmadd_ps(y, scale, acc)
        }
        Scales::Block { offset: 0 | 8 } => {
            // Signed codes were offset by 128.
            let offset = meta[if F::CODES.is_signed() { 3 } else { 2 }];
            let y = _mm512_fmadd_ps(whole(), scale, _mm512_set1_ps(offset));
            _mm512_fmadd_ps(s.scale[0], y, acc)
        }
        Scales::Block { .. } | Scales::BlockMin | Scales::Super => {
            let acc = _mm512_fmadd_ps(s.min[0], _mm512_set1_ps(meta[1]), acc);
            _mm512_fmadd_ps(s.scale[0], _mm512_mul_ps(whole(), scale), acc)
        }
    }
}

/// The codes of the block at `p`, an unsigned byte each; signed ones are offset by 128.
///
/// # Safety
/// The features of [`int_tile`]; `p` points to a block of the form.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn unpack<F: Form>(p: *const u8) -> [__m512i; 8] {
    // SAFETY: chunk `c` is one of the block's.
    let chunk = |c: usize| unsafe { _mm512_loadu_si512(p.add(c * GROUP).cast()) };
    let nibbles = || -> [__m512i; 8] {
        let v = [chunk(0), chunk(1), chunk(2), chunk(3)];
        eight!(g => {
            let v = if g < 4 {
                v[g]
            } else {
                _mm512_srli_epi16::<4>(v[g - 4])
            };
            _mm512_and_si512(v, _mm512_set1_epi8(15))
        })
    };
    // `mask` of every byte of `v` once its bit `from` has moved to bit `to`.
    let field = |v: __m512i, from: usize, to: usize, mask: i8| {
        let shift = _mm_cvtsi32_si128(from.abs_diff(to) as i32);
        let v = match from > to {
            true => _mm512_srl_epi16(v, shift),
            false => _mm512_sll_epi16(v, shift),
        };
        _mm512_and_si512(v, _mm512_set1_epi8(mask))
    };
    match F::CODES {
        Codes::Four => nibbles(),
        Codes::Five => {
            let (low, high) = (nibbles(), chunk(4));
            eight!(g => _mm512_or_si512(low[g], field(high, g, 4, 1 << 4)))
        }
        Codes::Six => {
            let (low, high) = (nibbles(), [chunk(4), chunk(5)]);
            eight!(g => {
                _mm512_or_si512(low[g], field(high[g / 4], 2 * (g % 4), 4, 3 << 4))
            })
        }
        Codes::Two => {
            let v = [chunk(0), chunk(1)];
            eight!(g => field(v[g / 4], 2 * (g % 4), 0, 3))
        }
        Codes::Three => {
            let (low, high) = ([chunk(0), chunk(1)], chunk(2));
            eight!(g => {
                _mm512_or_si512(
                    field(low[g / 4], 2 * (g % 4), 0, 3),
                    field(high, g, 2, 1 << 2),
                )
            })
        }
        Codes::Byte => eight!(g => _mm512_xor_si512(chunk(g), _mm512_set1_epi8(-128))),
        Codes::Table => {
            // SAFETY: the table has 16 bytes.
            let table = unsafe { _mm_loadu_si128(IQ4_NL_VALUES.as_ptr().cast()) };
            let table = _mm_xor_si128(table, _mm_set1_epi8(-128));
            let table = _mm512_broadcast_i32x4(table);
            let low = nibbles();
            eight!(g => _mm512_shuffle_epi8(table, low[g]))
        }
    }
}

/// The scales of block `i` under `record`.
///
/// # Safety
/// The features of [`int_tile`]; `record` is one of the form's, `i` below its blocks.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn scales<F: Form>(record: *const u8, i: usize) -> RowScales {
    // SAFETY: every `at` below leaves 32 bytes inside the record.
    let half = |at: usize| unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(record.add(at).cast())) };
    // SAFETY: every `at` below leaves 16 bytes inside the record.
    let bytes = |at: usize| unsafe { _mm_loadu_si128(record.add(at).cast()) };
    let unsigned = |v: __m128i| _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(v));
    let signed = |v: __m128i| _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(v));
    let minus = |offset: i32, v: __m512| _mm512_mul_ps(v, _mm512_set1_ps(-(offset as f32)));
    match F::SCALES {
        Scales::Block { offset } => {
            let scale = half(0);
            RowScales {
                scale: [scale; 2],
                min: [minus(offset, scale); 2],
            }
        }
        Scales::BlockMin => RowScales {
            scale: [half(0); 2],
            min: [half(2 * PANEL); 2],
        },
        Scales::Super => {
            let scale = _mm512_mul_ps(half(0), unsigned(bytes((4 + i) * PANEL)));
            let min = _mm512_mul_ps(half(2 * PANEL), unsigned(bytes((12 + i) * PANEL)));
            RowScales {
                scale: [scale; 2],
                min: [minus(1, min); 2],
            }
        }
        Scales::Halves { .. } => {
            let d = half(0);
            RowScales {
                scale: two!(k => _mm512_mul_ps(d, signed(bytes((2 + 2 * i + k) * PANEL)))),
                min: [_mm512_setzero_ps(); 2],
            }
        }
        Scales::HalvesMin => {
            let (d, dmin) = (half(0), minus(1, half(2 * PANEL)));
            let both = two!(k => _mm512_cvtepu8_epi32(bytes((4 + 2 * i + k) * PANEL)));
            let low = |v| _mm512_and_si512(v, _mm512_set1_epi32(15));
            RowScales {
                scale: two!(k => _mm512_mul_ps(d, _mm512_cvtepi32_ps(low(both[k])))),
                min: two!(k => _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(_mm512_srli_epi32::<4>(both[k])))),
            }
        }
    }
}
