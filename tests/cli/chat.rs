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

#[test]
fn quiet_hides_no_failure_and_nothing_that_was_asked_for() {
    let model = Speaker::new();
    let input = "Hi\n/save /nonexistent/talk.json\n/history\n/bogus\n";
    let talk = said(&model, &["-q", "-n", "2", "--ignore-eos"], input);
    for text in ["/nonexistent/talk.json", "[user] Hi", "no command /bogus"] {
        assert!(talk.stderr.contains(text), "{text}: {}", talk.stderr);
    }
    let long = said(&model, &["-q", "-c", "8"], "more than eight tokens\n");
    assert!(long.stderr.contains("taken back"), "{}", long.stderr);
}

#[test]
fn a_turn_that_the_format_refuses_is_taken_back_and_one_that_was_thought_over_counts() {
    let model = Speaker::new();
    let refused = said(
        &model,
        &["--cot", "zero", "--template", "belle", "-s", "Be brief."],
        "Hi\n/history\n",
    );
    assert_eq!(refused.code, Some(0), "{}", refused.stderr);
    assert!(refused.stderr.contains("taken back"), "{}", refused.stderr);
    let thought = said(
        &model,
        &["--cot", "zero", "-n", "4", "--ignore-eos"],
        "Hi\n/stats\n",
    );
    let turns = thought.stderr.lines().find(|l| l.starts_with("1 turns: "));
    assert!(
        turns.is_some_and(|l| !l.contains("answer: 0 tokens")),
        "{}",
        thought.stderr
    );
}

#[test]
fn a_models_filters_hold_for_a_temperature_and_those_that_are_off_ask_for_none() {
    let model = Speaker::new();
    let config = r#"{"temperature": 0.9, "top_p": 0.6, "top_k": 20}"#;
    std::fs::write(model.path().join("generation_config.json"), config).unwrap();
    let shown = |args: &[&str]| {
        let text = said(&model, args, "/show\n").stderr;
        let value = |name: &str| {
            let line = text.lines().find(|l| l.starts_with(name));
            line.and_then(|l| l.split_whitespace().nth(1))
                .map(str::to_owned)
        };
        ["temp", "top-k", "top-p"].map(|name| value(name).unwrap())
    };
    assert_eq!(shown(&["--temp", "0.7"]), ["0.7", "20", "0.6"]);
    assert_eq!(shown(&["--top-p", "1", "--min-p", "0"])[0], "0");
    assert_eq!(shown(&["--top-k", "0"])[0], "0");
    assert_eq!(shown(&["--top-k", "5"]), ["0.9", "5", "0.6"]);
}
