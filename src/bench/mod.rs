//! Measuring: speed, memory, and what the machine could do at best.

mod floors;
pub mod memory;
mod ratio;
mod speed;

pub use floors::Floors;
pub use ratio::Ratio;
pub use speed::{Load, Samples, Speed};
