//! Conversations on disk: a JSON list of messages.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::super::prompt::read_text;
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

/// Writes a conversation.
pub fn save(messages: &[Message], path: &Path) -> Result<()> {
    let saved = messages.iter().map(|m| Saved {
        role: m.role.name().to_string(),
        content: m.content.clone(),
    });
    let text = serde_json::to_string_pretty(&saved.collect::<Vec<_>>())?;
    std::fs::write(path, text).with_context(|| path.display().to_string())
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
