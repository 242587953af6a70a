//! The KV cache: keys and values of the tokens so far, written in place.

use candle_core::{DType, Device, Tensor};
use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

use crate::arch::Attention;
use crate::{Error, Result};

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheType {
    F32,
    F16,
}

impl CacheType {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// The caches of all layers.
pub struct Cache {
    pub layers: Vec<LayerCache>,
    /// What a decoder remembers of its encoder's output.
    pub memory: Option<Memory>,
    len: usize,
    capacity: usize,
}

/// Keys and values of an encoder's output, for each decoder layer.
pub struct Memory {
    pub layers: Vec<LayerCache>,
    pub len: usize,
}

/// One layer's keys and values.
pub enum LayerCache {
    /// In host memory, read by our attention.
    Host { keys: Plane, values: Plane },
    /// On a GPU: `[kv_heads, capacity, head_dim]` each.
    Device { keys: Tensor, values: Tensor },
}

/// Vectors of `head_dim` numbers, laid out `[kv_heads, capacity, head_dim]`. The memory is
/// reserved at once and taken from the system as it fills.
pub struct Plane {
    store: Store,
    capacity: usize,
    head_dim: usize,
}

enum Store {
    F32(Vec<f32>),
    /// The bits of f16: zeroed integers cost nothing until they are written.
    F16(Vec<u16>),
}

impl Plane {
    fn new(kind: CacheType, kv_heads: usize, capacity: usize, head_dim: usize) -> Result<Self> {
        let n = kv_heads * capacity * head_dim;
        let refused = |e: std::collections::TryReserveError| {
            Error::Unsupported(format!(
                "no memory for a context of {capacity} tokens ({e}); lower --ctx-size"
            ))
        };
        // Ask first, so that an absurd size is an error rather than an abort.
        Vec::<u8>::new()
            .try_reserve_exact(n.saturating_mul(kind.bytes()))
            .map_err(refused)?;
        let store = match kind {
            CacheType::F32 => Store::F32(vec![0.0; n]),
            CacheType::F16 => Store::F16(vec![0; n]),
        };
        Ok(Self {
            store,
            capacity,
            head_dim,
        })
    }

    /// Writes one token's vector of one head.
    pub fn write(&mut self, head: usize, position: usize, vector: &[f32]) {
        let at = (head * self.capacity + position) * self.head_dim;
        match &mut self.store {
            Store::F32(v) => v[at..at + self.head_dim].copy_from_slice(vector),
            Store::F16(v) => v[at..at + self.head_dim]
                .reinterpret_cast_mut::<f16>()
                .convert_from_f32_slice(vector),
        }
    }

    /// One head's vectors at `begin..end` as f32, converted into `scratch` if need be.
    pub fn read<'a>(
        &'a self,
        head: usize,
        begin: usize,
        end: usize,
        scratch: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let base = head * self.capacity;
        let range = (base + begin) * self.head_dim..(base + end) * self.head_dim;
        match &self.store {
            Store::F32(v) => &v[range],
            Store::F16(v) => {
                scratch.resize(range.len(), 0.0);
                v[range]
                    .reinterpret_cast::<f16>()
                    .convert_to_f32_slice(scratch);
                scratch
            }
        }
    }
}

impl LayerCache {
    /// Room for `[kv_heads, capacity, head_dim]`.
    pub fn new(
        kind: CacheType,
        [heads, capacity, dim]: [usize; 3],
        device: &Device,
    ) -> Result<Self> {
        if device.is_cpu() {
            return Ok(Self::Host {
                keys: Plane::new(kind, heads, capacity, dim)?,
                values: Plane::new(kind, heads, capacity, dim)?,
            });
        }
        let dtype = match kind {
            CacheType::F32 => DType::F32,
            CacheType::F16 => DType::F16,
        };
        Ok(Self::Device {
            keys: Tensor::zeros((heads, capacity, dim), dtype, device)?,
            values: Tensor::zeros((heads, capacity, dim), dtype, device)?,
        })
    }
}

impl Cache {
    /// Room for `capacity` tokens in each of `n_layers` layers.
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
