//! The built program against the stand-in: from nothing to text.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli_bed::{Ended, Speaker, ended, wick};
use crate::stand_in::StandIn;

pub const ID: &str = "test-org/Tiny-1";
pub const TOKEN: &str = "hf_test_secret";

/// A stand-in and an empty cache, for the program.
pub struct Desk {
    pub hub: StandIn,
    pub dir: tempfile::TempDir,
}

impl Desk {
    /// With nothing on the Hub.
    pub fn empty() -> Self {
        Self {
            hub: StandIn::start(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// With a small model that reads text, and things that loading does not need.
    pub fn new() -> Self {
        let desk = Self::empty();
        serve(&desk.hub, ID, Speaker::new().path());
        desk
    }

    pub fn wick(&self, args: &[&str]) -> Command {
        at(&self.hub.endpoint(), self.dir.path(), args)
    }

    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Ended {
        safe(ended(&mut self.wick(args)))
    }

    pub fn cache(&self) -> PathBuf {
        self.dir.path().join("hub")
    }

    /// The repository's folder in the cache.
    pub fn repo(&self) -> PathBuf {
        self.cache().join("models--test-org--Tiny-1")
    }
}

/// The program with a Hub, a cache and a token.
pub fn at(endpoint: &str, home: &Path, args: &[&str]) -> Command {
    let mut command = wick();
    command
        .env_remove("HF_HUB_OFFLINE")
        .env("HF_HOME", home)
        .env("HF_ENDPOINT", endpoint)
        .env("HF_TOKEN", TOKEN)
        .args(args);
    command
}

/// Gives `command` the environment that was set for `program`.
pub fn environment(command: &mut Command, program: &Command) {
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// Neither the token nor a signed address may be in anything that is printed.
#[track_caller]
pub fn safe(ended: Ended) -> Ended {
    for text in [&ended.stdout, &ended.stderr] {
        assert!(
            !text.contains(TOKEN) && !text.contains("Signature"),
            "{text}"
        );
    }
    ended
}

#[track_caller]
pub fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
}

/// A folder's files as a repository.
pub fn serve(hub: &StandIn, id: &str, folder: &Path) {
    let mut files = vec![
        ("README.md".to_string(), b"# Model".to_vec()),
        ("pytorch_model.bin".to_string(), vec![1; 1000]),
    ];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        files.push((name.to_string(), std::fs::read(&path).unwrap()));
    }
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (&**n, &**b)).collect();
    hub.add(id, &files);
}

/// From nothing to text; again from the cache; again with the network forbidden and with it gone;
/// again from a mirror. `args` without `-m`.
fn the_whole_way(folder: &Path, file: &str, args: &[&str]) {
    let local = folder.join(file.trim_start_matches(':'));
    let mut here = wick();
    here.args(["run", "-m"]).arg(local).args(args);
    let wanted = ended(&mut here).done();
    assert!(!wanted.trim().is_empty());

    let desk = Desk::empty();
    serve(&desk.hub, ID, folder);
    let id = format!("{ID}{file}");
    let line = [&["run", "-m", &id][..], args].concat();
    let first = desk.run(&line);
    assert!(first.stderr.contains("download"), "{}", first.stderr);
    assert!(!first.stderr.contains(['\r', '\u{1b}']), "{}", first.stderr);
    assert_eq!(first.done(), wanted);
    let names: Vec<String> = desk
        .hub
        .content_requests()
        .into_iter()
        .map(|r| r.path)
        .collect();
    assert!(!names.iter().any(|n| n.ends_with("README.md")), "{names:?}");

    desk.hub.forget_requests();
    let second = desk.run(&line);
    assert!(!second.stderr.contains("download"), "{}", second.stderr);
    assert_eq!(second.done(), wanted);
    assert!(desk.hub.content_requests().is_empty());

    desk.hub.forget_requests();
    let offline = [&line[..], &["--offline"]].concat();
    assert_eq!(desk.run(&offline).done(), wanted);
    assert!(desk.hub.requests().is_empty());

    let mirror = Desk::empty();
    serve(&mirror.hub, ID, folder);
    assert_eq!(mirror.run(&line).done(), wanted);
    for request in desk.hub.requests().iter().chain(&mirror.hub.requests()) {
        let token = (!request.cdn).then(|| format!("Bearer {TOKEN}"));
        assert_eq!(request.authorization, token, "{}", request.path);
    }

    let Desk { hub, dir } = desk;
    let endpoint = hub.endpoint();
    drop(hub);
    assert_eq!(
        safe(ended(&mut at(&endpoint, dir.path(), &offline))).done(),
        wanted
    );
}

#[test]
fn from_an_empty_cache_to_text() {
    let model = Speaker::new();
    the_whole_way(
        model.path(),
        "",
        &["Hi", "--temp", "0", "-n", "12", "--ignore-eos"],
    );
}

#[test]
fn from_an_empty_cache_to_a_story() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/real/stories260K");
    if !folder.exists() {
        eprintln!("skipped: {} is not here", folder.display());
        return;
    }
    let greedy = ["--temp", "0", "-n", "40"];
    the_whole_way(
        &folder,
        ":stories260K.gguf",
        &[&["Once upon a time"][..], &greedy].concat(),
    );
    the_whole_way(
        &folder,
        "",
        &[&["--prompt-ids", "1,403"][..], &greedy].concat(),
    );
}

