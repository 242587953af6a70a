//! What a user calls a model: a path, a card, a hub id or the address of its page.

mod address;

use std::fmt;
use std::path::{Path, PathBuf};

use super::card::{self, Card};
use super::error::{HubError, Result};
use super::local::{self, Local};
use super::pick::weight_extension;

/// A model as named, not yet looked for on the Hub.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelRef {
    /// A folder in the hub's layout.
    Folder(PathBuf),
    /// A GGUF file; of a split one, the first part.
    Gguf(PathBuf),
    /// A safetensors or PyTorch file with its configuration beside it.
    Safetensors(PathBuf),
    /// A repository of the Hub.
    Hub(HubRef),
}

/// A repository, at a revision, and what is wanted of it.
#[derive(Debug, Clone, PartialEq)]
pub struct HubRef {
    /// Where it is on the Hub.
    pub repo: RepoId,
    /// Branch, tag or commit; `main` if none was named.
    pub revision: Option<String>,
    /// One of its files; `None` for what loading takes of itself.
    pub file: Option<FileSpec>,
    /// The card that was named, or whose weights these are.
    pub card: Option<&'static Card>,
}

/// What stands after the colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSpec {
    /// A file of the repository.
    Path(String),
    /// A quantization that one GGUF of the repository has in its name.
    Quant(String),
}

/// `ORG/NAME`, checked: safe as part of a URL and of a folder's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoId {
    org: String,
    name: String,
}

impl RepoId {
    /// The Hub's own rule: letters, digits, `-`, `_`, `.`; no `--` or `..`, neither `-` nor `.` at
    /// an end, at most 96 characters in each part.
    ///
    /// # Errors
    /// [`HubError::BadName`] with the part of the rule that is broken.
    pub fn parse(id: &str) -> Result<Self> {
        let bad = |reason: &str| HubError::bad_name(id, format!("{reason}; a hub id is ORG/NAME"));
        let (org, name) = id.split_once('/').ok_or_else(|| bad("it has no /"))?;
        if name.contains('/') {
            return Err(bad("it has more than one /"));
        }
        for part in [org, name] {
            if part.len() > 96 {
                return Err(bad("a part of it is longer than 96 characters"));
            }
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if part.is_empty() {
                return Err(bad("a part of it is empty"));
            }
            if !part.chars().all(allowed) {
                return Err(bad("it may hold letters, digits, -, _ and . only"));
            }
            if part.contains("..")
                || part.contains("--")
                || part.starts_with(['-', '.'])
                || part.ends_with(['-', '.'])
            {
                return Err(bad("neither .. nor -- may be in it, nor - or . at an end"));
            }
        }
        Ok(Self {
            org: org.to_string(),
            name: name.to_string(),
        })
    }

    /// The user or organization, before the slash.
    pub fn org(&self) -> &str {
        &self.org
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cache's folder: `models--ORG--NAME`.
    pub fn folder(&self) -> String {
        format!("models--{}--{}", self.org, self.name)
    }

    /// The repository that a folder of the cache is of; `None` for any other folder.
    pub fn from_folder(name: &str) -> Option<Self> {
        let id = name.strip_prefix("models--")?.replacen("--", "/", 1);
        Self::parse(&id).ok()
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.name)
    }
}

impl fmt::Display for HubRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repo)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        match &self.file {
            Some(FileSpec::Path(s) | FileSpec::Quant(s)) => write!(f, ":{s}"),
            None => Ok(()),
        }
    }
}

impl ModelRef {
    /// Reads `PATH`, `CARD[:QUANT]` or `ORG/NAME[@REVISION][:FILE_OR_QUANT]`, in this order: what
    /// exists here wins. In an id's place may stand the address of its page, as
    /// `https://huggingface.co/ORG/NAME` or `hf.co/ORG/NAME`, or of a tree or file below that.
    ///
    /// # Errors
    /// A name that nothing answers to, with everything that was tried and the nearest names; a
    /// local path that holds no model; a name with `..`, control characters and the like.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(HubError::bad_name(text, "it is empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(HubError::bad_name(text, "it holds control characters"));
        }
        let path = Path::new(text);
        let mut tried = Vec::new();
        match local::at(path)? {
            Local::Model(model) => return Ok(model),
            Local::Nothing => tried.push(format!("the path {}", path.display())),
            Local::NoModel(message) if spelled_as_path(text) => {
                return Err(HubError::Local {
                    path: path.to_path_buf(),
                    message: message.to_string(),
                });
            }
            Local::NoModel(message) => {
                tried.push(format!("the path {} ({message})", path.display()))
            }
        }
        let address = address::parse(text).transpose()?;
        if address.is_none() && spelled_as_path(text) {
            return Err(HubError::UnknownName {
                name: text.to_string(),
                tried,
                near_names: local::siblings(path),
            });
        }
        let (id, revision, file) = match address {
            Some(parts) => parts,
            None => split_name(text)?,
        };
        if id.contains('/') {
            return Ok(Self::Hub(HubRef {
                repo: RepoId::parse(id)?,
                revision,
                file,
                card: card::find_repo(id).map(|(_, card)| card),
            }));
        }
        match card::find(id) {
            Some((_, card)) => from_card(card, revision, file),
            None => Err(unknown(text, id, tried)),
        }
    }
}

