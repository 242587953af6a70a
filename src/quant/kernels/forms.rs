//! The orders in which kernels read weights.
//!
//! [`Q8_0`] and floats stay as files have them: a few tokens meet them row by row ([`Rows`]), more in
//! panels that are made as they are needed. All else is in panels.
//!
//! A panel is [`PANEL`] rows side by side. Integer panels are cut along the columns into blocks
//! of [`BLOCK`]; within a block the codes stand in eight groups of four columns, each group
//! `[PANEL][4]`, so that one vector load brings the same four columns of many rows and sums need
//! no shuffles. Scales, one number per row side by side, stand before the codes of the blocks that
//! they belong to, a section: a panel is read as one stream, which memory gives a tenth faster than
//! two. A weight is `scale * code + min`, with the zero offset of the symmetric types folded into
//! `min`.

/// Rows of a panel.
pub const PANEL: usize = 16;
/// Columns of a block: codes of one block share a scale (or two, one for each half).
pub const BLOCK: usize = 32;
/// Columns of a super-block of the K types.
pub const SUPER: usize = 256;
/// Bytes of one group of four columns once every code has a byte.
pub const GROUP: usize = PANEL * 4;
/// Bytes of a cache line: vectors of this size lie in one.
const LINE: usize = 64;

/// The values that IQ4_NL's codes stand for (ggml's `kvalues_iq4nl`).
pub const IQ4_NL_VALUES: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// How the codes of a block are stored, group `g` of eight at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codes {
    /// Four bits: group `g` in the low half of chunk `g`, group `g + 4` in the high half.
    Four,
    /// [`Codes::Four`], and the fifth bit of group `g` as bit `g` of one more chunk.
    Five,
    /// [`Codes::Four`], and two more bits of group `4c + j` at bit `2j` of one of two more chunks `c`.
    Six,
    /// Two bits: group `4c + j` at bit `2j` of chunk `c`.
    Two,
    /// [`Codes::Two`], and the third bit of group `g` as bit `g` of one more chunk.
    Three,
    /// Signed bytes.
    Byte,
    /// [`Codes::Four`], each an index into [`IQ4_NL_VALUES`].
    Table,
}

impl Codes {
    /// Bytes that a block of a panel takes.
    pub const fn bytes(self) -> usize {
        GROUP
            * match self {
                Self::Four | Self::Table => 4,
                Self::Five => 5,
                Self::Six => 6,
                Self::Two => 2,
                Self::Three => 3,
                Self::Byte => 8,
            }
    }

    /// Whether the codes are signed once unpacked.
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::Byte | Self::Table)
    }
}

/// How the scales of a panel are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scales {
    /// A half float for each block; codes are offset.
    Block {
        /// Taken off each code before it is scaled; 0 where codes are signed.
        offset: i32,
    },
    /// Half floats for each block: scales, then minimums.
    BlockMin,
    /// For each super-block: half-float scales, half-float scales of the minimums (positive, to be
    /// subtracted), eight bytes of scales, eight bytes of minimums.
    Super,
    /// For each super-block: half-float scales, a signed byte for each half block; codes are
    /// offset.
    Halves {
        /// Taken off each code before it is scaled.
        offset: i32,
    },
    /// For each super-block: half-float scales and scales of the minimums, a byte for each half
    /// block with its scale in the low and its minimum in the high four bits.
    HalvesMin,
}

impl Scales {
    /// Blocks that share a record of scales.
    pub const fn blocks(self) -> usize {
        match self {
            Self::Block { .. } | Self::BlockMin => 1,
            Self::Super | Self::Halves { .. } | Self::HalvesMin => SUPER / BLOCK,
        }
    }

    /// Bytes of a record.
    pub const fn bytes(self) -> usize {
        PANEL
            * match self {
                Self::Block { .. } => 2,
                Self::BlockMin => 4,
                Self::Super | Self::HalvesMin => 4 + 16,
                Self::Halves { .. } => 2 + 16,
            }
    }

    /// Blocks of a section: those of a record, or as many as fill a cache line with records.
    pub const fn section(self) -> usize {
        match self {
            Self::Block { .. } => 2,
            _ => self.blocks(),
        }
    }

    /// Bytes of a section's records, up to the cache line at which its codes begin.
    pub const fn head(self) -> usize {
        (self.section() / self.blocks() * self.bytes()).next_multiple_of(LINE)
    }

    /// Whether each half of a block has its own scale.
    pub const fn by_halves(self) -> bool {
        matches!(self, Self::Halves { .. } | Self::HalvesMin)
    }
}

/// An integer form of panels.
pub trait Form {
    /// How the codes of a block are packed.
    const CODES: Codes;
    /// What scales a panel has and where.
    const SCALES: Scales;

    /// Bytes of a section.
    const SECTION_BYTES: usize = Self::SCALES.head() + Self::SCALES.section() * Self::CODES.bytes();

    /// Bytes of a panel of so many blocks; the last section may have blocks to spare. `None` if that
    /// overflows.
    fn panel_bytes(blocks: usize) -> Option<usize> {
        let sections = blocks.div_ceil(Self::SCALES.section());
        sections.checked_mul(Self::SECTION_BYTES)
    }

    /// Where the codes of block `b` begin in a panel.
    #[inline(always)]
    fn codes_at(b: usize) -> usize {
        b * Self::CODES.bytes() + (b / Self::SCALES.section() + 1) * Self::SCALES.head()
    }

    /// Where the record with the scales of block `b` begins in a panel.
    #[inline(always)]
    fn record_at(b: usize) -> usize {
        let (section, i) = (b / Self::SCALES.section(), b % Self::SCALES.section());
        section * Self::SECTION_BYTES + i / Self::SCALES.blocks() * Self::SCALES.bytes()
    }
}

