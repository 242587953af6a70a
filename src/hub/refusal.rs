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
    let endpoint = options.endpoint.clone();
    let repo = asked.repo().to_string();
    let has_token = options.token.is_some();
    let retry = match (said.status, said.retry_after) {
        (408 | 429 | 500 | 502 | 503 | 504, Some(wait)) => Retry::After(wait),
        (408 | 429 | 500 | 502 | 503 | 504, None) => Retry::Later,
        _ => Retry::Never,
    };
    // The Hub answers an anonymous user 401, mostly without a code, whether a repository is private
    // or does not exist.
    let is_unknown = match (said.status, said.code) {
        (401 | 404, "RepoNotFound") => true,
        (401, "") => !has_token,
        _ => false,
    };
    let error = match (said.status, said.code, asked) {
        (_, "GatedRepo", _) => HubError::Gated {
            endpoint,
            repo,
            has_token,
        },
        _ if is_unknown => HubError::RepoNotFound {
            endpoint,
            repo,
            has_token,
            near_names: Vec::new(),
        },
        (401, ..) => HubError::Unauthorized {
            endpoint,
            repo,
            has_token,
        },
        (403, ..) => HubError::Forbidden {
            url,
            has_token,
            message: clean(said.message),
        },
        (404, "EntryNotFound", Asked::File { file, .. }) | (404, "", Asked::File { file, .. }) => {
            HubError::FileNotFound {
                repo,
                file: file.to_string(),
                near_names: Vec::new(),
            }
        }
        (404, "RevisionNotFound", Asked::Revision { revision, .. }) => HubError::RevisionNotFound {
            repo,
            revision: revision.to_string(),
            near_names: Vec::new(),
        },
        (404, ..) => HubError::RepoNotFound {
            endpoint,
            repo,
            has_token,
            near_names: Vec::new(),
        },
        (429, ..) => HubError::RateLimited {
            endpoint,
            wait: said.retry_after.map_or_else(
                || "it does not say for how long".to_string(),
                |w| format!("for {} s", w.as_secs()),
            ),
        },
        (status, ..) => HubError::Status {
            url,
            status,
            message: clean(said.message),
        },
    };
    Failure { error, retry }
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
