//! What begins with a slash.

use std::path::PathBuf;

use super::setting;
use crate::hub::card;

/// A command of the chat.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Help,
    Exit,
    /// Forget the conversation, keep the system message.
    Reset,
    /// Begin anew with another system message; none without a text.
    System(Option<String>),
    /// Change a setting; the value is empty where none was given.
    Set(String, String),
    Show,
    Stats,
    History,
    /// Forget the last turn.
    Undo,
    /// Answer the last turn again.
    Retry,
    Save(PathBuf),
    Load(PathBuf),
}

/// For `/help`.
pub const HELP: &str = "\
/system [TEXT]    begin anew with this system message, or with none
/set NAME VALUE   temp, top-k, top-p, min-p, repeat-penalty, repeat-last-n, max-tokens, seed;
                  VALUE may be off
/show             the settings
/stats            tokens and speed so far
/history          the conversation
/undo             forget the last turn
/retry            answer the last turn again
/reset            forget the conversation
/save FILE        write the conversation as JSON
/load FILE        go on with a conversation
/exit             leave (also Ctrl-D)";

const NAMES: [&str; 13] = [
    "help", "exit", "quit", "reset", "system", "set", "show", "stats", "history", "undo", "retry",
    "save", "load",
];

impl Command {
    /// `None` for what is said to the model; an error for a command that does not exist.
    pub fn parse(line: &str) -> Option<Result<Self, String>> {
        let rest = line.strip_prefix('/').filter(|r| !r.starts_with('/'))?;
        let (name, value) = match rest.split_once(char::is_whitespace) {
            Some((name, value)) => (name, value.trim()),
            None => (rest.trim(), ""),
        };
        Some(Self::named(name, value))
    }

    fn named(name: &str, value: &str) -> Result<Self, String> {
        let file = || match value {
            "" => Err(format!("/{name} FILE: a file is wanted")),
            path => Ok(PathBuf::from(path)),
        };
        Ok(match name {
            "help" | "?" => Self::Help,
            "exit" | "quit" => Self::Exit,
            "reset" => Self::Reset,
            "system" => Self::System((!value.is_empty()).then(|| value.to_string())),
            "set" => match value.split_once(char::is_whitespace) {
                Some((key, value)) => Self::Set(key.replace('_', "-"), value.trim().to_string()),
                None if value.is_empty() => {
                    return Err(format!("/set NAME VALUE: {}", setting::list()));
                }
                None => Self::Set(value.replace('_', "-"), String::new()),
            },
            "show" => Self::Show,
            "stats" => Self::Stats,
            "history" => Self::History,
            "undo" => Self::Undo,
            "retry" => Self::Retry,
            "save" => Self::Save(file()?),
            "load" => Self::Load(file()?),
            _ => {
                let near = match card::nearest(name, NAMES, 1).as_slice() {
                    [near] => format!("did you mean /{near}?"),
                    _ => "/help lists them".to_string(),
                };
                return Err(format!("there is no command /{name}; {near}"));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_one_slash_is_a_command() {
        assert_eq!(Command::parse("hello /exit"), None);
        assert_eq!(Command::parse("//etc/hosts"), None);
        assert_eq!(Command::parse("/exit "), Some(Ok(Command::Exit)));
        let set = Command::Set("top-k".into(), "5".into());
        assert_eq!(Command::parse("/set top_k  5"), Some(Ok(set)));
        let bare = Command::parse("/set").unwrap().unwrap_err();
        assert!(bare.contains(&setting::list()), "{bare}");
        assert_eq!(
            Command::parse("/system Be brief."),
            Some(Ok(Command::System(Some("Be brief.".into()))))
        );
        let wrong = Command::parse("/hlep").unwrap().unwrap_err();
        assert!(wrong.contains("/help"), "{wrong}");
        assert!(Command::parse("/save").unwrap().is_err());
    }
}
