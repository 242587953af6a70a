//! The KV cache: keys and values of the tokens so far, written in place.

mod device;

use candle_core::{DType, Device};
use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

pub use device::DevicePlane;

use crate::arch::Attention;
use crate::quant::Zeros;
use crate::quant::kernels::attention::store::{
    KEY_GROUP, Numbers, Q8_BLOCK, SLACK, q8_blocks, quantize_q8,
};
use crate::{Error, Result};

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheType {
    /// 4 bytes for each number, as computed.
    F32,
    /// 2 bytes for each number; what is beyond 65504 becomes infinite.
    F16,
    /// Bytes, with a scale in f16 for each 32 of a vector (for the rest, where a head is not a
    /// multiple of that). Each number is off by at most 1/254 of its block's largest, and a little
    /// more where f16 does not hold the scale exactly.
    Q8,
}

impl CacheType {
    /// Bytes of a vector of `head_dim` numbers.
    pub fn bytes_of(self, head_dim: usize) -> usize {
        match self {
            Self::F32 => head_dim.saturating_mul(4),
            Self::F16 => head_dim.saturating_mul(2),
            Self::Q8 => head_dim.saturating_add(2 * q8_blocks(head_dim)),
        }
    }
}

/// The caches of all layers.
pub struct Cache {
    /// By layer number; those of the decoder, where there is an encoder too.
    pub layers: Vec<LayerCache>,
    /// What a decoder remembers of its encoder's output.
    pub memory: Option<Memory>,
    len: usize,
    capacity: usize,
}

/// Keys and values of an encoder's output, for each decoder layer.
pub struct Memory {
    /// By the decoder's layer number.
    pub layers: Vec<LayerCache>,
    /// Tokens that the encoder has read.
    pub len: usize,
}

/// One layer's keys and values.
pub enum LayerCache {
    /// In host memory, read by our attention.
    Host {
        /// As RoPE turned them.
        keys: Plane,
        /// Never turned.
        values: Plane,
    },
    /// On a GPU, read by tensor operations.
    Device {
        /// As RoPE turned them.
        keys: DevicePlane,
        /// Never turned.
        values: DevicePlane,
    },
}

/// Vectors of `head_dim` numbers for `kv_heads` heads and `capacity` positions, in the order of
/// [`crate::quant::kernels::attention::store`]. The memory is reserved at once and taken from the
/// system as it fills.
pub struct Plane {
    store: Store,
    order: Order,
    capacity: usize,
    head_dim: usize,
}

/// In which order a plane's numbers lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Groups of positions, the positions of a dimension side by side.
    Keys,
    /// One position after another.
    Values,
}

enum Store {
    F32(Zeros<f32>),
    /// The bits of f16.
    F16(Zeros<u16>),
    Q8(Zeros<i8>, Zeros<u16>),
}

impl Plane {
    fn new(
        kind: CacheType,
        order: Order,
        [kv_heads, capacity, head_dim]: [usize; 3],
    ) -> Result<Self> {
        let positions = match order {
            Order::Keys => capacity.checked_next_multiple_of(KEY_GROUP),
            Order::Values => Some(capacity),
        };
        // Sizes too large to count are too large to have.
        let vectors = positions
            .and_then(|n| n.checked_mul(kv_heads))
            .unwrap_or(usize::MAX);
        let n = vectors.saturating_mul(head_dim).saturating_add(SLACK);
        let store = || -> Result<Store> {
            Ok(match kind {
                CacheType::F32 => Store::F32(Zeros::new(n)?),
                CacheType::F16 => Store::F16(Zeros::new(n)?),
                CacheType::Q8 => Store::Q8(
                    Zeros::new(n)?,
                    Zeros::new(vectors.saturating_mul(q8_blocks(head_dim)))?,
                ),
            })
        };
        Ok(Self {
            store: store().map_err(|e| no_memory(capacity, e))?,
            order,
            capacity,
            head_dim,
        })
    }

