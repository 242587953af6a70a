//! The parts of a transformer, each reading its column of [`crate::arch::Spec`]. No family's name
//! appears here.

mod activation;
pub mod attention;
mod block;
mod builder;
mod cache;
mod embedding;
mod experts;
mod host;
mod linear;
mod mlp;
mod norm;
mod plan;
mod rotary;
mod trace;

pub use block::{Block, Over, Site};
pub use builder::{Builder, Storage};
pub use cache::{Cache, CacheType, LayerCache, Memory};
pub use embedding::Embedding;
pub use linear::Linear;
pub use norm::Norm;
pub use plan::{Plan, Step};
pub use rotary::{Rotary, RotaryTable, Side};
pub use trace::Trace;
