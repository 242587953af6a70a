//! Conversations on disk: a JSON list of messages.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::super::prompt::read_text;
use crate::files::{Readers, check_not_read, read_at_most, replace};
use crate::text::{Message, Role};

/// A message.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    role: String,
    content: String,
}

/// The largest conversation that is read.
const LARGEST: u64 = 16 << 20;

/// Writes a conversation, not over one of the `model` files, and none that would not be read again.
/// A new file is for `readers`.
pub fn save(messages: &[Message], path: &Path, model: &[PathBuf], readers: Readers) -> Result<()> {
    check_not_read(path, model)?;
    let saved = messages.iter().map(|m| Saved {
        role: m.role.name().to_string(),
        content: m.content.clone(),
    });
    let text = serde_json::to_string_pretty(&saved.collect::<Vec<_>>())?;
    ensure!(
        text.len() as u64 <= LARGEST,
        "{}: the conversation takes {} bytes, of which {LARGEST} can be read again; /undo or /reset makes it shorter",
        path.display(),
        text.len()
    );
    replace(path, text.as_bytes(), readers).with_context(|| path.display().to_string())
}

/// Copies a conversation, not over one of the `model` files. A new copy is for its owner alone.
pub fn copy(from: &Path, to: &Path, model: &[PathBuf]) -> Result<()> {
    check_not_read(to, model)?;
    let bytes = read_at_most(from, LARGEST)?;
    replace(to, &bytes, Readers::Owner).with_context(|| to.display().to_string())
}

/// Reads a conversation.
pub fn load(path: &Path) -> Result<Vec<Message>> {
    let text = read_text(path, LARGEST)?;
    let saved: Vec<Saved> =
        serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let roles = [Role::System, Role::User, Role::Assistant];
    let message = |s: Saved| {
        let role = roles.into_iter().find(|r| r.name() == s.role);
        let role = role.with_context(|| {
            format!(
                "{}: role {:?}; system, user or assistant is wanted",
                path.display(),
                s.role
            )
        })?;
        Ok(Message::new(role, s.content))
    };
    saved.into_iter().map(message).collect()
}
