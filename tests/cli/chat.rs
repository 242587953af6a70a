//! `wick chat`, through a pipe.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use crate::bed::{Ended, Speaker, wick};

fn chat(model: &Speaker, args: &[&str]) -> Child {
    let mut command: Command = wick();
    command.args(["chat", "-m"]).arg(model.path()).args(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn said(model: &Speaker, args: &[&str], input: &str) -> Ended {
    let mut child = chat(model, args);
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn every_line_is_a_turn_and_only_what_is_new_is_run() {
    let model = Speaker::new();
    let talk = said(
        &model,
        &["-n", "4", "--ignore-eos"],
        "Hi\n/stats\nYou?\n/stats\n/history\n",
    );
    assert_eq!(talk.code, Some(0), "{}", talk.stderr);
    let prompts: Vec<usize> = talk
        .stderr
        .lines()
        .filter_map(|l| {
            l.strip_prefix("last turn: prompt: ")?
                .split(' ')
                .next()?
                .parse()
                .ok()
        })
        .collect();
    // A byte is a token: "[user]Hi[assistant]", then all that is not in the cache. The first
    // answer may be of characters that are no text, which then are other bytes.
    assert_eq!(prompts[0], 19, "{}", talk.stderr);
    let second = "[user]You?[assistant]".len();
    assert!(
        (second..=second + 4 * 3 + 1).contains(&prompts[1]),
        "{prompts:?}"
    );
    assert!(
        talk.stderr.contains("[user] Hi\n[assistant]"),
        "{}",
        talk.stderr
    );
}

#[test]
fn commands_change_the_conversation() {
    let model = Speaker::new();
    let file = model.path().join("talk.json");
    let file = file.to_str().unwrap();
    let input = format!(
        "/system Be brief.\nHi\n/save {file}\n/undo\n/history\n/reset\n/load {file}\n/history\n/set temp 0.5\n/set temp -1\n/show\n/bogus\n//slash\n/exit\nnot said\n"
    );
    let talk = said(&model, &["-n", "2", "--ignore-eos"], &input);
    assert_eq!(talk.code, Some(0), "{}", talk.stderr);
    let wanted = [
        "[system] Be brief.\n[system] Be brief.\n[user] Hi\n[assistant]",
        "--temp -1: at least 0 is wanted",
        "temp             0.5",
        "there is no command /bogus",
    ];
    for text in wanted {
        assert!(
            talk.stderr.contains(text),
            "{text:?} is not in {}",
            talk.stderr
        );
    }
    let saved = std::fs::read_to_string(file).unwrap();
    let saved: serde_json::Value = serde_json::from_str(&saved).unwrap();
    assert_eq!(saved[1]["content"], "Hi");
}

#[test]
fn a_turn_that_does_not_fit_is_taken_back() {
    let model = Speaker::new();
    let long = "x".repeat(200);
    let talk = said(
        &model,
        &["-c", "64", "-n", "2", "--ignore-eos"],
        &format!("{long}\n/history\nHi\n"),
    );
    assert_eq!(talk.code, Some(0), "{}", talk.stderr);
    assert!(talk.stderr.contains("64 fit"), "{}", talk.stderr);
    assert!(!talk.stderr.contains("[user] xxx"), "{}", talk.stderr);
    assert_ne!(talk.stdout.trim(), "");
}

#[test]
#[cfg(unix)]
fn ctrl_c_stops_the_answer_and_keeps_the_chat() {
    let model = Speaker::new();
    let mut child = chat(&model, &["-c", "100000", "-n", "50000", "--ignore-eos"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"Hi\n").unwrap();
    let mut begun = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut begun).unwrap();
    crate::run::interrupt(child.id());
    stdin
        .write_all(b"/set max-tokens 3\nAgain\n/stats\n")
        .unwrap();
    drop(stdin);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    let talk: Ended = child.wait_with_output().unwrap().into();
    assert_eq!(talk.code, Some(0), "{}", talk.stderr);
    assert!(talk.stderr.contains("(stopped)"), "{}", talk.stderr);
    assert!(talk.stderr.contains("2 turns"), "{}", talk.stderr);
}
