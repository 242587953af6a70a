//! Where the Hub and its cache are, and how to speak to it: the environment that Python's
//! huggingface_hub reads, with the same order of precedence.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::error::{HubError, Result};

/// An access token; it prints as `***` and leaves only towards the endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// `None` if there is nothing but white space, or characters that no header can carry.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let sendable = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        sendable.then(|| Self(text.to_string()))
    }

    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// How to find and fetch. Start from [`HubOptions::from_env`] and set what the flags say.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// The Hub or a mirror, without a slash at the end (HF_ENDPOINT).
    pub endpoint: String,
    /// Sent to the endpoint and nowhere else (HF_TOKEN or the token file).
    pub token: Option<Token>,
    /// The shared cache (HF_HUB_CACHE).
    pub cache: PathBuf,
    /// No packet leaves (--offline or HF_HUB_OFFLINE).
    pub offline: bool,
    /// Branch, tag or commit; a name's own `@REVISION` wins (--revision).
    pub revision: Option<String>,
    /// Globs of files to fetch instead of what loading needs (--include).
    pub include: Vec<String>,
    /// Globs of files to leave (--exclude).
    pub exclude: Vec<String>,
    /// Fetch into this folder as plain files instead of the cache (--local-dir).
    pub local_dir: Option<PathBuf>,
    /// Begin even where the disk says that it cannot hold the files (--force).
    pub force: bool,
    /// Files fetched at a time.
    pub parallel: usize,
    /// Failures in a row before giving up on one request.
    pub attempts: u32,
    /// First wait between attempts; it doubles.
    pub backoff: Duration,
    /// How long a connection or a read may keep silent.
    pub timeout: Duration,
}

impl HubOptions {
    /// Reads the environment.
    ///
    /// # Errors
    /// HF_ENDPOINT is no http(s) address, HF_TOKEN holds what no token has, or no home is known and
    /// nothing names the cache.
    pub fn from_env() -> Result<Self> {
        Self::from_vars(|name| std::env::var(name).ok())
    }

    /// As [`HubOptions::from_env`], from any source of variables.
    ///
    /// # Errors
    /// As [`HubOptions::from_env`].
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let var = |name: &str| var(name).filter(|value| !value.trim().is_empty());
        let home = home(&var);
        let expand = |text: String| {
            let rest = text.strip_prefix('~');
            let rest = rest.and_then(|rest| rest.strip_prefix(std::path::is_separator));
            match (rest, &home) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => PathBuf::from(text),
            }
        };
        let hf_home = match (var("HF_HOME"), var("XDG_CACHE_HOME"), &home) {
            (Some(path), _, _) => Some(expand(path)),
            (None, Some(cache), _) => Some(expand(cache).join("huggingface")),
            (None, None, Some(home)) => Some(home.join(".cache").join("huggingface")),
            (None, None, None) => None,
        };
        let cache = var("HF_HUB_CACHE")
            .or_else(|| var("HUGGINGFACE_HUB_CACHE"))
            .map(expand)
            .or_else(|| hf_home.as_ref().map(|home| home.join("hub")))
            .ok_or_else(|| HubError::Option {
                name: "HF_HUB_CACHE",
                message: "no home folder is known; set it to the folder of the cache".to_string(),
            })?;
        let truthy = |name: &str| {
            var(name).is_some_and(|v| {
                ["1", "ON", "YES", "TRUE"].contains(&v.to_ascii_uppercase().as_str())
            })
        };
        let from_file = || {
            let path = var("HF_TOKEN_PATH")
                .map(expand)
                .or_else(|| hf_home.as_ref().map(|home| home.join("token")))?;
            Token::new(&std::fs::read_to_string(path).ok()?)
        };
        let token = if truthy("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            None
        } else {
            match var("HF_TOKEN").or_else(|| var("HUGGING_FACE_HUB_TOKEN")) {
                Some(text) => Some(Token::new(&text).ok_or_else(|| HubError::Option {
                    name: "HF_TOKEN",
                    message: "it holds white space or characters that no token has".to_string(),
                })?),
                None => from_file(),
            }
        };
        Ok(Self {
            endpoint: check_endpoint(
                &var("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_string()),
            )?,
            token,
            cache,
            offline: truthy("HF_HUB_OFFLINE") || truthy("TRANSFORMERS_OFFLINE"),
            revision: None,
            include: Vec::new(),
            exclude: Vec::new(),
            local_dir: None,
            force: false,
            parallel: 4,
            attempts: 5,
            backoff: Duration::from_millis(500),
            timeout: Duration::from_secs(30),
        })
    }
}

