//! Requests that failed: what the Hub's refusals mean, and waiting between attempts.

use std::time::Duration;

use super::error::{HubError, Result, clean};
use super::options::HubOptions;
use super::progress::{Event, Progress};

/// A wait longer than this is the user's to decide on.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// A failed request, and whether it is worth another try.
#[derive(Debug)]
pub(crate) struct Failure {
    pub error: HubError,
    pub retry: Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// After the usual back-off.
    Later,
    /// After what the server asked for (`Retry-After`).
    After(Duration),
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self {
            error,
            retry: Retry::Never,
        }
    }
}

/// What was asked for, to say which part of it is missing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked<'a> {
    Revision { repo: &'a str, revision: &'a str },
    File { repo: &'a str, file: &'a str },
}

impl Asked<'_> {
    pub fn repo(&self) -> &str {
        match self {
            Self::Revision { repo, .. } | Self::File { repo, .. } => repo,
        }
    }
}

/// A refusal as the Hub words it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said<'a> {
    pub status: u16,
    /// `X-Error-Code`: RepoNotFound, RevisionNotFound, EntryNotFound, GatedRepo …
    pub code: &'a str,
    pub message: &'a str,
    pub retry_after: Option<Duration>,
}

/// The failure that a refusal means.
pub(crate) fn classify(
    options: &HubOptions,
    said: Said<'_>,
    url: String,
    asked: Asked<'_>,
) -> Failure {
    let has_token = options.token.is_some();
    let error = match (said.status, said.code) {
        (_, "GatedRepo") => HubError::Gated {
            endpoint: options.endpoint.clone(),
            repo: asked.repo().to_string(),
            has_token,
        },
        (401, code) => unauthorized(options, code, asked),
        (403, _) => HubError::Forbidden {
            url,
            has_token,
            message: clean(said.message),
        },
        (404, code) => missing(options, code, asked),
        (429, _) => rate_limited(options, said.retry_after),
        (status, _) => HubError::Status {
            url,
            status,
            message: clean(said.message),
        },
    };
    Failure {
        error,
        retry: retry(said),
    }
}

/// Whether a refusal may pass.
fn retry(said: Said<'_>) -> Retry {
    match (said.status, said.retry_after) {
        (408 | 429 | 500 | 502 | 503 | 504, Some(wait)) => Retry::After(wait),
        (408 | 429 | 500 | 502 | 503 | 504, None) => Retry::Later,
        _ => Retry::Never,
    }
}

/// Status 401: the Hub answers an anonymous user so, mostly without a code, whether a repository is
/// private or does not exist.
fn unauthorized(options: &HubOptions, code: &str, asked: Asked<'_>) -> HubError {
    let has_token = options.token.is_some();
    match code {
        "RepoNotFound" => no_repo(options, asked),
        "" if !has_token => no_repo(options, asked),
        _ => HubError::Unauthorized {
            endpoint: options.endpoint.clone(),
            repo: asked.repo().to_string(),
            has_token,
        },
    }
}

/// 404: the file, the revision or the whole repository.
fn missing(options: &HubOptions, code: &str, asked: Asked<'_>) -> HubError {
    match (code, asked) {
        ("EntryNotFound" | "", Asked::File { repo, file }) => HubError::FileNotFound {
            repo: repo.to_string(),
            file: file.to_string(),
            near_names: Vec::new(),
        },
        ("RevisionNotFound", Asked::Revision { repo, revision }) => HubError::RevisionNotFound {
            repo: repo.to_string(),
            revision: revision.to_string(),
            near_names: Vec::new(),
        },
        _ => no_repo(options, asked),
    }
}

fn no_repo(options: &HubOptions, asked: Asked<'_>) -> HubError {
    HubError::RepoNotFound {
        endpoint: options.endpoint.clone(),
        repo: asked.repo().to_string(),
        has_token: options.token.is_some(),
        near_names: Vec::new(),
    }
}

/// 429.
fn rate_limited(options: &HubOptions, wait: Option<Duration>) -> HubError {
    HubError::RateLimited {
        endpoint: options.endpoint.clone(),
        wait: match wait {
            Some(wait) => format!("for {} s", wait.as_secs()),
            None => "it does not say for how long".to_string(),
        },
    }
}

/// Waits between attempts: doubling, with jitter, or as long as the server asks.
pub(crate) struct Backoff {
    failures: u32,
    attempts: u32,
    first: Duration,
}

impl Backoff {
    pub fn new(options: &HubOptions) -> Self {
        Self {
            failures: 0,
            attempts: options.attempts.max(1),
            first: options.backoff,
        }
    }

    /// Something came: failures before it do not count.
    pub fn progressed(&mut self) {
        self.failures = 0;
    }

    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Sleeps if another attempt is due.
    ///
    /// # Errors
    /// The failure's own error if there is none.
    pub fn wait(&mut self, failure: Failure, progress: &dyn Progress) -> Result<()> {
        self.failures += 1;
        let wait = match failure.retry {
            Retry::Never => return Err(failure.error),
            Retry::After(wait) if wait > LONGEST_WAIT => return Err(failure.error),
            Retry::After(wait) => wait,
            Retry::Later => {
                let doubled = self.first.saturating_mul(1 << (self.failures - 1).min(10));
                doubled
                    .min(LONGEST_WAIT / 4)
                    .mul_f64(rand::random_range(0.5..1.0))
            }
        };
        if self.failures >= self.attempts {
            return Err(failure.error);
        }
        progress.event(Event::Note(&format!(
            "{}; trying again in {:.1} s",
            short(&failure.error),
            wait.as_secs_f64()
        )));
        std::thread::sleep(wait);
        Ok(())
    }
}

/// The first clause of an error, for a line of progress.
fn short(error: &HubError) -> String {
    error
        .to_string()
        .split(';')
        .next()
        .unwrap_or_default()
        .to_string()
}
