//! Chat templates: conversations rendered into prompts, by the Jinja templates that models are
//! published with or by the formats in `prompts/chat`; and templates of single prompts.

mod builtin;
mod environment;
mod fuel;
mod json;
mod prepare;
mod prompt;
mod source;
#[cfg(test)]
mod tests;
mod worker;

use std::path::Path;

use minijinja::{Value, context};

pub use prompt::{PromptError, PromptTemplate};

use self::worker::Failure;
use super::Tokenizer;
use crate::weights::gguf::Metadata;
use crate::{Error, Result};

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Whoever sets the model up: instructions for the whole conversation.
    System,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name that templates know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said, without the format's marks around it.
    pub content: String,
}

impl Message {
    /// `content`, said by `role`.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
        }
    }
}

/// A chat template that compiles.
#[derive(Debug)]
pub struct ChatTemplate {
    /// For messages: a file, a key or a format's name.
    name: String,
    source: String,
    /// Texts of special tokens by their roles (`bos_token`).
    tokens: Vec<(String, String)>,
}

impl ChatTemplate {
    /// The template of a folder in the hub's layout: `chat_template.jinja`, else
    /// `chat_template` of `tokenizer_config.json`; `None` if there is neither.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn from_folder(folder: &Path) -> Result<Option<Self>> {
        source::from_folder(folder)
    }

    /// The template that a GGUF file holds; `None` if it holds none.
    ///
    /// # Errors
    /// If it is not a template.
    pub fn from_gguf(metadata: &Metadata) -> Result<Option<Self>> {
        source::from_gguf(metadata)
    }

    /// The format `name` of `prompts/chat`; `None` if there is no such format.
    pub fn builtin(name: &str) -> Option<Self> {
        let source = builtin::source(name)?;
        Self::from_source(name, source).ok()
    }

    /// The names that [`Self::builtin`] knows.
    pub fn builtin_names() -> Vec<&'static str> {
        builtin::names()
    }

    /// A template from its source; `name` is for messages.
    ///
    /// # Errors
    /// If `source` is not a template; [`Error::Runaway`] as in [`Self::render`].
    pub fn from_source(name: &str, source: &str) -> Result<Self> {
        let this = Self {
            name: name.to_string(),
            source: source.to_string(),
            tokens: Vec::new(),
        };
        // What was compiled stays on the thread: code that is nested deep is dropped by recursion.
        let source = this.source.clone();
        let compiled = this.apart(move || match environment::compile(&source) {
            Ok(_) => Ok(()),
            Err(e) => Err(e.to_string()),
        })?;
        compiled.map_err(|e| Error::Text(format!("chat template {name}: {e}")))?;
        Ok(this)
    }

    /// What `work` gives, done on a thread of its own.
    fn apart<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        worker::run(work).map_err(|failure| {
            let said = format!("chat template {} {failure}", self.name);
            match failure {
                Failure::Runaway(_) => Error::Runaway(said),
                Failure::Over(_) => Error::Text(said),
            }
        })
    }

    /// Lets the template see the tokenizer's BOS and EOS as `bos_token` and `eos_token`, where
    /// it does not know them already.
    pub fn with_tokenizer(mut self, tokenizer: &Tokenizer) -> Self {
        for (key, id) in [
            ("bos_token", tokenizer.bos()),
            ("eos_token", tokenizer.eos()),
        ] {
            if self.tokens.iter().all(|(k, _)| k != key)
                && let Some(text) = id.and_then(|id| tokenizer.piece(id))
            {
                self.tokens.push((key.to_string(), text));
            }
        }
        self
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the template is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The prompt for `messages`, followed by the beginning of an answer if
    /// `add_generation_prompt`.
    ///
    /// # Errors
    /// If the template refuses the conversation (a role that its model does not know) or fails;
    /// [`Error::Runaway`] if it works longer, or takes more memory, than any honest template does.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let list: Vec<Value> = messages
            .iter()
            .map(|m| context! { role => m.role.name(), content => m.content.as_str() })
            .collect();
        let given = context! {
            messages => list,
            add_generation_prompt,
            tools => Value::from(()),
            documents => Value::from(()),
        };
        let tokens = Value::from_pairs(self.tokens.iter().cloned());
        let context = context! { ..given, ..tokens };
        let system = messages.iter().any(|m| m.role == Role::System);
        let (name, source) = (self.name.clone(), self.source.clone());
        self.apart(move || {
            environment::render(&source, context)
                .map_err(|e| environment::describe(&name, system, &e))
        })?
    }
}