    /// Positions that each head has room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// All numbers.
    pub fn numbers(&self) -> Numbers<'_> {
        match &self.store {
            Store::F32(v) => Numbers::F32(v),
            Store::F16(v) => Numbers::F16(v),
            Store::Q8(codes, scales) => Numbers::Q8(codes, scales),
        }
    }

    /// Writes one token's vector of one head.
    ///
    /// # Panics
    /// If the position is beyond the capacity or the vector not of the head's size.
    pub fn write(&mut self, head: usize, position: usize, vector: &[f32]) {
        let dim = self.head_dim;
        assert!(position < self.capacity && vector.len() == dim);
        let place = match self.order {
            Order::Keys => {
                let groups = self.capacity.div_ceil(KEY_GROUP);
                Place {
                    vector: (head * groups + position / KEY_GROUP) * KEY_GROUP,
                    offset: position % KEY_GROUP,
                    step: KEY_GROUP,
                }
            }
            Order::Values => Place {
                vector: head * self.capacity + position,
                offset: 0,
                step: 1,
            },
        };
        match &mut self.store {
            Store::F32(v) => place.put(vector, v, dim),
            Store::F16(v) => {
                let mut half = [0u16; 64];
                for (i, part) in vector.chunks(64).enumerate() {
                    let half = &mut half[..part.len()];
                    half.reinterpret_cast_mut::<f16>()
                        .convert_from_f32_slice(part);
                    place.put(half, &mut v[i * 64 * place.step..], dim);
                }
            }
            Store::Q8(codes, scales) => {
                let mut block = [0i8; Q8_BLOCK];
                for (i, part) in vector.chunks(Q8_BLOCK).enumerate() {
                    let block = &mut block[..part.len()];
                    let scale = quantize_q8(part, block);
                    place.put(block, &mut codes[i * Q8_BLOCK * place.step..], dim);
                    place.put(&[scale], &mut scales[i * place.step..], q8_blocks(dim));
                }
            }
        }
    }
}

/// The error of there being no room for so many tokens.
fn no_memory(tokens: usize, cause: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!(
        "no memory for a context of {tokens} tokens ({cause}); lower --ctx-size"
    ))
}

/// Where a vector's numbers are.
#[derive(Clone, Copy)]
struct Place {
    /// Vectors before it, or before its group.
    vector: usize,
    /// Numbers between there and its first.
    offset: usize,
    /// From one number to the next.
    step: usize,
}

impl Place {
    /// Puts numbers of a vector that has `size` of them.
    fn put<T: Copy>(self, from: &[T], to: &mut [T], size: usize) {
        let to = &mut to[self.vector * size + self.offset..];
        for (to, from) in to.iter_mut().step_by(self.step).zip(from) {
            *to = *from;
        }
    }
}

impl LayerCache {
    /// Room for `[kv_heads, capacity, head_dim]`.
    ///
    /// # Errors
    /// If there is no memory, or the device has no such type.
    pub fn new(kind: CacheType, shape: [usize; 3], device: &Device) -> Result<Self> {
        if device.is_cpu() {
            return Ok(Self::Host {
                keys: Plane::new(kind, Order::Keys, shape)?,
                values: Plane::new(kind, Order::Values, shape)?,
            });
        }
        let dtype = match kind {
            CacheType::F32 => DType::F32,
            CacheType::F16 => DType::F16,
            CacheType::Q8 => {
                return Err(Error::Unsupported(
                    "--cache-type q8_0 is for the CPU; on a GPU take f16".to_string(),
                ));
            }
        };
        Ok(Self::Device {
            keys: DevicePlane::new(dtype, shape, device)?,
            values: DevicePlane::new(dtype, shape, device)?,
        })
    }
}

impl Cache {
    /// Room for `capacity` tokens in each of `n_layers` layers.
    ///
    /// # Errors
    /// As [`LayerCache::new`].
    pub fn new(
        kind: CacheType,
        attention: &Attention,
        n_layers: usize,
        capacity: usize,
        device: &Device,
    ) -> Result<Self> {
        let shape = [attention.kv_heads, capacity, attention.head_dim];
        let layer = || LayerCache::new(kind, shape, device);
        Ok(Self {
            layers: (0..n_layers).map(|_| layer()).collect::<Result<_>>()?,
            memory: None,
            len: 0,
            capacity,
        })
    }

    /// Tokens so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been run yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Checks that `more` tokens fit.
    ///
    /// # Errors
    /// [`Error::ContextFull`] if they do not.
    pub fn reserve(&self, more: usize) -> Result<()> {
        match self.len + more {
            needed if needed > self.capacity => Err(Error::ContextFull {
                needed,
                limit: self.capacity,
            }),
            _ => Ok(()),
        }
    }

    /// Counts `more` tokens, whose keys and values every layer has written.
    pub fn advance(&mut self, more: usize) {
        self.len += more;
    }
}
