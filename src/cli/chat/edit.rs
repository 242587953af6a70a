//! `/edit`: a message in the user's own editor.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

use super::super::interrupt::{Interrupt, remove_if_stopped};
use super::super::prompt::read_text;
use super::reader::LONGEST;

/// The editor at a terminal where the environment names none.
const USUAL: &str = if cfg!(windows) { "notepad" } else { "vi" };

/// What becomes of `text` in the editor; `None` where it stays as it was, or nothing is left.
///
/// # Errors
/// There is no editor, it fails, or what it leaves is not text.
pub fn edited(text: &str, interrupt: &Interrupt) -> Result<Option<String>> {
    let words = editor()?;
    let folder = private_folder().context("no temporary folder can be made")?;
    let _unfinished = remove_if_stopped(folder.path().to_path_buf());
    let path = folder.path().join("message.txt");
    // A line that ends, as editors leave it.
    std::fs::write(&path, format!("{text}\n")).with_context(|| path.display().to_string())?;
    run(&words, &path, interrupt)?;
    let left = read_text(&path, LONGEST)?;
    let left = left.strip_suffix('\n').unwrap_or(&left);
    let left = left.strip_suffix('\r').unwrap_or(left);
    let is_new = !left.trim().is_empty() && left.trim_end() != text.trim_end();
    Ok(is_new.then(|| left.to_string()))
}

/// The editor's program and its first arguments.
fn editor() -> Result<Vec<String>> {
    for name in ["VISUAL", "EDITOR"] {
        let Some(value) = std::env::var_os(name) else {
            continue;
        };
        let value = value.into_string();
        let value = value.map_err(|_| anyhow!("{name} is not UTF-8 text; set it to an editor"))?;
        let words: Vec<String> = value.split_whitespace().map(str::to_string).collect();
        if !words.is_empty() {
            return Ok(words);
        }
    }
    match io::stdin().is_terminal() {
        true => Ok(vec![USUAL.to_string()]),
        false => bail!("standard input is no terminal; set VISUAL or EDITOR to an editor"),
    }
}

/// A folder that only its user can look into: an editor may leave copies beside the file.
fn private_folder() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("wick-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o700));
    }
    builder.tempdir()
}

/// Runs the editor on the file `path` until it ends.
fn run(words: &[String], path: &Path, interrupt: &Interrupt) -> Result<()> {
    let (program, arguments) = words.split_first().context("no editor is named")?;
    let mut command = Command::new(program);
    command.args(arguments).arg(path);
    let at_terminal = io::stdin().is_terminal();
    if !at_terminal {
        // What comes through a pipe is said to the model.
        command.stdin(Stdio::null());
    }
    if !io::stdout().is_terminal() {
        // Standard output gets answers and nothing else.
        command.stdout(io::stderr());
    }
    // At a terminal the editor hears Ctrl-C as well, and it is meant for that.
    let _ignored = at_terminal.then(|| interrupt.ignored());
    let status = command.status().with_context(|| {
        format!("the editor {program} cannot be started; set VISUAL or EDITOR to another")
    })?;
    match status.success() {
        true => Ok(()),
        false => bail!("the editor {program} failed ({status})"),
    }
}
