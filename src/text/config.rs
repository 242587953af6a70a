//! What a folder's JSON files say of its tokenizer.

use serde_json::{Map, Value};

use super::files::Files;
use super::tokenizer::Engine;
use crate::Result;

/// `tokenizer_config.json`, with `special_tokens_map.json` and `config.json` behind it.
#[derive(Default)]
pub(super) struct Config {
    tokenizer: Map<String, Value>,
    specials: Map<String, Value>,
    model: Map<String, Value>,
}

impl Config {
    pub fn read(files: &Files) -> Result<Self> {
        Ok(Self {
            tokenizer: files.object("tokenizer_config.json")?,
            specials: files.object("special_tokens_map.json")?,
            model: files.object("config.json")?,
        })
    }

    pub fn class(&self) -> &str {
        self.tokenizer
            .get("tokenizer_class")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        self.tokenizer.get(key)?.as_bool()
    }

    pub fn number(&self, key: &str) -> Option<u32> {
        self.tokenizer.get(key)?.as_u64()?.try_into().ok()
    }

    /// The text of a token like `bos_token`.
    pub fn token(&self, key: &str) -> Option<&str> {
        let maps = [&self.tokenizer, &self.specials];
        maps.into_iter().find_map(|map| text_of(map.get(key)?))
    }

    /// The id of `name` (`bos`, `eos`): by its token's text, else as `config.json` has it.
    pub fn id(&self, engine: &Engine, name: &str) -> Option<u32> {
        if let Some(id) = self
            .token(&format!("{name}_token"))
            .and_then(|t| engine.id_of(t))
        {
            return Some(id);
        }
        let value = self.model.get(&format!("{name}_token_id"))?;
        let value = value
            .as_array()
            .and_then(|list| list.first())
            .unwrap_or(value);
        value.as_u64()?.try_into().ok()
    }

    /// The entries of `added_tokens_decoder`, by id: text and whether it is special.
    pub fn added(&self) -> Vec<(u32, String, bool)> {
        let entries = self
            .tokenizer
            .get("added_tokens_decoder")
            .and_then(Value::as_object);
        let mut added: Vec<_> = entries
            .into_iter()
            .flatten()
            .filter_map(|(id, token)| {
                let text = token.get("content")?.as_str()?.to_string();
                let special = token
                    .get("special")
                    .and_then(Value::as_bool)
                    .unwrap_or(false);
                Some((id.parse().ok()?, text, special))
            })
            .collect();
        added.sort();
        added
    }

    /// Texts of the tokens that are special by their role, or listed as such.
    pub fn special_texts(&self) -> Vec<&str> {
        let roles = ["bos", "eos", "unk", "pad", "cls", "sep", "mask"];
        let roles = roles
            .iter()
            .filter_map(|name| self.token(&format!("{name}_token")));
        let lists = [&self.tokenizer, &self.specials].into_iter();
        let listed = lists
            .filter_map(|map| map.get("additional_special_tokens")?.as_array())
            .flatten()
            .filter_map(text_of);
        roles.chain(listed).collect()
    }
}

/// The text of a token, which is a string or an object with `content`.
pub(super) fn text_of(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}
