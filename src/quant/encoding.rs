//! How a tensor's numbers are stored: plain floats, integers, or the blocks of GGUF.

use candle_core::quantized::GgmlDType;

use super::kernels::product::{self, Layout};

/// One way to store numbers. Names, ids and block layouts of the quantized ones are those of
/// ggml (`ggml.h`, `ggml-common.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(non_camel_case_types)] // the field writes Q4_K, not Q4K
pub enum Encoding {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision: 5 bits of exponent, 10 of fraction.
    F16,
    /// The upper half of an f32: 8 bits of exponent, 7 of fraction.
    BF16,
    /// Signed bytes, without a scale.
    I8,
    /// Unsigned bytes, as packed integers come in safetensors files.
    U8,
    /// Two-byte signed integers, without a scale.
    I16,
    /// Four-byte signed integers, as packed codes come in safetensors files.
    I32,
    /// Eight-byte signed integers.
    I64,
    /// One byte each, 0 or 1.
    Bool,
    /// Blocks of 32, 4.5 bits a weight: 4-bit codes, one f16 scale.
    Q4_0,
    /// Blocks of 32, 5 bits a weight: 4-bit codes, f16 scale and minimum.
    Q4_1,
    /// Blocks of 32, 5.5 bits a weight: 5-bit codes, one f16 scale.
    Q5_0,
    /// Blocks of 32, 6 bits a weight: 5-bit codes, f16 scale and minimum.
    Q5_1,
    /// Blocks of 32, 8.5 bits a weight: signed bytes, one f16 scale.
    Q8_0,
    /// Blocks of 32, 9 bits each: signed bytes, f16 scale and scaled sum; for activations.
    Q8_1,
    /// Blocks of 256, 2.625 bits a weight: 2-bit codes, 4-bit scale and minimum for each 16.
    Q2_K,
    /// Blocks of 256, 3.4375 bits a weight: 3-bit codes, a 6-bit scale for each 16.
    Q3_K,
    /// Blocks of 256, 4.5 bits a weight: 4-bit codes, 6-bit scale and minimum for each 32.
    Q4_K,
    /// Blocks of 256, 5.5 bits a weight: 5-bit codes, 6-bit scale and minimum for each 32.
    Q5_K,
    /// Blocks of 256, 6.5625 bits a weight: 6-bit codes, an 8-bit scale for each 16.
    Q6_K,
    /// Blocks of 256, 9.125 bits each: signed bytes, f32 scale, sums of 16; for activations.
    Q8_K,
    /// Blocks of 32, 4.5 bits a weight: 4-bit indices into a fixed table, one f16 scale.
    IQ4_NL,
}

use Encoding::*;

/// Name, ggml type id (where ggml has one), elements of a block, bytes of a block.
const TABLE: [(Encoding, &str, Option<u32>, usize, usize); 23] = [
    (F64, "F64", Some(28), 1, 8),
    (F32, "F32", Some(0), 1, 4),
    (F16, "F16", Some(1), 1, 2),
    (BF16, "BF16", Some(30), 1, 2),
    (I8, "I8", Some(24), 1, 1),
    (U8, "U8", None, 1, 1),
    (I16, "I16", Some(25), 1, 2),
    (I32, "I32", Some(26), 1, 4),
    (I64, "I64", Some(27), 1, 8),
    (Bool, "BOOL", None, 1, 1),
    (Q4_0, "Q4_0", Some(2), 32, 18),
    (Q4_1, "Q4_1", Some(3), 32, 20),
    (Q5_0, "Q5_0", Some(6), 32, 22),
    (Q5_1, "Q5_1", Some(7), 32, 24),
    (Q8_0, "Q8_0", Some(8), 32, 34),
    (Q8_1, "Q8_1", Some(9), 32, 36),
    (Q2_K, "Q2_K", Some(10), 256, 84),
    (Q3_K, "Q3_K", Some(11), 256, 110),
    (Q4_K, "Q4_K", Some(12), 256, 144),
    (Q5_K, "Q5_K", Some(13), 256, 176),
    (Q6_K, "Q6_K", Some(14), 256, 210),
    (Q8_K, "Q8_K", Some(15), 256, 292),
    (IQ4_NL, "IQ4_NL", Some(20), 32, 18),
];

