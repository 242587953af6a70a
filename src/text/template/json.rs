//! The `tojson` filter.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use super::fuel::{BYTES, NESTING};

/// Python's `json.dumps(value, ensure_ascii=False, indent=indent)`: unlike Jinja's own filter,
/// nothing is escaped for HTML.
pub(super) fn tojson(state: &State, value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent = options.get::<Option<usize>>("indent")?.map(|n| n.min(16));
    // Accepted for their callers; the keys of a message come in one order anyway.
    let _: Option<Value> = options.get("ensure_ascii")?;
    let _: Option<Value> = options.get("separators")?;
    let _: Option<Value> = options.get("sort_keys")?;
    options.assert_all_used()?;
    let mut writer = Writer {
        indent,
        out: String::new(),
    };
    writer.value(state, value, 0)?;
    Ok(writer.out)
}

/// JSON as it is written; each part is paid for from the template's fuel first.
struct Writer {
    indent: Option<usize>,
    out: String,
}

impl Writer {
    fn value(&mut self, state: &State, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > NESTING {
            return Err(error("nested too deep"));
        }
        match value.kind() {
            ValueKind::None => self.put(state, "null"),
            ValueKind::Bool => self.put(state, if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.put(state, &value.to_string()),
            ValueKind::String => self.put(state, &quoted(value.as_str().unwrap_or_default())),
            ValueKind::Seq | ValueKind::Iterable => {
                self.put(state, "[")?;
                let mut empty = true;
                for item in value.try_iter()? {
                    self.separate(state, empty, depth + 1)?;
                    empty = false;
                    self.value(state, &item, depth + 1)?;
                }
                self.close(state, empty, depth, "]")
            }
            ValueKind::Map => {
                self.put(state, "{")?;
                let mut empty = true;
                for key in value.try_iter()? {
                    if key.as_object().is_some() {
                        return Err(error("a key must be text or a number"));
                    }
                    self.separate(state, empty, depth + 1)?;
                    empty = false;
                    self.put(state, &quoted(&key.to_string()))?;
                    self.put(state, ": ")?;
                    self.value(state, &value.get_item(&key)?, depth + 1)?;
                }
                self.close(state, empty, depth, "}")
            }
            other => Err(error(&format!("{other} cannot be written"))),
        }
    }

    fn put(&mut self, state: &State, text: &str) -> Result<(), Error> {
        state.consume_fuel(1 + text.len() as u64 / BYTES)?;
        self.out.push_str(text);
        Ok(())
    }

    /// What stands before a part of a list or map, `first` or not.
    fn separate(&mut self, state: &State, first: bool, depth: usize) -> Result<(), Error> {
        if !first {
            let comma = if self.indent.is_some() { "," } else { ", " };
            self.put(state, comma)?;
        }
        self.line(state, depth)
    }

    /// The end of a list or map.
    fn close(&mut self, state: &State, empty: bool, depth: usize, end: &str) -> Result<(), Error> {
        if !empty {
            self.line(state, depth)?;
        }
        self.put(state, end)
    }

    /// A new line, if lines are wanted.
    fn line(&mut self, state: &State, depth: usize) -> Result<(), Error> {
        match self.indent {
            Some(n) => self.put(state, &format!("\n{}", " ".repeat(n * depth))),
            None => Ok(()),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn error(text: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("tojson: {text}"))
}
