//! `wick models rm`: makes room in the cache, after asking.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::cached::{Cached, repos, revisions};
use crate::cli::completions;
use crate::cli::figures::bytes;
use crate::cli::ui::Ui;
use crate::hub::cache::{CachedModel, remove, remove_copies};
use crate::hub::{HubOptions, RepoId, card};

/// Remove models from the cache; asks first
#[derive(Debug, Args)]
#[command(
    after_help = "The cache is shared with Python's tools: what is removed is gone for them too."
)]
pub struct RmArgs {
    /// Cards' names or hub ids ORG/NAME[@REVISION]
    #[arg(value_name = "MODEL", required = true, add = completions::cached_models())]
    models: Vec<String>,
    /// Only the quantized copies that wick made
    #[arg(long)]
    copies: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// What is to go: a repository or a revision of it.
struct Target {
    repo: RepoId,
    /// That of the revision.
    commit: Option<String>,
    /// For the question.
    said: String,
    cached: bool,
}

pub fn run(args: &RmArgs, ui: &Ui) -> Result<()> {
    let cache = HubOptions::from_env()?.cache;
    for name in &args.models {
        let cached = Cached::read(&cache)?;
        let targets = targets(name, &cached, args.copies)?;
        if targets.is_empty() {
            bail!("{}", not_here(name, &cached, &cache, args.copies));
        }
        for target in targets {
            if args.yes || agreed(&target.said)? {
                let freed = removed(&cache, &target)?;
                ui.line(&format!("removed {}: {freed}", target.said));
            } else {
                ui.line(&format!("kept {}", target.said));
            }
        }
    }
    Ok(())
}

/// What the name stands for, of what is here.
fn targets(name: &str, cached: &Cached, copies_only: bool) -> Result<Vec<Target>> {
    let (id, revision) = match name.split_once('@') {
        Some((id, revision)) => (id, Some(revision.to_string())),
        None => (name, None),
    };
    let repos: Vec<RepoId> = match (id.contains('/'), card::find(id)) {
        (false, Some((_, card))) => repos(card).collect(),
        (false, None) => Vec::new(),
        (true, _) => vec![RepoId::parse(id)?],
    };
    let here = repos.into_iter().filter_map(|repo| {
        let repo = cached.spelled(&repo)?.clone();
        let commit = match &revision {
            None => None,
            // What this repository lacks, the card's other one may have.
            Some(name) => Some(cached.commit(&repo, name)?.to_string()),
        };
        let model = cached.model(&repo).filter(|_| !copies_only);
        let copies: u64 = cached.copies_of(&repo).map(|c| c.bytes).sum();
        let at = revision.as_ref().map_or(String::new(), |r| format!("@{r}"));
        let said = match (model, copies) {
            (None, 0) => return None,
            (None, copies) => format!("the quantized copies of {repo} ({})", bytes(copies)),
            (Some(_), _) if revision.is_some() => format!("{repo}{at}"),
            (Some(m), 0) => format!("{repo} ({})", bytes(m.bytes)),
            (Some(m), copies) => format!(
                "{repo} ({}) and its quantized copies ({})",
                bytes(m.bytes),
                bytes(copies)
            ),
        };
        let has = |model: &CachedModel| commit.iter().all(|c| model.revision(c).is_some());
        Some(Target {
            cached: model.is_some_and(has),
            commit,
            repo,
            said,
        })
    });
    Ok(here.collect())
}

fn not_here(name: &str, cached: &Cached, cache: &Path, copies_only: bool) -> String {
    let models = cached.models.iter();
    let ids: Vec<String> = match name.contains('@') {
        true => models.flat_map(revisions).collect(),
        false => models.map(|m| m.repo.to_string()).collect(),
    };
    let what = match (copies_only, name.contains('@')) {
        (true, _) => "no quantized copy of",
        (false, true) => "no revision",
        (false, false) => "no model",
    };
    let near = card::did_you_mean(&card::nearest(name, &ids, 3));
    format!(
        "{what} {name:?} is in {}{near} (`wick models --cached` lists what is)",
        cache.display()
    )
}

/// Asks; only y and yes are a yes.
fn agreed(said: &str) -> Result<bool> {
    let mut err = io::stderr();
    write!(err, "remove {said}? [y/N] ").context("asking")?;
    err.flush().context("asking")?;
    let mut answer = String::new();
    if io::stdin().read_line(&mut answer).context("the answer")? == 0 {
        bail!("nothing was removed: nobody answered; --yes removes without asking");
    }
    let answer = answer.trim();
    Ok(["y", "yes"]
        .iter()
        .any(|yes| answer.eq_ignore_ascii_case(yes)))
}

/// Removes and says what was freed.
fn removed(cache: &Path, target: &Target) -> Result<String> {
    let (repo, commit) = (&target.repo, target.commit.as_deref());
    let (mut freed, mut shared) = (0, 0);
    if target.cached {
        let removed = remove(cache, repo, commit)?;
        (freed, shared) = (removed.bytes, removed.shared);
    }
    freed += remove_copies(cache, repo, commit)?;
    let stays = match shared {
        0 => String::new(),
        shared => format!(
            "; {} stay in the store {} that Python's tools share between repositories; `hf cache prune` removes what none of them uses",
            bytes(shared),
            cache.join("blobs").display()
        ),
    };
    Ok(format!("{} freed{stays}", bytes(freed)))
}
