//! What the Hub, or whoever answers in its place, refuses: each with its own sentence.

use wick::hub::{HubOptions, ModelRef, resolve};

use crate::bed::{Bed, ID, options};
use crate::stand_in::Fault;

fn message(bed: &Bed, name: &str) -> String {
    let error = bed.resolve(name).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        !text.contains("hf_test_secret") && !text.contains("Signature"),
        "{text}"
    );
    error.to_string()
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn a_missing_repository_revision_and_file_are_told_apart() {
    let bed = Bed::new();
    assert_says(
        &message(&bed, "Qwen/Qwen3-0.7B"),
        &["Qwen/Qwen3-0.7B", "did you mean", "Qwen/Qwen3-0.6B"],
    );
    assert_says(
        &message(&bed, &format!("{ID}@mian")),
        &[ID, "no revision", "mian", "did you mean main"],
    );
    assert_says(
        &message(&bed, &format!("{ID}:modl.safetensors")),
        &[ID, "no file", "did you mean model.safetensors", "--dry-run"],
    );
}

#[test]
fn a_repository_without_weights_says_what_it_has_and_what_to_name() {
    let bed = Bed::empty();
    bed.hub.add(ID, &[("README.md", b"# Nothing")]);
    assert_says(
        &message(&bed, ID),
        &["no weights", "README.md", "name another repository"],
    );
}

#[test]
fn a_gated_repository_says_where_to_accept() {
    let bed = Bed::new();
    bed.hub.edit(ID, |repo| repo.gated = true);
    assert_says(
        &message(&bed, ID),
        &["gated", &format!("{}/{ID}", bed.hub.endpoint())],
    );
}

#[test]
fn a_wrong_token_is_told_from_a_missing_one() {
    let bed = Bed::new();
    bed.hub.edit(ID, |repo| repo.token = Some("another".into()));
    assert_says(&message(&bed, ID), &["token is not valid", "HF_TOKEN"]);
}

#[test]
fn an_anonymous_user_is_told_that_a_token_may_help() {
    if HubOptions::from_env().is_ok_and(|options| options.token.is_some()) {
        eprintln!("skipped: this user has a token, which hf-hub finds by itself");
        return;
    }
    let mut bed = Bed::new();
    bed.options.token = None;
    bed.resolve(ID).unwrap();
    assert!(bed.hub.requests().iter().all(|r| r.authorization.is_none()));
    bed.hub.edit(ID, |repo| repo.token = Some("another".into()));
    // The Hub does not tell a private repository from one that does not exist.
    for id in [ID, "no/such"] {
        let wanted = [
            "anonymous",
            "check the name",
            "set HF_TOKEN if it is private",
        ];
        assert_says(&message(&bed, id), &[&[id][..], &wanted].concat());
    }
    assert_says(
        &message(&bed, "Qwen/Qwen3-0.7B"),
        &["did you mean", "Qwen/Qwen3-0.6B"],
    );
}

#[test]
fn a_web_page_in_the_hubs_place_is_recognised() {
    for part in ["/revision/", "/tree/", "config.json", "/cdn/"] {
        let mut bed = Bed::new();
        bed.options.attempts = 2;
        bed.hub.fault(part, Fault::Html, usize::MAX);
        assert_says(
            &message(&bed, ID),
            &["web page", "log in to the network", "HF_ENDPOINT"],
        );
        assert!(!bed.snapshot().join("model.safetensors").exists());
    }
}

#[test]
fn a_list_that_goes_on_elsewhere_does_not_take_the_token_along() {
    let bed = Bed::new();
    bed.hub.fault("/tree/", Fault::ForeignPage, 1);
    assert_says(&message(&bed, ID), &["another host"]);
    assert!(bed.hub.requests().iter().all(|r| !r.cdn));
}

#[test]
fn nobody_there_says_so_and_the_cache_stands_in() {
    let bed = Bed::new();
    bed.resolve(ID).unwrap();
    // Bound and not listening: it refuses, and nobody else can have its port meanwhile.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let model = ModelRef::parse(ID).unwrap();
    let dead = format!("http://{}", socket.local_addr().unwrap());

    let elsewhere = tempfile::tempdir().unwrap();
    let mut alone = options(&dead, elsewhere.path());
    alone.attempts = 2;
    let text = resolve(&model, &alone, &bed.notes).unwrap_err().to_string();
    assert_says(
        &text,
        &[&dead, "cannot be reached", "HF_ENDPOINT", "--offline"],
    );

    alone.cache = bed.options.cache.clone();
    let files = resolve(&model, &alone, &bed.notes).unwrap();
    assert_eq!(files.path(), bed.snapshot());
    assert!(
        bed.notes
            .lines
            .lock()
            .unwrap()
            .iter()
            .any(|l| l.contains("using what is cached"))
    );
}
