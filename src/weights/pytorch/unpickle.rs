//! A pickle machine that can build plain data, storages and tensors and nothing else: no name is
//! imported, no code runs, and what it allocates is bounded by what it has read.
//!
//! Opcodes: CPython's `pickletools.py`, those of protocols 2 to 5 that `torch.save` writes.

use std::collections::HashMap;
use std::path::Path;

use super::value::{Global, Id, Value};
use crate::{Error, Result};

/// Values of one pickle, of about 32 bytes each; a checkpoint of 100 000 tensors makes two million.
const MAX_VALUES: usize = 4 << 20;

/// A pickle's result: the arena and its root.
pub(super) struct Pickle<'a> {
    pub values: Vec<Value<'a>>,
    pub root: Id,
    /// Bytes of the stream that the pickle took.
    pub len: usize,
}

/// Runs the pickle at the start of `data`, which comes from `path`.
///
/// # Errors
/// Names the global, opcode or call that a checkpoint has no business with, and what is
/// malformed.
pub(super) fn unpickle<'a>(path: &'a Path, data: &'a [u8]) -> Result<Pickle<'a>> {
    let mut machine = Machine {
        path,
        data,
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        spent: 0,
    };
    while machine.step()? {}
    let root = machine.pop()?;
    Ok(Pickle {
        values: machine.values,
        root,
        len: machine.at,
    })
}

