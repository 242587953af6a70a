//! Measuring: speed, memory, and what the machine could do at best.

mod bandwidth;
pub mod memory;
mod speed;

pub use bandwidth::read_bandwidth;
pub use speed::{Load, Samples, measure};
