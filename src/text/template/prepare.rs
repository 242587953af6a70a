//! What happens to a template's source before minijinja reads it.

use super::fuel::KEEP;

/// `source` with line ends as Jinja reads them, without marks for training, and with a look at
/// what it puts into namespaces.
pub(super) fn prepare(source: &str) -> String {
    // Jinja reads every kind of line end as a newline.
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some((start, end)) = next_statement(rest) {
        let statement = &rest[start..end];
        out.push_str(&rest[..start]);
        out.push_str(&rewritten(statement).unwrap_or_else(|| statement.to_string()));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Another statement in the place of `statement`, where there is one.
///
/// `{% generation %}` marks answers for training and prints nothing; `if` has the same effect on
/// the whitespace around it.
fn rewritten(statement: &str) -> Option<String> {
    let text = inside(statement);
    let new = match text {
        "generation" => "if true".to_string(),
        "endgeneration" => "endif".to_string(),
        _ => guarded_set(text)?,
    };
    Some(statement.replacen(text, &new, 1))
}

/// A `set` that writes to an attribute, with its value sent through the filter [`KEEP`].
fn guarded_set(text: &str) -> Option<String> {
    let rest = text.strip_prefix("set")?;
    let target = rest.split(['=', '|']).next()?;
    if !target.contains('.') {
        return None;
    }
    match rest[target.len()..].strip_prefix('=') {
        Some(value) if value.trim().is_empty() => None,
        Some(value) => Some(format!("set{target}=({value})|{KEEP}")),
        // A block of text; only its filters can make something else of it.
        None if rest.len() > target.len() => Some(format!("{text}|{KEEP}")),
        None => None,
    }
}

/// What stands between the marks of a statement.
fn inside(statement: &str) -> &str {
    let text = statement.strip_prefix("{%").unwrap_or(statement);
    let text = text.strip_suffix("%}").unwrap_or(text);
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let text = text.strip_suffix(['-', '+']).unwrap_or(text);
    text.trim_matches(|c: char| c.is_ascii_whitespace())
}

/// Where the next `{% … %}` of `source` begins and ends, cut as minijinja cuts it: there is none
/// in comments, raw text and strings.
fn next_statement(source: &str) -> Option<(usize, usize)> {
    let mut at = 0;
    loop {
        at += source[at..].find('{')?;
        let rest = &source[at..];
        at += match rest.as_bytes().get(1) {
            Some(b'#') => comment(rest)?,
            Some(b'{') => code(rest, "}}")?,
            Some(b'%') => {
                let len = code(rest, "%}")?;
                if inside(&rest[..len]) != "raw" {
                    return Some((at, at + len));
                }
                len + raw(&rest[len..])?
            }
            _ => 1,
        };
    }
}

/// The length of the comment that `text` begins with.
fn comment(text: &str) -> Option<usize> {
    let marks = match text.as_bytes().get(2) {
        Some(b'-' | b'+') => 3,
        _ => 2,
    };
    Some(marks + text[marks..].find("#}")? + 2)
}

/// The length of the raw text that `text` begins with, and of its end mark.
fn raw(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text[at..].find("{%")?;
        let len = text[at..].find("%}")? + 2;
        if inside(&text[at..at + len]) == "endraw" {
            return Some(at + len);
        }
        at += 2;
    }
}

/// The length of the code that `text` begins with, up to the mark `end` outside of strings and
/// brackets; nothing if brackets are closed that were not opened, which is never a template.
fn code(text: &str, end: &str) -> Option<usize> {
    let mut open = 0usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(2) {
        match (quote, byte) {
            _ if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(begin), _) if begin == byte => quote = None,
            (Some(_), _) => {}
            _ if open == 0 && text.as_bytes()[at..].starts_with(end.as_bytes()) => {
                return Some(at + end.len());
            }
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => open += 1,
            (None, b')' | b']' | b'}') => open = open.checked_sub(1)?,
            (None, _) => {}
        }
    }
    None
}
