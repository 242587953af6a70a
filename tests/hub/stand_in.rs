//! A stand-in for the Hub on loopback: the model and tree API, file contents with ETags, ranges,
//! redirects of large files to a second host, tokens, and faults on request.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Files of a commit by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What goes wrong with a request whose path holds a given text.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The body ends after so many bytes, the connection with it.
    CutAfter(usize),
    /// `Content-Length` says so many bytes more than there are.
    Longer(usize),
    /// So many bytes too many come, and no `Content-Length` says it.
    TooMany(usize),
    /// A byte in the middle is another.
    WrongByte,
    /// The body comes in pieces of so many bytes with pauses between.
    Drip(usize, Duration),
    /// After so many bytes nothing comes for so long.
    Silence(usize, Duration),
    /// A status, with the Hub's code and `Retry-After` if they are not empty.
    Status(u16, &'static str, &'static str),
    /// A page that says to log in, with status 200.
    Html,
    /// A redirect to the same address.
    RedirectLoop,
    /// A redirect to the same path on the second host.
    Elsewhere,
    /// The same, and the second host redirects once more, to itself.
    ElsewhereTwice,
    /// Ranges are not honoured: the whole file with status 200.
    NoRanges,
    /// Another host answers the next page of the list.
    ForeignPage,
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whether it came to the second host.
    pub cdn: bool,
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

#[derive(Debug, Default, Clone)]
pub struct Repo {
    pub commits: BTreeMap<String, Files>,
    pub refs: BTreeMap<String, String>,
    /// Only with this token.
    pub token: Option<String>,
    /// Nobody has accepted its conditions.
    pub gated: bool,
    /// Sizes that the list promises of files which are in truth only a beginning.
    pub claims: BTreeMap<String, u64>,
    /// What `main` becomes once the commit has been asked for.
    pub next_main: Option<String>,
}

#[derive(Default)]
struct State {
    repos: BTreeMap<String, Repo>,
    faults: Vec<(String, Fault, usize)>,
    requests: Vec<Request>,
}

/// A running stand-in; it ends when dropped.
pub struct StandIn {
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    addresses: [String; 2],
}

/// A commit's name that is one: forty hexadecimal digits.
pub fn commit(n: u8) -> String {
    format!("{n:02x}").repeat(20)
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// What git calls a file of this content.
pub fn git_hash(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn is_large(name: &str) -> bool {
    [".safetensors", ".gguf", ".bin", ".model"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// The hash under which the cache must hold a file.
pub fn blob_name(name: &str, bytes: &[u8]) -> String {
    if is_large(name) {
        sha256(bytes)
    } else {
        git_hash(bytes)
    }
}

impl StandIn {
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = [0, 1].map(|i: usize| listeners[i].local_addr().unwrap().to_string());
        for (i, listener) in listeners.into_iter().enumerate() {
            let (state, stop, cdn) = (state.clone(), stop.clone(), addresses[1].clone());
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (state, cdn) = (state.clone(), cdn.clone());
                    thread::spawn(move || {
                        // A client that hangs up is part of the tests.
                        let _ = serve(stream, &state, i == 1, &cdn);
                    });
                }
            });
        }
        Self {
            state,
            stop,
            addresses,
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addresses[0])
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A repository with one commit (`commit(1)`), which is `main`.
    pub fn add(&self, id: &str, files: &[(&str, &[u8])]) {
        let files = files
            .iter()
            .map(|(n, b)| (n.to_string(), b.to_vec()))
            .collect();
        self.edit(id, |repo| {
            repo.commits.insert(commit(1), files);
            repo.refs.insert("main".to_string(), commit(1));
        });
    }

    pub fn edit(&self, id: &str, change: impl FnOnce(&mut Repo)) {
        change(self.lock().repos.entry(id.to_string()).or_default());
    }

    /// The next `times` requests whose path holds `part` go wrong.
    pub fn fault(&self, part: &str, fault: Fault, times: usize) {
        self.lock().faults.push((part.to_string(), fault, times));
    }

    /// Nothing goes wrong any more.
    pub fn forget_faults(&self) {
        self.lock().faults.clear();
    }

    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// Requests for content, wherever they went, that were answered with it.
    pub fn content_requests(&self) -> Vec<Request> {
        let all = self.requests().into_iter();
        all.filter(|r| {
            r.method == "GET" && (r.cdn || r.path.contains("/resolve/") && !is_large(&r.path))
        })
        .collect()
    }

    pub fn forget_requests(&self) {
        self.lock().requests.clear();
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for address in &self.addresses {
            let _ = TcpStream::connect(address);
        }
    }
}

/// What is to be answered.
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn new(status: u16, kind: &str, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".into(), kind.into())],
            body,
        }
    }

    fn json(value: &serde_json::Value) -> Self {
        Self::new(200, "application/json", value.to_string().into_bytes())
    }

    fn refused(status: u16, code: &str) -> Self {
        Self::new(
            status,
            "application/json",
            br#"{"error":"refused"}"#.to_vec(),
        )
        .with("X-Error-Code", code)
    }

    /// What somebody without a token is told of a repository that is private, or that is none.
    fn anonymous() -> Self {
        Self::refused(401, "").with("X-Error-Message", "Invalid username or password.")
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.headers.push((name.into(), value.into()));
        }
        self
    }
}

