//! Requests to the endpoint: redirects followed by hand, so that the token stays with the
//! endpoint; answers told apart; failures that pass waited out.

use std::time::Duration;

use reqwest::header::{self, HeaderMap};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::runtime::Runtime;

use super::error::{HubError, Result, clean};
use super::options::HubOptions;
use super::progress::Progress;
use super::refusal::{Asked, Backoff, Failure, Retry, Said, classify};

const MOST_REDIRECTS: usize = 10;

/// The bytes that are asked for, the last one included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub from: u64,
    pub to: Option<u64>,
}

impl Span {
    pub const ALL: Self = Self { from: 0, to: None };

    /// The `Range` header, if not all is asked for.
    fn header(self) -> Option<String> {
        match (self.from, self.to) {
            (0, None) => None,
            (from, None) => Some(format!("bytes={from}-")),
            (from, Some(to)) => Some(format!("bytes={from}-{to}")),
        }
    }
}

/// One thread's way to the endpoint: a client and the runtime that drives it.
pub(crate) struct Http<'a> {
    pub options: &'a HubOptions,
    pub progress: &'a dyn Progress,
    endpoint: Url,
    client: reqwest::Client,
    runtime: Runtime,
}

impl<'a> Http<'a> {
    pub fn new(options: &'a HubOptions, progress: &'a dyn Progress) -> Result<Self> {
        let fail = |message: String| HubError::Option {
            name: "HF_ENDPOINT",
            message,
        };
        let endpoint = Url::parse(&options.endpoint).map_err(|e| fail(e.to_string()))?;
        let client = client(options, &endpoint)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| HubError::io("the network runtime", e))?;
        Ok(Self {
            options,
            progress,
            endpoint,
            client,
            runtime,
        })
    }

    /// `ENDPOINT/SEGMENTS…`, each segment percent-encoded.
    pub fn url<'s>(&self, segments: impl IntoIterator<Item = &'s str>) -> Result<Url> {
        let mut url = self.endpoint.clone();
        url.path_segments_mut()
            .map_err(|()| HubError::Option {
                name: "HF_ENDPOINT",
                message: "it cannot have a path".to_string(),
            })?
            .pop_if_empty()
            .extend(segments);
        Ok(url)
    }

    /// Whether the token may go there.
    pub fn is_endpoint(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin()
    }

    /// One GET of a part, redirects followed. Any status but 200 and 206 is a failure,
    /// 416 excepted, which is the caller's.
    pub fn get(&self, url: Url, span: Span, asked: Asked<'_>) -> Result<Answer<'_>, Failure> {
        let mut url = url;
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self
                .client
                .request(Method::GET, url.clone())
                .header(header::ACCEPT_ENCODING, "identity");
            if let Some(range) = span.header() {
                request = request.header(header::RANGE, range);
            }
            if let (true, Some(token)) = (self.is_endpoint(&url), &self.options.token) {
                request = request.bearer_auth(token.secret());
            }
            let response = self
                .runtime
                .block_on(async { request.send().await })
                .map_err(|e| self.unreachable(&url, &e))?;
            let status = response.status();
            if status.is_redirection() && response.headers().contains_key(header::LOCATION) {
                url = self.follow(&url, response.headers())?;
                continue;
            }
            if status == StatusCode::OK
                || status == StatusCode::PARTIAL_CONTENT
                || status == StatusCode::RANGE_NOT_SATISFIABLE
            {
                return Ok(Answer {
                    response,
                    http: self,
                });
            }
            return Err(self.refused(status.as_u16(), response.headers(), &url, asked));
        }
        Err(HubError::Redirect {
            url: bare(&url),
            reason: format!("more than {MOST_REDIRECTS} redirects one after another"),
        }
        .into())
    }

    fn follow(&self, url: &Url, headers: &HeaderMap) -> Result<Url> {
        let bad = |reason: &str| HubError::Redirect {
            url: bare(url),
            reason: reason.to_string(),
        };
        let location = headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| bad("a redirect to nowhere"))?;
        let next = url
            .join(location)
            .map_err(|_| bad("a redirect to something that is no address"))?;
        match (url.scheme(), next.scheme()) {
            ("http", "http" | "https") | ("https", "https") => Ok(next),
            _ => Err(bad("a redirect from https to something less safe")),
        }
    }

    /// No answer at all, with the innermost reason and without the address's query (it may be signed).
    pub fn unreachable(&self, url: &Url, error: &reqwest::Error) -> Failure {
        let host = url.host_str().unwrap_or_default();
        let endpoint = if self.is_endpoint(url) {
            self.options.endpoint.clone()
        } else {
            format!("{} (where {} redirects to)", host, self.options.endpoint)
        };
        Failure {
            error: HubError::Unreachable {
                endpoint,
                reason: reason(error),
            },
            retry: if error.is_builder() {
                Retry::Never
            } else {
                Retry::Later
            },
        }
    }

    fn refused(&self, status: u16, headers: &HeaderMap, url: &Url, asked: Asked<'_>) -> Failure {
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|v| v.to_str().ok())
                .unwrap_or_default()
        };
        // A page with an error status is as much a stranger's as one with 200.
        let page = text("content-type").trim_start().starts_with("text/html");
        let ours = matches!(status, 404 | 500..) || !text("x-error-code").is_empty();
        if page && !ours && matches!(asked, Asked::Revision { .. }) {
            return HubError::web_page(bare(url), "JSON").into();
        }
        let said = Said {
            status,
            code: text("x-error-code"),
            message: text("x-error-message"),
            retry_after: retry_after(text("retry-after")),
        };
        classify(self.options, said, bare(url), asked)
    }

    /// Tries until it works, an error says that it never will, or the attempts are used up.
    pub fn retrying<T>(&self, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T> {
        let mut backoff = Backoff::new(self.options);
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(failure) => backoff.wait(failure, self.progress)?,
            }
        }
    }
}

