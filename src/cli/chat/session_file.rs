//! `--session NAME`: a chat that is kept on disk, and goes on when it is named again.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};

use super::super::interrupt::remove_if_stopped;
use super::file;
use super::folder::state_folder;
use crate::files::{Readers, check_output, partial};
use crate::text::{Message, Role};

/// The name of a session, which becomes that of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionName(String);

/// The most characters of a name: the file's has to fit into any file system.
const LONGEST: usize = 50;

impl FromStr for SessionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() {
            return Err("a name is wanted".to_string());
        }
        if text.chars().count() > LONGEST {
            return Err(format!("a name of at most {LONGEST} characters is wanted"));
        }
        let is_plain = text.chars().all(plain) && !text.starts_with('.') && !text.contains("..");
        let wanted = "letters, digits, - and _ are wanted, and single dots between them";
        match is_plain {
            true => Ok(Self(text.to_string())),
            false => Err(wanted.to_string()),
        }
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A session's file. No other process goes on with the session while this lives.
pub struct SessionFile {
    name: SessionName,
    path: PathBuf,
    /// What the file holds; `None` where there is none yet.
    written: Option<Vec<Message>>,
    _lock: File,
}

impl SessionFile {
    /// Opens the session `name`. Its folder is made where there is none, the file with the first
    /// [`Self::write`].
    ///
    /// # Errors
    /// The folder cannot be made, another process has the session open, or its file is damaged.
    pub fn open(name: &SessionName) -> Result<Self> {
        open(name).with_context(|| format!("--session {name}"))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The conversation as it was left.
    pub fn messages(&self) -> Vec<Message> {
        self.written.clone().unwrap_or_default()
    }

    /// What is said of a session that was there before.
    pub fn goes_on(&self) -> Option<String> {
        let messages = self.written.as_ref()?;
        let turns = messages.iter().filter(|m| m.role == Role::User).count();
        let s = if turns == 1 { "" } else { "s" };
        let said = format!("the session {} goes on after {turns} turn{s}", self.name);
        Some(said)
    }

    /// Writes `messages`, unless the file holds them already; not over one of the `model` files.
    ///
    /// # Errors
    /// The file cannot be written; what it held stays.
    pub fn write(&mut self, messages: &[Message], model: &[PathBuf]) -> Result<()> {
        if self.written.as_deref().unwrap_or_default() == messages {
            return Ok(());
        }
        let _unfinished = remove_if_stopped(partial(&self.path));
        file::save(messages, &self.path, model, Readers::Owner)
            .with_context(|| format!("--session {}", self.name))?;
        self.written = Some(messages.to_vec());
        Ok(())
    }

    /// Copies the file to `NAME.json~` beside it, over an earlier copy but none of the `model`
    /// files, before another conversation takes its place. `None` where it holds no question.
    ///
    /// # Errors
    /// The file cannot be copied; both stay as they were.
    pub fn back_up(&self, model: &[PathBuf]) -> Result<Option<PathBuf>> {
        let written = self.written.as_deref().unwrap_or_default();
        if written.iter().all(|m| m.role != Role::User) || !self.path.exists() {
            return Ok(None);
        }
        let copy = backup(&self.path);
        let _unfinished = remove_if_stopped(partial(&copy));
        file::copy(&self.path, &copy, model).with_context(|| format!("--session {}", self.name))?;
        Ok(Some(copy))
    }
}

fn open(name: &SessionName) -> Result<SessionFile> {
    let folder = state_folder()
        .context("there is no folder to keep it in; set XDG_STATE_HOME or HOME to a full path")?
        .join("sessions");
    make_private(&folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(format!("{name}.json"));
    let lock = lock(&path.with_extension("lock"))?;
    check_output(&path)?;
    let written = path.exists().then(|| file::load(&path)).transpose();
    let written = written.map_err(|e| {
        anyhow!("{e:#}; the file is left as it is: mend it, or move it away to begin anew")
    })?;
    Ok(SessionFile {
        name: name.clone(),
        path,
        written,
        _lock: lock,
    })
}

/// Where the conversation goes that another one takes the place of.
fn backup(path: &Path) -> PathBuf {
    path.with_extension("json~")
}

/// Makes a folder that only its user can look into, and those around it.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// Holds the session until the file is dropped, or the process ends in whatever way.
fn lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options
        .open(path)
        .with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            bail!("another wick has this session open; leave that chat, or take another name")
        }
        // Where the file system has no locks, the user has to see to it.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_plain_file_name_of_bounded_length() {
        let read = |text: &str| text.parse::<SessionName>().map(|name| name.to_string());
        let longest = "𠀀".repeat(LONGEST);
        for good in ["trip", "v1.2_b-3", "旅行", "-", longest.as_str()] {
            assert_eq!(read(good).as_deref(), Ok(good));
        }
        // With all that is put around it, no file system refuses it for its length.
        let longest = partial(&backup(Path::new(&format!("{longest}.json"))));
        assert!(longest.as_os_str().len() < 250);
        assert!(read(&"x".repeat(LONGEST + 1)).is_err());
        for bad in ["..", ".a", "a..b", "a/b", "a\\b", "a:b", "a b", "a\n"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
