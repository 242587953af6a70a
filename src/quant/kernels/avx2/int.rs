//! Integer panels: products of unsigned codes with signed activations (`vpmaddubsw`), summed in
//! 16 bits as deep as the codes allow, widened once, scaled once per block.

use std::arch::x86_64::*;

use crate::quant::kernels::activations::Quantized;
use crate::quant::kernels::forms::{
    BLOCK, Codes, Form, GROUP, IQ4_NL_VALUES, IntPanel, PANEL, Scales, Tile,
};
use crate::quant::kernels::prefetch::prefetch;

/// Rows of activations `t0..` times a panel; as many as `out` has, at most
/// [`super::INT_TILE`].
///
/// # Safety
/// The machine must have AVX2, FMA and F16C.
pub unsafe fn int_tile<F: Form>(panel: &IntPanel<'_>, x: &Quantized, t0: usize, out: &mut Tile) {
    panel.check::<F>();
    x.check(t0, out.len(), panel.blocks);
    // SAFETY: the features are the caller's promise; the two checks above hold what `tile` reads.
    unsafe {
        match out.len() {
            1 => tile::<F, 1, 2>(panel, x, t0, out),
            2 => tile::<F, 2, 2>(panel, x, t0, out),
            3 => tile::<F, 3, 1>(panel, x, t0, out),
            4 => tile::<F, 4, 1>(panel, x, t0, out),
            n => unreachable!("a tile of {n} tokens"),
        }
    }
}

/// `T` tokens times a panel, `H` of its two halves in each pass over the blocks.
///
/// # Safety
/// AVX2, FMA, F16C; `panel` and `x` checked for blocks and tokens `t0..t0 + T`.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile<F: Form, const T: usize, const H: usize>(
    panel: &IntPanel<'_>,
    x: &Quantized,
    t0: usize,
    out: &mut Tile,
) {
    // SAFETY: rows `t0 + t` are inside `x`, by the caller's check.
    let rows: [(*const i8, *const [f32; 4], *const [f32; 2]); T] =
        std::array::from_fn(|t| unsafe {
            (
                x.codes.as_ptr().add((t0 + t) * x.stride),
                x.meta.as_ptr().add((t0 + t) * x.blocks),
                x.halves.as_ptr().add((t0 + t) * x.blocks),
            )
        });
    for first in (0..2).step_by(H) {
        let mut acc = [[_mm256_setzero_ps(); T]; H];
        // SAFETY: block `b` lies inside the panel and the rows of `x`, by the caller's checks.
        unsafe {
            each_block!(F, panel, |b, i, codes, record| {
                prefetch::<F>(codes, record, i);
                for h in 0..H {
                    let w = unpack::<F>(codes, first + h);
                    let s = scales::<F>(record, i, first + h);
                    // Half of the codes at a time where all and what else is in use do not fit into
                    // registers: their magnitudes, or a scale for each half.
                    let in_halves = F::CODES.is_signed() || F::SCALES.by_halves();
                    let [first_four, last_four] =
                        [[w[0], w[1], w[2], w[3]], [w[4], w[5], w[6], w[7]]];
                    let mut low = [_mm256_setzero_si256(); T];
                    for t in 0..T {
                        let a = rows[t].0.add(b * BLOCK);
                        low[t] = match in_halves {
                            true => dot::<F, 4>(&first_four, a),
                            false => dot::<F, 8>(&w, a),
                        };
                    }
                    for t in 0..T {
                        let (a, meta, halves) = rows[t];
                        let high = match in_halves {
                            true => dot::<F, 4>(&last_four, a.add(b * BLOCK + BLOCK / 2)),
                            false => _mm256_setzero_si256(),
                        };
                        let (meta, halves) = (&*meta.add(b), &*halves.add(b));
                        acc[h][t] = scaled::<F>([low[t], high], &s, meta, halves, acc[h][t]);
                    }
                }
            });
        }
        for h in 0..H {
            for t in 0..T {
                let eight = &mut out[t][(first + h) * 8..][..8];
                // SAFETY: eight floats.
                unsafe { _mm256_storeu_ps(eight.as_mut_ptr(), acc[h][t]) };
            }
        }
    }
}

/// Scales and minimums of eight rows, for the halves of a block or, twice, for the whole.
pub(super) struct EightScales {
    pub scale: [__m256; 2],
    pub min: [__m256; 2],
}