/// An answer whose body is still to be read.
pub(crate) struct Answer<'h> {
    response: Response,
    http: &'h Http<'h>,
}

impl Answer<'_> {
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    pub fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }

    /// The address without its query.
    pub fn url(&self) -> String {
        bare(self.response.url())
    }

    /// Refuses a web page, which is never what is asked for.
    ///
    /// # Errors
    /// A web page came in the place of what was `wanted`.
    pub fn refuse_html(&self, wanted: &'static str) -> Result<()> {
        let kind = self.header("content-type").unwrap_or_default();
        let kind = kind.trim_start().to_ascii_lowercase();
        match kind.starts_with("text/html") {
            true => Err(HubError::web_page(self.url(), wanted)),
            false => Ok(()),
        }
    }

    /// The next piece of the body, `None` at its end.
    pub fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Failure> {
        let url = self.response.url().clone();
        self.http
            .runtime
            .block_on(async { self.response.chunk().await })
            .map_err(|e| self.http.unreachable(&url, &e))
    }

    /// The whole body.
    ///
    /// # Errors
    /// It is longer than `limit` bytes, or breaks off.
    pub fn body(mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk()? {
            let chunk = chunk.as_ref();
            if body.len() + chunk.len() > limit {
                return Err(HubError::NotTheHub {
                    url: self.url(),
                    found: format!("more than {limit} bytes"),
                    wanted: "a short answer",
                }
                .into());
            }
            body.extend_from_slice(chunk);
        }
        Ok(body)
    }
}

/// A client that follows no redirect: where one leads decides whether the token goes along.
fn client(options: &HubOptions, endpoint: &Url) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("wick/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(options.timeout)
        .read_timeout(options.timeout)
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd();
    let host = endpoint.host_str().unwrap_or_default();
    if matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|e| HubError::Unreachable {
        endpoint: options.endpoint.clone(),
        reason: reason(&e),
    })
}

/// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3); one that has passed is no wait.
fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(value).ok()?;
    let wait = date.signed_duration_since(chrono::Utc::now());
    Some(wait.to_std().unwrap_or_default())
}

/// An address without query and fragment, fit for a message.
fn bare(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    clean(url.as_str())
}

/// The innermost cause of a failed request, in its own words.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_string();
    }
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    let text = source.to_string();
    clean(if text.contains("://") {
        "the request failed"
    } else {
        &text
    })
}

#[cfg(test)]
mod tests;