/// The user's folder. Python minds HOME on Unix only; on Windows other systems' shells set it, and
/// not to where Python's cache is.
fn home(var: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let names = match cfg!(windows) {
        true => ["USERPROFILE", "HOME"],
        false => ["HOME", "USERPROFILE"],
    };
    names.into_iter().find_map(var).map(PathBuf::from)
}

fn check_endpoint(text: &str) -> Result<String> {
    let text = text.trim().trim_end_matches('/');
    let bad = |message: &str| HubError::Option {
        name: "HF_ENDPOINT",
        message: format!(
            "{:?} is not an address: {message}; it looks like https://huggingface.co",
            super::error::clean(text)
        ),
    };
    let url = Url::parse(text).map_err(|e| bad(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(bad("no user, password or query may be in it"));
    }
    Ok(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vars: &[(&str, &str)]) -> Result<HubOptions> {
        HubOptions::from_vars(|name| {
            vars.iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| v.to_string())
        })
    }

    #[test]
    fn the_caches_place_has_pythons_precedence() {
        for (vars, cache) in [
            (&[("HOME", "/h")][..], "/h/.cache/huggingface/hub"),
            (
                &[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")][..],
                "/x/huggingface/hub",
            ),
            (
                &[
                    ("HOME", "/h"),
                    ("XDG_CACHE_HOME", "/x"),
                    ("HF_HOME", "~/hf"),
                ][..],
                "/h/hf/hub",
            ),
            (&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")][..], "/c"),
            (&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "")][..], "/hf/hub"),
        ] {
            assert_eq!(with(vars).unwrap().cache, PathBuf::from(cache), "{vars:?}");
        }
        assert!(with(&[]).is_err());
        let both = with(&[("HOME", "/h"), ("USERPROFILE", "/u")]).unwrap();
        let home = if cfg!(windows) { "/u" } else { "/h" };
        assert!(both.cache.starts_with(home), "{}", both.cache.display());
    }

    #[test]
    fn the_token_comes_from_the_variable_then_the_file_and_never_prints() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "hf_file\n").unwrap();
        let home = dir.path().to_str().unwrap();
        let token =
            |vars: &[(&str, &str)]| with(vars).unwrap().token.map(|t| t.secret().to_string());
        assert_eq!(token(&[("HF_HOME", home)]).as_deref(), Some("hf_file"));
        assert_eq!(
            token(&[("HF_HOME", home), ("HF_TOKEN", " hf_var ")]).as_deref(),
            Some("hf_var")
        );
        assert_eq!(
            token(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]),
            None
        );
        assert!(!format!("{:?}", with(&[("HF_HOME", home)]).unwrap()).contains("hf_file"));
        assert_eq!(Token::new("a\r\nX: y"), None);
        let message = with(&[("HF_HOME", home), ("HF_TOKEN", "hf_a b")])
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("HF_TOKEN") && !message.contains("hf_a"),
            "{message}"
        );
    }

    #[test]
    fn endpoints_and_switches_are_read() {
        let options = with(&[
            ("HOME", "/h"),
            ("HF_ENDPOINT", "https://hf-mirror.com/"),
            ("HF_HUB_OFFLINE", "on"),
        ])
        .unwrap();
        assert_eq!(
            (options.endpoint.as_str(), options.offline),
            ("https://hf-mirror.com", true)
        );
        for bad in ["hf-mirror.com", "ftp://x", "https://user:pw@x"] {
            let message = with(&[("HOME", "/h"), ("HF_ENDPOINT", bad)])
                .unwrap_err()
                .to_string();
            assert!(message.contains("HF_ENDPOINT"), "{message}");
        }
    }
}
