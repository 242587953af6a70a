//! A folder's vocabulary and chat template as GGUF stores them: llama.cpp's keys, so that it reads
//! them too, and where these do not hold the vocabulary exactly, the original files beside them.
//! Keys: `docs/gguf.md` in the ggml repository.

mod bpe;
mod spm;

use std::path::Path;

use super::config::Config;
use super::files::Files;
use super::pieces::Kind;
use super::tokenizer::Engine;
use super::{ChatTemplate, Specials, Tokenizer, folder, gguf};
use crate::Result;
use crate::weights::gguf::{Array, Metadata, Value};

type Entries = Vec<(String, Value)>;

/// A vocabulary as a GGUF file is to hold it.
pub struct Vocabulary {
    /// Keys and values: llama.cpp's `tokenizer.*`, and files that wick carries along.
    pub entries: Vec<(String, Value)>,
    /// How much of it llama.cpp sees.
    pub held: Held,
}

/// How llama.cpp's keys hold a vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// There is none.
    Absent,
    /// All tokens, marks and ids of texts come back the same; no file is carried along.
    Exactly,
    /// Nearly, so that some texts become other ids; wick reads the original files.
    Nearly,
    /// Not at all; wick reads the original files.
    AsFiles,
}

/// llama.cpp's keys for a vocabulary.
struct Keys {
    entries: Entries,
    /// Whether nothing is known that they lack.
    exact: bool,
}

/// The metadata entries that hold the vocabulary of `folder` and its chat template; the token list
/// is filled up, or cut, to the embedding's `rows`, which llama.cpp insists on.
///
/// # Errors
/// If the vocabulary cannot be read.
pub fn gguf_entries(folder: &Path, rows: usize) -> Result<Vocabulary> {
    let files = Files::folder(folder);
    let Some(tokenizer) = folder::open(&files)? else {
        return Ok(Vocabulary {
            entries: vec![entry("model", text("no_vocab"))],
            held: Held::Absent,
        });
    };
    let (mut entries, held) = match keys(folder, &tokenizer, rows)? {
        Some(mut keys) => {
            keys.entries.extend(marks(&tokenizer));
            match keys.exact && reads_back(folder, &keys.entries, &tokenizer)? {
                true => (keys.entries, Held::Exactly),
                false => (keys.entries, Held::Nearly),
            }
        }
        None => (vec![entry("model", text("no_vocab"))], Held::AsFiles),
    };
    if held != Held::Exactly {
        entries.extend(files.entries()?);
    }
    if let Some(template) = ChatTemplate::from_folder(folder)? {
        let key = "tokenizer.chat_template".to_string();
        entries.push((key, text(template.source())));
    }
    Ok(Vocabulary { entries, held })
}

fn entry(name: &str, value: Value) -> (String, Value) {
    (format!("tokenizer.ggml.{name}"), value)
}

fn text(text: &str) -> Value {
    Value::String(text.to_string())
}

/// The keys that come nearest; `None` where llama.cpp has no kind of vocabulary like it.
fn keys(folder: &Path, tokenizer: &Tokenizer, rows: usize) -> Result<Option<Keys>> {
    let hf = match &tokenizer.0.engine {
        Engine::Spm(spm) => return Ok(spm::keys(spm, rows)),
        Engine::Hf(hf) => hf,
    };
    if let Some(keys) = bpe::keys(&hf.to_json()?, rows)? {
        return Ok(Some(keys));
    }
    // Of a SentencePiece vocabulary the `*.model` is nearer than the list of merges made of it.
    let files = Files::folder(folder);
    let model = folder::model(&files, &Config::read(&files)?)?;
    Ok(match model.as_ref().map(|t| &t.0.engine) {
        Some(Engine::Spm(spm)) => spm::keys(spm, rows).map(|keys| Keys {
            exact: false,
            ..keys
        }),
        _ => bpe::by_rank(&hf.to_json()?, rows)?,
    })
}

/// The ids with a role, and what is put around a text.
fn marks(tokenizer: &Tokenizer) -> Entries {
    let (bos, eos) = (tokenizer.bos(), tokenizer.eos());
    let id = |name: &str, id: Option<u32>| id.map(|id| entry(name, Value::U32(id)));
    let mut entries = Vec::new();
    entries.extend(id("bos_token_id", bos));
    entries.extend(id("eos_token_id", eos));
    let added = |ids: &[u32], id: Option<u32>| Value::Bool(id.is_some_and(|id| ids.contains(&id)));
    entries.push(entry("add_bos_token", added(tokenizer.prefix(), bos)));
    entries.push(entry("add_eos_token", added(tokenizer.suffix(), eos)));
    entries
}

/// Tokens, their kinds, and scores if they have any, brought to the embedding's `rows`; and
/// whether nothing had to be cut off.
fn tokens(
    mut pieces: Vec<(String, Kind)>,
    scores: Option<Vec<f32>>,
    rows: usize,
) -> (Entries, bool) {
    let whole = pieces.len() <= rows;
    for id in pieces.len()..rows {
        pieces.push((gguf::padding(id), Kind::Unused));
    }
    pieces.truncate(rows);
    let (texts, kinds): (Vec<_>, Vec<_>) = pieces.into_iter().map(|(t, k)| (t, k.number())).unzip();
    let mut entries = vec![
        entry("tokens", Value::Array(Array::Strings(texts))),
        entry("token_type", Value::Array(Array::I32(kinds))),
    ];
    if let Some(mut scores) = scores {
        scores.resize(rows, 0.0);
        entries.push(entry("scores", Value::Array(Array::F32(scores))));
    }
    (entries, whole)
}

/// Texts that are compared at once, in tokens.
const LUMP: usize = 64;

/// Whether `entries`, read as any GGUF is, are the vocabulary `wanted`: the same tokens and marks,
/// and the same ids for texts of all its tokens.
fn reads_back(folder: &Path, entries: &Entries, wanted: &Tokenizer) -> Result<bool> {
    let metadata = Metadata::new(folder, entries.iter().cloned());
    let Some(found) = gguf::open(&metadata)? else {
        return Ok(false);
    };
    let marks = |t: &Tokenizer| {
        (
            (t.vocab_size(), t.bos(), t.eos()),
            (t.prefix().to_vec(), t.suffix().to_vec(), t.end_ids()),
        )
    };
    if marks(&found) != marks(wanted) {
        return Ok(false);
    }
    let ids: Vec<u32> = (0..wanted.vocab_size() as u32).collect();
    let same = |&id: &u32| {
        found.token_bytes(id) == wanted.token_bytes(id)
            && found.is_special(id) == wanted.is_special(id)
    };
    if !ids.iter().all(same) {
        return Ok(false);
    }
    for lump in ids.chunks(LUMP) {
        let text = wanted.decode(lump, true);
        for specials in [Specials::Plain, Specials::Parse] {
            if found.encode(&text, specials)? != wanted.encode(&text, specials)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
