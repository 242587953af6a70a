//! The choice of an instruction set, and the kernels of each.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::activations::{self, Quantized};
use super::forms::{Float, FloatPanel, Form, IntPanel, Q8_0, Rows, Tile};
use super::lanes::{self, Vectorized};
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::peak::{self, Multiply};
use super::portable;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx2::vnni, avx512};
use crate::quant::pack;

/// An instruction set that this machine has. A value other than [`Isa::PORTABLE`] comes only from
/// a check of the machine, which is what makes the kernels safe to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX2 with VNNI.
    #[cfg(target_arch = "x86_64")]
    AvxVnni(vnni::Encoding),
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    Dotprod,
}

/// Which of [`Isa::all`] is in use; past them all until it is decided.
static CHOSEN: AtomicUsize = AtomicUsize::new(usize::MAX);

impl Isa {
    /// Plain Rust.
    pub const PORTABLE: Self = Self(Set::Portable);

    /// Every set that this machine has, the slowest first.
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        if avx2::is_available() {
            all.push(Self(Set::Avx2));
            all.extend(vnni::Encoding::detect().map(|e| Self(Set::AvxVnni(e))));
            if avx512::is_available() {
                all.push(Self(Set::Avx512));
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            all.push(Self(Set::Neon));
            if neon::has_dotprod() {
                all.push(Self(Set::Dotprod));
            }
        }
        all
    }

