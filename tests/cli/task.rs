//! `wick run --task`: what the model is asked, and what is refused.

use serde_json::Value;

use crate::bed::{Ended, Speaker, answer, ended, wick};
use crate::run::{piped, run};

const TASKS: [&str; 6] = [
    "commit",
    "explain",
    "extract",
    "fix",
    "summarize",
    "translate",
];

/// The prompt that `wick run ARGS` gives to the model.
#[track_caller]
fn prompt(model: &Speaker, args: &[&str]) -> String {
    let answer = answer(model.path(), &[&["-n", "1"][..], args].concat());
    answer["prompt"].as_str().unwrap().to_string()
}

/// `wick run ARGS` with a model that is nowhere.
fn without_model(args: &[&str]) -> Ended {
    let mut command = wick();
    ended(command.args(["run", "-m", "nowhere"]).args(args))
}

#[test]
fn a_task_and_the_prompt_are_the_users_message() {
    let model = Speaker::new();
    let translate = ["--task", "translate", "Guten Morgen."];
    let english = prompt(&model, &translate);
    assert!(english.starts_with("[user]Translate"), "{english}");
    assert!(english.contains("into English"), "{english}");
    let ends = |text: &str| text.ends_with("\n\nGuten Morgen.[assistant]");
    assert!(ends(&english), "{english}");
    let french = prompt(&model, &[&translate[..], &["--var", "to=French"]].concat());
    assert_eq!(french, english.replace("English", "French"));
    let system = prompt(&model, &[&translate[..], &["-s", "Be brief."]].concat());
    assert_eq!(system, format!("[system]Be brief.{english}"));
    let raw = prompt(&model, &[&translate[..], &["--raw"]].concat());
    assert_eq!(format!("[user]{raw}[assistant]"), english);
    let think = prompt(&model, &[&translate[..], &["--cot", "zero"]].concat());
    assert!(think.starts_with(&english) && think != english, "{think}");
}

#[test]
fn every_task_takes_the_prompt_from_anywhere() {
    let model = Speaker::new();
    let file = model.path().join("input.txt");
    std::fs::write(&file, "{{ to }} <b>\n").unwrap();
    for task in TASKS {
        let mut args = vec!["--task", task];
        if task == "extract" {
            args.extend(["--var", "what=the names of cities"]);
        }
        args.extend(["-f", file.to_str().unwrap()]);
        let asked = prompt(&model, &args);
        let end = "\n\n{{ to }} <b>[assistant]";
        assert!(asked.ends_with(end), "{task}: {asked}");
        assert_eq!(asked.matches("{{").count(), 1, "{task}: {asked}");
        let what = asked.contains("the names of cities");
        assert_eq!(what, task == "extract", "{asked}");
    }
    let mut command = run(model.path(), &["--task", "commit", "It is faster."]);
    command.args(["-n", "1", "-o", "json"]);
    let joined = piped(command, "+ a line\n").done();
    let joined: Value = serde_json::from_str(&joined).unwrap();
    let joined = joined["prompt"].as_str().unwrap();
    let end = "\n\n+ a line\n\nIt is faster.[assistant]";
    assert!(joined.ends_with(end), "{joined}");
}

#[test]
fn a_template_of_ones_own_is_a_task() {
    let model = Speaker::new();
    let file = model.path().join("own.jinja");
    let path = file.to_str().unwrap();
    let own = [
        "{% set tone = tone or 'plain' %}",
        "{% if who %}For {{ who }}: {% endif %}",
        "{{ tone }} {{ input | trim }}",
        "",
    ];
    std::fs::write(&file, own.join("\n")).unwrap();
    let asked = |more: &[&str]| prompt(&model, &[&["--task", path, " Hi "], more].concat());
    assert_eq!(asked(&[]), "[user]plain Hi[assistant]");
    assert_eq!(
        asked(&["--var", "who=Tom", "--var", "tone=a = b"]),
        "[user]For Tom: a = b Hi[assistant]"
    );
    // One that asks for no prompt.
    std::fs::write(&file, "About {{ what }}.").unwrap();
    let what = ["--task", path, "--var", "what=<b>"];
    assert_eq!(prompt(&model, &what), "[user]About <b>.[assistant]");
    let message = without_model(&[&what[..], &["Hi"]].concat()).failed(2);
    assert!(message.contains("no use for input"), "{message}");
}

/// As the shell's `--task <(…)` gives one.
#[test]
#[cfg(unix)]
fn a_template_comes_through_a_pipe() {
    let model = Speaker::new();
    let args = ["--task", "/dev/stdin", "Hi", "-n", "1", "-o", "json"];
    let answer = piped(run(model.path(), &args), "About {{ input }}.\n").done();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["prompt"], "[user]About Hi.[assistant]");
    let folder = model.path().to_str().unwrap();
    let message = without_model(&["--task", folder, "Hi"]).failed(2);
    assert!(message.contains("neither a task nor a file"), "{message}");
}

#[test]
fn what_is_wrong_with_a_task_is_said_before_a_model_is_looked_for() {
    let unknown = without_model(&["--task", "sumarize", "Hi"]).failed(2);
    for task in TASKS {
        assert!(unknown.contains(task), "{unknown}");
    }
    assert!(unknown.contains("did you mean summarize"), "{unknown}");
    let all = "its variables are input (the prompt), to";
    for (line, what) in [
        ("Hi --task extract", "--var what="),
        ("Hi --task extract --var waht=x", "--var what="),
        ("Hi --task translate --var too=x", "no use for too"),
        ("Hi --task translate --var too=x", all),
        ("Hi --task fix --var input=x", "stands for the prompt"),
        ("Hi --task fix --var to", "NAME=TEXT"),
        ("Hi --var to=French", "--task"),
        ("--task fix", "there is no prompt"),
        ("--task fix --prompt-ids 1", "--prompt-ids"),
        ("Hi --task fix --infill", "--infill"),
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        let message = without_model(&args).failed(2);
        assert!(message.contains(what), "{line}: {message}");
    }
}

#[test]
fn a_file_that_is_no_template_or_never_ends_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("own.jinja");
    let path = file.to_str().unwrap();
    let said = |source: &[u8], code| {
        std::fs::write(&file, source).unwrap();
        without_model(&["--task", path, "Hi"]).failed(code)
    };
    let syntax = said(b"{{ input }}\n{% if %}", 1);
    for what in ["own.jinja", "line 2"] {
        assert!(syntax.contains(what), "{syntax}");
    }
    let ends = "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}";
    let endless = said(ends.as_bytes(), 1);
    assert!(endless.contains("works without end"), "{endless}");
    // What the template itself makes is no variable to be given.
    let part = said(b"{{ input.split(',')[1] }}", 1);
    assert!(part.contains("line 1"), "{part}");
    assert!(!part.contains("--var"), "{part}");
    assert!(said(b"{{ input }}\xff", 1).contains("not UTF-8"));
    let long = vec![b'a'; 2 << 20];
    assert!(said(&long, 1).contains("own.jinja"));
    let empty = said(b"{% if input == 'no' %}yes{% endif %}", 2);
    assert!(empty.contains("empty text"), "{empty}");
}
