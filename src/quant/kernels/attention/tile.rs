//! The two products of attention, for a few queries and a tile of keys, in registers.

use super::KEY_TILE;
use super::store::{KEY_GROUP, Q8_BLOCK, Stored, q8_blocks};
use crate::quant::kernels::lanes::Lanes;

/// The most queries that are multiplied at a time.
pub const fn most_rows<L: Lanes>() -> usize {
    if L::SUMS >= 16 { 8 } else { 4 }
}

/// Runs `$f::<L, S, R, V>$args` for the constants that `$r` and `$v` have.
macro_rules! for_shape {
    ($f:ident, $L:ident, $S:ident, ($r:expr, $v:expr), $args:tt) => {
        match ($r, $v) {
            (8, 2) => $f::<$L, $S, 8, 2> $args,
            (8, _) => $f::<$L, $S, 8, 1> $args,
            (4, 4) => $f::<$L, $S, 4, 4> $args,
            (4, 2) => $f::<$L, $S, 4, 2> $args,
            (4, _) => $f::<$L, $S, 4, 1> $args,
            (2, 8) => $f::<$L, $S, 2, 8> $args,
            (2, 4) => $f::<$L, $S, 2, 4> $args,
            (2, 2) => $f::<$L, $S, 2, 2> $args,
            (2, _) => $f::<$L, $S, 2, 1> $args,
            (_, 8) => $f::<$L, $S, 1, 8> $args,
            (_, 4) => $f::<$L, $S, 1, 4> $args,
            (_, 2) => $f::<$L, $S, 1, 2> $args,
            (_, _) => $f::<$L, $S, 1, 1> $args,
        }
    };
}

/// The most vectors at a time for `rows` queries when `left` vectors are left.
#[inline(always)]
fn vectors<L: Lanes>(rows: usize, left: usize) -> usize {
    let most = (L::SUMS / rows).min(8);
    match left {
        8.. if most >= 8 => 8,
        4.. if most >= 4 => 4,
        2.. if most >= 2 => 2,
        _ => 1,
    }
}

/// Scores of `rows` queries (8, 4, 2 or 1; at most [`most_rows`]), `[row][dim]` at `q`, for keys
/// in `groups` of one head, into `out`, `[row][KEY_TILE]`, from its beginning on.
///
/// # Safety
/// The machine must have the instructions of `L`; `q` holds the rows, `keys` the groups, `out`
/// room for the rows.
#[inline(always)]
pub unsafe fn scores<L: Lanes, S: Stored>(
    rows: usize,
    (q, dim): (*const f32, usize),
    keys: S,
    groups: std::ops::Range<usize>,
    out: *mut f32,
) {
    let all = groups.len() * (KEY_GROUP / L::N);
    let mut first = 0;
    while first < all {
        let v = vectors::<L>(rows, all - first);
        // SAFETY: the caller's promise; vectors `first..first + v` are some of the groups'.
        unsafe {
            let at = groups.start * (KEY_GROUP / L::N) + first;
            let out = out.add(first * L::N);
            for_shape!(score, L, S, (rows, v), ((q, dim), keys, at, out));
        }
        first += v;
    }
}

/// Scores of `R` queries for `V` vectors of keys, the first of them vector `at` of the head.
///
/// # Safety
/// As [`scores`].
#[inline(always)]
unsafe fn score<L: Lanes, S: Stored, const R: usize, const V: usize>(
    (q, dim): (*const f32, usize),
    keys: S,
    at: usize,
    out: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let per = KEY_GROUP / L::N;
        let mut sums = [[L::splat(0.0); V]; R];
        let mut scale = [L::splat(1.0); V];
        let mut key = [L::splat(0.0); V];
        for block in 0..q8_blocks(dim) {
            if S::SCALED {
                for v in 0..V {
                    let (group, lane) = ((at + v) / per, (at + v) % per * L::N);
                    scale[v] = keys.scales((group * q8_blocks(dim) + block) * KEY_GROUP + lane);
                }
            }
            for k in block * Q8_BLOCK..((block + 1) * Q8_BLOCK).min(dim) {
                for v in 0..V {
                    let (group, lane) = ((at + v) / per, (at + v) % per * L::N);
                    key[v] = keys.load((group * dim + k) * KEY_GROUP + lane);
                    if S::SCALED {
                        key[v] = key[v].mul(scale[v]);
                    }
                }
                for r in 0..R {
                    let x = L::splat(*q.add(r * dim + k));
                    for v in 0..V {
                        sums[r][v] = x.mul_add(key[v], sums[r][v]);
                    }
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                sums[r][v].store(out.add(r * KEY_TILE + v * L::N));
            }
        }
    }
}

/// Adds to `rows` sums, `[row][stride]` at `out`, the values of keys `at` of one head times their
/// weights, `[row][KEY_TILE]` at `weights`, the first key's at its beginning.
///
/// # Safety
/// The machine must have the instructions of `L`; `weights` holds rows for the keys, `values` the
/// keys and as much more as a vector may overrun the last, `out` rows of `stride` ≥ `dim` rounded
/// up to [`Lanes::N`].
#[inline(always)]
pub unsafe fn mix<L: Lanes, S: Stored>(
    rows: usize,
    weights: *const f32,
    (values, dim): (S, usize),
    at: std::ops::Range<usize>,
    (out, stride): (*mut f32, usize),
) {
    let all = dim.div_ceil(L::N);
    let mut first = 0;
    while first < all {
        let v = vectors::<L>(rows, all - first);
        // SAFETY: the caller's promise; the columns are some of a vector's.
        unsafe {
            let out = (out.add(first * L::N), stride);
            let column = first * L::N;
            for_shape!(
                mix_columns,
                L,
                S,
                (rows, v),
                (weights, (values, dim), at.clone(), column, out)
            );
        }
        first += v;
    }
}

/// [`mix`] for `R` rows and `V` vectors of columns, the first of them `column`.
///
/// # Safety
/// As [`mix`].
#[inline(always)]
unsafe fn mix_columns<L: Lanes, S: Stored, const R: usize, const V: usize>(
    weights: *const f32,
    (values, dim): (S, usize),
    at: std::ops::Range<usize>,
    column: usize,
    (out, stride): (*mut f32, usize),
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[L::splat(0.0); V]; R];
        for r in 0..R {
            for v in 0..V {
                sums[r][v] = L::load(out.add(r * stride + v * L::N));
            }
        }
        let mut value = [L::splat(0.0); V];
        for (j, key) in at.enumerate() {
            for v in 0..V {
                let column = column + v * L::N;
                value[v] = values.load(key * dim + column);
                if S::SCALED {
                    let scale = values.scale::<L>(key * q8_blocks(dim) + column / Q8_BLOCK);
                    value[v] = value[v].mul(scale);
                }
            }
            for r in 0..R {
                let w = L::splat(*weights.add(r * KEY_TILE + j));
                for v in 0..V {
                    sums[r][v] = w.mul_add(value[v], sums[r][v]);
                }
            }
        }
        for r in 0..R {
            for v in 0..V {
                sums[r][v].store(out.add(r * stride + v * L::N));
            }
        }
    }
}
