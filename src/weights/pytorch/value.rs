//! What a restricted pickle can hold: plain data, storages and tensors. Values live in an arena
//! and refer to each other by index, so that cycles and deep nesting cost nothing.

use crate::quant::Encoding;

/// A value's place in the arena.
pub(super) type Id = usize;

/// One unpickled value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i128),
    Float,
    Str(&'a str),
    Bytes,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// In the order of insertion; of equal keys the last counts.
    Dict(Vec<(Id, Id)>),
    Set,
    Global(Global),
    Storage(Box<Storage<'a>>),
    Tensor(Box<View<'a>>),
}

/// The names that a checkpoint may refer to; calling anything else is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch.Size`
    Size,
    /// `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v3`: the element type stands beside an untyped storage
    RebuildTensorTyped,
    /// `torch._utils._rebuild_parameter`
    RebuildParameter,
    /// `torch.FloatStorage` and its like
    StorageType(Encoding),
    /// `torch.storage.UntypedStorage`
    UntypedStorage,
    /// `torch.float32` and its like
    DType(Encoding),
}

impl Global {
    /// The global of a module's name, if it is one that rebuilds tensors.
    pub fn find(module: &str, name: &str) -> Option<Self> {
        use Encoding::*;
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch", "Size") => Self::Size,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v3") => Self::RebuildTensorTyped,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch.storage", "UntypedStorage") => Self::UntypedStorage,
            ("torch", "DoubleStorage") => Self::StorageType(F64),
            ("torch", "FloatStorage") => Self::StorageType(F32),
            ("torch", "HalfStorage") => Self::StorageType(F16),
            ("torch", "BFloat16Storage") => Self::StorageType(BF16),
            ("torch", "LongStorage") => Self::StorageType(I64),
            ("torch", "IntStorage") => Self::StorageType(I32),
            ("torch", "ShortStorage") => Self::StorageType(I16),
            ("torch", "CharStorage") => Self::StorageType(I8),
            ("torch", "ByteStorage") => Self::StorageType(U8),
            ("torch", "BoolStorage") => Self::StorageType(Bool),
            ("torch", "float64") => Self::DType(F64),
            ("torch", "float32") => Self::DType(F32),
            ("torch", "float16") => Self::DType(F16),
            ("torch", "bfloat16") => Self::DType(BF16),
            ("torch", "int64") => Self::DType(I64),
            ("torch", "int32") => Self::DType(I32),
            ("torch", "int16") => Self::DType(I16),
            ("torch", "int8") => Self::DType(I8),
            ("torch", "uint8") => Self::DType(U8),
            ("torch", "bool") => Self::DType(Bool),
            _ => return None,
        })
    }
}

/// A piece of a storage that a persistent id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    pub key: &'a str,
    /// `U8` for untyped ones.
    pub encoding: Encoding,
    /// First element, for views of another storage (legacy files).
    pub offset: usize,
}

/// A tensor: a strided view of a storage. `offset` and `strides` count elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View<'a> {
    pub key: &'a str,
    pub encoding: Encoding,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}
