//! GGUF metadata as a JSON object, so that families declare themselves from either source, and
//! back.

use serde_json::{Map, Number, json};

use super::{Array, Metadata, Value};

/// More elements than an array has that declares a model.
const MAX_LISTED: usize = 1 << 16;

/// Everything but the vocabulary, whose length is kept as `tokenizer.ggml.tokens.length`; so is
/// that of other arrays that are too long for a declaration.
pub fn to_json(metadata: &Metadata) -> Map<String, serde_json::Value> {
    let mut map = Map::new();
    for (key, value) in metadata.iter() {
        match value {
            Value::Array(Array::Strings(tokens)) if key == "tokenizer.ggml.tokens" => {
                map.insert(format!("{key}.length"), json!(tokens.len()));
            }
            _ if key.starts_with("tokenizer.") => {}
            // Files that are carried whole.
            Value::Array(Array::U8(_)) => {}
            Value::Array(array) if elements(array) > MAX_LISTED => {
                map.insert(format!("{key}.length"), json!(elements(array)));
            }
            _ => {
                map.insert(key.to_string(), value_to_json(value));
            }
        }
    }
    map
}

/// The elements of an array and of those in it.
fn elements(array: &Array) -> usize {
    match array {
        Array::Strings(v) => v.len(),
        Array::F32(v) => v.len(),
        Array::I32(v) => v.len(),
        Array::U32(v) => v.len(),
        Array::U8(v) => v.len(),
        Array::Other(v) => v.iter().map(own_elements).sum(),
    }
}

fn own_elements(value: &Value) -> usize {
    match value {
        Value::Array(inner) => 1 + elements(inner),
        _ => 1,
    }
}

pub(super) fn value_to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::U8(v) => json!(v),
        Value::I8(v) => json!(v),
        Value::U16(v) => json!(v),
        Value::I16(v) => json!(v),
        Value::U32(v) => json!(v),
        Value::I32(v) => json!(v),
        // By way of its shortest decimal, so that 1e-5 does not become 9.999999747378752e-6.
        Value::F32(v) => v.to_string().parse::<f64>().map_or(json!(v), |v| json!(v)),
        Value::Bool(v) => json!(v),
        Value::String(v) => json!(v),
        Value::U64(v) => json!(v),
        Value::I64(v) => json!(v),
        Value::F64(v) => json!(v),
        Value::Array(Array::Strings(v)) => json!(v),
        Value::Array(Array::F32(v)) => json!(v),
        Value::Array(Array::I32(v)) => json!(v),
        Value::Array(Array::U32(v)) => json!(v),
        Value::Array(Array::U8(v)) => json!(v),
        Value::Array(Array::Other(v)) => v.iter().map(value_to_json).collect(),
    }
}

/// Whole numbers become u32 where they fit, others f32; arrays are of strings, floats or i32.
/// `None` for what GGUF cannot hold (null, objects).
pub fn from_json(value: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    Some(match value {
        Json::Bool(v) => Value::Bool(*v),
        Json::Number(n) => number(n),
        Json::String(v) => Value::String(v.clone()),
        Json::Array(items) => Value::Array(array(items)?),
        Json::Null | Json::Object(_) => return None,
    })
}

fn number(n: &Number) -> Value {
    match (n.as_u64(), n.as_i64()) {
        (Some(v), _) => u32::try_from(v).map_or(Value::U64(v), Value::U32),
        (None, Some(v)) => i32::try_from(v).map_or(Value::I64(v), Value::I32),
        _ => Value::F32(n.as_f64().unwrap_or(0.0) as f32),
    }
}

fn array(items: &[serde_json::Value]) -> Option<Array> {
    if items.iter().all(serde_json::Value::is_string) {
        let strings = items.iter().filter_map(|v| v.as_str().map(str::to_string));
        return Some(Array::Strings(strings.collect()));
    }
    if let Some(whole) = items
        .iter()
        .map(|v| v.as_i64()?.try_into().ok())
        .collect::<Option<Vec<i32>>>()
    {
        return Some(Array::I32(whole));
    }
    let floats = items.iter().map(|v| v.as_f64().map(|v| v as f32));
    Some(Array::F32(floats.collect::<Option<_>>()?))
}
