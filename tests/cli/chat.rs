//! `wick chat`, through a pipe.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::{Value, json};

use crate::bed::{Ended, Speaker, ended, wick};

fn command(model: &Path, args: &[&str]) -> Command {
    let mut command: Command = wick();
    command.args(["chat", "-m"]).arg(model).args(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn chat(model: &Path, args: &[&str]) -> Child {
    command(model, args).spawn().unwrap()
}

fn said(model: &Path, args: &[&str], input: &str) -> Ended {
    told(&mut command(model, args), input)
}

fn told(command: &mut Command, input: &str) -> Ended {
    let mut child = command.spawn().unwrap();
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

#[test]
fn what_follows_a_command_that_takes_nothing_is_not_passed_over() {
    let model = Speaker::new();
    let args = ["-n", "2", "--ignore-eos"];
    let talk = said(model.path(), &args, "Hi\n/undo 2\n/exit now\n/history\n");
    for text in ["/undo stands alone", "/exit stands alone", "[user] Hi"] {
        assert!(talk.stderr.contains(text), "{text}: {}", talk.stderr);
    }
}

#[test]
fn a_turn_that_cannot_be_answered_again_stays() {
    let model = Speaker::new();
    let file = model.path().join("long.json");
    let question = "x".repeat(200);
    let long = json!([
        { "role": "user", "content": question },
        { "role": "assistant", "content": "kept" }
    ]);
    std::fs::write(&file, long.to_string()).unwrap();
    let input = format!("/load {}\n/retry\n/history\n", file.display());
    let talk = said(model.path(), &["-c", "64", "-n", "2"], &input);
    assert_eq!(talk.code, Some(0), "{}", talk.stderr);
    assert!(talk.stderr.contains("taken back"), "{}", talk.stderr);
    let kept = format!("[user] {question}\n[assistant] kept\n");
    assert!(talk.stderr.contains(&kept), "{}", talk.stderr);
}

#[test]
fn a_thought_that_does_not_fit_ends_its_line_and_one_that_is_cut_is_said_to_be() {
    let model = Speaker::new();
    let args = "-c 64 --cot zero -n 3 --ignore-eos --temp 0".split(' ');
    let args: Vec<&str> = args.collect();
    let begins = "Let's think step by step.";
    // The question fits, with the words that the chain begins with it does not.
    let input = format!("{}\nHi\n", "a".repeat(45));
    let talk = said(model.path(), &args, &input);
    assert!(talk.stderr.contains("taken back"), "{}", talk.stderr);
    let answers = talk.done();
    let second = answers.strip_prefix(&format!("{begins}\n"));
    assert!(second.is_some_and(|a| a.starts_with(begins)), "{answers}");
    let args = "-c 64 --cot zero --ignore-eos --temp 0".split(' ');
    let args: Vec<&str> = args.collect();
    let cut = said(model.path(), &args, "Hi\n");
    assert!(cut.stderr.contains("answer is cut"), "{}", cut.stderr);
}

#[test]
fn a_message_without_any_token_is_taken_back() {
    let model = Speaker::new();
    let path = model.path().join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let vocab = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    vocab.remove("z");
    std::fs::write(&path, tokenizer.to_string()).unwrap();
    let args = ["--template", "plain", "-n", "2", "--ignore-eos"];
    let talk = said(model.path(), &args, "zzz\nHi\n/history\n");
    assert_eq!(talk.code, Some(0), "{}", talk.stderr);
    assert!(talk.stderr.contains("no token"), "{}", talk.stderr);
    assert!(talk.stderr.contains("\n[user] Hi\n"), "{}", talk.stderr);
    assert!(!talk.stderr.contains("[user] zzz"), "{}", talk.stderr);
}

/// `wick chat` with what it keeps in the folder `state`.
fn keeping(state: &Path, model: &Path, args: &[&str]) -> Command {
    let mut command = command(model, &["-n", "2", "--ignore-eos"]);
    command.args(args).env("XDG_STATE_HOME", state);
    command
}

/// The file of a session.
fn session(state: &Path, name: &str) -> PathBuf {
    state.join("wick/sessions").join(format!("{name}.json"))
}

/// The roles and, but for the answers, the texts of a kept conversation.
fn kept(file: &Path) -> Vec<(String, String)> {
    let saved = std::fs::read(file).unwrap();
    let saved: Vec<Value> = serde_json::from_slice(&saved).unwrap();
    let text = |message: &Value, key: &str| message[key].as_str().unwrap().to_string();
    let both = |m: &Value| match text(m, "role") {
        role if role == "assistant" => (role, String::new()),
        role => (role, text(m, "content")),
    };
    saved.iter().map(both).collect()
}

/// A kept conversation of these messages.
fn messages(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let both = |(role, text): &(&str, &str)| (role.to_string(), text.to_string());
    list.iter().map(both).collect()
}

#[test]
fn a_session_goes_on_where_it_was_left() {
    let (model, state) = (Speaker::new(), tempfile::tempdir().unwrap());
    let on = |args: &[&str], input: &str| {
        let args = [&["--session", "trip"][..], args].concat();
        let talk = told(&mut keeping(state.path(), model.path(), &args), input);
        assert_eq!(talk.code, Some(0), "{}", talk.stderr);
        talk.stderr
    };
    let file = session(state.path(), "trip");
    let first = on(&["-s", "Be brief."], "Hi\n");
    assert!(!first.contains("goes on"), "{first}");
    let (system, hi) = (("system", "Be brief."), ("user", "Hi"));
    let answer = ("assistant", "");
    assert_eq!(kept(&file), messages(&[system, hi, answer]));

    let second = on(&[], "/history\nYou?\n/show\n");
    let shown = format!("{:<16} {}", "session", file.display());
    for text in [
        "session trip goes on after 1 turn\n",
        "[system] Be brief.\n[user] Hi\n[assistant]",
        shown.as_str(),
    ] {
        assert!(second.contains(text), "{text:?} is not in {second}");
    }
    let you = ("user", "You?");
    let both = [system, hi, answer, you, answer];
    assert_eq!(kept(&file), messages(&both));

    let third = on(&["-s", "Be long."], "/undo\n");
    let said = "goes on after 2 turns, with another system message\n";
    assert!(third.contains(said), "{third}");
    let system = ("system", "Be long.");
    assert_eq!(kept(&file), messages(&[system, hi, answer]));

    let quiet = on(&["-q"], "/reset\n");
    assert_eq!(quiet, "");
    assert_eq!(kept(&file), messages(&[system]));
}

#[test]
fn a_session_is_called_by_a_plain_name() {
    let state = tempfile::tempdir().unwrap();
    let long = "x".repeat(51);
    let names = ["", "..", "../a", "a/b", "/a", "a\\b", ".a", "a b"];
    for name in names.into_iter().chain([long.as_str()]) {
        let mut command = wick();
        command.env("XDG_STATE_HOME", state.path());
        command.args(["chat", "-m", "nowhere", "--session", name]);
        let message = ended(&mut command).failed(2);
        assert!(message.contains("--session <NAME>"), "{name}: {message}");
    }
    let left = std::fs::read_dir(state.path()).unwrap().count();
    assert_eq!(left, 0, "something was made for a name that is none");
}

#[test]
fn a_damaged_session_is_named_and_left_as_it_is() {
    let (model, state) = (Speaker::new(), tempfile::tempdir().unwrap());
    let file = session(state.path(), "trip");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let damaged = [
        "",
        "no list",
        r#"[{"role": "user", "content": "H"#,
        r#"[{"role": "robot", "content": "Hi"}]"#,
        r#"[{"role": "user"}]"#,
    ];
    let open = || {
        let mut command = keeping(state.path(), model.path(), &["--session", "trip"]);
        ended(command.stdin(Stdio::null())).failed(1)
    };
    for text in damaged {
        std::fs::write(&file, text).unwrap();
        let message = open();
        let path = file.display().to_string();
        assert!(message.contains(&path), "{text}: {message}");
        assert!(message.contains("move it away"), "{text}: {message}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(open().contains("this is no file"));
}

/// Reads what is said until a line begins so.
fn wait_for(stderr: &mut BufReader<ChildStderr>, begin: &str) {
    let mut line = String::new();
    while !line.starts_with(begin) {
        line.clear();
        let n = stderr.read_line(&mut line).unwrap();
        assert!(n > 0, "{begin} was not said");
    }
}

#[test]
fn a_killed_chat_has_kept_its_turns_and_no_two_have_the_same_session_open() {
    let (model, state) = (Speaker::new(), tempfile::tempdir().unwrap());
    let open = || keeping(state.path(), model.path(), &["--session", "trip"]);
    let mut child = open().spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"Hi\n/history\n").unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    wait_for(&mut stderr, "[user] Hi");
    let second = told(&mut open(), "").failed(1);
    assert!(second.contains("--session trip"), "{second}");
    assert!(second.contains("open"), "{second}");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(stdin);
    let hi = messages(&[("user", "Hi"), ("assistant", "")]);
    assert_eq!(kept(&session(state.path(), "trip")), hi);
    // What the killed one held is free.
    let third = told(&mut open(), "");
    assert!(third.stderr.contains("after 1 turn"), "{}", third.stderr);
}

#[test]
#[cfg(unix)]
fn a_session_that_cannot_be_written_is_said_and_fails() {
    let (model, state) = (Speaker::new(), tempfile::tempdir().unwrap());
    let mut child = keeping(state.path(), model.path(), &["-q", "--session", "trip"])
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"/show\n").unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    wait_for(&mut stderr, "seed");
    std::fs::remove_dir_all(state.path().join("wick")).unwrap();
    stdin.write_all(b"Hi\n/history\n").unwrap();
    wait_for(&mut stderr, "--session trip: ");
    // The chat goes on.
    wait_for(&mut stderr, "[user] Hi");
    drop(stdin);
    wait_for(&mut stderr, "error: --session trip: ");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

/// `wick chat` with a shell script for an editor.
#[cfg(unix)]
fn editing(model: &Path, args: &[&str], script: &str) -> Command {
    let path = model.join("editor.sh");
    std::fs::write(&path, script).unwrap();
    let texts = model.join("tmp");
    std::fs::create_dir_all(&texts).unwrap();
    let mut command = command(model, args);
    command
        .args(["-n", "2", "--ignore-eos"])
        .env("TMPDIR", texts)
        .env("EDITOR", format!("sh {}", path.display()))
        .env_remove("VISUAL");
    command
}

#[test]
#[cfg(unix)]
fn an_edited_question_takes_the_place_of_the_last_turn() {
    let model = Speaker::new();
    let trace = model.path().join("trace");
    let script = format!(
        "cat\necho noise\nls -ld \"$(dirname \"$1\")\" > '{0}'\necho \"$1\" >> '{0}'\n\
         test \"$(cat \"$1\")\" = You? && printf '/now\\nwhat?\\n' > \"$1\"\n",
        trace.display()
    );
    let input = "Hi\nYou?\n/edit\n/history\n/stats\n";
    let talk = told(&mut editing(model.path(), &[], &script), input);
    assert_eq!(talk.code, Some(0), "{}", talk.stderr);
    let said = &talk.stderr;
    // What is left of the pipe is not the editor's, and standard output is not either.
    assert!(said.contains("noise\n[user] Hi\n[assistant]"), "{said}");
    assert!(said.contains("[user] /now\nwhat?\n[assistant]"), "{said}");
    assert!(!said.contains("[user] You?"), "{said}");
    assert!(said.contains("\n3 turns: "), "{said}");
    assert!(!talk.stdout.contains("noise"), "{}", talk.stdout);
    let trace = std::fs::read_to_string(trace).unwrap();
    let (folder, file) = trace.split_once('\n').unwrap();
    assert!(folder.starts_with("drwx------"), "{folder}");
    let file = Path::new(file.trim_end());
    assert!(file.is_absolute() && !file.exists(), "{}", file.display());
    assert!(!file.parent().unwrap().exists(), "{}", file.display());
}

#[test]
#[cfg(unix)]
fn an_edit_that_comes_to_nothing_changes_nothing() {
    let model = Speaker::new();
    for (script, why) in [
        ("true", "as it was, or empty"),
        (": > \"$1\"", "as it was, or empty"),
        ("printf ' \\n\\n' > \"$1\"", "as it was, or empty"),
        ("printf 'Bye' > \"$1\"; exit 3", "exit status: 3"),
        ("rm \"$1\"", "message.txt: No such file"),
        ("printf '\\377' > \"$1\"", "message.txt: not UTF-8 text"),
    ] {
        let mut command = editing(model.path(), &[], script);
        let talk = told(&mut command, "Hi\n/edit\n/stats\n/history\n");
        assert_eq!(talk.code, Some(0), "{script}: {}", talk.stderr);
        for text in [why, "nothing is changed", "\n1 turns: ", "[user] Hi\n"] {
            let said = &talk.stderr;
            assert!(said.contains(text), "{script}: {text:?} is not in {said}");
        }
    }
    let long = "printf '%0200d' 0 > \"$1\"";
    let mut command = editing(model.path(), &["-c", "64"], long);
    let talk = told(&mut command, "Hi\n/edit\n/history\n");
    let said = &talk.stderr;
    assert!(said.contains("64 fit") && said.contains("stays"), "{said}");
    assert!(said.contains("[user] Hi\n[assistant]"), "{said}");
    let mut command = editing(model.path(), &[], "touch edited");
    let talk = told(command.current_dir(model.path()), "/edit\n");
    assert!(talk.stderr.contains("nothing to edit"), "{}", talk.stderr);
    assert!(!model.path().join("edited").exists());
}

/// An editor that writes down what it is given and makes that too long for a small context, or
/// short where it was too long before.
#[cfg(unix)]
fn long_then_short(seen: &Path) -> String {
    format!(
        "cat \"$1\" >> '{0}'\ncase $(cat \"$1\") in\n0*) printf Bye > \"$1\" ;;\n\
         Bye) ;;\n*) printf '%0200d' 0 > \"$1\" ;;\nesac\n",
        seen.display()
    )
}

#[test]
#[cfg(unix)]
fn an_edit_without_an_answer_is_what_the_next_one_begins_with() {
    let model = Speaker::new();
    let seen = model.path().join("seen");
    let edited = |input: &str| {
        let script = long_then_short(&seen);
        let mut command = editing(model.path(), &["-c", "128"], &script);
        let talk = told(&mut command, input);
        assert_eq!(talk.code, Some(0), "{}", talk.stderr);
        talk.stderr
    };
    let long = "0".repeat(200);
    let said = edited("Hi\n/edit\n/edit\n/history\n/edit\n");
    assert!(said.contains("128 fit"), "{said}");
    assert!(said.contains("[user] Bye\n[assistant]"), "{said}");
    assert!(!said.contains("[user] Hi"), "{said}");
    let texts = std::fs::read_to_string(&seen).unwrap();
    assert_eq!(texts, format!("Hi\n{long}\nBye\n"));
    // The turn that it was to replace is gone, and no other is replaced.
    let said = edited("Hi\nYou?\n/edit\n/undo\n/edit\n/history\n");
    for text in ["[user] Hi\n[assistant]", "[user] Bye\n[assistant]"] {
        assert!(said.contains(text), "{text:?} is not in {said}");
    }
    for anew in ["/reset", "/system Be brief."] {
        let said = edited(&format!("Hi\n/edit\n{anew}\n/edit\n"));
        assert!(said.contains("nothing to edit"), "{anew}: {said}");
    }
}

#[test]
#[cfg(unix)]
fn what_was_written_outlives_an_editor_that_fails() {
    let model = Speaker::new();
    let texts = model.path().join("tmp");
    let said = |script: &str| {
        let mut command = editing(model.path(), &[], script);
        told(&mut command, "Hi\n/edit\n").stderr
    };
    let said_where = "what you wrote is in ";
    for (script, text) in [
        ("printf 'Bye' > \"$1\"; exit 3", &b"Bye"[..]),
        ("printf 'By\\377' > \"$1\"", &b"By\xff"[..]),
    ] {
        let said = said(script);
        let (_, rest) = said.split_once(said_where).expect("no place is said");
        let file = Path::new(rest.split(';').next().unwrap());
        assert_eq!(std::fs::read(file).unwrap(), text, "{script}");
        std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }
    for script in ["exit 3", ": > \"$1\"; exit 3", "rm \"$1\""] {
        let said = said(script);
        assert!(said.contains("/edit: "), "{script}: {said}");
        assert!(!said.contains(said_where), "{script}: {said}");
    }
    assert_eq!(std::fs::read_dir(&texts).unwrap().count(), 0);
}

#[test]
#[cfg(unix)]
fn the_editor_is_named_as_to_a_shell() {
    let model = Speaker::new();
    let folder = model.path().join("my editor");
    std::fs::create_dir(&folder).unwrap();
    let script = folder.join("edit.sh");
    std::fs::write(&script, "printf '%s' \"$1$2\" > \"$3\"").unwrap();
    let script = script.display();
    let edited = |editor: String| {
        let mut command = editing(model.path(), &[], "true");
        command.env("EDITOR", editor);
        told(&mut command, "Hi\n/edit\n/history\n").stderr
    };
    let said = edited(format!("sh '{script}' 'two  words' ''"));
    assert!(said.contains("[user] two  words\n"), "{said}");
    // It is there, and no program.
    let said = edited(format!("'{script}'"));
    assert!(said.contains("cannot be started"), "{said}");
}

#[test]
#[cfg(unix)]
fn the_editor_is_the_one_of_the_environment() {
    let model = Speaker::new();
    let edited = |change: &dyn Fn(&mut Command)| {
        let mut command = editing(model.path(), &[], "printf 'by EDITOR' > \"$1\"");
        change(&mut command);
        told(&mut command, "Hi\n/edit\n/history\n").stderr
    };
    let visual = model.path().join("visual.sh");
    std::fs::write(&visual, "printf \"by $1\" > \"$2\"").unwrap();
    let visual = format!("  sh  {} VISUAL ", visual.display());
    let said = edited(&|c| {
        c.env("VISUAL", &visual);
    });
    assert!(said.contains("[user] by VISUAL\n"), "{said}");
    let said = edited(&|c| {
        c.env("VISUAL", " ");
    });
    assert!(said.contains("[user] by EDITOR\n"), "{said}");
    let said = edited(&|c| {
        c.env("EDITOR", "/nonexistent/editor");
    });
    let wanted = "/nonexistent/editor cannot be started";
    assert!(said.contains(wanted), "{said}");
    assert!(said.contains("[user] Hi\n"), "{said}");
    let said = edited(&|c| {
        c.env_remove("EDITOR");
    });
    assert!(said.contains("set VISUAL or EDITOR"), "{said}");
}

#[test]
#[cfg(unix)]
fn a_session_keeps_what_is_edited() {
    let (model, state) = (Speaker::new(), tempfile::tempdir().unwrap());
    let args = ["--session", "trip"];
    let mut command = editing(model.path(), &args, "printf 'Bye' > \"$1\"");
    command.env("XDG_STATE_HOME", state.path());
    told(&mut command, "Hi\n/edit\n").done();
    let bye = messages(&[("user", "Bye"), ("assistant", "")]);
    assert_eq!(kept(&session(state.path(), "trip")), bye);
}

#[test]
fn what_takes_the_place_of_a_kept_chat_leaves_a_copy_of_it() {
    let (model, state) = (Speaker::new(), tempfile::tempdir().unwrap());
    let on = |input: &str| {
        let mut command = keeping(state.path(), model.path(), &["--session", "trip"]);
        let talk = told(&mut command, input);
        assert_eq!(talk.code, Some(0), "{}", talk.stderr);
        talk.stderr
    };
    let file = session(state.path(), "trip");
    let copy = file.with_file_name("trip.json~");
    let (hi, you, answer) = (("user", "Hi"), ("user", "You?"), ("assistant", ""));

    let said = on("Hi\n/reset\n");
    let path = copy.display().to_string();
    assert!(said.contains(&path), "{said}");
    assert_eq!(kept(&copy), messages(&[hi, answer]));
    assert_eq!(kept(&file), messages(&[]));

    // Without a question there is nothing to copy, and the copy stays.
    let said = on(&format!("/reset\n/load {path}\nYou?\n/system Be brief.\n"));
    assert_eq!(said.matches("is now in").count(), 1, "{said}");
    assert_eq!(kept(&copy), messages(&[hi, answer, you, answer]));
    let brief = ("system", "Be brief.");
    assert_eq!(kept(&file), messages(&[brief]));

    std::fs::remove_file(&copy).unwrap();
    std::fs::create_dir(&copy).unwrap();
    let said = on("Hi\n/reset\n/history\n");
    assert!(said.contains("nothing is changed"), "{said}");
    assert!(said.contains("[user] Hi\n"), "{said}");
    assert_eq!(kept(&file), messages(&[brief, hi, answer]));
}

#[test]
#[cfg(unix)]
fn a_session_is_private_and_a_private_file_stays_so() {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    let (model, state) = (Speaker::new(), tempfile::tempdir().unwrap());
    let file = session(state.path(), "trip");
    let folder = file.parent().unwrap();
    std::fs::create_dir_all(folder).unwrap();
    std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let saved = state.path().join("talk.json");
    std::fs::write(&saved, "").unwrap();
    std::fs::set_permissions(&saved, Permissions::from_mode(0o600)).unwrap();
    let input = format!("Hi\n/save {}\n/reset\n", saved.display());
    let mut command = keeping(state.path(), model.path(), &["--session", "trip"]);
    told(&mut command, &input).done();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let copy = file.with_file_name("trip.json~");
    for path in [&file, &copy, &file.with_extension("lock"), &saved] {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    let hi = messages(&[("user", "Hi"), ("assistant", "")]);
    assert_eq!(kept(&saved), hi);
}

#[test]
#[cfg(target_os = "linux")]
fn a_template_without_end_ends_the_chat_and_the_turns_before_are_kept() {
    let (model, state) = (Speaker::new(), tempfile::tempdir().unwrap());
    let template = model.path().join("endless.jinja");
    let format = template.to_str().unwrap();
    let endless = "{{ (['x' * 1000000] * 100000)|lower }}";
    std::fs::write(&template, endless).unwrap();
    let ways: [&[&str]; 2] = [&[], &["--cot", "zero"]];
    for flags in ways {
        let args = [&["--template", format][..], flags].concat();
        let talk = told(&mut command(model.path(), &args), "Hi\nYou?\n");
        assert_eq!(talk.stdout, "", "{flags:?}");
        let message = talk.failed(1);
        let tried = message.matches("without end").count();
        assert_eq!(tried, 1, "{flags:?}: {message}");
    }
    let later = format!("{{% if messages|length > 1 %}}{endless}{{% endif %}}[user]x[assistant]");
    std::fs::write(&template, later).unwrap();
    let args = ["--template", format, "--session", "trip"];
    let mut command = keeping(state.path(), model.path(), &args);
    let message = told(&mut command, "Hi\nYou?\nBye\n").failed(1);
    assert!(message.contains("without end"), "{message}");
    let hi = messages(&[("user", "Hi"), ("assistant", "")]);
    assert_eq!(kept(&session(state.path(), "trip")), hi);
}
