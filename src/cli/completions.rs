//! `wick completions`: shell completions, generated from the clap tree.

use anyhow::Result;
use clap::Args;
use clap_complete::{Shell, generate};

use super::output::Output;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example: wick completions bash > ~/.local/share/bash-completion/completions/wick"
)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub fn run(args: &CompletionsArgs) -> Result<()> {
    let script = String::from_utf8(script(args.shell))?;
    Ok(Output::new().text(&script)?)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut out = Vec::new();
    generate(shell, &mut super::command(), "wick", &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// `WICK_UPDATE=1 cargo test completions` writes the files anew.
    #[test]
    fn the_committed_completions_are_current() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
        let files = [
            (Shell::Bash, "wick.bash"),
            (Shell::Zsh, "_wick"),
            (Shell::Fish, "wick.fish"),
            (Shell::PowerShell, "_wick.ps1"),
            (Shell::Elvish, "wick.elv"),
        ];
        for (shell, name) in files {
            let path = folder.join(name);
            if std::env::var_os("WICK_UPDATE").is_some() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, script(shell)).unwrap();
            }
            let found = std::fs::read(&path).unwrap_or_default();
            assert!(
                found == script(shell),
                "completions/{name} is not current: WICK_UPDATE=1 cargo test completions"
            );
        }
    }
}