impl Encoding {
    fn row(self) -> &'static (Encoding, &'static str, Option<u32>, usize, usize) {
        &TABLE[self as usize]
    }

    /// The name as the field writes it: `Q4_0`, `BF16`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The type id in GGUF files, `None` where GGUF has none.
    pub fn ggml_id(self) -> Option<u32> {
        self.row().2
    }

    /// The encoding of a GGUF type id.
    pub fn from_ggml_id(id: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.2 == Some(id)).map(|row| row.0)
    }

    /// The encoding of a name, in any case, with `_` or `-` or nothing between (`q4_0`, `q4k`).
    pub fn from_name(name: &str) -> Option<Self> {
        let plain = |s: &str| s.to_ascii_uppercase().replace(['_', '-'], "");
        TABLE
            .iter()
            .find(|row| plain(row.1) == plain(name))
            .map(|row| row.0)
    }

    /// Elements of one block; 1 for plain numbers.
    pub fn block_len(self) -> usize {
        self.row().3
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        self.row().4
    }

    /// Whether several numbers share a block (and so a scale).
    pub fn is_quantized(self) -> bool {
        self.block_len() > 1
    }

    /// Whether matrices in it can be multiplied: not in what ggml quantizes activations to.
    pub fn is_multiplied(self) -> bool {
        // One row of the longest block.
        product::bytes(Layout::of(self), 1, 256).is_some()
    }

    /// Whether this is a plain float.
    pub fn is_float(self) -> bool {
        matches!(self, F64 | F32 | F16 | BF16)
    }

    /// Bytes of `n` elements, `None` if they do not fill whole blocks or the size overflows.
    pub fn bytes_of(self, n: usize) -> Option<usize> {
        if !n.is_multiple_of(self.block_len()) {
            return None;
        }
        (n / self.block_len()).checked_mul(self.block_bytes())
    }

    /// candle's name for it, `None` where candle has none.
    pub fn to_candle(self) -> Option<GgmlDType> {
        Some(match self {
            F32 => GgmlDType::F32,
            F16 => GgmlDType::F16,
            BF16 => GgmlDType::BF16,
            Q4_0 => GgmlDType::Q4_0,
            Q4_1 => GgmlDType::Q4_1,
            Q5_0 => GgmlDType::Q5_0,
            Q5_1 => GgmlDType::Q5_1,
            Q8_0 => GgmlDType::Q8_0,
            Q8_1 => GgmlDType::Q8_1,
            Q2_K => GgmlDType::Q2K,
            Q3_K => GgmlDType::Q3K,
            Q4_K => GgmlDType::Q4K,
            Q5_K => GgmlDType::Q5K,
            Q6_K => GgmlDType::Q6K,
            Q8_K => GgmlDType::Q8K,
            F64 | I8 | U8 | I16 | I32 | I64 | Bool | IQ4_NL => return None,
        })
    }
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_in_the_order_of_the_enum_and_agrees_with_candle() {
        for (i, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, i, "{}", row.1);
            if let Some(candle) = row.0.to_candle() {
                assert_eq!(candle.block_size(), row.3, "{}", row.1);
                assert_eq!(candle.type_size(), row.4, "{}", row.1);
            }
        }
    }

    #[test]
    fn names_are_read_as_people_type_them() {
        assert_eq!(Encoding::from_name("q4_0"), Some(Q4_0));
        assert_eq!(Encoding::from_name("Q4K"), Some(Q4_K));
        assert_eq!(Encoding::from_name("iq4-nl"), Some(IQ4_NL));
        assert_eq!(Encoding::from_name("q9"), None);
    }

    #[test]
    fn sizes_are_whole_blocks_or_nothing() {
        assert_eq!(Q4_0.bytes_of(64), Some(36));
        assert_eq!(Q4_0.bytes_of(33), None);
        assert_eq!(F64.bytes_of(usize::MAX), None);
    }
}
