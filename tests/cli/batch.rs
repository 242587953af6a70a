//! `wick run --batch`: a line for each line, whatever becomes of the others.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::bed::{Ended, Speaker, answer, ended, wick};
use crate::run::{piped, run};

const COMMON: [&str; 5] = ["-q", "-n", "8", "--ignore-eos", "--batch"];

/// What `wick run ARGS --batch -` makes of `input`.
fn batch(model: &Speaker, args: &[&str], input: &str) -> Ended {
    let mut command = run(model.path(), args);
    command.args(COMMON).arg("-");
    piped(command, input)
}

fn objects(lines: &str) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap();
    lines.lines().map(read).collect()
}

/// The objects of lines that are all answered.
#[track_caller]
fn answers(model: &Speaker, args: &[&str], input: &str) -> Vec<Value> {
    objects(&batch(model, args, input).done())
}

#[test]
fn each_line_is_answered_as_if_it_were_alone() {
    let model = Speaker::new();
    // The second begins as the first does, the last is the first again.
    let prompts = ["A tall tale", "A tall tree", "Hi", "A tall tale"];
    let input = [
        r#""A tall tale""#,
        "",
        "{\"prompt\": \"A tall tree\"}\r",
        r#"  {"prompt":"Hi"}"#,
        r#""A tall tale""#,
    ];
    let input = input.join("\n");
    for more in [
        &["--temp", "0"][..],
        &["--temp", "1.5", "--seed", "7"],
        &["--temp", "1.5", "--seed", "7", "--draft", "lookup"],
        &["--temp", "0", "--raw", "--stop", "e"],
    ] {
        let found = answers(&model, more, &input);
        assert_eq!(found.len(), prompts.len());
        for (found, prompt) in found.iter().zip(prompts) {
            let args = [&[prompt, "-n", "8", "--ignore-eos"][..], more].concat();
            let alone = answer(model.path(), &args);
            for key in ["model", "prompt", "prompt_ids", "text", "ids"] {
                assert_eq!(found[key], alone[key], "{key} of {prompt}, {more:?}");
            }
            assert_eq!(found["finish_reason"], alone["finish_reason"]);
            assert!(found.get("id").is_none() && found["timings"].is_object());
        }
    }
    // A seed of chance is one for all, too.
    let found = answers(&model, &["--temp", "1.5"], &input);
    assert_eq!(found[0]["ids"], found[3]["ids"]);
    assert_eq!(found[0]["seed"], found[1]["seed"]);
}

