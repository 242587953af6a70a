//! The Jinja environment that Hugging Face gives chat templates (`transformers`,
//! `chat_template_utils.py`), bounded: a template comes with a model from anywhere.

use std::fmt::Write as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::prepare::prepare;
use super::{fuel, json};

/// Steps (and 64-byte parts of texts) that a rendering may take; a long conversation needs some
/// tens of thousands.
const FUEL: u64 = 2_000_000;
/// Nesting of calls and blocks.
const RECURSION: usize = 100;
/// Longer sources are refused; real ones stay below 20 kB. Those that are nested as deep as this
/// allows need half of the stack they are given.
const MAX_SOURCE: usize = 64 << 10;
/// Longer formats of dates are refused.
const MAX_DATE_FORMAT: usize = 1 << 10;

/// What `raise_exception` puts before its text, to find it again.
const RAISED: &str = "raised by the template: ";

const TEMPLATE: &str = "chat";

/// Compiles `source`.
pub(super) fn compile(source: &str) -> Result<Environment<'static>, Error> {
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
    // Errors would carry the template's values with them.
    env.set_debug(false);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(RECURSION);
    fuel::install(&mut env);
    env.add_function("raise_exception", raise_exception);
    env.add_function("strftime_now", strftime_now);
    env.add_filter("tojson", json::tojson);
    // In Python `none` is not; Qwen3-Coder's template asks it of `tools`.
    env.add_test("iterable", |v: &Value| !v.is_none() && v.try_iter().is_ok());
    env.add_template_owned(TEMPLATE, prepare(source))?;
    Ok(env)
}

/// Compiles `source` and gives what it prints.
pub(super) fn render(source: &str, context: Value) -> Result<String, Error> {
    let env = compile(source)?;
    let template = env.get_template(TEMPLATE)?;
    template.render(context)
}

/// [`render`], but what has no value is neither printed nor walked through: the error names it.
pub(super) fn render_strictly(source: &str, context: Value) -> Result<String, Error> {
    let mut env = compile(source)?;
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    // Where values come from is recorded in this mode only.
    env.set_debug(true);
    let template = env.get_template(TEMPLATE)?;
    template.render(context)
}

/// The variables that `source` looks up, sorted, without those that it sets and the environment's
/// own.
pub(super) fn variables(source: &str) -> Result<Vec<String>, Error> {
    let env = compile(source)?;
    let mut names = env.get_template(TEMPLATE)?.undeclared_variables(false);
    for (name, _) in env.globals() {
        names.remove(name);
    }
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort();
    Ok(names)
}

/// The error for a user: what the template itself said, or where it failed; `system` if the
/// conversation has a system prompt.
pub(super) fn describe(name: &str, system: bool, error: &Error) -> crate::Error {
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
    let error = |text: String| {
        let text = format!("strftime_now: {text}");
        Error::new(ErrorKind::InvalidOperation, text)
    };
    if format.len() > MAX_DATE_FORMAT {
        let text = format!(
            "a format of {} bytes, at most {MAX_DATE_FORMAT}",
            format.len()
        );
        return Err(error(text));
    }
    let items = chrono::format::StrftimeItems::new(format)
        .parse()
        .map_err(|e| error(format!("{format}: {e}")))?;
    let now = chrono::Local::now().format_with_items(items.iter());
    let mut out = String::new();
    // Some fields are for reading only, and `to_string` panics on them.
    write!(out, "{now}").map_err(|_| error(format!("`{format}` cannot be written")))?;
    Ok(out)
}