#[test]
fn globs_choose_what_lies_in_a_folder_of_its_own() {
    let desk = Desk::new();
    let all = desk.run(&["download", "--dry-run", "--include", "*", ID]);
    assert_says(&all.done(), &["README.md", "pytorch_model.bin"]);

    let folder = desk.dir.path().join("here");
    let here = folder.to_str().unwrap();
    let globs = ["--include", "*.json", "--exclude", "tok*"];
    let line = [&["download", ID, "--local-dir", here][..], &globs].concat();
    assert_eq!(desk.run(&line).done().trim_end(), here);
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [".cache", "config.json", "generation_config.json"]);
    assert!(!desk.repo().exists());
}

#[test]
fn one_folder_is_not_for_two_models() {
    let desk = Desk::new();
    serve(&desk.hub, "test-org/Tiny-2", Speaker::new().path());
    let folder = desk.dir.path().join("here");
    let here = folder.to_str().unwrap();
    let message = desk
        .run(&["download", "--local-dir", here, ID, "test-org/Tiny-2"])
        .failed(2);
    assert_says(&message, &["--local-dir", "2 are named", "of its own"]);
    assert!(desk.hub.requests().is_empty() && !folder.exists());
}

#[test]
fn the_address_of_a_models_page_stands_for_its_id() {
    let desk = Desk::new();
    let address = format!("https://huggingface.co/{ID}/tree/main");
    desk.run(&["download", &address]).done();
    assert!(desk.repo().join("refs/main").exists());
}

#[test]
#[cfg(feature = "demo")]
fn the_model_that_the_program_carries_is_not_downloaded() {
    let desk = Desk::new();
    let message = desk.run(&["download", "demo"]).failed(1);
    assert_says(&message, &["demo", "in the program already"]);
    assert!(desk.hub.requests().is_empty());
}

#[test]
fn two_programs_at_once_fetch_each_file_once() {
    let desk = Desk::new();
    let drip = crate::stand_in::Fault::Drip(60_000, std::time::Duration::from_millis(30));
    desk.hub.fault("/cdn/", drip, usize::MAX);
    let start = || {
        let mut command = desk.wick(&["download", ID]);
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let running = [start(), start(), start()];
    for child in running {
        let done = safe(child.wait_with_output().unwrap().into());
        assert!(done.done().contains("snapshots"));
    }
    // The outline that each looks at first ends where the header does.
    let whole = |r: &crate::stand_in::Request| r.cdn && r.range.is_none();
    let requests = desk.hub.requests();
    assert_eq!(requests.iter().filter(|r| whole(r)).count(), 1);
    let blobs = std::fs::read_dir(desk.repo().join("blobs")).unwrap();
    assert!(blobs.flatten().all(|b| b.path().extension().is_none()));
}

#[test]
fn what_only_a_card_names_is_missing_offline_and_says_so() {
    let desk = Desk::new();
    let message = desk
        .run(&["run", "--offline", "-m", "qwen3-0.6b", "Hi"])
        .failed(1);
    for part in ["Qwen/Qwen3-0.6B", "missing: revision main", "--offline"] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    assert!(desk.hub.requests().is_empty());
}
