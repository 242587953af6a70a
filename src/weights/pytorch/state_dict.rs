//! From the objects of a pickle to named tensors.

use std::collections::BTreeMap;
use std::path::Path;

use super::unpickle::Pickle;
use super::value::{Id, Value, View};
use crate::quant::Encoding;
use crate::weights::TensorInfo;
use crate::{Error, Result};

/// Keys under which training code wraps the state dict.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "module"];
/// Wrappers in wrappers.
const MAX_WRAPPERS: usize = 4;
/// Real names have tens of bytes.
const MAX_NAME: usize = 1024;

/// Members of one list.
const MAX_MEMBERS: usize = 64;
/// Lists in lists.
const MAX_DEPTH: usize = 4;
/// What the members of all lists may take together, about, in bytes: a list that stands in the file
/// once is copied wherever it is mentioned.
const MAX_LISTED: usize = 16 << 20;
/// What a member takes besides its name and its data.
const MEMBER: usize = 64;

/// What stands under a name.
pub(super) enum Entry<'p, 'a> {
    Tensor(&'p View<'a>),
    /// Plain data of a list: what it is and its bytes.
    Plain(TensorInfo, Vec<u8>),
}

/// The named tensors of a checkpoint's root object. An entry that is a list is given as its
/// members, `NAME.0`, `NAME.1` …: tensors as they are, whole numbers and tuples of them as i64,
/// text as bytes; `None` and element types are left out.
///
/// # Errors
/// If the root is not a dict, or an entry is not a tensor: such a checkpoint says more than this
/// reader understands.
pub(super) fn state_dict<'p, 'a>(
    path: &'p Path,
    pickle: &'p Pickle<'a>,
) -> Result<BTreeMap<String, Entry<'p, 'a>>> {
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
    let mut reader = Reader {
        path,
        pickle,
        out: BTreeMap::new(),
        listed: 0,
    };
    for (name, id) in dict {
        if name.is_empty() || name.len() > MAX_NAME || name.contains(char::is_control) {
            return Err(Error::format(
                path,
                format!("{:?}… is not a tensor's name", brief(name)),
            ));
        }
        match &pickle.values[id] {
            Value::List(members) | Value::Tuple(members) => reader.members(name, members, 0)?,
            Value::Tensor(view) => reader.insert(name.to_string(), Entry::Tensor(view))?,
            other => return Err(reader.not_a_tensor(name, other)),
        }
    }
    Ok(reader.out)
}

struct Reader<'p, 'a> {
    path: &'p Path,
    pickle: &'p Pickle<'a>,
    out: BTreeMap<String, Entry<'p, 'a>>,
    /// What counts towards [`MAX_LISTED`].
    listed: usize,
}

impl<'p, 'a> Reader<'p, 'a> {
    fn not_a_tensor(&self, name: &str, value: &Value<'_>) -> Error {
        Error::format(
            self.path,
            format!(
                "entry {name:?} is {}, not a tensor; convert the checkpoint to safetensors",
                kind(value)
            ),
        )
    }

    fn insert(&mut self, name: String, entry: Entry<'p, 'a>) -> Result<()> {
        match self.out.insert(name.clone(), entry) {
            None => Ok(()),
            Some(_) => Err(Error::tensor(self.path, &name, "stands there twice")),
        }
    }

    /// Counts what is about to be kept of a list called `name`.
    fn count(&mut self, name: &str, bytes: usize) -> Result<()> {
        self.listed = self.listed.saturating_add(bytes);
        match self.listed > MAX_LISTED {
            true => Err(self.too_long(name)),
            false => Ok(()),
        }
    }

    fn too_long(&self, name: &str) -> Error {
        let name = brief(name);
        let message = format!("entry {name:?} is a list too long or too deep for a tensor's");
        Error::format(self.path, message)
    }

    /// The members of a list called `name`, which is in `depth` others.
    fn members(&mut self, name: &str, members: &'p [Id], depth: usize) -> Result<()> {
        if members.len() > MAX_MEMBERS || depth == MAX_DEPTH {
            return Err(self.too_long(name));
        }
        self.count(name, members.len() * (MEMBER + name.len()))?;
        for (i, &id) in members.iter().enumerate() {
            let name = format!("{name}.{i}");
            let value = &self.pickle.values[id];
            let entry = match value {
                Value::None | Value::Global(_) => continue,
                Value::Tensor(view) => Entry::Tensor(view),
                Value::Bool(b) => plain(&name, Encoding::Bool, vec![], vec![u8::from(*b)]),
                Value::Str(text) => {
                    self.count(&name, text.len())?;
                    let bytes = text.as_bytes().to_vec();
                    plain(&name, Encoding::U8, vec![text.len()], bytes)
                }
                Value::Int(_) => match self.whole_numbers(&[id]) {
                    Some(bytes) => plain(&name, Encoding::I64, vec![], bytes),
                    None => return Err(self.not_a_tensor(&name, value)),
                },
                Value::List(inner) | Value::Tuple(inner) => match self.whole_numbers(inner) {
                    Some(bytes) => {
                        self.count(&name, bytes.len())?;
                        plain(&name, Encoding::I64, vec![inner.len()], bytes)
                    }
                    None => {
                        self.members(&name, inner, depth + 1)?;
                        continue;
                    }
                },
                other => return Err(self.not_a_tensor(&name, other)),
            };
            self.insert(name, entry)?;
        }
        Ok(())
    }

    /// The bytes of values that are all whole numbers, and at least one.
    fn whole_numbers(&self, ids: &[Id]) -> Option<Vec<u8>> {
        if ids.is_empty() || ids.len() > MAX_MEMBERS {
            return None;
        }
        let number = |&id: &Id| match self.pickle.values[id] {
            Value::Int(n) => Some(i64::try_from(n).ok()?.to_le_bytes()),
            _ => None,
        };
        let numbers: Option<Vec<[u8; 8]>> = ids.iter().map(number).collect();
        Some(numbers?.concat())
    }
}

fn plain<'p, 'a>(
    name: &str,
    encoding: Encoding,
    shape: Vec<usize>,
    bytes: Vec<u8>,
) -> Entry<'p, 'a> {
    let info = TensorInfo {
        name: name.to_string(),
        encoding,
        shape,
        bytes: bytes.len(),
    };
    Entry::Plain(info, bytes)
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