macro_rules! forms {
    ($($name:ident: $codes:expr, $scales:expr;)*) => {$(
        #[doc = concat!("Panels of [`crate::quant::Encoding::", stringify!($name), "`] blocks.")]
        #[allow(non_camel_case_types)] // as in `Encoding`
        pub struct $name;
        impl Form for $name {
            const CODES: Codes = $codes;
            const SCALES: Scales = $scales;
        }
    )*};
}

forms! {
    Q4_0: Codes::Four, Scales::Block { offset: 8 };
    Q4_1: Codes::Four, Scales::BlockMin;
    Q5_0: Codes::Five, Scales::Block { offset: 16 };
    Q5_1: Codes::Five, Scales::BlockMin;
    Q8_0: Codes::Byte, Scales::Block { offset: 0 };
    IQ4_NL: Codes::Table, Scales::Block { offset: 0 };
    Q2_K: Codes::Two, Scales::HalvesMin;
    Q3_K: Codes::Three, Scales::Halves { offset: 4 };
    Q4_K: Codes::Four, Scales::Super;
    Q5_K: Codes::Five, Scales::Super;
    Q6_K: Codes::Six, Scales::Halves { offset: 32 };
}

/// One panel of integer weights.
#[derive(Clone, Copy)]
pub struct IntPanel<'a> {
    /// Sections one after another: records of scales, then codes.
    pub data: &'a [u8],
    /// Blocks of each row.
    pub blocks: usize,
}

impl IntPanel<'_> {
    /// Panics unless the data hold all the blocks: what every kernel's reads rest on.
    pub fn check<F: Form>(&self) {
        assert!(self.blocks.is_multiple_of(F::SCALES.blocks()));
        assert!(F::panel_bytes(self.blocks).is_some_and(|n| self.data.len() >= n));
    }
}

/// One panel of float weights, or of some of its columns: `[cols][PANEL]`.
#[derive(Clone, Copy)]
pub struct FloatPanel<'a> {
    /// The bytes of its numbers.
    pub data: &'a [u8],
    /// Columns that it has.
    pub cols: usize,
}

/// Bytes of a block of [`Q8_0`] in a file: the scale in f16, then 32 signed codes.
pub const Q8_BYTES: usize = 2 + BLOCK;

/// The most tokens that the kernels of [`Rows`] take: more are worth a panel.
pub const ROW_TOKENS: usize = 4;

/// Rows that lie as in a file are taken in turn from so many places at most: a core that follows several
/// streams has more reads of memory under way, and waits less at the ends of small pages.
pub const PLACES: usize = 3;

/// Whether so many tokens of f32 stay in the first-level cache while weights stream through it. Where they
/// do not, rows of floats are taken [together](rows_together), so that tokens are read less often.
pub const fn are_short(tokens: usize, cols: usize) -> bool {
    tokens * cols <= 3072
}

/// Rows of floats that the kernels take together for so many tokens: as many as have room for their sums
/// in sixteen registers, beside the tokens.
pub const fn rows_together(tokens: usize) -> usize {
    match tokens {
        1 | 2 => 5,
        3 => 4,
        _ => 2,
    }
}

/// At most [`PANEL`] rows of a matrix that lies as in a file.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// The whole matrix.
    pub data: &'a [u8],
    /// Bytes of each row.
    pub bytes: usize,
    /// The numbers of the rows that are meant.
    pub which: &'a [usize],
}

impl Rows<'_> {
    /// Panics unless the matrix has all the rows: what every kernel's reads rest on.
    pub fn check(&self) {
        let has = self.data.len() / self.bytes.max(1);
        assert!(self.which.len() <= PANEL && self.which.iter().all(|&r| r < has));
    }
}

/// A float type of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float {
    /// IEEE half precision, 2 bytes.
    F16,
    /// The upper half of an f32, 2 bytes.
    BF16,
    /// IEEE single precision, 4 bytes.
    F32,
}

impl Float {
    /// Bytes of one number.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
        }
    }
}

/// What a tile kernel leaves: `[tokens][rows of the panel]`.
pub type Tile = [[f32; PANEL]];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte of a panel of `blocks` is one block's codes, one record's or nobody's.
    fn has_room_for_all<F: Form>(blocks: usize) {
        let mut owners = vec![0u8; F::panel_bytes(blocks).unwrap()];
        let mut take = |at: usize, n: usize| owners[at..at + n].iter_mut().for_each(|o| *o += 1);
        for b in 0..blocks {
            assert!(F::codes_at(b).is_multiple_of(LINE));
            take(F::codes_at(b), F::CODES.bytes());
            if b.is_multiple_of(F::SCALES.blocks()) {
                take(F::record_at(b), F::SCALES.bytes());
            }
        }
        assert!(owners.iter().all(|&n| n <= 1), "{blocks} blocks");
    }

    #[test]
    fn blocks_and_records_of_a_panel_lie_apart() {
        let with_block_scales: [fn(usize); 6] = [
            has_room_for_all::<Q4_0>,
            has_room_for_all::<Q4_1>,
            has_room_for_all::<Q5_0>,
            has_room_for_all::<Q5_1>,
            has_room_for_all::<Q8_0>,
            has_room_for_all::<IQ4_NL>,
        ];
        for check in with_block_scales {
            (1..6).for_each(check);
        }
        for supers in 1..4 {
            has_room_for_all::<Q2_K>(8 * supers);
            has_room_for_all::<Q3_K>(8 * supers);
            has_room_for_all::<Q4_K>(8 * supers);
            has_room_for_all::<Q5_K>(8 * supers);
            has_room_for_all::<Q6_K>(8 * supers);
        }
    }
}