/// One block of one token: `acc + scale * dots + min * sum(a)`, `dots` of the first and the last
/// half of the block or of any two parts.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn scaled<F: Form>(
    dots: [__m256i; 2],
    s: &EightScales,
    meta: &[f32; 4],
    halves: &[f32; 2],
    acc: __m256,
) -> __m256 {
    let scale = _mm256_set1_ps(meta[0]);
    let whole = || _mm256_cvtepi32_ps(_mm256_add_epi32(dots[0], dots[1]));
    match F::SCALES {
        Scales::Halves { .. } | Scales::HalvesMin => {
            let y = _mm256_mul_ps(_mm256_cvtepi32_ps(dots[0]), s.scale[0]);
            let y = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[1]), s.scale[1], y);
            let acc = _mm256_fmadd_ps(s.min[0], _mm256_set1_ps(halves[0]), acc);
            let acc = _mm256_fmadd_ps(s.min[1], _mm256_set1_ps(halves[1]), acc);
            _mm256_fmadd_ps(y, scale, acc)
        }
        Scales::Block { offset: 0 } => {
            _mm256_fmadd_ps(s.scale[0], _mm256_mul_ps(whole(), scale), acc)
        }
        Scales::Block { offset: 8 } => {
            let y = _mm256_fmadd_ps(whole(), scale, _mm256_set1_ps(meta[2]));
            _mm256_fmadd_ps(s.scale[0], y, acc)
        }
        Scales::Block { .. } | Scales::BlockMin | Scales::Super => {
            let acc = _mm256_fmadd_ps(s.min[0], _mm256_set1_ps(meta[1]), acc);
            _mm256_fmadd_ps(s.scale[0], _mm256_mul_ps(whole(), scale), acc)
        }
    }
}

/// Products of `N` groups of codes with one token's, summed for each row.
///
/// # Safety
/// AVX2; `a` points to `4 * N` codes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn dot<F: Form, const N: usize>(w: &[__m256i; N], a: *const i8) -> __m256i {
    let ones = _mm256_set1_epi16(1);
    // The products of two codes that a 16-bit sum can hold, 2 * 127 * the largest code each:
    // 7 874 of five bits, 16 002 of six.
    let depth = match F::CODES {
        Codes::Four | Codes::Two | Codes::Three => 8,
        Codes::Five => 4,
        Codes::Six => 2,
        Codes::Byte | Codes::Table => 1,
    };
    let mut sum = _mm256_setzero_si256();
    let mut deep = _mm256_setzero_si256();
    for (g, &w) in w.iter().enumerate() {
        // SAFETY: four of the codes at `a`.
        let a = _mm256_set1_epi32(unsafe { a.add(4 * g).cast::<i32>().read_unaligned() });
        let products = if F::CODES.is_signed() {
            _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w))
        } else {
            _mm256_maddubs_epi16(w, a)
        };
        deep = if g % depth == 0 {
            products
        } else {
            _mm256_add_epi16(deep, products)
        };
        if g % depth == depth - 1 || g == N - 1 {
            let wide = _mm256_madd_epi16(deep, ones);
            sum = _mm256_add_epi32(sum, wide);
        }
    }
    sum
}

