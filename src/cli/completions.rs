//! Shell completions: the scripts ask `wick` itself, so that the models which are offered are
//! those that are here.

use std::ffi::OsStr;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use clap_complete::CompleteEnv;
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use super::output::Output;
use crate::hub::card;
use crate::hub::{HubOptions, cache};

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

const EXAMPLES: &str = "\
bash: wick completions bash > ~/.local/share/bash-completion/completions/wick
zsh:  wick completions zsh > a folder of $fpath/_wick
fish: wick completions fish > ~/.config/fish/completions/wick.fish
The script asks wick for subcommands, flags and models as you type; wick must be on the PATH.";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,

    Powershell,
    Zsh,
}

impl Shell {
    fn completer(self) -> &'static dyn EnvCompleter {
        match self {
            Self::Bash => &Bash,
            Self::Elvish => &Elvish,
            Self::Fish => &Fish,
            Self::Powershell => &Powershell,
            Self::Zsh => &Zsh,
        }
    }
}

/// The variable by which a script asks.
const VARIABLE: &str = "WICK_COMPLETE";

pub fn run(args: &CompletionsArgs) -> Result<()> {
    let script = String::from_utf8(script(args.shell)?)?;
    Ok(Output::new().text(&script)?)
}

fn script(shell: Shell) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    shell
        .completer()
        .write_registration(VARIABLE, "wick", "wick", "wick", &mut out)
        .context("writing the script")?;
    if let Shell::Zsh = shell {
        out.extend_from_slice(ZSH_AUTOLOAD);
    }
    Ok(out)
}

/// A file of `$fpath` is first run by the very completion that it defines.
const ZSH_AUTOLOAD: &[u8] =
    b"[[ \"$funcstack[1]\" = \"_wick\" ]] && _clap_dynamic_completer_wick \"$@\"\n";

/// Answers a script that asks, and ends the process; does nothing otherwise.
pub fn answer() {
    CompleteEnv::with_factory(super::command)
        .var(VARIABLE)
        .bin("wick")
        .completer("wick")
        .complete();
}

/// Completes a model to be run: cards, what is cached, and paths.
pub fn models() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let mut found = named(current, cards().into_iter().chain(cached()));
        found.extend(PathCompleter::any().complete(current));
        found
    })
}

/// Completes a model of the Hub: cards, and what is cached.
pub fn hub_models() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| named(current, cards().into_iter().chain(cached())))
}

/// Completes what the cache holds.
pub fn cached_models() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| named(current, cached()))
}

/// Completes a card or a family.
pub fn cards_and_families() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let families = card::families();
        let families = families.map(|f| (f.name.clone(), f.title.clone()));
        named(current, cards().into_iter().chain(families))
    })
}

/// Names with what they are.
type Named = (String, String);

fn cards() -> Vec<Named> {
    let of = card::all().map(|(family, card)| (card.name.clone(), family.title.clone()));
    let demo =
        cfg!(feature = "demo").then(|| (crate::demo::NAME.to_string(), "embedded".to_string()));
    of.chain(demo).collect()
}

fn cached() -> Vec<Named> {
    // Where no cache is known, nothing is in it.
    let names = HubOptions::from_env().map(|options| cache::names(&options.cache));
    let names = names.unwrap_or_default().into_iter();
    names.map(|name| (name, "cached".to_string())).collect()
}

fn named(current: &OsStr, names: impl IntoIterator<Item = Named>) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else {
        return Vec::new();
    };
    let fits = |(name, _): &Named| {
        let start = name.get(..current.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(current))
    };
    let mut names: Vec<Named> = names.into_iter().filter(fits).collect();
    names.dedup_by(|a, b| a.0 == b.0);
    let candidate = |(name, what): Named| CompletionCandidate::new(name).help(Some(what.into()));
    names.into_iter().map(candidate).collect()
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
            (Shell::Powershell, "_wick.ps1"),
            (Shell::Elvish, "wick.elv"),
        ];
        for (shell, name) in files {
            let path = folder.join(name);
            if std::env::var_os("WICK_UPDATE").is_some_and(|value| value == "1") {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, script(shell).unwrap()).unwrap();
            }
            let found = std::fs::read(&path).unwrap_or_default();
            assert!(
                found == script(shell).unwrap(),
                "completions/{name} is not current: WICK_UPDATE=1 cargo test completions"
            );
        }
    }
}
