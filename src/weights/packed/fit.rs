//! How packed matrices fit the blocks that they may be kept in.

use crate::Result;
use crate::quant::Encoding;
use crate::weights::Weights;

/// The packed matrices of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// How they are packed, for people.
    pub packing: String,
    /// How many there are.
    pub matrices: usize,
    /// How many were looked at: the first, for all are packed alike.
    pub looked_at: usize,
    /// How many of those each kind of block holds bit for bit, the smallest blocks first.
    pub exact: Vec<(Encoding, usize)>,
}

/// A layer has no more matrices than these.
const LOOK_AT: usize = 8;
/// The blocks that integers can fit.
const BLOCKS: [Encoding; 3] = [Encoding::Q4_0, Encoding::Q5_0, Encoding::Q8_0];

impl Fit {
    /// Looks at the first packed matrices of a model; `None` if it has none.
    ///
    /// # Errors
    /// If a matrix cannot be read.
    pub fn of(weights: &Weights) -> Result<Option<Self>> {
        let names = weights.packed();
        let checkpoint = weights.checkpoint();
        let Some(packing) = names.first().and_then(|name| checkpoint.packing(name)) else {
            return Ok(None);
        };
        let mut exact = BLOCKS.map(|encoding| (encoding, 0)).to_vec();
        let looked_at = names.len().min(LOOK_AT);
        for name in &names[..looked_at] {
            for (encoding, n) in &mut exact {
                *n += usize::from(checkpoint.read_blocks(name, *encoding)?.is_some());
            }
            checkpoint.release(name);
        }
        Ok(Some(Self {
            packing: packing.to_string(),
            matrices: names.len(),
            looked_at,
            exact,
        }))
    }

    /// The smallest blocks that held every matrix that was looked at.
    pub fn blocks(&self) -> Option<Encoding> {
        let all = self.exact.iter().find(|(_, n)| *n == self.looked_at);
        all.map(|(encoding, _)| *encoding)
    }
}
