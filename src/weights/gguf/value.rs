//! The values of GGUF's metadata and their types.

use std::fmt;

use super::json::value_to_json;

/// One metadata value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Unsigned, 1 byte.
    U8(u8),
    /// Signed, 1 byte.
    I8(i8),
    /// Unsigned, 2 bytes.
    U16(u16),
    /// Signed, 2 bytes.
    I16(i16),
    /// Unsigned, 4 bytes: the usual type of sizes and token ids.
    U32(u32),
    /// Signed, 4 bytes.
    I32(i32),
    /// Single precision: the usual type of constants.
    F32(f32),
    /// 1 byte; all but 0 is true.
    Bool(bool),
    /// UTF-8 after its length; bytes that are none are read as U+FFFD.
    String(String),
    /// Elements of one type.
    Array(Array),
    /// Unsigned, 8 bytes.
    U64(u64),
    /// Signed, 8 bytes.
    I64(i64),
    /// Double precision.
    F64(f64),
}

/// A metadata array; the types that vocabularies use are kept flat.
#[derive(Debug, Clone, PartialEq)]
pub enum Array {
    /// `tokenizer.ggml.tokens` and `merges`.
    Strings(Vec<String>),
    /// `tokenizer.ggml.scores`.
    F32(Vec<f32>),
    /// `tokenizer.ggml.token_type`.
    I32(Vec<i32>),
    /// The same, where a writer took unsigned numbers.
    U32(Vec<u32>),
    /// `tokenizer.ggml.precompiled_charsmap`, and whole files that wick carries along.
    U8(Vec<u8>),
    /// Any other element type.
    Other(Vec<Value>),
}

/// The type of a value, with its number in files; for each, its name in the specification's
/// `enum gguf_metadata_value_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// `GGUF_METADATA_VALUE_TYPE_UINT8`.
    U8 = 0,
    /// `GGUF_METADATA_VALUE_TYPE_INT8`.
    I8 = 1,
    /// `GGUF_METADATA_VALUE_TYPE_UINT16`.
    U16 = 2,
    /// `GGUF_METADATA_VALUE_TYPE_INT16`.
    I16 = 3,
    /// `GGUF_METADATA_VALUE_TYPE_UINT32`.
    U32 = 4,
    /// `GGUF_METADATA_VALUE_TYPE_INT32`.
    I32 = 5,
    /// `GGUF_METADATA_VALUE_TYPE_FLOAT32`.
    F32 = 6,
    /// `GGUF_METADATA_VALUE_TYPE_BOOL`.
    Bool = 7,
    /// `GGUF_METADATA_VALUE_TYPE_STRING`.
    String = 8,
    /// `GGUF_METADATA_VALUE_TYPE_ARRAY`.
    Array = 9,
    /// `GGUF_METADATA_VALUE_TYPE_UINT64`.
    U64 = 10,
    /// `GGUF_METADATA_VALUE_TYPE_INT64`.
    I64 = 11,
    /// `GGUF_METADATA_VALUE_TYPE_FLOAT64`.
    F64 = 12,
}

/// Every type and its name, in the order of the numbers.
const TYPES: [(ValueType, &str); 13] = [
    (ValueType::U8, "u8"),
    (ValueType::I8, "i8"),
    (ValueType::U16, "u16"),
    (ValueType::I16, "i16"),
    (ValueType::U32, "u32"),
    (ValueType::I32, "i32"),
    (ValueType::F32, "f32"),
    (ValueType::Bool, "bool"),
    (ValueType::String, "string"),
    (ValueType::Array, "array"),
    (ValueType::U64, "u64"),
    (ValueType::I64, "i64"),
    (ValueType::F64, "f64"),
];

impl ValueType {
    /// The type of a number, `None` if there is none.
    pub fn from_id(id: u32) -> Option<Self> {
        TYPES.get(id as usize).map(|row| row.0)
    }

    /// Its number.
    pub fn id(self) -> u32 {
        self as u32
    }

    /// Bytes of a value in the file; `None` for texts and arrays, which have a length of their own.
    pub fn bytes(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::String | Self::Array => None,
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TYPES[*self as usize].1)
    }
}

impl Value {
    /// Its type.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::String(_) => ValueType::String,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// What it is, for messages.
    pub(super) fn brief(&self) -> String {
        match self {
            Self::String(_) => "a string".to_string(),
            Self::Array(array) => format!("an array of {}", array.element_type()),
            number => format!("{} {}", number.value_type(), value_to_json(number)),
        }
    }

    /// An unsigned number, from any integer type that holds one.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Value::U8(v) => Some(v.into()),
            Value::U16(v) => Some(v.into()),
            Value::U32(v) => Some(v.into()),
            Value::U64(v) => Some(v),
            Value::I8(v) => v.try_into().ok(),
            Value::I16(v) => v.try_into().ok(),
            Value::I32(v) => v.try_into().ok(),
            Value::I64(v) => v.try_into().ok(),
            _ => None,
        }
    }

    /// A float, from either width.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Value::F32(v) => Some(v.into()),
            Value::F64(v) => Some(v),
            _ => None,
        }
    }

    /// A truth value; no number counts as one.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Value::Bool(v) => Some(v),
            _ => None,
        }
    }

    /// A text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(v) => Some(v),
            _ => None,
        }
    }
}

impl Array {
    /// The type of its elements; that of bytes where an array of rarer ones is empty.
    pub fn element_type(&self) -> ValueType {
        match self {
            Self::Strings(_) => ValueType::String,
            Self::F32(_) => ValueType::F32,
            Self::I32(_) => ValueType::I32,
            Self::U32(_) => ValueType::U32,
            Self::U8(_) => ValueType::U8,
            Self::Other(values) => values.first().map_or(ValueType::U8, Value::value_type),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_stand_in_the_order_of_their_numbers() {
        for (id, (kind, name)) in (0u32..).zip(TYPES) {
            assert_eq!(kind.id(), id, "{name}");
            assert_eq!(ValueType::from_id(id), Some(kind));
        }
        assert_eq!(ValueType::from_id(13), None);
        assert_eq!(ValueType::from_id(u32::MAX), None);
    }
}
