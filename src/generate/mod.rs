//! The token loop: a [`Session`] over a model and its cache, sampling and stopping.

mod conclusion;
mod cot;
mod defaults;
mod infill;
mod sampler;
mod session;

pub use conclusion::{answer_in, conclusion, majority};
pub use cot::{Cot, Language};
pub use defaults::{Defaults, WICK_GENERATION};
pub use infill::{Filled, infill};
pub use sampler::{Sampler, Sampling};
pub use session::{FinishReason, Limits, Session, SessionOptions};
