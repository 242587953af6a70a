//! What can go wrong between a name and a file: each case a sentence that ends in what to do.

use std::path::{Path, PathBuf};

use super::card::did_you_mean;
use super::size::readable_bytes;

/// The result of this room.
pub type Result<T, E = HubError> = std::result::Result<T, E>;

/// Why a model could not be found or fetched. No message ever holds the token.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Nothing is called this.
    #[error("no model is called {name:?}; tried {}{}", tried.join(", "), did_you_mean(near_names))]
    UnknownName {
        /// What was typed, or the id that was looked for.
        name: String,
        /// Each thing that it could have been, in words.
        tried: Vec<String>,
        /// Of models that there are, the nearest first; may be empty.
        near_names: Vec<String>,
    },
    /// A name that cannot be a model's, whatever exists.
    #[error("{name:?} cannot name a model: {reason}")]
    BadName {
        /// What was typed, fit for a terminal.
        name: String,
        /// The rule that it breaks, in words.
        reason: String,
    },
    /// A file or folder that was named and is not a model.
    #[error("{}: {message}", path.display())]
    Local {
        /// As it was named.
        path: PathBuf,
        /// Why it is no model, in words.
        message: String,
    },
    /// A card whose weights are not on the Hub.
    #[error("{name} cannot be downloaded: {note}")]
    NotPublished {
        /// The card's name.
        name: String,
        /// What the card says instead.
        note: String,
    },
    /// 404 for the repository (or 401 to someone unknown, which the Hub also says of missing ones).
    #[error(
        "{endpoint} has no model {repo} that {} may see; check the name{}{}",
        if *has_token { "this token" } else { "an anonymous user" },
        if *has_token { "" } else { ", or set HF_TOKEN if it is private" },
        did_you_mean(near_names)
    )]
    RepoNotFound {
        /// The Hub or mirror that was asked.
        endpoint: String,
        /// `ORG/NAME`.
        repo: String,
        /// Whether a token is set, with which it is not seen either.
        has_token: bool,
        /// Hub ids of cards, the nearest first; may be empty.
        near_names: Vec<String>,
    },
    /// 404 for the branch, tag or commit.
    #[error(
        "{repo} has no revision {revision:?}; check --revision{}",
        did_you_mean(near_names)
    )]
    RevisionNotFound {
        /// `ORG/NAME`.
        repo: String,
        /// The branch, tag or commit that was asked for.
        revision: String,
        /// Branches and tags that there are; may be empty.
        near_names: Vec<String>,
    },
    /// The repository has no such file.
    #[error(
        "{repo} has no file {file:?}{} (`wick download --dry-run --include \"*\" {repo}` lists its files)",
        did_you_mean(near_names)
    )]
    FileNotFound {
        /// `ORG/NAME`.
        repo: String,
        /// The path that was asked for, or the globs of `--include` that fit nothing.
        file: String,
        /// Files that there are, the nearest first; may be empty.
        near_names: Vec<String>,
    },
    /// No GGUF of the repository has this quantization.
    #[error(
        "{repo} has no GGUF file of quantization {quant}; {}",
        choices(available)
    )]
    QuantNotFound {
        /// `ORG/NAME`.
        repo: String,
        /// As it was asked for: `Q4_K_M`.
        quant: String,
        /// Those that its GGUF files' names hold; empty where it has no such file.
        available: Vec<String>,
    },
    /// Several files answer to the name.
    #[error("{what} fits several files; name one of them: {}", names.join(", "))]
    Ambiguous {
        /// The folder, repository or `ORG/NAME:QUANT` that was named.
        what: String,
        /// What may be named instead.
        names: Vec<String>,
    },
    /// Nothing in the repository can be loaded.
    #[error(
        "{repo} has no weights to load (*.safetensors, *.gguf, *.bin); it has {}; name another repository of the model, or one with GGUF files",
        if found.is_empty() { "no files".to_string() } else { found.join(", ") }
    )]
    NoWeights {
        /// `ORG/NAME`.
        repo: String,
        /// Up to ten of its files.
        found: Vec<String>,
    },
    /// 401.
    #[error(
        "{endpoint} refuses {repo}: {}",
        if *has_token { "the token is not valid; replace HF_TOKEN (or log in again with `hf auth login`)" }
        else { "it wants a token; make one at the endpoint's settings/tokens page and set HF_TOKEN" }
    )]
    Unauthorized {
        /// The Hub or mirror that was asked.
        endpoint: String,
        /// `ORG/NAME`.
        repo: String,
        /// Whether a token is set, which then is not valid.
        has_token: bool,
    },
    /// 403: the repository is gated.
    #[error(
        "{repo} is gated: accept its conditions at {endpoint}/{repo} {}",
        if *has_token { "with the account of this token, and give the token read access to gated repositories" }
        else { "and set HF_TOKEN to a token of that account" }
    )]
    Gated {
        /// The Hub or mirror that was asked.
        endpoint: String,
        /// `ORG/NAME`.
        repo: String,
        /// Whether a token is set, which then has no access.
        has_token: bool,
    },
    /// 403 without a gate: the token lacks the right, or something on the way refuses.
    #[error(
        "{url} answered 403{}: {}; if a proxy or firewall says this, set HF_ENDPOINT to a mirror that it lets through",
        if message.is_empty() { String::new() } else { format!(" ({message})") },
        if *has_token { "this token may not read it, give it read access" } else { "set HF_TOKEN if it is private" }
    )]
    Forbidden {
        /// The address that was asked for, without its query.
        url: String,
        /// Whether a token is set, which then may not read it.
        has_token: bool,
        /// The server's own words, fit for a terminal; may be empty.
        message: String,
    },
    /// 429, and waiting did not help.
    #[error(
        "{endpoint} asks to slow down ({wait}); try again later, or set HF_TOKEN for a higher limit"
    )]
    RateLimited {
        /// The Hub or mirror that was asked.
        endpoint: String,
        /// For how long, in words.
        wait: String,
    },
    /// No answer: DNS, connection, TLS or time-out.
    #[error(
        "{endpoint} cannot be reached: {reason}; check the network, set HF_ENDPOINT to a mirror, or use --offline with what is cached"
    )]
    Unreachable {
        /// The Hub or mirror, or the host that it redirects to.
        endpoint: String,
        /// The innermost cause, in words.
        reason: String,
    },
    /// Any other status.
    #[error("{url} answered {status}{}; try again later", if message.is_empty() { String::new() } else { format!(" ({message})") })]
    Status {
        /// The address that was asked for, without its query.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// What is known of the reason, fit for a terminal; may be empty.
        message: String,
    },
    /// Something between us and the Hub answered (a captive portal), or the endpoint is no Hub.
    #[error(
        "{url} answered with {found} instead of {wanted}; log in to the network if it shows a page in the browser, and check HF_ENDPOINT"
    )]
    NotTheHub {
        /// The address that was asked for, without its query.
        url: String,
        /// What came, in words: `a web page`.
        found: String,
        /// What should have come: `JSON`.
        wanted: &'static str,
    },
    /// A chain of redirects that does not end, or leads where a download must not go.
    #[error("{url}: {reason}; check HF_ENDPOINT")]
    Redirect {
        /// The address that redirects, without its query.
        url: String,
        /// Why it is not followed, in words.
        reason: String,
    },
    /// The bytes are not those that the Hub promised.
    #[error(
        "{file}: the content's hash is {found}, not {wanted}; the download was dropped, run the command again (a mirror that keeps doing this serves wrong content)"
    )]
    WrongHash {
        /// Its path in the repository.
        file: String,
        /// The hash that the Hub lists, in hexadecimal.
        wanted: String,
        /// The hash of what came.
        found: String,
    },
    /// More or fewer bytes than the Hub promised.
    #[error(
        "{file}: {found} bytes came where {wanted} were promised; the download was dropped, run the command again"
    )]
    WrongLength {
        /// Its path in the repository.
        file: String,
        /// Bytes that the Hub lists.
        wanted: u64,
        /// Bytes that came or were announced.
        found: u64,
    },
    /// The connection broke again and again. What came is kept.
    #[error(
        "{file}: the connection broke {attempts} times, last at byte {at} of {size} ({reason}); run the command again to go on from there"
    )]
    Interrupted {
        /// Its path in the repository.
        file: String,
        /// Failures in a row; 0 where it stopped because another file failed.
        attempts: u32,
        /// Bytes that are here.
        at: u64,
        /// Bytes of the whole file.
        size: u64,
        /// Why it broke the last time, in words.
        reason: String,
    },
    /// `--offline`, and something is not here.
    #[error(
        "{model} is not complete in the cache {} and --offline (or HF_HUB_OFFLINE) forbids to fetch it; missing: {}; leave --offline (HF_HUB_OFFLINE) out to fetch them",
        cache.display(), missing.join(", ")
    )]
    Offline {
        /// As it was named: `ORG/NAME@REVISION:FILE`.
        model: String,
        /// Where it was looked for.
        cache: PathBuf,
        /// Files, or what else is not here, in words.
        missing: Vec<String>,
    },
    /// The disk cannot hold it.
    #[error("{} has {} free where {} are needed; free some (`wick models rm NAME`) or set HF_HUB_CACHE to another disk", path.display(), readable_bytes(*free), readable_bytes(*needed))]
    DiskFull {
        /// The folder that the files go to.
        path: PathBuf,
        /// Bytes still to come.
        needed: u64,
        /// Bytes that this user may still write.
        free: u64,
    },
    /// The disk stopped taking it. What came is kept.
    #[error(
        "{file}: {} cannot be written after {} of {} ({source}); make room (`wick models rm NAME`, or HF_HUB_CACHE on another disk) and run the command again: it goes on from there",
        path.display(), readable_bytes(*at), readable_bytes(*size)
    )]
    Write {
        /// Its path in the repository.
        file: String,
        /// Where it grows until it is whole.
        path: PathBuf,
        /// Bytes that are written.
        at: u64,
        /// Bytes of the whole file.
        size: u64,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An option or environment variable that cannot be used.
    #[error("{name}: {message}")]
    Option {
        /// As it is set: `--revision`, `HF_ENDPOINT`.
        name: &'static str,
        /// What is wrong with its value, in words.
        message: String,
    },
    /// A file or folder on this machine could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was to be read or written.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file of the model is not what its format promises.
    #[error("{file}: {message}")]
    Format {
        /// Its path, here or in the repository.
        file: String,
        /// What is wrong with it, in words.
        message: String,
    },
}

impl HubError {
    pub(crate) fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_path_buf(),
            source,
        }
    }

    pub(crate) fn bad_name(name: &str, reason: impl Into<String>) -> Self {
        Self::BadName {
            name: clean(name),
            reason: reason.into(),
        }
    }

    /// A web page came in the place of what was wanted.
    pub(crate) fn web_page(url: String, wanted: &'static str) -> Self {
        Self::NotTheHub {
            url,
            found: "a web page".to_string(),
            wanted,
        }
    }

    /// Whether what is cached may stand in: nobody who knows better could be asked.
    pub fn is_network(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::RateLimited { .. } | Self::NotTheHub { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }
}

fn choices(names: &[String]) -> String {
    match names {
        [] => "it has no GGUF file at all".to_string(),
        names => format!("it has {}", names.join(", ")),
    }
}

/// Text of a server or user, fit for a terminal: one line, no control characters, not too long.
pub(crate) fn clean(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut out: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}
