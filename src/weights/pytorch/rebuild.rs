//! The calls that a checkpoint may make, and the storages that it names. Argument lists are those
//! of `torch/_utils.py` and of `persistent_id` in `torch/serialization.py`.

use super::unpickle::Machine;
use super::value::{Global, Id, Storage, Value, View};
use crate::Result;

/// No call that is known has as many arguments.
const MAX_ARGS: usize = 16;
/// What a tensor counts: its shape and strides.
const TENSOR_COST: usize = 8;
/// As many dimensions as a tensor may have.
const MAX_DIMS: usize = 8;

impl<'a> Machine<'a> {
    /// `callee(*args)`.
    pub(super) fn call(&mut self, callee: Id, args: Id) -> Result<Id> {
        let Value::Tuple(args) = &self.values[args] else {
            return Err(self.error("a call whose arguments are not a tuple"));
        };
        if args.len() > MAX_ARGS {
            return Err(self.error(format!("a call with {} arguments", args.len())));
        }
        let args = args.clone();
        let Value::Global(global) = self.values[callee] else {
            return Err(self.error("a call of something that is not a function"));
        };
        let value = match (global, args.as_slice()) {
            (Global::OrderedDict, []) => Value::Dict(Vec::new()),
            (Global::OrderedDict, &[items]) => self.dict_of(items)?,
            (Global::Size, []) => Value::Tuple(Vec::new()),
            (Global::Size, &[items]) => {
                self.sizes(items)?;
                return Ok(items);
            }
            (Global::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                self.view(storage, offset, shape, strides)?
            }
            (
                Global::RebuildTensorTyped,
                &[storage, offset, shape, strides, _grad, _hooks, dtype, ..],
            ) => match (
                self.view(storage, offset, shape, strides)?,
                &self.values[dtype],
            ) {
                (Value::Tensor(view), &Value::Global(Global::DType(encoding))) => {
                    Value::Tensor(Box::new(View { encoding, ..*view }))
                }
                _ => return Err(self.error("a tensor of an unknown element type")),
            },
            (Global::RebuildParameter, &[tensor, ..]) => match &self.values[tensor] {
                Value::Tensor(_) => return Ok(tensor),
                _ => return Err(self.error("a parameter that is not a tensor")),
            },
            _ => {
                return Err(self.error(format!("{global:?} called with {} arguments", args.len())));
            }
        };
        self.add(value)
    }

    /// `OrderedDict([(k, v), …])`, as Python 2 wrote it.
    fn dict_of(&mut self, items: Id) -> Result<Value<'a>> {
        let len = match &self.values[items] {
            Value::List(items) | Value::Tuple(items) => items.len(),
            _ => 0,
        };
        self.spend(len)?;
        let error = || self.error("an OrderedDict of something that is not pairs");
        let (Value::List(items) | Value::Tuple(items)) = &self.values[items] else {
            return Err(error());
        };
        let pairs = items.iter().map(|&pair| match &self.values[pair] {
            Value::List(pair) | Value::Tuple(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => Err(error()),
        });
        Ok(Value::Dict(pairs.collect::<Result<_>>()?))
    }

    fn view(&mut self, storage: Id, offset: Id, shape: Id, strides: Id) -> Result<Value<'a>> {
        self.spend(TENSOR_COST)?;
        let Value::Storage(storage) = &self.values[storage] else {
            return Err(self.error("a tensor over something that is not a storage"));
        };
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        if shape.len() != strides.len() {
            return Err(self.error(format!(
                "{} dimensions with {} strides",
                shape.len(),
                strides.len()
            )));
        }
        let offset = self
            .size(offset)?
            .checked_add(storage.offset)
            .ok_or_else(|| self.error("an offset past the end of memory"))?;
        Ok(Value::Tensor(Box::new(View {
            key: storage.key,
            encoding: storage.encoding,
            offset,
            shape,
            strides,
        })))
    }

    fn size(&self, id: Id) -> Result<usize> {
        match self.values[id] {
            Value::Int(n) if n >= 0 && n <= isize::MAX as i128 => Ok(n as usize),
            Value::Int(n) => Err(self.error(format!("{n} is not a size"))),
            _ => Err(self.error("a size that is not a whole number")),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>> {
        let (Value::Tuple(items) | Value::List(items)) = &self.values[id] else {
            return Err(self.error("a shape that is not a tuple"));
        };
        if items.len() > MAX_DIMS {
            return Err(self.error(format!(
                "a tensor of {} dimensions, {MAX_DIMS} at most",
                items.len()
            )));
        }
        items.iter().map(|&id| self.size(id)).collect()
    }

    /// The storage of a persistent id: `('storage', type, key, location, len)`, in legacy files
    /// followed by `None` or `(view key, offset, len)`.
    pub(super) fn storage(&self, id: Id) -> Result<Value<'a>> {
        let error = || self.error("a persistent id that does not name a storage");
        let Value::Tuple(items) = &self.values[id] else {
            return Err(error());
        };
        let &[kind, global, key, _location, _len, ref view @ ..] = items.as_slice() else {
            return Err(error());
        };
        let (Value::Str("storage"), &Value::Global(global), &Value::Str(key)) =
            (&self.values[kind], &self.values[global], &self.values[key])
        else {
            return Err(error());
        };
        let encoding = match global {
            Global::StorageType(encoding) => encoding,
            Global::UntypedStorage => crate::quant::Encoding::U8,
            _ => return Err(error()),
        };
        let mut storage = Storage {
            key,
            encoding,
            offset: 0,
        };
        if let &[view] = view
            && let Value::Tuple(view) = &self.values[view]
        {
            let &[_key, offset, _len] = view.as_slice() else {
                return Err(error());
            };
            storage.offset = self.size(offset)?;
        }
        Ok(Value::Storage(Box::new(storage)))
    }
}
