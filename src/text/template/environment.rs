//! The Jinja environment that Hugging Face gives chat templates (`transformers`,
//! `chat_template_utils.py`), bounded: a template comes with a model from anywhere.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};

use super::{Message, Role};

/// Steps (and 64-byte parts of output) that a rendering may take; a long conversation needs some
/// tens of thousands.
const FUEL: u64 = 2_000_000;
/// Nesting of calls and blocks.
const RECURSION: usize = 100;
/// Longer sources are refused; real ones stay below 20 kB.
const MAX_SOURCE: usize = 1 << 20;
/// Nesting of values written as JSON.
const JSON_DEPTH: usize = 64;

/// What `raise_exception` puts before its text, to find it again.
const RAISED: &str = "raised by the template: ";

/// Compiles `source` under `name`.
pub(super) fn compile(name: &'static str, source: &str) -> Result<Environment<'static>, Error> {
    if source.len() > MAX_SOURCE {
        let message = format!("{} bytes of source, at most {MAX_SOURCE}", source.len());
        return Err(Error::new(ErrorKind::SyntaxError, message));
    }
    let mut env = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()?;
    env.set_syntax(syntax);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(RECURSION);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.add_function("raise_exception", raise_exception);
    env.add_function("strftime_now", strftime_now);
    env.add_filter("tojson", tojson);
    // In Python `none` is not; Qwen3-Coder's template asks it of `tools`.
    env.add_test("iterable", |v: &Value| !v.is_none() && v.try_iter().is_ok());
    // Jinja reads every kind of line end as a newline.
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    env.add_template_owned(name, without_generation_tags(&source))?;
    Ok(env)
}

/// The error for a user: what the template itself said, or where it failed.
pub(super) fn describe(name: &str, messages: &[Message], error: &Error) -> crate::Error {
    let system = messages.iter().any(|m| m.role == Role::System);
    let mut text = match error.detail().and_then(|d| d.strip_prefix(RAISED)) {
        Some(said) => format!("chat template {name} refuses the conversation: {said}"),
        None if error.kind() == ErrorKind::OutOfFuel => {
            format!("chat template {name} works without end")
        }
        None => format!("chat template {name}: {error}"),
    };
    if system && text.to_lowercase().contains("system") {
        text.push_str("; leave the system prompt out");
    }
    crate::Error::Text(printable(&text))
}

/// `text` without the characters that command a terminal.
fn printable(text: &str) -> String {
    let safe = |c: char| c == '\n' || !c.is_control();
    text.chars()
        .map(|c| if safe(c) { c } else { '\u{fffd}' })
        .collect()
}

fn raise_exception(text: &str) -> Result<Value, Error> {
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!("{RAISED}{text}"),
    ))
}

/// The local date and time in the notation of C's `strftime`.
fn strftime_now(format: &str) -> Result<String, Error> {
    let items = chrono::format::StrftimeItems::new(format)
        .parse()
        .map_err(|e| Error::new(ErrorKind::InvalidOperation, format!("{format}: {e}")))?;
    let now = chrono::Local::now();
    Ok(now.format_with_items(items.iter()).to_string())
}

/// `{% generation %}` marks answers for training and prints nothing; `if` has the same effect on
/// the whitespace around it.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let Some(end) = tag.find("%}").map(|end| end + 2) else {
            rest = tag;
            break;
        };
        let (tag, after) = tag.split_at(end);
        let word = tag.trim_matches(['{', '}', '%', '-', '+']).trim();
        match word {
            "generation" => out.push_str(&tag.replace(word, "if true")),
            "endgeneration" => out.push_str(&tag.replace(word, "endif")),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Python's `json.dumps(value, ensure_ascii=False, indent=indent)`: unlike Jinja's own filter,
/// nothing is escaped for HTML.
fn tojson(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent = options.get::<Option<usize>>("indent")?.map(|n| n.min(16));
    // Accepted for their callers; the keys of a message come in one order anyway.
    let _: Option<Value> = options.get("ensure_ascii")?;
    let _: Option<Value> = options.get("separators")?;
    let _: Option<Value> = options.get("sort_keys")?;
    options.assert_all_used()?;
    let mut out = String::new();
    write_json(&value, indent, 0, &mut out)?;
    Ok(out)
}

fn write_json(
    value: &Value,
    indent: Option<usize>,
    depth: usize,
    out: &mut String,
) -> Result<(), Error> {
    let error = |text: &str| Error::new(ErrorKind::InvalidOperation, format!("tojson: {text}"));
    if depth > JSON_DEPTH {
        return Err(error("nested too deep"));
    }
    let line = |depth: usize, out: &mut String| {
        if let Some(n) = indent {
            out.push('\n');
            out.push_str(&" ".repeat(n * depth));
        }
    };
    let comma = if indent.is_some() { "," } else { ", " };
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&value.to_string()),
        ValueKind::String => out.push_str(&quote(value.as_str().unwrap_or_default())),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            let mut empty = true;
            for item in value.try_iter()? {
                if !empty {
                    out.push_str(comma);
                }
                empty = false;
                line(depth + 1, out);
                write_json(&item, indent, depth + 1, out)?;
            }
            if !empty {
                line(depth, out);
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            let mut empty = true;
            for key in value.try_iter()? {
                if !empty {
                    out.push_str(comma);
                }
                empty = false;
                line(depth + 1, out);
                out.push_str(&quote(&key.to_string()));
                out.push_str(": ");
                write_json(&value.get_item(&key)?, indent, depth + 1, out)?;
            }
            if !empty {
                line(depth, out);
            }
            out.push('}');
        }
        other => return Err(error(&format!("{other} cannot be written"))),
    }
    Ok(())
}
