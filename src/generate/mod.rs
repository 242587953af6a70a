//! The token loop: a [`Session`] over a model and its cache, sampling and stopping.

mod cot;
mod defaults;
mod infill;
mod sampler;
mod session;

pub use cot::{Cot, Language, answer_in, conclusion, majority};
pub use defaults::Defaults;
pub use infill::{Filled, infill};
pub use sampler::{Sampler, Sampling};
pub use session::{FinishReason, Limits, Session, SessionOptions};