/// What is neither a path nor a card nor a hub id.
fn unknown(text: &str, id: &str, mut tried: Vec<String>) -> HubError {
    tried.push("the cards (`wick models` lists them)".to_string());
    tried.push("a hub id (it would be ORG/NAME)".to_string());
    let names = card::all().flat_map(|(_, c)| std::iter::once(&c.name).chain(&c.aliases));
    HubError::UnknownName {
        name: text.to_string(),
        tried,
        near_names: card::nearest(id, names, 3),
    }
}

fn from_card(
    card: &'static Card,
    revision: Option<String>,
    file: Option<FileSpec>,
) -> Result<ModelRef> {
    // A quantization or a GGUF is asked of the GGUF repository where there is one.
    let of_gguf = file.as_ref().is_some_and(|file| match file {
        FileSpec::Quant(_) => true,
        FileSpec::Path(path) => weight_extension(path) == Some("gguf"),
    });
    let id = match (of_gguf, &card.gguf) {
        (true, Some(gguf)) => Some(gguf),
        _ => card.hub.as_ref(),
    };
    let Some(id) = id else {
        return Err(HubError::NotPublished {
            name: card.name.clone(),
            note: card.note.clone().unwrap_or_default(),
        });
    };
    Ok(ModelRef::Hub(HubRef {
        repo: RepoId::parse(id)?,
        revision,
        file,
        card: Some(card),
    }))
}

/// An id with the revision and the file that are named with it.
type NameParts<'t> = (&'t str, Option<String>, Option<FileSpec>);

/// `ID[@REVISION][:FILE_OR_QUANT]`; a revision may hold `/`, a file both.
fn split_name(text: &str) -> Result<NameParts<'_>> {
    let (left, file) = match text.split_once(':') {
        Some((left, file)) => (left, Some(file_spec(text, file)?)),
        None => (text, None),
    };
    let (id, revision) = match left.split_once('@') {
        Some((id, revision)) => {
            check_revision(revision).map_err(|reason| HubError::bad_name(text, reason))?;
            (id, Some(revision.to_string()))
        }
        None => (left, None),
    };
    Ok((id, revision, file))
}

fn file_spec(text: &str, file: &str) -> Result<FileSpec> {
    check_file(file).map_err(|reason| HubError::bad_name(text, reason))?;
    let quant = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if weight_extension(file).is_none() && file.chars().all(quant) {
        Ok(FileSpec::Quant(file.to_string()))
    } else {
        Ok(FileSpec::Path(file.to_string()))
    }
}

/// A branch, tag or commit that is safe as a path under `refs/` and in a URL.
pub(crate) fn check_revision(revision: &str) -> std::result::Result<(), &'static str> {
    let bad = |c: char| {
        c.is_control() || c.is_whitespace() || matches!(c, '\\' | ':' | '?' | '*' | '[' | '~' | '^')
    };
    if revision.is_empty() || revision.len() > 200 || revision.contains(bad) {
        return Err("the revision is not a branch, tag or commit");
    }
    if revision
        .split('/')
        .any(|s| s.is_empty() || s == "." || s == ".." || s.ends_with(".lock"))
        || revision.contains("..")
    {
        return Err("the revision has an empty or dotted part");
    }
    if cfg!(windows) && revision.split('/').any(is_special_on_windows) {
        return Err("Windows cannot keep a revision of this name");
    }
    Ok(())
}

/// A repository's file that stays below the folder it is joined to.
pub(crate) fn check_file(file: &str) -> std::result::Result<(), &'static str> {
    if file.is_empty() || file.len() > 1000 || file.chars().any(|c| c.is_control() || c == '\\') {
        return Err("the file's name is empty, too long or holds control characters");
    }
    if file
        .split('/')
        .any(|s| s.is_empty() || s == "." || s == ".." || s.len() > 250)
    {
        return Err("the file's name is absolute or has an empty or dotted part");
    }
    if cfg!(windows) && file.split('/').any(is_special_on_windows) {
        return Err("Windows has no file of this name");
    }
    Ok(())
}

/// Whether Windows takes a part of a path for something else than a file or folder of this name: a
/// drive or the stream of another file (`:`), a pattern, a device, the name without its last dots
/// and spaces.
fn is_special_on_windows(part: &str) -> bool {
    const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
    const PORTS: [&str; 2] = ["COM", "LPT"];
    // A device stays one with any extension.
    let stem = part.split('.').next().unwrap_or_default();
    let stem = stem.trim_end().to_ascii_uppercase();
    let mut numbers = PORTS.iter().filter_map(|port| stem.strip_prefix(*port));
    part.contains([':', '<', '>', '"', '|', '?', '*'])
        || part.ends_with(['.', ' '])
        || DEVICES.contains(&stem.as_str())
        || numbers.any(|n| n.chars().count() == 1 && "0123456789¹²³".contains(n))
}

/// Whether the text can only have been meant as a path.
fn spelled_as_path(text: &str) -> bool {
    let rooted = text.starts_with(['/', '.', '~', '\\']) || Path::new(text).is_absolute();
    let file =
        !text.contains(':') && matches!(weight_extension(text), Some("gguf" | "safetensors"));
    rooted || file || text.split('/').count() > 2 && !text.contains([':', '@'])
}

#[cfg(test)]
mod tests;
