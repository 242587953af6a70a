//! The token loop: a [`Session`] over a model and its cache, sampling and stopping.

mod conclusion;
mod cot;
mod defaults;
mod draft;
mod infill;
mod limits;
mod sampler;
mod session;
#[cfg(test)]
mod tests;

pub use conclusion::{answer_in, conclusion, majority};
pub use cot::{Cot, Language};
pub use defaults::{Defaults, WICK_GENERATION};
pub use draft::{Draft, DraftCount};
pub use infill::{Filled, infill};
pub use limits::{FinishReason, Limits};
pub use sampler::{Sampler, Sampling};
pub use session::{Session, SessionOptions};
