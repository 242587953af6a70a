//! Writing GGUF version 3 by streaming: all headers first, then each tensor's data in turn.

use std::io::{Seek, Write};

use super::{ALIGNMENT, Array, DEFAULT_ALIGNMENT, Value, ValueType};
use crate::quant::Encoding;

/// One tensor's entry, known before its data are.
#[derive(Debug, Clone)]
pub struct TensorHeader {
    /// In the file.
    pub name: String,
    /// Of the data to come; one that has a GGUF type id.
    pub encoding: Encoding,
    /// Outermost dimension first, as in [`crate::weights::TensorInfo`].
    pub shape: Vec<usize>,
}

impl TensorHeader {
    fn bytes(&self) -> std::io::Result<usize> {
        self.encoding
            .bytes_of(self.shape.iter().product())
            .ok_or_else(|| {
                std::io::Error::other(format!("{}: not whole {} blocks", self.name, self.encoding))
            })
    }
}

/// Writes one GGUF file. Tensors' data follow in the order of the headers.
pub struct Writer<W: Write + Seek> {
    out: W,
    pending: std::collections::VecDeque<(String, usize)>,
}

impl<W: Write + Seek> Writer<W> {
    /// Writes the header, the metadata in the given order and all tensors' entries. The alignment
    /// is this writer's own, whatever the metadata say.
    ///
    /// # Errors
    /// If `out` fails, GGUF has no id for an encoding, or a tensor does not fill whole blocks.
    pub fn new(
        mut out: W,
        metadata: &[(String, Value)],
        tensors: &[TensorHeader],
    ) -> std::io::Result<Self> {
        let metadata: Vec<_> = metadata
            .iter()
            .filter(|(key, _)| key != ALIGNMENT)
            .collect();
        out.write_all(b"GGUF")?;
        out.write_all(&3u32.to_le_bytes())?;
        out.write_all(&(tensors.len() as u64).to_le_bytes())?;
        out.write_all(&(metadata.len() as u64).to_le_bytes())?;
        for (key, value) in metadata {
            string(&mut out, key)?;
            out.write_all(&value.value_type().id().to_le_bytes())?;
            write_value(&mut out, value)?;
        }
        let mut offset = 0u64;
        let mut pending = std::collections::VecDeque::new();
        for tensor in tensors {
            let id = tensor.encoding.ggml_id().ok_or_else(|| {
                std::io::Error::other(format!("{}: GGUF has no {}", tensor.name, tensor.encoding))
            })?;
            string(&mut out, &tensor.name)?;
            out.write_all(&(tensor.shape.len() as u32).to_le_bytes())?;
            for dim in tensor.shape.iter().rev() {
                out.write_all(&(*dim as u64).to_le_bytes())?;
            }
            out.write_all(&id.to_le_bytes())?;
            out.write_all(&offset.to_le_bytes())?;
            let bytes = tensor.bytes()?;
            pending.push_back((tensor.name.clone(), bytes));
            offset = (offset + bytes as u64).next_multiple_of(DEFAULT_ALIGNMENT);
        }
        let mut writer = Self { out, pending };
        writer.pad()?;
        Ok(writer)
    }

    fn pad(&mut self) -> std::io::Result<()> {
        let at = self.out.stream_position()?;
        let gap = at.next_multiple_of(DEFAULT_ALIGNMENT) - at;
        self.out
            .write_all(&[0; DEFAULT_ALIGNMENT as usize][..gap as usize])
    }

    /// Writes the data of the next tensor, which must be `name` and have the announced size.
    ///
    /// # Errors
    /// If the name or the size is another, or the output fails.
    pub fn tensor(&mut self, name: &str, data: &[u8]) -> std::io::Result<()> {
        match self.pending.pop_front() {
            Some((next, bytes)) if next == name && bytes == data.len() => {}
            next => {
                return Err(std::io::Error::other(format!(
                    "{name} ({} bytes) written where {next:?} was announced",
                    data.len()
                )));
            }
        }
        self.out.write_all(data)?;
        self.pad()
    }

    /// Flushes, and gives the output back.
    ///
    /// # Errors
    /// If an announced tensor was not written, or the output fails.
    pub fn finish(mut self) -> std::io::Result<W> {
        if let Some((name, _)) = self.pending.front() {
            return Err(std::io::Error::other(format!("{name} was not written")));
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

fn string(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(text.as_bytes())
}

fn write_value(out: &mut impl Write, value: &Value) -> std::io::Result<()> {
    match value {
        Value::U8(v) => out.write_all(&v.to_le_bytes()),
        Value::I8(v) => out.write_all(&v.to_le_bytes()),
        Value::U16(v) => out.write_all(&v.to_le_bytes()),
        Value::I16(v) => out.write_all(&v.to_le_bytes()),
        Value::U32(v) => out.write_all(&v.to_le_bytes()),
        Value::I32(v) => out.write_all(&v.to_le_bytes()),
        Value::F32(v) => out.write_all(&v.to_le_bytes()),
        Value::Bool(v) => out.write_all(&[u8::from(*v)]),
        Value::String(v) => string(out, v),
        Value::Array(v) => write_array(out, v),
        Value::U64(v) => out.write_all(&v.to_le_bytes()),
        Value::I64(v) => out.write_all(&v.to_le_bytes()),
        Value::F64(v) => out.write_all(&v.to_le_bytes()),
    }
}

fn write_array(out: &mut impl Write, array: &Array) -> std::io::Result<()> {
    fn header(out: &mut impl Write, kind: ValueType, len: usize) -> std::io::Result<()> {
        out.write_all(&kind.id().to_le_bytes())?;
        out.write_all(&(len as u64).to_le_bytes())
    }
    let kind = array.element_type();
    match array {
        Array::Strings(v) => {
            header(out, kind, v.len())?;
            v.iter().try_for_each(|s| string(out, s))
        }
        Array::F32(v) => {
            header(out, kind, v.len())?;
            v.iter().try_for_each(|x| out.write_all(&x.to_le_bytes()))
        }
        Array::I32(v) => {
            header(out, kind, v.len())?;
            v.iter().try_for_each(|x| out.write_all(&x.to_le_bytes()))
        }
        Array::U32(v) => {
            header(out, kind, v.len())?;
            v.iter().try_for_each(|x| out.write_all(&x.to_le_bytes()))
        }
        Array::U8(v) => {
            header(out, kind, v.len())?;
            out.write_all(v)
        }
        Array::Other(v) => {
            header(out, kind, v.len())?;
            v.iter().try_for_each(|x| write_value(out, x))
        }
    }
}
