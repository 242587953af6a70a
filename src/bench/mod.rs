//! Measuring: speed, perplexity, memory, and what the machine could do at best.

mod floors;
mod likelihood;
mod mean;
pub mod memory;
mod perplexity;
mod ratio;
mod speed;
mod windows;

pub use floors::Floors;
pub use likelihood::LogSoftmax;
pub use mean::Mean;
pub use perplexity::{Comparison, Perplexity, Reader};
pub use ratio::Ratio;
pub use speed::{Load, Samples, Speed};
pub use windows::{Window, Windows};
