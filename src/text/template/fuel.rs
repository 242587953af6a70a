//! What is paid for before minijinja and its Python methods do it. A list that is repeated, or
//! held many times by others, is small until it is written out; and a namespace could hold itself.

use minijinja::value::{Kwargs, Rest, StringInput, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, Output, State, Value, filters};
use minijinja_contrib::pycompat;

/// Nesting of values that are written, or kept in a namespace.
pub(super) const NESTING: usize = 64;
/// The filter for what goes into a namespace.
pub(super) const KEEP: &str = "keep";
/// Bytes that one unit of fuel pays for, as minijinja counts them.
pub(super) const BYTES: u64 = 64;

/// Puts the functions that pay in the place of those that do not.
pub(super) fn install(env: &mut Environment<'static>) {
    env.set_formatter(print);
    env.set_unknown_method_callback(method);
    env.add_filter(KEEP, keep);
    env.add_filter("join", join);
    env.add_filter("string", string);
    env.add_filter("format", format);
    // They print without bounds, and no chat template has a use for them.
    env.remove_filter("pprint");
    env.remove_global("debug");
}

/// What a value is walked through for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// It is written as text, all its strings with it.
    Write,
    /// It goes into a namespace.
    Keep,
}

/// Takes what it costs to write `value` out, and says how much that is.
fn pay(state: &State, value: &Value) -> Result<u64, Error> {
    walk(state, value, Purpose::Write, 0)
}

fn walk(state: &State, value: &Value, purpose: Purpose, depth: usize) -> Result<u64, Error> {
    let error = |text: &str| Error::new(ErrorKind::InvalidOperation, text.to_string());
    if depth > NESTING {
        return Err(error("a value is nested too deep"));
    }
    let text = match purpose {
        Purpose::Write => value.as_str().map_or(0, str::len) as u64,
        Purpose::Keep => 0,
    };
    let mut cost = 1 + text / BYTES;
    state.consume_fuel(cost)?;
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            for item in value.try_iter()? {
                cost += walk(state, &item, purpose, depth + 1)?;
            }
        }
        ValueKind::Map => {
            if purpose == Purpose::Keep && is_namespace(value) {
                return Err(error("a namespace cannot be kept in a namespace"));
            }
            for key in value.try_iter()? {
                cost += walk(state, &key, purpose, depth + 1)?;
                cost += walk(state, &value.get_item(&key)?, purpose, depth + 1)?;
            }
        }
        _ => {}
    }
    Ok(cost)
}

/// The type is minijinja's own; only its name is known.
fn is_namespace(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|object| object.type_name().ends_with("::Namespace"))
}

/// Pays for each field of the format `text` as for the longest argument and the widest field;
/// `mark` begins a field.
fn pay_format<'a>(
    state: &State,
    text: &str,
    mark: char,
    args: impl Iterator<Item = &'a Value>,
) -> Result<(), Error> {
    let mut longest = 0;
    for value in args {
        longest = longest.max(pay(state, value)?);
    }
    let fields = text.matches(mark).count() as u64;
    let spec = text.find(mark).map_or("", |at| &text[at..]);
    let numbers = spec.split(|c: char| !c.is_ascii_digit());
    let widest = numbers
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap_or(u64::MAX))
        .max()
        .unwrap_or(0);
    // What fills a field up may be a character of four bytes.
    let each = longest.saturating_add(widest / (BYTES / 4));
    state.consume_fuel(fields.saturating_mul(each))
}

/// Prints a value.
fn print(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if value.as_object().is_some() {
        pay(state, value)?;
    }
    minijinja::escape_formatter(out, state, value)
}

/// The methods that values have in Python.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) if name == "format" => pay_format(state, text, '{', args.iter())?,
        _ => {
            let list = (value.kind() == ValueKind::Seq).then_some(value);
            let read = args.iter().chain(list);
            for container in read.filter(|v| v.as_object().is_some()) {
                pay(state, container)?;
            }
        }
    }
    pycompat::unknown_method_callback(state, value, name, args)
}

/// A value on its way into a namespace, where it could otherwise be nested without end.
fn keep(state: &State, value: Value) -> Result<Value, Error> {
    walk(state, &value, Purpose::Keep, 0)?;
    Ok(value)
}

fn join(
    state: &mut State,
    value: &Value,
    joiner: Option<StringInput<'_>>,
    attribute: Option<&str>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    pay(state, value)?;
    filters::join(state, value, joiner, attribute, kwargs)
}

fn string(state: &State, value: &Value) -> Result<Value, Error> {
    pay(state, value)?;
    filters::string(state, value)
}

fn format(state: &mut State, text: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let values = args.iter().map(|arg| &**arg);
    pay_format(state, text.as_str().unwrap_or_default(), '%', values)?;
    filters::format(state, text, args)
}
