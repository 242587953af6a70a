//! What the Hub says of a repository: its commit and its files.

use serde::Deserialize;

use super::card;
use super::error::{HubError, Result};
use super::http::{Http, Span};
use super::name::{RepoId, check_file};
use super::refusal::{Asked, Failure};

/// Pages of a file list that are followed; a page has up to a thousand entries.
const MOST_PAGES: usize = 100;
const PAGE_BYTES: usize = 16 << 20;

/// What the Hub promises of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hash {
    /// Of files in large-file storage: SHA-256 of the content.
    Sha256(String),
    /// Of all others: git's SHA-1 of the object.
    Git(String),
}

impl Hash {
    /// The hash in hexadecimal, also the blob's name in the cache.
    pub fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::Git(hex) => hex,
        }
    }
}

/// A file of a repository at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Within the repository, with `/`; it stays below the folder that it is joined to.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Of the content, to check it by.
    pub hash: Hash,
}

/// The commit that a revision stands for now.
///
/// Asked by ourselves: hf-hub's client sends the token again on a host's redirect to itself, also
/// where that host is not the endpoint.
pub(crate) fn commit(http: &Http<'_>, repo: &RepoId, revision: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Info {
        sha: Option<String>,
    }
    let id = repo.to_string();
    let asked = Asked::Revision {
        repo: &id,
        revision,
    };
    let path = [
        "api",
        "models",
        repo.org(),
        repo.name(),
        "revision",
        revision,
    ];
    let url = http.url(path)?;
    let found = http.retrying(|| {
        let answer = http.get(url.clone(), Span::ALL, asked)?;
        answer.refuse_html("JSON")?;
        let at = answer.url();
        let body = answer.body(PAGE_BYTES)?;
        Ok(serde_json::from_slice::<Info>(&body).map_err(|_| not_json(at))?)
    });
    let info = found.map_err(|e| with_near_names(http, e, repo))?;
    match info.sha {
        Some(sha) if is_commit(&sha) => Ok(sha),
        _ => Err(HubError::NotTheHub {
            url: format!("{}/api/models/{repo}", http.options.endpoint),
            found: "no commit".to_string(),
            wanted: "a model's description",
        }),
    }
}

/// Whether a revision is a full commit hash, so that it cannot change.
pub(crate) fn is_commit(revision: &str) -> bool {
    is_hex(revision, 40)
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn not_json(url: String) -> HubError {
    HubError::NotTheHub {
        url,
        found: "something else (a web page, perhaps)".to_string(),
        wanted: "JSON",
    }
}

/// Names that a mistyped repository or revision may have meant: cards, and the repository's refs.
fn with_near_names(http: &Http<'_>, error: HubError, repo: &RepoId) -> HubError {
    match error {
        HubError::RepoNotFound {
            endpoint,
            repo: id,
            has_token,
            ..
        } => {
            let known = card::all().flat_map(|(_, c)| c.hub.iter().chain(&c.gguf));
            let near_names = card::nearest(&id, known, 3)
                .into_iter()
                .filter(|n| *n != id)
                .collect();
            HubError::RepoNotFound {
                endpoint,
                repo: id,
                has_token,
                near_names,
            }
        }
        HubError::RevisionNotFound {
            repo: id, revision, ..
        } => {
            let names = refs(http, repo).unwrap_or_default();
            let mut near_names = card::nearest(&revision, &names, 3);
            if near_names.is_empty() {
                near_names = names.into_iter().take(5).collect();
            }
            HubError::RevisionNotFound {
                repo: id,
                revision,
                near_names,
            }
        }
        other => other,
    }
}

fn refs(http: &Http<'_>, repo: &RepoId) -> Result<Vec<String>, Failure> {
    #[derive(Deserialize)]
    struct Ref {
        name: String,
    }
    #[derive(Deserialize)]
    struct Refs {
        #[serde(default)]
        branches: Vec<Ref>,
        #[serde(default)]
        tags: Vec<Ref>,
    }
    let id = repo.to_string();
    let url = http.url(["api", "models", repo.org(), repo.name(), "refs"])?;
    let body = http
        .get(
            url,
            Span::ALL,
            Asked::Revision {
                repo: &id,
                revision: "main",
            },
        )?
        .body(PAGE_BYTES)?;
    let refs: Refs = serde_json::from_slice(&body).map_err(|_| not_json(id))?;
    let names = refs.branches.into_iter().chain(refs.tags).map(|r| r.name);
    Ok(names
        .filter(|name| super::name::check_revision(name).is_ok())
        .collect())
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

impl Entry {
    fn file(self) -> Option<RemoteFile> {
        if self.kind != "file" || check_file(&self.path).is_err() {
            return None;
        }
        let (size, hash) = match self.lfs {
            Some(lfs) => (
                lfs.size,
                Hash::Sha256(lfs.oid.trim_start_matches("sha256:").to_string()),
            ),
            None => (self.size, Hash::Git(self.oid)),
        };
        let wanted = if matches!(hash, Hash::Sha256(_)) {
            64
        } else {
            40
        };
        is_hex(hash.hex(), wanted).then_some(RemoteFile {
            path: self.path,
            size,
            hash,
        })
    }
}

/// Every file of a commit. Names that could leave a folder and hashes that are none are left out.
///
/// Sent by ourselves: hf-hub would follow a page's link, token and all, to any host.
pub(crate) fn files(http: &Http<'_>, repo: &RepoId, commit: &str) -> Result<Vec<RemoteFile>> {
    let id = repo.to_string();
    let asked = Asked::Revision {
        repo: &id,
        revision: commit,
    };
    let mut url = http.url(["api", "models", repo.org(), repo.name(), "tree", commit])?;
    url.set_query(Some("recursive=true"));
    let mut files = Vec::new();
    for _ in 0..MOST_PAGES {
        let (page, next) = http.retrying(|| {
            let answer = http.get(url.clone(), Span::ALL, asked)?;
            answer.refuse_html("JSON")?;
            let next = answer
                .header("link")
                .and_then(next_page)
                .map(str::to_string);
            let at = answer.url();
            let page: Vec<Entry> =
                serde_json::from_slice(&answer.body(PAGE_BYTES)?).map_err(|_| not_json(at))?;
            Ok((page, next))
        })?;
        files.extend(page.into_iter().filter_map(Entry::file));
        let Some(next) = next.and_then(|next| url.join(&next).ok()) else {
            return Ok(files);
        };
        if !http.is_endpoint(&next) {
            return Err(HubError::Redirect {
                url: http.options.endpoint.clone(),
                reason: "its list of files goes on at another host".to_string(),
            });
        }
        url = next;
    }
    Err(HubError::NotTheHub {
        url: http.options.endpoint.clone(),
        found: format!("more than {MOST_PAGES} pages of files"),
        wanted: "a list that ends",
    })
}

/// The `rel="next"` address of a Link header.
fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|part| {
        let (address, rest) = part.trim().strip_prefix('<')?.split_once('>')?;
        rest.contains("rel=\"next\"").then_some(address)
    })
}

#[cfg(test)]
mod tests;
