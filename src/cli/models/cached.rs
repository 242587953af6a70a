//! What the cache holds, for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::SystemTime;

use crate::cli::figures::bytes;
use crate::hub::cache::{CachedModel, QuantizedCopy, copies, list};
use crate::hub::card::{self, Card};
use crate::hub::{RepoId, Result};

/// Models in the shared cache and the quantized copies beside it.
#[derive(Debug, Default)]
pub struct Cached {
    pub models: Vec<CachedModel>,
    pub copies: Vec<QuantizedCopy>,
}

impl Cached {
    /// # Errors
    /// The cache is there and cannot be read.
    pub fn read(cache: &Path) -> Result<Self> {
        Ok(Self {
            models: list(cache)?,
            copies: copies(cache),
        })
    }

    /// How an id is spelled here: as it is given where that is here, else in whatever case, which
    /// the Hub does not mind.
    pub fn spelled(&self, repo: &RepoId) -> Option<&RepoId> {
        let models = self.models.iter().map(|model| &model.repo);
        let copies = self.copies.iter().map(|copy| &copy.repo);
        let ids: Vec<&RepoId> = models.chain(copies).collect();
        let exact = ids.iter().find(|id| **id == repo);
        exact
            .or_else(|| ids.iter().find(|id| same(id, repo)))
            .copied()
    }

    pub fn model(&self, repo: &RepoId) -> Option<&CachedModel> {
        let id = self.spelled(repo)?;
        self.models.iter().find(|model| model.repo == *id)
    }

    pub fn copies_of(&self, repo: &RepoId) -> impl Iterator<Item = &QuantizedCopy> {
        let id = self.spelled(repo);
        let of = move |copy: &&QuantizedCopy| id == Some(&copy.repo);
        self.copies.iter().filter(of)
    }

    /// The commit of a revision that is here, or that copies are of: by branch, tag or commit, or by
    /// a commit's first digits, as they are listed, where no other begins so.
    pub fn commit(&self, repo: &RepoId, name: &str) -> Option<&str> {
        let model = self.model(repo);
        if let Some(revision) = model.and_then(|model| model.revision(name)) {
            return Some(revision.commit.as_str());
        }
        let revisions = model.into_iter().flat_map(|model| &model.revisions);
        let commits = revisions.map(|revision| revision.commit.as_str());
        let commits = commits.chain(self.copies_of(repo).map(|copy| copy.commit.as_str()));
        let begun: BTreeSet<&str> = commits
            .filter(|commit| name.len() >= SHORT && commit.starts_with(name))
            .collect();
        match begun.len() {
            1 => begun.first().copied(),
            _ => None,
        }
    }

    /// Whether a card's model is here, with weights that are whole.
    pub fn has(&self, card: &Card) -> bool {
        repos(card).any(|repo| self.model(&repo).is_some_and(CachedModel::has_weights))
    }

    /// What is here of a card, in a line.
    pub fn of_card(&self, card: &Card) -> String {
        let mut parts = Vec::new();
        for repo in repos(card) {
            if let Some(model) = self.model(&repo) {
                let size = bytes(model.bytes);
                parts.push(match (model.has_weights(), model.unfinished) {
                    (true, 0) => format!("{} ({size})", model.repo),
                    (true, part) => format!("{} ({size}, {} unfinished)", model.repo, bytes(part)),
                    (false, _) => format!("{} ({size}, unfinished)", model.repo),
                });
            }
            for copy in self.copies_of(&repo) {
                parts.push(format!("copy {} ({})", copy.settings, bytes(copy.bytes)));
            }
        }
        match parts.is_empty() {
            true => "no".to_string(),
            false => parts.join(", "),
        }
    }

    /// Each model with its revisions and copies, and the sum.
    pub fn listing(&self, cache: &Path) -> String {
        let mut out = String::new();
        let mut repos: Vec<&RepoId> = self.models.iter().map(|m| &m.repo).collect();
        repos.extend(self.copies.iter().map(|c| &c.repo));
        repos.sort();
        repos.dedup();
        let mut all = 0;
        for repo in &repos {
            let model = self.models.iter().find(|m| m.repo == **repo);
            let copies = self.copies.iter().filter(|copy| copy.repo == **repo);
            let copies: Vec<&QuantizedCopy> = copies.collect();
            let size = model.map_or(0, |m| m.bytes) + copies.iter().map(|c| c.bytes).sum::<u64>();
            all += size;
            let id = repo.to_string();
            let card = card::find_repo(&id).map_or("", |(_, card)| card.name.as_str());
            let used = model.map_or(String::new(), |m| used(m.last_used));
            let line = format!("{id:<42} {:>10}  {used:<18} {card}", bytes(size));
            let _ = writeln!(out, "{}", line.trim_end());
            model.into_iter().for_each(|m| rows(m, &mut out));
            for copy in copies {
                let name = format!(
                    "quantized copy {} of {}",
                    copy.settings,
                    short(&copy.commit)
                );
                let _ = writeln!(out, "  {name:<40} {:>10}", bytes(copy.bytes));
            }
        }
        let _ = writeln!(
            out,
            "{} {}, {} in {}",
            repos.len(),
            if repos.len() == 1 { "model" } else { "models" },
            bytes(all),
            cache.display()
        );
        out
    }
}

/// A model's revisions, and what of it is unfinished.
fn rows(model: &CachedModel, out: &mut String) {
    for revision in &model.revisions {
        let name = match revision.refs.as_slice() {
            [] => short(&revision.commit).to_string(),
            refs => format!("{} ({})", refs.join(", "), short(&revision.commit)),
        };
        let files = revision.files.len();
        let _ = writeln!(
            out,
            "  {name:<40} {:>10}  {files} files",
            bytes(revision.bytes)
        );
    }
    if model.unfinished > 0 {
        let name = "unfinished; `wick download` goes on";
        let _ = writeln!(out, "  {name:<40} {:>10}", bytes(model.unfinished));
    }
}

/// The repositories of a card.
pub fn repos(card: &Card) -> impl Iterator<Item = RepoId> {
    let ids = card.hub.iter().chain(&card.gguf);
    ids.filter_map(|id| RepoId::parse(id).ok())
}

/// The Hub minds no case in names.
fn same(a: &RepoId, b: &RepoId) -> bool {
    a.to_string().eq_ignore_ascii_case(&b.to_string())
}

/// A model's revisions as `rm` takes them: ORG/NAME@REVISION.
pub fn revisions(model: &CachedModel) -> Vec<String> {
    let names = model.revisions.iter().flat_map(|revision| {
        let refs = revision.refs.iter().map(String::as_str);
        let commit = revision.refs.is_empty().then(|| short(&revision.commit));
        refs.chain(commit)
    });
    names.map(|name| format!("{}@{name}", model.repo)).collect()
}

/// Digits of a commit that are shown.
const SHORT: usize = 7;

/// The first digits of a commit, as git shows it.
fn short(commit: &str) -> &str {
    commit.get(..SHORT).unwrap_or(commit)
}

/// When something was used last; nothing where nobody knows.
fn used(at: SystemTime) -> String {
    const DAY: u64 = 24 * 60 * 60;
    if at == SystemTime::UNIX_EPOCH {
        return String::new();
    }
    match at.elapsed().map_or(0, |ago| ago.as_secs() / DAY) {
        0 => "used today".to_string(),
        1 => "used yesterday".to_string(),
        days => format!("used {days} days ago"),
    }
}
