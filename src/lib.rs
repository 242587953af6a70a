//! wick: chat and generate with the open large-language-model families.
//!
//! The library is one readable engine: [`arch`] declares families as data, [`weights`] reads any
//! checkpoint into canonical tensor names, [`nn`] and [`model`] run every declaration with one
//! forward pass, [`quant`] holds INT4/INT8 blocks and their kernels, [`text`] the tokenizers and
//! chat formats, [`generate`] the token loop, [`hub`] finds and fetches models, and [`cli`] is
//! what a user types; [`demo`] is the small model that the binary carries.

pub mod arch;
pub mod bench;
pub mod cli;
pub mod demo;
pub mod error;
mod files;
pub mod generate;
pub mod hub;
pub mod load;
pub mod memory;
pub mod model;
pub mod nn;
pub mod quant;
pub mod quantize;
pub mod text;
pub mod weights;

pub use error::{Error, Result};