/// The codes of eight rows (half `h` of the panel) in the block at `p`, a byte each.
///
/// # Safety
/// AVX2; `p` points to a block of the form.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn unpack<F: Form>(p: *const u8, h: usize) -> [__m256i; 8] {
    // SAFETY: chunk `c` is one of the block's.
    let chunk = |c: usize| unsafe { _mm256_loadu_si256(p.add(c * GROUP + h * 32).cast()) };
    let four = _mm256_set1_epi8(15);
    let nibbles = || -> [__m256i; 8] {
        let v = [chunk(0), chunk(1), chunk(2), chunk(3)];
        eight!(g => {
            let v = if g < 4 {
                v[g]
            } else {
                _mm256_srli_epi16::<4>(v[g - 4])
            };
            _mm256_and_si256(v, four)
        })
    };
    // Bit `g` of every byte of `v`, moved to bit `to`.
    let bit = |v: __m256i, g: usize, to: usize| {
        let shift = _mm_cvtsi32_si128(g.abs_diff(to) as i32);
        let v = match g > to {
            true => _mm256_srl_epi16(v, shift),
            false => _mm256_sll_epi16(v, shift),
        };
        _mm256_and_si256(v, _mm256_set1_epi8(1 << to))
    };
    // Bits `2j` and `2j + 1` of every byte of `v`, moved to bit `to`.
    let pair = |v: __m256i, j: usize, to: usize| {
        let shift = _mm_cvtsi32_si128((2 * j).abs_diff(to) as i32);
        let v = match 2 * j > to {
            true => _mm256_srl_epi16(v, shift),
            false => _mm256_sll_epi16(v, shift),
        };
        _mm256_and_si256(v, _mm256_set1_epi8(3 << to))
    };
    match F::CODES {
        Codes::Four => nibbles(),
        Codes::Five => {
            let (low, high) = (nibbles(), chunk(4));
            eight!(g => _mm256_or_si256(low[g], bit(high, g, 4)))
        }
        Codes::Six => {
            let (low, high) = (nibbles(), [chunk(4), chunk(5)]);
            eight!(g => _mm256_or_si256(low[g], pair(high[g / 4], g % 4, 4)))
        }
        Codes::Two => {
            let v = [chunk(0), chunk(1)];
            eight!(g => pair(v[g / 4], g % 4, 0))
        }
        Codes::Three => {
            let (low, high) = ([chunk(0), chunk(1)], chunk(2));
            eight!(g => _mm256_or_si256(pair(low[g / 4], g % 4, 0), bit(high, g, 2)))
        }
        Codes::Byte => eight!(g => chunk(g)),
        Codes::Table => {
            // SAFETY: the table has 16 bytes.
            let table = unsafe { _mm_loadu_si128(IQ4_NL_VALUES.as_ptr().cast()) };
            let table = _mm256_broadcastsi128_si256(table);
            let low = nibbles();
            eight!(g => _mm256_shuffle_epi8(table, low[g]))
        }
    }
}

/// The scales of eight rows (half `h` of the panel) in block `i` under `record`.
///
/// # Safety
/// AVX2, F16C; `record` is one of the form's, `i` below its blocks.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(super) unsafe fn scales<F: Form>(record: *const u8, i: usize, h: usize) -> EightScales {
    // Eight half floats `at` bytes into the record.
    // SAFETY: every `at` below leaves 16 bytes (of 32) inside the record.
    let half =
        |at: usize| unsafe { _mm256_cvtph_ps(_mm_loadu_si128(record.add(at + 16 * h).cast())) };
    // SAFETY: every `at` below leaves 8 bytes (of 16) inside the record.
    let bytes = |at: usize| unsafe { _mm_loadl_epi64(record.add(at + 8 * h).cast()) };
    let unsigned = |v: __m128i| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(v));
    let signed = |v: __m128i| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(v));
    let minus = |offset: i32, v: __m256| _mm256_mul_ps(v, _mm256_set1_ps(-(offset as f32)));
    match F::SCALES {
        Scales::Block { offset } => {
            let scale = half(0);
            EightScales {
                scale: [scale; 2],
                min: [minus(offset, scale); 2],
            }
        }
        Scales::BlockMin => EightScales {
            scale: [half(0); 2],
            min: [half(2 * PANEL); 2],
        },
        Scales::Super => {
            let scale = _mm256_mul_ps(half(0), unsigned(bytes((4 + i) * PANEL)));
            let min = _mm256_mul_ps(half(2 * PANEL), unsigned(bytes((12 + i) * PANEL)));
            EightScales {
                scale: [scale; 2],
                min: [minus(1, min); 2],
            }
        }
        Scales::Halves { offset } => {
            let d = half(0);
            let scale = two!(k => _mm256_mul_ps(d, signed(bytes((2 + 2 * i + k) * PANEL))));
            EightScales {
                scale,
                min: two!(k => minus(offset, scale[k])),
            }
        }
        Scales::HalvesMin => {
            let (d, dmin) = (half(0), minus(1, half(2 * PANEL)));
            let both = two!(k => _mm256_cvtepu8_epi32(bytes((4 + 2 * i + k) * PANEL)));
            let low = |v| _mm256_and_si256(v, _mm256_set1_epi32(15));
            EightScales {
                scale: two!(k => _mm256_mul_ps(d, _mm256_cvtepi32_ps(low(both[k])))),
                min: two!(k => _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(_mm256_srli_epi32::<4>(both[k])))),
            }
        }
    }
}
