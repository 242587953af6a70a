//! Checkpoints that are published without a configuration: what their tensors tell of it.

use serde_json::{Map, Value};

use super::{Shapes, glm130b, palm};

/// The configuration that `shapes`, a checkpoint's tensors, amount to; `None` if they are not
/// those of a family that comes without one.
pub fn configuration(shapes: &Shapes) -> Option<Map<String, Value>> {
    [palm::bare, glm130b::bare]
        .iter()
        .find_map(|of_family| of_family(shapes))
}

/// How many layers there are, whose names begin with `prefix` and a number.
pub(super) fn layers(shapes: &Shapes, prefix: &str) -> usize {
    let number = |name: &String| {
        let rest = name.strip_prefix(prefix)?;
        rest.split('.').next()?.parse::<usize>().ok()
    };
    let numbers: std::collections::BTreeSet<usize> = shapes.keys().filter_map(number).collect();
    numbers.len()
}