#[test]
fn a_line_that_cannot_be_answered_says_why_and_the_others_are_answered() {
    let model = Speaker::new();
    let file = model.path().join("lines.jsonl");
    let long = format!("{{\"id\": \"long\", \"prompt\": \"{}\"}}", "a".repeat(200));
    let huge = format!("\"{}\"", "a".repeat(17 << 20));
    let lines: [(&[u8], &str); 12] = [
        (br#"{"id": {"n": [1, 2.50]}, "prompt": "a"}"#, ""),
        (b"hello", "JSON"),
        (br#"["a"]"#, "JSON"),
        (br#"{"id": 3, "system": "a"}"#, "no prompt"),
        (br#"{"id": 4, "prompt": ""}"#, "no prompt"),
        (br#"{"id": 5, "prompt": 5}"#, "expected a string"),
        (br#"{"id": 6, "prompt": "a", "sytem": "b"}"#, "`sytem`"),
        (br#"{"id": 7, "prompt": "a", "var": {"t": "b"}}"#, "--task"),
        (b"\"\xff\"", "UTF-8"),
        (long.as_bytes(), "tokens are needed"),
        (huge.as_bytes(), "longer than"),
        (br#"{"id": 12345678901234567890123, "prompt": "a"}"#, ""),
    ];
    std::fs::write(&file, lines.map(|(line, _)| line).join(&b'\n')).unwrap();
    let mut command = run(model.path(), &["-c", "60"]);
    let ended = ended(command.args(COMMON).arg(&file));
    // Ids are as they were written.
    for id in [r#"{"n": [1, 2.50]}"#, "12345678901234567890123"] {
        let begin = format!("{{\"id\":{id},");
        assert!(ended.stdout.contains(&begin), "{}", ended.stdout);
    }
    let found = objects(&ended.stdout);
    assert_eq!(found.len(), lines.len());
    for ((n, found), (_, what)) in found.iter().enumerate().zip(lines) {
        if what.is_empty() {
            assert_eq!(found["ids"].as_array().map(Vec::len), Some(8), "{found}");
            continue;
        }
        let error = found["error"].as_str().unwrap();
        assert!(error.contains(what), "{found}");
        assert_eq!(found["line"], json!(n + 1), "{found}");
        assert!(found.get("text").is_none());
    }
    let ids: Vec<&Value> = found[1..11].iter().map(|f| &f["id"]).collect();
    let wanted = json!([null, null, 3, 4, 5, 6, 7, null, "long", null]);
    assert_eq!(json!(ids), wanted);
    let message = ended.failed(1);
    assert!(message.contains("10 of 12 lines failed"), "{message}");
}

#[test]
fn a_line_has_its_own_system_message_and_variables() {
    let model = Speaker::new();
    let prompts = |args: &[&str], input: &str| -> Vec<String> {
        let found = answers(&model, args, input);
        let prompt = |f: &Value| f["prompt"].as_str().unwrap().to_string();
        found.iter().map(prompt).collect()
    };
    let input = "\"a\"\n{\"prompt\": \"b\", \"system\": \"of one\"}";
    assert_eq!(
        prompts(&["-s", "of all"], input),
        [
            "[system]of all[user]a[assistant]",
            "[system]of one[user]b[assistant]"
        ]
    );
    let input = "\"a\"\n{\"prompt\": \"b\", \"var\": {\"to\": \"Greek\"}}";
    let task = prompts(&["--task", "translate", "--var", "to=Latin"], input);
    let wanted = [
        ("into Latin", "\n\na[assistant]"),
        ("into Greek", "\n\nb[assistant]"),
    ];
    for (text, (to, end)) in task.iter().zip(wanted) {
        assert!(text.contains(to) && text.ends_with(end), "{text}");
    }
    let input = "\"a\"\n{\"prompt\": \"b\", \"var\": {\"too\": \"Greek\"}}\n\"\"";
    let ended = batch(&model, &["--task", "translate"], input);
    let found = objects(&ended.stdout);
    let error = |n: usize| found[n]["error"].as_str().unwrap();
    assert!(error(1).contains("no use for too"), "{}", error(1));
    assert!(error(2).contains("no prompt"), "{}", error(2));
    ended.failed(1);
    let input = "{\"prompt\": \"b\", \"system\": \"c\"}";
    let raw = batch(&model, &["--raw"], input);
    assert!(raw.stdout.contains("--raw"), "{}", raw.stdout);
    raw.failed(1);
}

#[test]
fn variables_that_a_line_may_bring_are_not_missed_before_it_is_read() {
    let model = Speaker::new();
    let file = model.path().join("own.jinja");
    let path = file.to_str().unwrap();
    // `tone` is seen only where `who` and `what` have values.
    let own = "{{ who }} {{ what }}{% set tone = tone or 'plain' %} {{ tone }} {{ input }}";
    std::fs::write(&file, own).unwrap();
    let input = r#"{"prompt": "a", "var": {"who": "Tom", "what": "it"}}"#;
    let found = answers(&model, &["--task", path, "--var", "tone=loud"], input);
    assert_eq!(found[0]["prompt"], "[user]Tom it loud a[assistant]");
    let misspelled = ["--batch", "nowhere", "--task", path, "--var", "tune=loud"];
    let message = ended(&mut run(model.path(), &misspelled)).failed(2);
    assert!(message.contains("no use for tune"), "{message}");
}

/// Each line would start work that nothing can stop.
#[test]
#[cfg(target_os = "linux")]
fn a_template_whose_work_does_not_end_ends_the_batch() {
    let model = Speaker::new();
    let file = model.path().join("own.jinja");
    let path = file.to_str().unwrap();
    // 100 GB of text.
    let endless = "{{ (['x' * 1000000] * 100000) | lower }}";
    for (flag, asked, prompt) in [
        ("--task", "input", "[user]a[assistant]"),
        ("--template", "messages[0].content", "a"),
    ] {
        let source = format!("{{% if 'bad' in {asked} %}}{endless}{{% endif %}}{{{{ {asked} }}}}");
        std::fs::write(&file, source).unwrap();
        let ended = batch(&model, &[flag, path], "\"a\"\n\"bad\"\n\"b\"");
        let found = objects(&ended.stdout);
        assert_eq!(found.len(), 1, "{}", ended.stdout);
        assert_eq!(found[0]["prompt"], prompt);
        let message = ended.failed(1);
        for what in ["line 2", "own.jinja", "without end"] {
            assert!(message.contains(what), "{message}");
        }
    }
}

#[test]
fn a_line_is_thought_about_and_its_answer_is_named() {
    let model = Speaker::new();
    let more = ["--cot", "zero", "-c", "2048"];
    let found = answers(&model, &more, "{\"id\": 1, \"prompt\": \"How many?\"}");
    let args = [&["How many?", "-n", "8", "--ignore-eos"][..], &more].concat();
    let alone = answer(model.path(), &args);
    for key in ["prompt", "text", "answer", "chains", "votes"] {
        assert_eq!(found[0][key], alone[key], "{key}");
    }
    assert_eq!(found[0]["id"], 1);
}

#[test]
fn an_answer_is_there_before_the_next_line_is_written() {
    let model = Speaker::new();
    let mut command = run(model.path(), &COMMON);
    command.arg("-").stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for n in 0..3 {
        writeln!(stdin, "{{\"id\": {n}, \"prompt\": \"Hi\"}}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(objects(&line)[0]["id"], n);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_closed_pipe_ends_an_endless_batch_quietly() {
    let model = Speaker::new();
    let mut command = run(model.path(), &COMMON);
    command.arg("-").stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        // Until nobody reads.
        while writeln!(stdin, "\"Hi\"").is_ok() {}
    });
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    let ended: Ended = child.wait_with_output().unwrap().into();
    writer.join().unwrap();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
#[cfg(unix)]
fn ctrl_c_leaves_whole_lines() {
    let model = Speaker::new();
    let mut command = run(model.path(), &["-c", "100000", "-n", "50000"]);
    command.args(["--ignore-eos", "--batch", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The first fails at once, the second takes long.
    stdin.write_all(b"{}\n\"Hi\"\n").unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    crate::run::interrupt(child.id());
    assert_eq!(objects(&line)[0]["line"], 1);
    let mut rest = String::new();
    stdout.read_line(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdin);
}

#[test]
fn what_does_not_go_with_a_batch_is_refused_before_a_model_is_looked_for() {
    let refused = |args: &[&str], code: i32| {
        let mut command = wick();
        command.args(["run", "-m", "nowhere", "--batch", "lines.jsonl"]);
        ended(command.args(args)).failed(code)
    };
    for args in [
        &["Hi"][..],
        &["-p", "Hi"],
        &["-f", "prompt.txt"],
        &["--infill"],
        &["--prompt-ids", "1"],
        &["--logits", "a.safetensors"],
        &["--dump", "a.safetensors"],
        &["--cot", "vote:3"],
        &["--task", "nosuch"],
        &["--task", "translate", "--var", "too=Latin"],
        &["--task", "extract", "--var", "waht=x"],
        &["--var", "to=Latin"],
        &["--raw", "-s", "Be brief."],
    ] {
        let message = refused(args, 2);
        assert!(message.starts_with("error: "), "{args:?}: {message}");
    }
    assert!(refused(&[], 1).contains("lines.jsonl"));
    let folder = env!("CARGO_MANIFEST_DIR");
    let mut command = wick();
    command.args(["run", "-m", "nowhere", "--batch", folder]);
    assert!(ended(&mut command).failed(1).contains("folder"));
}

#[test]
fn no_line_gives_none_and_figures_are_of_all() {
    let model = Speaker::new();
    let said = |input: &str| {
        let command = run(model.path(), &["-n", "2", "--batch", "-"]);
        piped(command, input)
    };
    let none = said("\n\n");
    assert!(none.stderr.contains("no line"), "{}", none.stderr);
    assert_eq!(none.done(), "");
    let two = said("\"a\"\n\"b\"\n");
    assert!(two.stderr.contains("lines: 2; prompt: "), "{}", two.stderr);
    two.done();
}

#[test]
#[cfg(feature = "demo")]
fn the_demo_model_answers_a_batch() {
    let mut command = wick();
    command.args(["run", "-q", "--temp", "0", "--batch", "-"]);
    let questions = "\"How do I quantize a model?\"\n\"How do I list all models?\"\n";
    let lines = piped(command, questions).done();
    let found = objects(&lines);
    for (found, command) in found.iter().zip(["wick quantize", "wick models"]) {
        let text = found["text"].as_str().unwrap();
        assert!(text.contains(command), "{text}");
    }
    assert_eq!(found.len(), 2);
}