    /// The name, as `WICK_ISA` takes it.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::AvxVnni(_) => "avxvnni",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Set::Dotprod => "dotprod",
        }
    }

    /// The best set of this machine, or the one that the environment variable `WICK_ISA` names
    /// (`portable`, `avx2`, `avxvnni`, `avx512`, `neon`, `dotprod`) if the machine has it.
    pub fn best() -> Self {
        let all = Self::all();
        let chosen = CHOSEN.load(Ordering::Relaxed);
        if let Some(isa) = all.get(chosen) {
            return *isa;
        }
        let wanted = std::env::var("WICK_ISA").unwrap_or_default();
        let named = all.iter().find(|isa| isa.name() == wanted);
        let best = named.or(all.last()).copied().unwrap_or(Self::PORTABLE);
        best.choose();
        best
    }

    /// Makes this set the one that [`Isa::best`] gives from now on: to compare one with another.
    pub fn choose(self) {
        if let Some(i) = Self::all().iter().position(|isa| *isa == self) {
            CHOSEN.store(i, Ordering::Relaxed);
        }
    }

    /// [`Isa::available`], asked once.
    fn all() -> &'static [Self] {
        static ALL: OnceLock<Vec<Isa>> = OnceLock::new();
        ALL.get_or_init(Self::available)
    }

    /// Multiplies registers for some microseconds and returns how many multiply-adds that were: an
    /// instruction set's own rate, with nothing to load.
    pub fn multiply_adds(self, what: Multiply) -> usize {
        match self.0 {
            // SAFETY: such a value exists only on machines with these features.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 | Set::AvxVnni(_) => unsafe { peak::avx2(what) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { peak::avx512(what) },
            _ => peak::portable(what),
        }
    }

    /// The most tokens of a tile of integer weights of a form.
    pub fn int_tile_tokens<F: Form>(self) -> usize {
        match self.0 {
            Set::Portable => portable::INT_TILE,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 | Set::AvxVnni(_) => avx2::INT_TILE,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512::int_tile_tokens::<F>(),
            #[cfg(target_arch = "aarch64")]
            Set::Neon | Set::Dotprod => neon::INT_TILE,
        }
    }

    /// The most tokens of a tile of float weights.
    pub fn float_tile_tokens(self) -> usize {
        match self.0 {
            Set::Portable => portable::FLOAT_TILE,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 | Set::AvxVnni(_) => avx2::FLOAT_TILE,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => avx512::FLOAT_TILE,
            #[cfg(target_arch = "aarch64")]
            Set::Neon | Set::Dotprod => neon::FLOAT_TILE,
        }
    }

    /// Rows of activations `t0..` times a panel; as many as `out` has.
    pub fn int_tile<F: Form>(self, panel: &IntPanel<'_>, x: &Quantized, t0: usize, out: &mut Tile) {
        match self.0 {
            Set::Portable => portable::int_tile::<F>(panel, x, t0, out),
            // SAFETY: such a value exists only on machines with these features.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2::int_tile::<F>(panel, x, t0, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::AvxVnni(e) => unsafe { vnni::int_tile::<F>(e, panel, x, t0, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512::int_tile::<F>(panel, x, t0, out) },
            #[cfg(target_arch = "aarch64")]
            Set::Neon => neon::int_tile::<F>(panel, x, t0, out),
            // SAFETY: such a value exists only on machines with dot products.
            #[cfg(target_arch = "aarch64")]
            Set::Dotprod => unsafe { neon::int_tile_dotprod::<F>(panel, x, t0, out) },
        }
    }

    /// Adds `x` `[cols][tokens]` times a panel of floats to `out`; as many tokens as that has.
    pub fn float_tile(self, float: Float, panel: &FloatPanel<'_>, x: &[f32], out: &mut Tile) {
        match self.0 {
            Set::Portable => portable::float_tile(float, panel, x, out),
            // SAFETY: such a value exists only on machines with these features.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 | Set::AvxVnni(_) => unsafe { avx2::float_tile(float, panel, x, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512::float_tile(float, panel, x, out) },
            #[cfg(target_arch = "aarch64")]
            Set::Neon | Set::Dotprod => neon::float_tile(float, panel, x, out),
        }
    }

    /// `x` `[tokens][cols]` times rows of floats; as many tokens as `out` has, at most
    /// [`super::forms::ROW_TOKENS`].
    pub fn float_rows(self, float: Float, rows: &Rows<'_>, x: &[f32], out: &mut Tile) {
        match self.0 {
            Set::Portable => portable::float_rows(float, rows, x, out),
            // SAFETY: such a value exists only on machines with these features. Memory gives no more
            // than vectors of 256 bits take.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 | Set::AvxVnni(_) | Set::Avx512 => unsafe {
                avx2::float_rows(float, rows, x, out);
            },
            #[cfg(target_arch = "aarch64")]
            Set::Neon | Set::Dotprod => neon::float_rows(float, rows, x, out),
        }
    }

    /// Columns `part` of at most [`super::forms::PANEL`] rows of floats, `row` bytes each, to a panel
    /// `[part][PANEL]`. What missing rows would be stays as it is.
    pub fn float_panel(
        self,
        float: Float,
        rows: &[u8],
        row: usize,
        part: Range<usize>,
        out: &mut [u8],
    ) {
        match (self.0, float.bytes()) {
            // SAFETY: such a value exists only on machines with these features.
            #[cfg(target_arch = "x86_64")]
            (Set::Avx2 | Set::AvxVnni(_) | Set::Avx512, _) => unsafe {
                avx2::float_panel(float, rows, row, part, out);
            },
            (_, 2) => pack::float_panel::<2>(rows, row, part, out),
            _ => pack::float_panel::<4>(rows, row, part, out),
        }
    }

    /// Rows of activations `t0..` times rows of Q8_0; as many as `out` has, at most
    /// [`super::forms::ROW_TOKENS`].
    pub fn q8_rows(self, rows: &Rows<'_>, x: &Quantized, t0: usize, out: &mut Tile) {
        match self.0 {
            Set::Portable => portable::q8_rows(rows, x, t0, out),
            // SAFETY: such a value exists only on machines with these features.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2::q8_rows(None, rows, x, t0, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::AvxVnni(e) => unsafe { avx2::q8_rows(Some(e), rows, x, t0, out) },
            // SAFETY: as above; wider vectors would hold two blocks, whose scales differ.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe {
                avx2::q8_rows(Some(vnni::Encoding::Evex), rows, x, t0, out);
            },
            #[cfg(target_arch = "aarch64")]
            Set::Neon => neon::q8_rows(rows, x, t0, out),
            // SAFETY: such a value exists only on machines with dot products.
            #[cfg(target_arch = "aarch64")]
            Set::Dotprod => unsafe { neon::q8_rows_dotprod(rows, x, t0, out) },
        }
    }

    /// At most [`super::forms::PANEL`] rows of Q8_0, `blocks` each, to a panel. What missing rows would
    /// be stays as it is.
    pub fn q8_panel(self, rows: &[u8], blocks: usize, out: &mut [u8]) {
        match self.0 {
            // SAFETY: such a value exists only on machines with these features.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 | Set::AvxVnni(_) | Set::Avx512 => unsafe {
                avx2::q8_panel(rows, blocks, out);
            },
            _ => pack::panel::<Q8_0>(rows, blocks, out),
        }
    }

    /// Runs a computation of vectors of any width with this set's.
    pub fn vectorize<K: Vectorized>(self, kernel: K) -> K::Output {
        match self.0 {
            // SAFETY: plain Rust runs everywhere.
            Set::Portable => unsafe { kernel.run::<lanes::Portable>() },
            // SAFETY: as above; NEON is what plain Rust is compiled for.
            #[cfg(target_arch = "aarch64")]
            Set::Neon | Set::Dotprod => unsafe { kernel.run::<lanes::Portable>() },
            // SAFETY: such a value exists only on machines with these features.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 | Set::AvxVnni(_) => unsafe { avx2::vectorize(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512::vectorize(kernel) },
        }
    }

    /// Quantizes rows of activations; see [`activations::quantize`].
    pub fn quantize(self, x: &[f32], out: activations::QuantizedRows<'_>) {
        match self.0 {
            Set::Portable => activations::quantize(x, out),
            // NEON is what plain Rust is compiled for.
            #[cfg(target_arch = "aarch64")]
            Set::Neon | Set::Dotprod => activations::quantize(x, out),
            // SAFETY: such a value exists only on machines with these features.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 | Set::AvxVnni(_) | Set::Avx512 => unsafe { avx2::quantize(x, out) },
        }
    }
}
