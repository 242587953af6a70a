//! Every intermediate has a name (`blk.3.attn_out`); a trace keeps them, so that finding where
//! two implementations part is a diff.

use std::collections::BTreeMap;
use std::sync::Mutex;

use candle_core::{D, Tensor};

use crate::Result;

/// The named intermediates of a run, concatenated over its steps along the tokens.
#[derive(Debug, Default)]
pub struct Trace {
    tensors: Mutex<BTreeMap<String, Tensor>>,
}

impl Trace {
    /// Adds `[T, …]` rows under `name`.
    ///
    /// # Errors
    /// If the rows are not as wide as those that `name` has, or are a vector.
    pub fn add(&self, name: String, rows: &Tensor) -> Result<()> {
        let mut tensors = self.tensors.lock().unwrap_or_else(|e| e.into_inner());
        let rows = match rows.rank() {
            2 => rows.clone(),
            _ => rows.flatten(1, D::Minus1)?,
        };
        let all = match tensors.get(&name) {
            None => rows,
            Some(before) => Tensor::cat(&[before, &rows], 0)?,
        };
        tensors.insert(name, all);
        Ok(())
    }

    /// The tensors so far, by name.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.tensors
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .clone()
    }
}
