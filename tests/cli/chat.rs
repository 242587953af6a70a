//! `wick chat`, through a pipe.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::bed::{Ended, Speaker, ended, wick};

fn chat(model: &Path, args: &[&str]) -> Child {
    let mut command: Command = wick();
    command.args(["chat", "-m"]).arg(model).args(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn said(model: &Path, args: &[&str], input: &str) -> Ended {
    let mut child = chat(model, args);
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap().into()
}

/// What `/show` says of the settings `names` after `input`.
fn shown<const N: usize>(
    model: &Path,
    args: &[&str],
    input: &str,
    names: [&str; N],
) -> [String; N] {
    let text = said(model, args, &format!("{input}/show\n")).stderr;
    names.map(|name| {
        let line = text.lines().find(|l| l.starts_with(name));
        let value = line.and_then(|l| l.split_whitespace().nth(1));
        value
            .unwrap_or_else(|| panic!("no {name} in {text}"))
            .to_string()
    })
}

#[test]
fn every_line_is_a_turn_and_only_what_is_new_is_run() {
    let model = Speaker::new();
    let talk = said(
        model.path(),
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
    let talk = said(model.path(), &["-n", "2", "--ignore-eos"], &input);
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
fn a_turn_is_answered_again_forgotten_or_begins_with_a_slash() {
    let model = Speaker::new();
    let args = "-n 2 --ignore-eos --temp 0 -s".split(' ');
    let args: Vec<&str> = args.chain(["Be brief."]).collect();
    let input = "Hi\n/retry\n/history\n/stats\n/reset\n/history\n//etc\n/history\n\
                 /exit\nnot said\n/history\n";
    let talk = said(model.path(), &args, input);
    assert_eq!(talk.code, Some(0), "{}", talk.stderr);
    let said = &talk.stderr;
    assert_eq!(said.matches("[user] Hi\n").count(), 1, "{said}");
    assert!(said.contains("\n2 turns: "), "{said}");
    let slash = "[system] Be brief.\n[system] Be brief.\n[user] /etc\n[assistant]";
    assert!(said.contains(slash), "{said}");
    assert!(!said.contains("not said"), "{said}");
}

#[test]
fn settings_take_off_and_a_seed_and_what_is_wrong_is_named() {
    let model = Speaker::new();
    let args = "--top-k 5 --top-p 0.5 --min-p 0.1 -n 3".split(' ');
    let args: Vec<&str> = args.collect();
    let names = ["top-k", "top-p", "min-p", "max-tokens", "seed"];
    let off = "/set top-k off\n/set top_p off\n/set min-p OFF\n/set max-tokens off\n/set seed 7\n";
    assert_eq!(
        shown(model.path(), &args, off, names),
        ["off", "off", "off", "off", "7"]
    );
    let input = "/set temp hot\n/set top-k 1.5\n/set temp\n/set bogus 1\n/set\n/set temp 0\n";
    let wrong = said(model.path(), &["--cot", "vote:3"], input);
    assert_eq!(wrong.code, Some(0), "{}", wrong.stderr);
    for text in [
        "/set temp hot: a number is wanted",
        "/set top-k 1.5: a whole number or off is wanted",
        "/set temp: a number is wanted",
        "there is no setting bogus; the settings are temp, top-k, top-p",
        "/set NAME VALUE: the settings are temp, top-k, top-p",
        "--temp 0: greedy chains are all the same",
    ] {
        let said = &wrong.stderr;
        assert!(said.contains(text), "{text:?} is not in {said}");
    }
}

#[test]
fn a_seed_that_is_set_repeats_what_a_flag_would() {
    let model = Speaker::new();
    let answers = |seed: &str, input: &str| {
        let args = ["--seed", seed, "--temp", "1.5", "-n", "8", "--ignore-eos"];
        said(model.path(), &args, input).done()
    };
    let wanted = answers("7", "Hi\n");
    assert_eq!(answers("3", "/set seed 7\nHi\n"), wanted);
    // However many turns there were before.
    let later = answers("3", "Hi\nYou?\n/reset\n/set seed 7\nHi\n");
    assert!(later.ends_with(&wanted), "{later:?} {wanted:?}");
}

#[test]
fn sampling_is_the_files_or_else_that_of_the_card_that_the_folder_is_called_like() {
    let model = Speaker::new();
    let folder = model.path().join("chatglm2-6b");
    std::fs::create_dir(&folder).unwrap();
    for file in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        std::fs::copy(model.path().join(file), folder.join(file)).unwrap();
    }
    let names = ["temp", "top-k", "top-p", "repeat-penalty"];
    let sampling = || shown(&folder, &[], "", names);
    assert_eq!(sampling(), ["0.8", "off", "0.8", "1"]);
    let config = r#"{"do_sample": true, "temperature": 0.3, "top_k": 5, "top_p": 0.85, "repetition_penalty": 1.05}"#;
    std::fs::write(folder.join("generation_config.json"), config).unwrap();
    assert_eq!(sampling(), ["0.3", "5", "0.85", "1.05"]);
}

#[test]
fn what_suits_no_model_is_refused_before_one_is_looked_for() {
    for (flags, what) in [
        ("--temp -1", "--temp -1"),
        ("--template nosuch", "--template nosuch"),
        ("--cot vote:3 --temp 0", "--temp 0"),
        ("--device cuda --cache-type q8_0", "--cache-type q8_0"),
        ("--device metal --quant iq4_nl", "--quant IQ4_NL"),
    ] {
        let mut command = wick();
        command.args(["chat", "-m", "nowhere"]);
        let message = ended(command.args(flags.split(' '))).failed(2);
        assert!(message.contains(what), "{flags}: {message}");
    }
}

#[test]
fn a_turn_that_does_not_fit_is_taken_back() {
    let model = Speaker::new();
    let long = "x".repeat(200);
    let talk = said(
        model.path(),
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
    let args = ["-c", "100000", "-n", "50000", "--ignore-eos"];
    let mut child = chat(model.path(), &args);
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
#[cfg(unix)]
fn ctrl_c_before_the_answer_takes_the_turn_back() {
    let model = Speaker::new();
    let args = ["-c", "200000", "-n", "2", "--ignore-eos"];
    let mut child = chat(model.path(), &args);
    let mut stdin = child.stdin.take().unwrap();
    // More than a pipe holds: once it is written, the program is past loading and reads it.
    let long = "x".repeat(150_000);
    stdin.write_all(format!("{long}\n").as_bytes()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    crate::run::interrupt(child.id());
    stdin.write_all(b"/history\n/stats\n").unwrap();
    drop(stdin);
    let talk: Ended = child.wait_with_output().unwrap().into();
    assert_eq!(talk.code, Some(0), "{}", talk.stderr);
    assert!(talk.stderr.contains("taken back"), "{}", talk.stderr);
    assert!(!talk.stderr.contains("[user]"), "{}", talk.stderr);
    assert!(talk.stderr.contains("\n0 turns: "), "{}", talk.stderr);
}

#[test]
#[cfg(unix)]
fn ctrl_c_between_the_turns_of_a_pipe_ends_the_program() {
    let model = Speaker::new();
    let mut child = chat(model.path(), &["-n", "2", "--ignore-eos"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"Hi\n").unwrap();
    let mut first = [0; 1];
    let stdout = child.stdout.as_mut().unwrap();
    stdout.read_exact(&mut first).unwrap();
    // The first may still be for the answer.
    let code = loop {
        crate::run::interrupt(child.id());
        std::thread::sleep(std::time::Duration::from_millis(100));
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
    };
    assert_eq!(code, Some(130));
    drop(stdin);
}

#[test]
fn quiet_hides_no_failure_and_nothing_that_was_asked_for() {
    let model = Speaker::new();
    let input = "Hi\n/save /nonexistent/talk.json\n/history\n/bogus\n";
    let talk = said(model.path(), &["-q", "-n", "2", "--ignore-eos"], input);
    for text in ["/nonexistent/talk.json", "[user] Hi", "no command /bogus"] {
        assert!(talk.stderr.contains(text), "{text}: {}", talk.stderr);
    }
    let long = said(model.path(), &["-q", "-c", "8"], "more than eight tokens\n");
    assert!(long.stderr.contains("taken back"), "{}", long.stderr);
}

#[test]
fn a_turn_that_the_format_refuses_is_taken_back_and_one_that_was_thought_over_counts() {
    let model = Speaker::new();
    let refused = said(
        model.path(),
        &["--cot", "zero", "--template", "belle", "-s", "Be brief."],
        "Hi\n/history\n",
    );
    assert_eq!(refused.code, Some(0), "{}", refused.stderr);
    assert!(refused.stderr.contains("taken back"), "{}", refused.stderr);
    let thought = said(
        model.path(),
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
    let shown = |args: &[&str]| shown(model.path(), args, "", ["temp", "top-k", "top-p"]);
    assert_eq!(shown(&["--temp", "0.7"]), ["0.7", "20", "0.6"]);
    assert_eq!(shown(&["--top-p", "1", "--min-p", "0"])[0], "0");
    assert_eq!(shown(&["--top-k", "0"]), ["0", "off", "0.6"]);
    assert_eq!(shown(&["--top-k", "5"]), ["0.9", "5", "0.6"]);
}

#[test]
fn a_conversation_is_not_saved_over_the_model() {
    let model = Speaker::new();
    let weights = model.path().join("model.safetensors");
    let before = std::fs::read(&weights).unwrap();
    let input = format!("/save {}\n/exit\n", weights.display());
    let talk = said(model.path(), &[], &input);
    let wanted = "is the model that is read; write to another file";
    assert!(talk.stderr.contains(wanted), "{}", talk.stderr);
    assert!(std::fs::read(&weights).unwrap() == before);
}
