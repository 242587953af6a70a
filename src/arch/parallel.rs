//! Checkpoints that were saved by several processes, each with its part of every matrix (tensor
//! parallelism): how the parts are called and how they go together.

use super::{Shapes, glm130b, llama_meta};

/// How the parts of one tensor make up the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Every process holds all of it.
    Copies,
    /// Rows follow each other; of a vector, its numbers.
    Rows,
    /// Each row is cut into parts.
    Columns,
    /// Each part holds its share of a first half of the rows and of a second.
    Halves,
}

/// A family's way of saving one file for each process.
pub struct ParallelFiles {
    /// The files' names, with `{}` for the process's number.
    pub pattern: &'static str,
    /// How a tensor's parts go together, by its name and the shapes in one file.
    pub join: fn(&str, &Shapes) -> Join,
}

/// Every such way.
pub const PARALLEL_FILES: &[&ParallelFiles] = &[&llama_meta::FILES, &glm130b::FILES];