fn serve(
    stream: TcpStream,
    state: &Mutex<State>,
    cdn: bool,
    cdn_address: &str,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let Some(request) = read_request(&stream, cdn)? else {
        return Ok(());
    };
    let (fault, reply) = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        let fault = take_fault(&mut state.faults, &request.path);
        let honour_range = !matches!(fault, Some(Fault::NoRanges));
        let reply = match &fault {
            Some(Fault::Status(status, code, retry)) => {
                Reply::refused(*status, code).with("Retry-After", retry)
            }
            Some(Fault::Html) => Reply::new(
                200,
                "text/html; charset=utf-8",
                b"<!DOCTYPE html><title>Log in</title>".to_vec(),
            ),
            Some(Fault::RedirectLoop) => {
                Reply::new(302, "text/plain", Vec::new()).with("Location", &request.path)
            }
            Some(Fault::Elsewhere) if !cdn => Reply::new(307, "text/plain", Vec::new())
                .with("Location", &format!("http://{cdn_address}{}", request.path)),
            Some(Fault::ElsewhereTwice) if !request.path.contains("again") => {
                let mark = if request.path.contains('?') { '&' } else { '?' };
                let to = format!("http://{cdn_address}{}{mark}", request.path);
                let again = if cdn { "again" } else { "" };
                Reply::new(307, "text/plain", Vec::new()).with("Location", &(to + again))
            }
            _ => answer(&mut state, &request, cdn_address, honour_range),
        };
        (fault, reply)
    };
    let reply = match &fault {
        Some(Fault::ForeignPage) => reply.with(
            "Link",
            &format!("<http://{cdn_address}/more>; rel=\"next\""),
        ),
        _ => reply,
    };
    send(stream, &request, reply, fault)
}

fn take_fault(faults: &mut [(String, Fault, usize)], path: &str) -> Option<Fault> {
    let (_, fault, times) = faults
        .iter_mut()
        .find(|(part, _, times)| *times > 0 && path.contains(part.as_str()))?;
    *times -= 1;
    Some(fault.clone())
}

fn read_request(stream: &TcpStream, cdn: bool) -> std::io::Result<Option<Request>> {
    let mut reader = BufReader::new(stream.take(1 << 16));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let mut request = Request {
        cdn,
        method: method.into(),
        path: path.into(),
        range: None,
        authorization: None,
    };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(Some(request));
        }
        if let Some((name, value)) = line.split_once(':') {
            let value = Some(value.trim().to_string());
            match name.to_ascii_lowercase().as_str() {
                "range" => request.range = value,
                "authorization" => request.authorization = value,
                _ => {}
            }
        }
    }
}

fn answer(state: &mut State, request: &Request, cdn_address: &str, honour_range: bool) -> Reply {
    let path = request.path.split('?').next().unwrap_or_default();
    let parts: Vec<String> = path
        .split('/')
        .skip(1)
        .map(|p| p.replace("%2F", "/"))
        .collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let found = match parts.as_slice() {
        ["cdn", hash] if request.cdn => {
            let all = state
                .repos
                .values()
                .flat_map(|r| r.commits.values())
                .flat_map(|files| files.values());
            return match all.clone().find(|bytes| sha256(bytes) == **hash) {
                Some(bytes) => {
                    content(bytes, request, honour_range).with("ETag", &format!("\"{hash}\""))
                }
                None => Reply::refused(404, ""),
            };
        }
        ["api", "models", org, name, rest @ ..] => (format!("{org}/{name}"), rest),
        [org, name, rest @ ..] if rest.first() == Some(&"resolve") => {
            (format!("{org}/{name}"), rest)
        }
        _ => return Reply::refused(404, ""),
    };
    let (id, rest) = found;
    let Some(repo) = state.repos.get_mut(&id) else {
        return match request.authorization {
            None => Reply::anonymous(),
            Some(_) => Reply::refused(404, "RepoNotFound"),
        };
    };
    if let Some(token) = &repo.token
        && request.authorization.as_deref() != Some(&format!("Bearer {token}"))
    {
        return match request.authorization {
            None => Reply::anonymous(),
            Some(_) => Reply::refused(401, ""),
        };
    }
    match rest {
        [] => info(repo, &id, "main"),
        ["revision", revision] => info(repo, &id, revision),
        ["refs"] => {
            let branches: Vec<_> = repo.refs.iter().map(|(name, c)| json!({"name": name, "ref": format!("refs/heads/{name}"), "targetCommit": c})).collect();
            Reply::json(&json!({"branches": branches, "tags": [], "converts": []}))
        }
        ["tree", revision] => match repo.at(revision) {
            Some((_, files)) => Reply::json(&tree(files, &repo.claims)),
            None => Reply::refused(404, "RevisionNotFound"),
        },
        ["resolve", ..] if repo.gated => Reply::refused(403, "GatedRepo"),
        ["resolve", revision, file @ ..] => {
            let name = file.join("/");
            let Some((commit, files)) = repo.at(revision) else {
                return Reply::refused(404, "RevisionNotFound");
            };
            let Some(bytes) = files.get(&name) else {
                return Reply::refused(404, "EntryNotFound").with("X-Repo-Commit", &commit);
            };
            let reply = if is_large(&name) {
                let hash = sha256(bytes);
                Reply::new(302, "text/plain", Vec::new())
                    .with(
                        "Location",
                        &format!("http://{cdn_address}/cdn/{hash}?Signature=secret"),
                    )
                    .with("X-Linked-Etag", &format!("\"{hash}\""))
                    .with("X-Linked-Size", &bytes.len().to_string())
            } else {
                content(bytes, request, honour_range)
            };
            reply
                .with("ETag", &format!("\"{}\"", git_hash(bytes)))
                .with("X-Repo-Commit", &commit)
        }
        _ => Reply::refused(404, ""),
    }
}

