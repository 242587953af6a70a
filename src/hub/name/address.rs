//! A model by the address of its page, as a browser shows it or `hf.co/…` is written elsewhere.

use super::super::error::{HubError, Result};
use super::{FileSpec, NameParts, check_file, check_revision, split_name};

/// The Hub, and the mirror that has its pages under the same paths.
const HOSTS: [&str; 4] = [
    "huggingface.co",
    "www.huggingface.co",
    "hf.co",
    "hf-mirror.com",
];

/// Pages of the Hub that are no model's.
const OTHER_PAGES: [&str; 5] = ["datasets", "spaces", "collections", "papers", "docs"];

/// What the page at an address is of; `None` for a text that is no address.
///
/// # Errors
/// The address of another host, or of a page that is no model's.
pub(super) fn parse(text: &str) -> Option<Result<NameParts<'_>>> {
    let bare = ["https://", "http://"]
        .iter()
        .find_map(|scheme| after(text, scheme));
    let address = bare.unwrap_or(text);
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let is_hub = HOSTS.iter().any(|known| host.eq_ignore_ascii_case(known));
    match (is_hub, bare) {
        (true, _) => Some(page(text, path)),
        (false, Some(_)) => Some(Err(HubError::bad_name(
            text,
            "it is not an address of huggingface.co; give ORG/NAME (HF_ENDPOINT chooses a mirror)",
        ))),
        (false, None) => None,
    }
}

/// What follows `start`, whose letters may be of either case.
fn after<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    let (begin, rest) = text.split_at_checked(start.len())?;
    begin.eq_ignore_ascii_case(start).then_some(rest)
}

/// `ORG/NAME`, written as ids are, or the page of its tree or of one of its files.
fn page<'t>(text: &'t str, path: &'t str) -> Result<NameParts<'t>> {
    let bad = |reason: &str| HubError::bad_name(text, reason);
    let no_model = || bad("it is not the page of a model; give ORG/NAME");
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.trim_end_matches('/');
    // The id ends at the second slash.
    let (org, rest) = path.split_once('/').ok_or_else(no_model)?;
    if OTHER_PAGES.contains(&org) {
        return Err(no_model());
    }
    let Some((name, below)) = rest.split_once('/') else {
        return split_name(path);
    };
    if name.contains([':', '@']) {
        // ORG/NAME@REVISION:FILE, in which the revision and the file may have slashes.
        return split_name(path);
    }
    let id = &path[..org.len() + 1 + name.len()];
    let (kind, at) = below.split_once('/').unwrap_or((below, ""));
    let (revision, file) = split_revision(at);
    let plain = |part: &str| decoded(part).ok_or_else(|| bad("its %-codes are no text"));
    let (revision, file) = (plain(revision)?, plain(file)?);
    let file = match (kind, file.is_empty()) {
        ("tree", true) => None,
        ("blob" | "resolve" | "raw", false) => Some(file),
        ("tree", false) => {
            return Err(bad(
                "it is a folder of the repository; give ORG/NAME, or ORG/NAME:FILE for one file",
            ));
        }
        _ => return Err(no_model()),
    };
    check_revision(&revision).map_err(bad)?;
    if let Some(file) = &file {
        check_file(file).map_err(bad)?;
    }
    Ok((id, Some(revision), file.map(FileSpec::Path)))
}

/// The revision that `at` begins with, and the file after it. A revision's own slashes are written
/// as `%2F`, but those of the Hub's references to pull requests and conversions may be plain.
fn split_revision(at: &str) -> (&str, &str) {
    let references = ["refs/pr/", "refs/convert/"];
    let slashes = match references.iter().any(|start| at.starts_with(start)) {
        true => 2,
        false => 0,
    };
    match at.match_indices('/').nth(slashes) {
        Some((end, _)) => (&at[..end], &at[end + 1..]),
        None => (at, ""),
    }
}

/// The text that `%20` and the like stand for; `None` where they stand for none.
fn decoded(part: &str) -> Option<String> {
    let mut pieces = part.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (code, text) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend(text.as_bytes());
    }
    String::from_utf8(bytes).ok()
}
