//! Without -m: the demo model.
#![cfg(feature = "demo")]

use serde_json::Value;

use crate::bed::{Ended, ended, wick};
use crate::run::piped;

const SAID: &str = "demo model; -m chooses another";

fn speaks(args: &[&str]) -> Ended {
    let mut command = wick();
    command.args(args);
    piped(command, "")
}

#[test]
fn every_command_that_needs_a_model_has_one_and_says_so_once() {
    let mut chat = wick();
    chat.args(["chat", "-n", "4"]);
    for done in [
        speaks(&["run", "Hi", "-n", "4"]),
        speaks(&["run", "Hi", "-n", "4", "--cot", "vote:2"]),
        piped(chat, "Hi\nHi\n"),
        speaks(&["bench", "-p", "8", "-n", "4", "-r", "1"]),
        speaks(&["bench", "-p", "8", "-n", "0", "-r", "1", "-t", "1,1"]),
    ] {
        assert_eq!(done.stderr.matches(SAID).count(), 1, "{}", done.stderr);
        assert!(!done.stdout.contains(SAID));
        assert_ne!(done.done(), "");
    }
}

#[test]
fn another_model_is_not_the_demo_model() {
    let mut command = wick();
    command.args(["run", "--prompt-ids", "1", "-n", "1", "-m"]);
    let done = ended(command.arg(crate::bed::oracle("llama")));
    assert!(!done.stderr.contains("demo"), "{}", done.stderr);
    done.done();
}

#[test]
fn a_folder_of_that_name_does_not_take_its_place() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("demo")).unwrap();
    for args in [&["run", "Hi", "-n", "4"][..], &["inspect", "demo"]] {
        let mut command = wick();
        command.current_dir(dir.path()).args(args);
        assert_ne!(piped(command, "").done(), "");
    }
    let mut command = wick();
    command.current_dir(dir.path()).args(["inspect", "./demo"]);
    let failed = ended(&mut command);
    assert!(failed.stderr.contains("config.json"), "{}", failed.stderr);
}

/// Problems that were held out of its training.
#[test]
fn it_gets_further_step_by_step() {
    for (question, wanted) in PROBLEMS {
        let mut command = wick();
        command.args(["run", "-o", "json", "--cot", "zero", question]);
        let thought: Value = serde_json::from_str(&ended(&mut command).done()).unwrap();
        assert_eq!(thought["answer"], wanted, "{thought}");
        assert_eq!(thought["chains"].as_array().map(Vec::len), Some(1));
    }
}

const PROBLEMS: [(&str, &str); 3] = [
    (
        "Tom has 20 dollars and saves 2 dollars a week for 4 weeks. Then Tom spends 8 dollars. \
         How many dollars does Tom have?",
        "20",
    ),
    (
        "There are 4 bags. Each bag holds 5 stamps. Li brings 13 stamps more. How many stamps are \
         there?",
        "33",
    ),
    ("小红有9元，买了2朵花，每朵3元。还剩多少元？", "3"),
];