impl Repo {
    fn at(&self, revision: &str) -> Option<(String, &Files)> {
        let commit = self.refs.get(revision).map_or(revision, String::as_str);
        self.commits
            .get(commit)
            .map(|files| (commit.to_string(), files))
    }
}

fn info(repo: &mut Repo, id: &str, revision: &str) -> Reply {
    let Some((commit, files)) = repo.at(revision) else {
        return Reply::refused(404, "RevisionNotFound");
    };
    let siblings: Vec<_> = files
        .keys()
        .map(|name| json!({"rfilename": name}))
        .collect();
    let reply = Reply::json(&json!({
        "_id": "1", "id": id, "modelId": id, "sha": commit, "siblings": siblings, "private": false,
        "gated": false, "disabled": false, "tags": [], "downloads": 0, "likes": 0,
    }));
    if let Some(next) = repo.next_main.take() {
        repo.refs.insert("main".to_string(), next);
    }
    reply
}

fn tree(files: &Files, claims: &BTreeMap<String, u64>) -> serde_json::Value {
    let entry = |(name, bytes): (&String, &Vec<u8>)| {
        let size = claims.get(name).copied().unwrap_or(bytes.len() as u64);
        let mut entry = json!({"type": "file", "path": name, "size": size, "oid": git_hash(bytes)});
        if is_large(name) {
            entry["lfs"] = json!({"oid": sha256(bytes), "size": size, "pointerSize": 134});
        }
        entry
    };
    files.iter().map(entry).collect()
}

fn content(bytes: &[u8], request: &Request, honour_range: bool) -> Reply {
    let range = request.range.as_deref().filter(|_| honour_range);
    let kind = "application/octet-stream";
    let Some(from) = range.and_then(|r| {
        r.strip_prefix("bytes=")?
            .split('-')
            .next()?
            .parse::<usize>()
            .ok()
    }) else {
        return Reply::new(200, kind, bytes.to_vec()).with("Accept-Ranges", "bytes");
    };
    if from >= bytes.len() {
        return Reply::new(416, kind, Vec::new())
            .with("Content-Range", &format!("bytes */{}", bytes.len()));
    }
    let last = range
        .and_then(|r| r.split('-').nth(1)?.parse::<usize>().ok())
        .unwrap_or(usize::MAX);
    let last = last.min(bytes.len() - 1);
    Reply::new(206, kind, bytes[from..=last].to_vec()).with(
        "Content-Range",
        &format!("bytes {from}-{last}/{}", bytes.len()),
    )
}

fn send(
    mut stream: TcpStream,
    request: &Request,
    mut reply: Reply,
    fault: Option<Fault>,
) -> std::io::Result<()> {
    let mut length = Some(reply.body.len());
    let (mut piece, mut pause, mut cut) = (usize::MAX, Duration::ZERO, usize::MAX);
    match fault {
        Some(Fault::Longer(more)) => length = Some(reply.body.len() + more),
        Some(Fault::TooMany(more)) => {
            length = None;
            reply.body.extend(vec![0; more]);
        }
        Some(Fault::WrongByte) => {
            let middle = reply.body.len() / 2;
            if let Some(byte) = reply.body.get_mut(middle) {
                *byte ^= 1;
            }
        }
        Some(Fault::CutAfter(n)) => cut = n,
        Some(Fault::Drip(n, wait)) => (piece, pause) = (n, wait),
        Some(Fault::Silence(n, wait)) => (piece, pause, cut) = (n, wait, n),
        _ => {}
    }
    let mut head = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some(length) = length {
        head += &format!("Content-Length: {length}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method != "HEAD" {
        let body = &reply.body[..cut.min(reply.body.len())];
        for chunk in body.chunks(piece.max(1)) {
            stream.write_all(chunk)?;
            stream.flush()?;
            thread::sleep(pause);
        }
    }
    stream.flush()
}
