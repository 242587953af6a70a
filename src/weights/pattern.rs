//! Names of tensors with `{}` for numbers.

/// Whether `name` fits `pattern`; the numbers that stand for its `{}`.
pub(super) fn matches(pattern: &str, name: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    let mut rest = name;
    for (i, piece) in pattern.split("{}").enumerate() {
        if i > 0 {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            numbers.push(rest[..digits].parse().ok()?);
            rest = &rest[digits..];
        }
        rest = rest.strip_prefix(piece)?;
    }
    rest.is_empty().then_some(numbers)
}

/// `pattern` with numbers for its `{}`.
pub(super) fn fill(pattern: &str, numbers: &[usize]) -> String {
    let mut out = String::new();
    for (i, piece) in pattern.split("{}").enumerate() {
        if i > 0
            && let Some(n) = numbers.get(i - 1)
        {
            out.push_str(&n.to_string());
        }
        out.push_str(piece);
    }
    out
}
