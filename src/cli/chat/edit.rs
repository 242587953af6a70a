//! `/edit`: a message in the user's own editor.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

use super::super::interrupt::{Interrupt, remove_if_stopped};
use super::super::prompt::read_text;
use super::reader::LONGEST;
use crate::files::read_at_most;

/// The editor at a terminal where the environment names none.
const USUAL: &str = if cfg!(windows) { "notepad" } else { "vi" };

/// What the editor leaves of `text`, without the line's end that editors leave at the end.
///
/// # Errors
/// There is no editor, it fails, or what it leaves is not text. What was written until then stays
/// in its file, and the error says where.
pub fn edited(text: &str, interrupt: &Interrupt) -> Result<String> {
    let editor = editor()?;
    let folder = private_folder().context("no temporary folder can be made")?;
    let unfinished = remove_if_stopped(folder.path().to_path_buf());
    let path = folder.path().join("message.txt");
    // A line that ends, as editors leave it.
    let begun = format!("{text}\n");
    std::fs::write(&path, &begun).with_context(|| path.display().to_string())?;
    let left = run(&editor, &path, interrupt).and_then(|()| read_text(&path, LONGEST));
    let left = match left {
        Err(e) if is_written(&path, &begun) => {
            // A Ctrl-C from now on removes nothing.
            drop(unfinished);
            let _ = folder.keep();
            bail!("{e:#}; what you wrote is in {}", path.display());
        }
        left => left?,
    };
    let left = left.strip_suffix('\n').unwrap_or(&left);
    Ok(left.strip_suffix('\r').unwrap_or(left).to_string())
}

/// Whether a file holds something, and something else than the text that it began with.
fn is_written(path: &Path, begun: &str) -> bool {
    match read_at_most(path, begun.len() as u64) {
        Ok(bytes) => bytes != begun.as_bytes() && !bytes.trim_ascii().is_empty(),
        // It is longer, or cannot be looked into.
        Err(_) => path.exists(),
    }
}

/// What the environment calls the editor.
fn editor() -> Result<String> {
    for name in ["VISUAL", "EDITOR"] {
        let Some(value) = std::env::var_os(name) else {
            continue;
        };
        let value = value.into_string();
        let value = value.map_err(|_| anyhow!("{name} is not UTF-8 text; set it to an editor"))?;
        if !value.trim().is_empty() {
            return Ok(value.trim().to_string());
        }
    }
    match io::stdin().is_terminal() {
        true => Ok(USUAL.to_string()),
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

/// The command that opens the file `path`, as git runs an editor: quotes and options mean what they
/// mean to a shell.
#[cfg(unix)]
fn command(editor: &str, path: &Path) -> Command {
    let mut command = Command::new("sh");
    let line = format!("{editor} \"$@\"");
    command.arg("-c").arg(line).arg(editor).arg(path);
    command
}

/// The command that opens the file `path`.
#[cfg(not(unix))]
fn command(editor: &str, path: &Path) -> Command {
    let mut words = editor.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or(USUAL));
    command.args(words).arg(path);
    command
}

/// Runs the editor on the file `path` until it ends.
fn run(editor: &str, path: &Path, interrupt: &Interrupt) -> Result<()> {
    let mut command = command(editor, path);
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
    let absent =
        || format!("the editor {editor} cannot be started; set VISUAL or EDITOR to another");
    let status = command.status().with_context(absent)?;
    match status.code() {
        Some(0) => Ok(()),
        // A shell's words for what it cannot run or find.
        Some(126 | 127) if cfg!(unix) => Err(anyhow!(absent())),
        _ => bail!("the editor {editor} failed ({status})"),
    }
}
