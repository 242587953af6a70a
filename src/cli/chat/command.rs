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
    /// Change the last question in an editor and answer it again.
    Edit,
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
/edit             change the last question in your editor ($VISUAL or $EDITOR), and answer that
/reset            forget the conversation
/save FILE        write the conversation as JSON
/load FILE        go on with a conversation
/exit             leave (also Ctrl-D)
With --session these change what is kept as well. Before /system, /reset and /load that is copied
to NAME.json~ beside it (/show says where).";

const NAMES: [&str; 14] = [
    "help", "exit", "quit", "reset", "system", "set", "show", "stats", "history", "undo", "retry",
    "edit", "save", "load",
];

/// What may be followed by something; for help it does not matter.
const WITH_VALUE: [&str; 5] = ["help", "system", "set", "save", "load"];

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
        if !value.is_empty() && NAMES.contains(&name) && !WITH_VALUE.contains(&name) {
            return Err(format!(
                "/{name} stands alone on its line; // begins what is said to the model with a /"
            ));
        }
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
            "edit" => Self::Edit,
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
        let two = Command::parse("/undo 2").unwrap().unwrap_err();
        assert!(two.contains("/undo stands alone"), "{two}");
        assert_eq!(Command::parse("/help set"), Some(Ok(Command::Help)));
    }
}
