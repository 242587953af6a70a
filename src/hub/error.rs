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
        name: String,
        tried: Vec<String>,
        near_names: Vec<String>,
    },
    /// A name that cannot be a model's, whatever exists.
    #[error("{name:?} cannot name a model: {reason}")]
    BadName { name: String, reason: String },
    /// A file or folder that was named and is not a model.
    #[error("{}: {message}", path.display())]
    Local { path: PathBuf, message: String },
    /// A card whose weights are not on the Hub.
    #[error("{name} cannot be downloaded: {note}")]
    NotPublished { name: String, note: String },
    /// 404 for the repository (or 401 to someone unknown, which the Hub also says of missing ones).
    #[error(
        "{endpoint} has no model {repo} that {} may see; check the name{}{}",
        if *has_token { "this token" } else { "an anonymous user" },
        if *has_token { "" } else { ", or set HF_TOKEN if it is private" },
        did_you_mean(near_names)
    )]
    RepoNotFound {
        endpoint: String,
        repo: String,
        has_token: bool,
        near_names: Vec<String>,
    },
    /// 404 for the branch, tag or commit.
    #[error(
        "{repo} has no revision {revision:?}; check --revision{}",
        did_you_mean(near_names)
    )]
    RevisionNotFound {
        repo: String,
        revision: String,
        near_names: Vec<String>,
    },
    /// The repository has no such file.
    #[error(
        "{repo} has no file {file:?}{} (`wick download --dry-run --include \"*\" {repo}` lists its files)",
        did_you_mean(near_names)
    )]
    FileNotFound {
        repo: String,
        file: String,
        near_names: Vec<String>,
    },
    /// No GGUF of the repository has this quantization.
    #[error(
        "{repo} has no GGUF file of quantization {quant}; {}",
        choices(available)
    )]
    QuantNotFound {
        repo: String,
        quant: String,
        available: Vec<String>,
    },
    /// Several files answer to the name.
    #[error("{what} fits several files; name one of them: {}", names.join(", "))]
    Ambiguous { what: String, names: Vec<String> },
    /// Nothing in the repository can be loaded.
    #[error(
        "{repo} has no weights to load (*.safetensors, *.gguf, *.bin); it has {}; name another repository of the model, or one with GGUF files",
        if found.is_empty() { "no files".to_string() } else { found.join(", ") }
    )]
    NoWeights { repo: String, found: Vec<String> },
    /// 401.
    #[error(
        "{endpoint} refuses {repo}: {}",
        if *has_token { "the token is not valid; replace HF_TOKEN (or log in again with `hf auth login`)" }
        else { "it wants a token; make one at the endpoint's settings/tokens page and set HF_TOKEN" }
    )]
    Unauthorized {
        endpoint: String,
        repo: String,
        has_token: bool,
    },
    /// 403: the repository is gated.
    #[error(
        "{repo} is gated: accept its conditions at {endpoint}/{repo} {}",
        if *has_token { "with the account of this token, and give the token read access to gated repositories" }
        else { "and set HF_TOKEN to a token of that account" }
    )]
    Gated {
        endpoint: String,
        repo: String,
        has_token: bool,
    },
    /// 403 without a gate: the token lacks the right, or something on the way refuses.
    #[error(
        "{url} answered 403{}: {}; if a proxy or firewall says this, set HF_ENDPOINT to a mirror that it lets through",
        if message.is_empty() { String::new() } else { format!(" ({message})") },
        if *has_token { "this token may not read it, give it read access" } else { "set HF_TOKEN if it is private" }
    )]
    Forbidden {
        url: String,
        has_token: bool,
        message: String,
    },
    /// 429, and waiting did not help.
    #[error(
        "{endpoint} asks to slow down ({wait}); try again later, or set HF_TOKEN for a higher limit"
    )]
    RateLimited { endpoint: String, wait: String },
    /// No answer: DNS, connection, TLS or time-out.
    #[error(
        "{endpoint} cannot be reached: {reason}; check the network, set HF_ENDPOINT to a mirror, or use --offline with what is cached"
    )]
    Unreachable { endpoint: String, reason: String },
    /// Any other status.
    #[error("{url} answered {status}{}; try again later", if message.is_empty() { String::new() } else { format!(" ({message})") })]
    Status {
        url: String,
        status: u16,
        message: String,
    },
    /// Something between us and the Hub answered (a captive portal), or the endpoint is no Hub.
    #[error(
        "{url} answered with {found} instead of {wanted}; log in to the network if it shows a page in the browser, and check HF_ENDPOINT"
    )]
    NotTheHub {
        url: String,
        found: String,
        wanted: &'static str,
    },
    /// A chain of redirects that does not end, or leads where a download must not go.
    #[error("{url}: {reason}; check HF_ENDPOINT")]
    Redirect { url: String, reason: String },
    /// The bytes are not those that the Hub promised.
    #[error(
        "{file}: the content's hash is {found}, not {wanted}; the download was dropped, run the command again (a mirror that keeps doing this serves wrong content)"
    )]
    WrongHash {
        file: String,
        wanted: String,
        found: String,
    },
    /// More or fewer bytes than the Hub promised.
    #[error(
        "{file}: {found} bytes came where {wanted} were promised; the download was dropped, run the command again"
    )]
    WrongLength {
        file: String,
        wanted: u64,
        found: u64,
    },
    /// The connection broke again and again. What came is kept.
    #[error(
        "{file}: the connection broke {attempts} times, last at byte {at} of {size} ({reason}); run the command again to go on from there"
    )]
    Interrupted {
        file: String,
        attempts: u32,
        at: u64,
        size: u64,
        reason: String,
    },
    /// `--offline`, and something is not here.
    #[error(
        "{model} is not complete in the cache {} and --offline (or HF_HUB_OFFLINE) forbids to fetch it; missing: {}; leave --offline (HF_HUB_OFFLINE) out to fetch them",
        cache.display(), missing.join(", ")
    )]
    Offline {
        model: String,
        cache: PathBuf,
        missing: Vec<String>,
    },
    /// The disk cannot hold it.
    #[error("{} has {} free where {} are needed; free some (`wick models rm NAME`) or set HF_HUB_CACHE to another disk", path.display(), readable_bytes(*free), readable_bytes(*needed))]
    DiskFull {
        path: PathBuf,
        needed: u64,
        free: u64,
    },
    /// The disk stopped taking it. What came is kept.
    #[error(
        "{file}: {} cannot be written after {} of {} ({source}); make room (`wick models rm NAME`, or HF_HUB_CACHE on another disk) and run the command again: it goes on from there",
        path.display(), readable_bytes(*at), readable_bytes(*size)
    )]
    Write {
        file: String,
        path: PathBuf,
        at: u64,
        size: u64,
        source: std::io::Error,
    },
    /// An option or environment variable that cannot be used.
    #[error("{name}: {message}")]
    Option { name: &'static str, message: String },
    /// A file or folder of the cache could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A file of the model is not what its format promises.
    #[error("{file}: {message}")]
    Format { file: String, message: String },
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