pub(super) struct Machine<'a> {
    path: &'a Path,
    data: &'a [u8],
    at: usize,
    pub(super) values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// What counts towards [`MAX_VALUES`].
    spent: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::format(
            self.path,
            format!("pickle at byte {}: {message}", self.at.saturating_sub(1)),
        )
    }

    fn bytes(&mut self, n: usize) -> Result<&'a [u8]> {
        let rest = &self.data[self.at..];
        let bytes = rest.get(..n).ok_or_else(|| {
            self.error(format!(
                "{n} bytes wanted, {} left; the file is cut short or damaged",
                rest.len()
            ))
        })?;
        self.at += n;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N)?);
        Ok(out)
    }

    fn u8(&mut self) -> Result<usize> {
        Ok(usize::from(self.array::<1>()?[0]))
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A length of 32 bits.
    fn len32(&mut self) -> Result<usize> {
        Ok(self.u32()? as usize)
    }

    /// A length of 64 bits.
    fn len64(&mut self) -> Result<usize> {
        let n = u64::from_le_bytes(self.array()?);
        usize::try_from(n).map_err(|_| self.error(format!("{n} bytes announced")))
    }

    fn text(&mut self, n: usize) -> Result<&'a str> {
        let bytes = self.bytes(n)?;
        std::str::from_utf8(bytes).map_err(|_| self.error("text that is not UTF-8"))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.data[self.at..];
        let n = rest.iter().position(|&b| b == b'\n');
        let line = self.text(n.ok_or_else(|| self.error("a line without an end"))?)?;
        self.at += 1;
        Ok(line)
    }

    /// Counts `n` values that are about to be made: copies cost as much as what is read.
    pub(super) fn spend(&mut self, n: usize) -> Result<()> {
        self.spent = self.spent.saturating_add(n);
        match self.spent > MAX_VALUES {
            true => Err(self.error(format!("more than {MAX_VALUES} values"))),
            false => Ok(()),
        }
    }

    pub(super) fn add(&mut self, value: Value<'a>) -> Result<Id> {
        self.spend(1)?;
        self.values.push(value);
        Ok(self.values.len() - 1)
    }

    fn push(&mut self, value: Value<'a>) -> Result<()> {
        let id = self.add(value)?;
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Result<()> {
        if self.stack.len() >= MAX_VALUES {
            return Err(self.error(format!("a stack of more than {MAX_VALUES} values")));
        }
        self.stack.push(id);
        Ok(())
    }

    /// Never below the last mark.
    fn pop(&mut self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => self.stack.pop(),
            false => None,
        }
        .ok_or_else(|| self.error("the stack is empty"))
    }

    fn top(&self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => self.stack.last().copied(),
            false => None,
        }
        .ok_or_else(|| self.error("the stack is empty"))
    }

    /// Everything above the last mark.
    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| self.error("no mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn pop_n<const N: usize>(&mut self) -> Result<Vec<Id>> {
        let mut out = vec![0; N];
        for slot in out.iter_mut().rev() {
            *slot = self.pop()?;
        }
        Ok(out)
    }

    /// Runs one opcode; false at the end.
    fn step(&mut self) -> Result<bool> {
        let op = self.array::<1>()?[0];
        match op {
            b'.' => return Ok(false),
            0x80 | 0x95 => self.framing(op)?,
            b'(' | b'0' | b'1' | b'2' => self.stacking(op)?,
            b'N' | 0x88 | 0x89 | b'J' | b'K' | b'M' | 0x8a | b'G' => self.scalar(op)?,
            b'X' | 0x8c | 0x8d | b'T' | b'U' | b'B' | b'C' | 0x8e => self.string(op)?,
            b'c' | 0x93 => self.global(op)?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.memory(op)?,
            b'R' | 0x81 | b'Q' | b'b' => self.object(op)?,
            _ => self.collection(op)?,
        }
        Ok(true)
    }

    /// The protocol's number, and the lengths of frames.
    fn framing(&mut self, op: u8) -> Result<()> {
        match op {
            0x80 => match self.u8()? {
                0..=5 => Ok(()),
                version => Err(self.error(format!("protocol {version} is not supported"))),
            },
            _ => self.bytes(8).map(drop),
        }
    }

    /// What moves no data: marks, and the top of the stack dropped or doubled.
    fn stacking(&mut self, op: u8) -> Result<()> {
        match op {
            b'(' if self.marks.len() >= MAX_VALUES => return Err(self.error("too many marks")),
            b'(' => self.marks.push(self.stack.len()),
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            _ => {
                let id = self.top()?;
                self.push_id(id)?;
            }
        }
        Ok(())
    }

    fn scalar(&mut self, op: u8) -> Result<()> {
        let value = match op {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(self.array()?).into()),
            b'K' => Value::Int(self.u8()? as i128),
            b'M' => Value::Int(self.u16()?.into()),
            0x8a => {
                let n = self.u8()?;
                let bytes = self.bytes(n)?;
                if n > 16 {
                    return Err(self.error(format!("a whole number of {n} bytes")));
                }
                // Two's complement, little-endian, sign-extended.
                let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
                let mut wide = [if negative { 0xff } else { 0 }; 16];
                wide[..n].copy_from_slice(bytes);
                Value::Int(i128::from_le_bytes(wide))
            }
            _ => {
                self.bytes(8)?;
                Value::Float
            }
        };
        self.push(value)
    }

    fn string(&mut self, op: u8) -> Result<()> {
        let n = match op {
            0x8c | b'U' | b'C' => self.u8()?,
            0x8d | 0x8e => self.len64()?,
            _ => self.len32()?,
        };
        let value = match op {
            b'B' | b'C' | 0x8e => {
                self.bytes(n)?;
                Value::Bytes
            }
            _ => Value::Str(self.text(n)?),
        };
        self.push(value)
    }

    fn collection(&mut self, op: u8) -> Result<()> {
        match op {
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            0x8f => self.push(Value::Set),
            0x85 => {
                let items = self.pop_n::<1>()?;
                self.push(Value::Tuple(items))
            }
            0x86 => {
                let items = self.pop_n::<2>()?;
                self.push(Value::Tuple(items))
            }
            0x87 => {
                let items = self.pop_n::<3>()?;
                self.push(Value::Tuple(items))
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items))
            }
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Value::List(items))
            }
            b'd' => {
                let items = self.pop_mark()?;
                self.push(Value::Dict(Vec::new()))?;
                self.set_items(items)
            }
            b'a' => {
                let items = self.pop_n::<1>()?;
                self.append(items)
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)
            }
            b's' => {
                let items = self.pop_n::<2>()?;
                self.set_items(items)
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(items)
            }
            0x90 => {
                self.pop_mark()?;
                match self.values[self.top()?] {
                    Value::Set => Ok(()),
                    _ => Err(self.error("items added to something that is not a set")),
                }
            }
            0x91 => {
                self.pop_mark()?;
                self.push(Value::Set)
            }
            _ => Err(self.error(format!(
                "opcode 0x{op:02x} has no place in a checkpoint of tensors"
            ))),
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(list) => list.extend(items),
            _ => return Err(self.error("items appended to something that is not a list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Id>) -> Result<()> {
        let dict = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match &mut self.values[dict] {
            Value::Dict(dict) if rest.is_empty() => {
                dict.extend(pairs.iter().map(|&[k, v]| (k, v)));
                Ok(())
            }
            _ => Err(self.error("entries set on something that is not a dict")),
        }
    }

    /// The memo, written and read.
    fn memory(&mut self, op: u8) -> Result<()> {
        match op {
            b'q' => {
                let key = self.u8()? as u32;
                self.memoize(key)
            }
            b'r' => {
                let key = self.u32()?;
                self.memoize(key)
            }
            0x94 => self.memoize(self.memo.len() as u32),
            b'h' => {
                let key = self.u8()? as u32;
                self.recall(key)
            }
            _ => {
                let key = self.u32()?;
                self.recall(key)
            }
        }
    }

    fn memoize(&mut self, key: u32) -> Result<()> {
        let id = self.top()?;
        self.spend(1)?;
        self.memo.insert(key, id);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<()> {
        match self.memo.get(&key) {
            Some(&id) => self.push_id(id),
            None => Err(self.error(format!("memo {key} was never set"))),
        }
    }

    /// A name that is referred to.
    fn global(&mut self, op: u8) -> Result<()> {
        let (module, name) = match op {
            b'c' => (self.line()?, self.line()?),
            _ => {
                let names = self.pop_n::<2>()?;
                match (&self.values[names[0]], &self.values[names[1]]) {
                    (&Value::Str(module), &Value::Str(name)) => (module, name),
                    _ => return Err(self.error("a global whose name is not text")),
                }
            }
        };
        match Global::find(module, name) {
            Some(global) => self.push(Value::Global(global)),
            None => Err(self.error(format!(
                "refers to {:?}, which is not one of the names that rebuild tensors; it may run \
                 code and is not read. Convert the checkpoint to safetensors",
                format!("{module}.{name}")
            ))),
        }
    }

    /// Calls, storages, and attributes of what was built.
    fn object(&mut self, op: u8) -> Result<()> {
        match op {
            b'R' | 0x81 => {
                let args = self.pop()?;
                let callee = self.pop()?;
                let value = self.call(callee, args)?;
                self.push_id(value)
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(storage)
            }
            _ => {
                // Attributes (a state dict's `_metadata`); data has none that matter.
                self.pop()?;
                match self.values[self.top()?] {
                    Value::Dict(_) | Value::Tensor(_) => Ok(()),
                    _ => Err(self.error("attributes set on neither a dict nor a tensor")),
                }
            }
        }
    }
}
