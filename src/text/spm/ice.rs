//! ChatGLM-6B's spelling of white space: line ends, tabs and runs of spaces have pieces.

/// The longest run of spaces that has a piece of its own.
const MAX_RUN: usize = 80;

/// Spells line ends, tabs and runs of two and more spaces with ChatGLM-6B's pieces.
pub(super) fn spell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => out.push_str("<n>"),
            '\t' => out.push_str("<|tab|>"),
            ' ' => {
                let mut run = 1;
                while run < MAX_RUN && chars.next_if_eq(&' ').is_some() {
                    run += 1;
                }
                match run {
                    1 => out.push(' '),
                    _ => out.push_str(&format!("<|blank_{run}|>")),
                }
            }
            _ => out.push(c),
        }
    }
    out
}

/// What one of those pieces stands for; `None` for any other piece.
pub(super) fn text_of(piece: &str) -> Option<String> {
    match piece {
        "<n>" => Some("\n".to_string()),
        "<|tab|>" => Some("\t".to_string()),
        _ => {
            let run = piece.strip_prefix("<|blank_")?.strip_suffix("|>")?;
            let run = run.parse().ok().filter(|n| (2..=MAX_RUN).contains(n))?;
            Some(" ".repeat(run))
        }
    }
}
