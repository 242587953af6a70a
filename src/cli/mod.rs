//! What a user types: the command line, one file per subcommand. Flags are parsed in [`flags`],
//! settled against the model and the machine in [`settings`], and carried out by the library.

mod answer;
mod batch;
mod bench;
mod chat;
mod completions;
mod copy;
mod cot;
mod download;
mod exit;
mod figures;
mod flags;
mod infill;
mod inspect;
mod interrupt;
mod json;
mod models;
mod open;
mod output;
mod preflight;
mod progress;
mod prompt;
mod quantize;
mod run;
mod settings;
mod task;
mod tensor_file;
mod thinker;
mod threads;
mod ui;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use ui::Ui;

/// Chat and generate with the open large-language-model families, on a plain CPU first.
#[derive(Debug, Parser)]
#[command(name = "wick", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    /// Only errors on stderr: no progress, notes or figures
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 the work failed, 2 the command line was wrong, \
                          130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::RunArgs>),
    Chat(chat::ChatArgs),
    Download(download::DownloadArgs),
    Quantize(quantize::QuantizeArgs),
    Bench(bench::BenchArgs),
    Models(models::ModelsArgs),
    Inspect(inspect::InspectArgs),
    Completions(completions::CompletionsArgs),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    completions::answer();
    let arguments = std::env::args_os().map(dashed_scan());
    let tree = command().mut_subcommands(|sub| sub.mut_args(without_blank_variable));
    let matches = tree.try_get_matches_from(arguments);
    let cli = match matches.and_then(|mut m| Cli::from_arg_matches_mut(&mut m)) {
        Ok(cli) => cli,
        Err(e) => {
            // A closed pipe behind --help is no error.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { exit::USAGE } else { 0 });
        }
    };
    let ui = Ui::new(cli.quiet);
    let done = match &cli.command {
        Command::Run(args) => run::run(args, &ui),
        Command::Chat(args) => chat::run(args, &ui),
        Command::Download(args) => download::run(args, &ui),
        Command::Quantize(args) => quantize::run(args, &ui),
        Command::Bench(args) => bench::run(args, &ui),
        Command::Models(args) => models::run(args, &ui),
        Command::Inspect(args) => inspect::run(args, &ui),
        Command::Completions(args) => completions::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => exit::report(&e),
    }
}

/// The clap tree, for completions, tests and the demo model's facts.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The flag without its variable where that is set to nothing, which is as good as not at all.
fn without_blank_variable(arg: Arg) -> Arg {
    let value = arg.get_env().and_then(std::env::var_os);
    match value.is_some_and(|value| value.to_string_lossy().trim().is_empty()) {
        true => arg.env(None::<&'static str>),
        false => arg,
    }
}

/// Reads `_` as `-` in the names of long flags (`--max_tokens`), not after `--`.
fn dashed_scan() -> impl FnMut(OsString) -> OsString {
    let mut values_only = false;
    move |argument| {
        values_only |= argument == "--";
        match argument.to_str() {
            Some(text) if !values_only => dashed(text).into(),
            _ => argument,
        }
    }
}

/// A word of a command line, `-` for `_` in its name if it is a long flag. Behind `=` or white
/// space there are values.
fn dashed(word: &str) -> String {
    if !word.starts_with("--") {
        return word.to_string();
    }
    let end = word.find(|c: char| c == '=' || c.is_whitespace());
    let (name, values) = word.split_at(end.unwrap_or(word.len()));
    format!("{}{values}", name.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn underscores_are_dashes_in_names_of_flags_only() {
        let read = |list: &[&str]| -> Vec<String> {
            let given = list.iter().map(OsString::from).map(dashed_scan());
            given.map(|a| a.into_string().unwrap()).collect()
        };
        assert_eq!(
            read(&["run", "--top_k=a_b", "--top_p", "-a_b", "--", "--a_b"]),
            ["run", "--top-k=a_b", "--top-p", "-a_b", "--", "--a_b"]
        );
        // One argument of several words, the value of another flag.
        assert_eq!(
            read(&["--cache_type q8_0", "--against=--cache_type q8_0"]),
            ["--cache-type q8_0", "--against=--cache_type q8_0"]
        );
    }

    #[test]
    fn every_variable_is_named_in_the_help_of_its_flag() {
        for sub in command().get_subcommands() {
            for arg in sub.get_arguments().filter(|a| a.get_env().is_some()) {
                assert!(
                    !arg.is_hide_env_set(),
                    "{}: {}",
                    sub.get_name(),
                    arg.get_id()
                );
            }
        }
    }
}
