//! From the objects of a pickle to named tensors.

use std::collections::BTreeMap;
use std::path::Path;

use super::unpickle::Pickle;
use super::value::{Id, Value, View};
use crate::{Error, Result};

/// Keys under which training code wraps the state dict.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "module"];
/// Wrappers in wrappers.
const MAX_WRAPPERS: usize = 4;
/// Real names have tens of bytes.
const MAX_NAME: usize = 1024;

/// The named tensors of a checkpoint's root object.
///
/// # Errors
/// If the root is not a dict, or an entry is not a tensor: such a checkpoint says more than this
/// reader understands.
pub(super) fn state_dict<'p, 'a>(
    path: &Path,
    pickle: &'p Pickle<'a>,
) -> Result<BTreeMap<&'a str, &'p View<'a>>> {
    let mut dict = entries(path, pickle, pickle.root)?;
    for depth in 0.. {
        let inner = WRAPPERS.iter().find_map(|key| {
            let &id = dict.get(key)?;
            matches!(pickle.values[id], Value::Dict(_)).then_some(id)
        });
        match inner {
            Some(_) if depth == MAX_WRAPPERS => {
                return Err(Error::format(path, "dicts in dicts without an end"));
            }
            Some(id) => dict = entries(path, pickle, id)?,
            None => break,
        }
    }
    let tensors = dict.into_iter().map(|(name, id)| {
        if name.is_empty() || name.len() > MAX_NAME || name.contains(char::is_control) {
            return Err(Error::format(
                path,
                format!("{:?}… is not a tensor's name", brief(name)),
            ));
        }
        match &pickle.values[id] {
            Value::Tensor(view) => Ok((name, &**view)),
            other => Err(Error::format(
                path,
                format!(
                    "entry {name:?} is {}, not a tensor; convert the checkpoint to safetensors",
                    kind(other)
                ),
            )),
        }
    });
    tensors.collect()
}

fn entries<'a>(path: &Path, pickle: &Pickle<'a>, id: Id) -> Result<BTreeMap<&'a str, Id>> {
    let Value::Dict(pairs) = &pickle.values[id] else {
        return Err(Error::format(
            path,
            format!(
                "holds {}, a dict of tensors is wanted",
                kind(&pickle.values[id])
            ),
        ));
    };
    let entries = pairs.iter().map(|&(key, value)| match pickle.values[key] {
        Value::Str(name) => Ok((name, value)),
        ref other => Err(Error::format(
            path,
            format!("a key of the state dict is {}, not a name", kind(other)),
        )),
    });
    entries.collect()
}

fn brief(name: &str) -> String {
    name.chars().take(60).collect()
}

fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::None => "None",
        Value::Bool(_) => "a boolean",
        Value::Int(_) => "a whole number",
        Value::Float => "a number",
        Value::Str(_) => "text",
        Value::Bytes => "bytes",
        Value::Tuple(_) => "a tuple",
        Value::List(_) => "a list",
        Value::Dict(_) => "a dict",
        Value::Set => "a set",
        Value::Global(_) => "a type",
        Value::Storage(_) => "a bare storage",
        Value::Tensor(_) => "a tensor",
    }
}
