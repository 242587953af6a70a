//! Where a model's own template is found.

use std::path::Path;

use serde_json::{Map, Value};

use super::ChatTemplate;
use crate::text::config::text_of;
use crate::text::files::Files;
use crate::weights::gguf::Metadata;
use crate::{Error, Result};

const KEY: &str = "chat_template";
const GGUF_KEY: &str = "tokenizer.chat_template";

pub(super) fn from_folder(folder: &Path) -> Result<Option<ChatTemplate>> {
    let files = Files::folder(folder);
    let config_path = folder.join("tokenizer_config.json");
    let config = files.object("tokenizer_config.json")?;
    let path = folder.join("chat_template.jinja");
    let (name, source) = match files.read("chat_template.jinja")? {
        Some(bytes) => {
            let source = String::from_utf8(bytes.into_owned())
                .map_err(|_| Error::format(&path, "not UTF-8; a Jinja template is wanted"))?;
            (path.display().to_string(), source)
        }
        None => match config_source(&config_path, &config)? {
            Some(source) => (config_path.display().to_string(), source),
            None => return Ok(None),
        },
    };
    let mut template = ChatTemplate::from_source(&name, &source)?;
    template.tokens = tokens(&config);
    let known = |key: &str| config.contains_key(key);
    let specials = tokens(&files.object("special_tokens_map.json")?);
    let others = specials.into_iter().filter(|(key, _)| !known(key));
    template.tokens.extend(others);
    Ok(Some(template))
}

/// `chat_template`: a template, or a list of them by name.
fn config_source(path: &Path, config: &Map<String, Value>) -> Result<Option<String>> {
    let error = |message: String| Error::config(path, KEY, message);
    match config.get(KEY) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(source)) => Ok(Some(source.clone())),
        Some(Value::Array(list)) => {
            let text = |entry: &Value, key| Some(entry.get(key)?.as_str()?.to_string());
            let found = list
                .iter()
                .find(|entry| text(entry, "name").as_deref() == Some("default"))
                .and_then(|entry| text(entry, "template"));
            let names: Vec<_> = list.iter().filter_map(|e| text(e, "name")).collect();
            let message = || format!("no template named default among [{}]", names.join(", "));
            found.map(Some).ok_or_else(|| error(message()))
        }
        Some(_) => Err(error(
            "a template or a list of templates is wanted".to_string(),
        )),
    }
}

/// Texts of `bos_token`, `eos_token` and the like.
fn tokens(config: &Map<String, Value>) -> Vec<(String, String)> {
    config
        .iter()
        .filter(|(key, _)| key.ends_with("_token"))
        .filter_map(|(key, value)| Some((key.clone(), text_of(value)?.to_string())))
        .collect()
}

pub(super) fn from_gguf(meta: &Metadata) -> Result<Option<ChatTemplate>> {
    let Some(source) = meta.str(GGUF_KEY)? else {
        return Ok(None);
    };
    let name = format!("{}: {GGUF_KEY}", meta.path().display());
    let mut template = ChatTemplate::from_source(&name, source)?;
    let pieces = meta.strings("tokenizer.ggml.tokens")?.unwrap_or_default();
    for (name, key) in [
        ("bos", "bos"),
        ("eos", "eos"),
        ("unk", "unknown"),
        ("pad", "padding"),
    ] {
        let id = meta.u32(&format!("tokenizer.ggml.{key}_token_id"))?;
        if let Some(text) = id.and_then(|id| pieces.get(id as usize)) {
            template
                .tokens
                .push((format!("{name}_token"), text.clone()));
        }
    }
    Ok(Some(template))
}
