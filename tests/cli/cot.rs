//! `--cot`: where the steps are set going, where the answer comes from, how chains vote.

use std::collections::HashMap;

use serde_json::Value;

use crate::bed::{Ended, Speaker, answer, ended, wick};

const TRIGGER: &str = "Let's think step by step.";
const COMMON: [&str; 5] = ["-c", "2048", "-n", "6", "--ignore-eos"];

fn think(model: &Speaker, how: &str, question: &str, more: &[&str]) -> Value {
    let args = [&[question, "--cot", how], &COMMON[..], more].concat();
    answer(model.path(), &args)
}

#[test]
fn steps_are_begun_for_the_model_and_then_it_is_asked_for_the_answer() {
    let model = Speaker::new();
    let thought = think(&model, "zero", "How many?", &[]);
    assert_eq!(
        thought["prompt"],
        format!("[user]How many?[assistant] {TRIGGER}")
    );
    let text = thought["text"].as_str().unwrap();
    assert!(text.starts_with(TRIGGER), "{text}");
    assert!(text.contains("\nTherefore, the answer is"), "{text}");
    assert_eq!(thought["chains"].as_array().unwrap().len(), 1);
    assert_eq!(thought["chains"][0]["text"], text);
    let chinese = think(&model, "zero", "有几个？", &[]);
    let text = chinese["text"].as_str().unwrap();
    assert!(text.starts_with("让我们一步一步地思考。"), "{text}");
    assert!(text.contains("\n因此，答案是"), "{text}");
    // Without a chat format the question is marked as one.
    let raw = think(&model, "zero", "How many?", &["--raw"]);
    assert_eq!(raw["prompt"], format!("Q: How many?\nA: {TRIGGER}"));
}

#[test]
fn standard_output_has_the_steps_and_the_answer() {
    let model = Speaker::new();
    let text = think(&model, "zero", "How many?", &[])["text"].clone();
    let mut command = wick();
    command.args(["run", "How many?", "--cot", "zero", "-m"]);
    let shown = ended(command.arg(model.path()).args(COMMON)).done();
    assert_eq!(shown, text.as_str().unwrap());
}

#[test]
fn worked_examples_stand_before_the_question() {
    let model = Speaker::new();
    let thought = think(&model, "few", "How many?", &[]);
    let prompt = thought["prompt"].as_str().unwrap();
    let examples = include_str!("../../prompts/cot/en.txt").trim_end();
    assert_eq!(
        prompt,
        format!("[user]{examples}\n\nQ: How many?\nA:[assistant]")
    );
    let chinese = think(&model, "few", "有几个？", &[]);
    let prompt = chinese["prompt"].as_str().unwrap();
    assert!(
        prompt.ends_with("\n\n问：有几个？\n答：[assistant]"),
        "{prompt}"
    );
}

#[test]
fn sampled_chains_vote() {
    let model = Speaker::new();
    let vote = |seed| think(&model, "vote:5", "How many?", &["--seed", seed]);
    let thought = vote("7");
    let again = vote("7");
    assert_eq!(
        thought["chains"], again["chains"],
        "a seed makes it repeatable"
    );
    assert_eq!(thought["text"], again["text"]);
    let chains = thought["chains"].as_array().unwrap();
    assert_eq!(chains.len(), 5);
    assert!(
        chains.iter().any(|c| c["text"] != chains[0]["text"]),
        "all chains are the same"
    );
    let mut votes = HashMap::new();
    for chain in chains.iter().filter_map(|c| c["answer"].as_str()) {
        *votes.entry(chain.to_lowercase()).or_insert(0) += 1;
    }
    let most = votes.values().max().copied().unwrap_or(0);
    assert_eq!(thought["votes"], most);
    if let Some(answer) = thought["answer"].as_str() {
        assert_eq!(votes[&answer.to_lowercase()], most);
    }
    assert!(chains.iter().any(|c| c["text"] == thought["text"]));
}

#[test]
fn what_does_not_go_together_is_said() {
    let model = Speaker::new();
    for args in [
        &["Hi", "--cot", "maybe"][..],
        &["Hi", "--cot", "vote:0"],
        &["Hi", "--cot", "zero", "--infill"],
        &["Hi", "--cot", "zero", "--logits", "x.safetensors"],
        &["--prompt-ids", "1,2", "--cot", "zero"],
        &["Hi", "--cot", "vote:3", "--temp", "0"],
    ] {
        let mut command = wick();
        let ended: Ended = ended(command.arg("run").args(args).arg("-m").arg(model.path()));
        let message = ended.failed(2);
        assert!(message.contains("--cot"), "{args:?} {message}");
    }
}

#[test]
fn json_has_the_keys_of_any_answer_and_lines_come_as_the_text_does() {
    let model = Speaker::new();
    for how in ["zero", "few", "vote:2"] {
        let thought = think(&model, how, "How many?", &["--seed", "7"]);
        for key in ["load_s", "prompt_s", "generate_s", "first_token_s"] {
            let value = thought["timings"][key].as_f64();
            assert!(value.is_some_and(|v| v > 0.0), "{how}, {key}: {value:?}");
        }
        assert!(thought["prompt_ids"].is_array() && thought["seed"] == 7);
        assert!(thought.get("peak_rss_bytes").is_some());
        let mut command = wick();
        command.args(["run", "How many?", "--cot", how, "--seed", "7", "-m"]);
        command.arg(model.path()).args(COMMON);
        let lines = ended(command.args(["-o", "jsonl"])).done();
        let lines = lines.lines().map(|l| serde_json::from_str(l).unwrap());
        let mut lines: Vec<Value> = lines.collect();
        let last = lines.pop().unwrap();
        assert_eq!(last["text"], thought["text"], "{how}");
        let pieces: String = lines.iter().map(|l| l["text"].as_str().unwrap()).collect();
        assert_eq!(last["text"], pieces, "{how}");
    }
}

#[test]
fn a_chat_can_think_too() {
    let model = Speaker::new();
    let mut command = wick();
    command
        .args(["chat", "--cot", "zero", "-m"])
        .arg(model.path());
    let talk = crate::run::piped(
        {
            command.args(COMMON);
            command
        },
        "How many?\n/history\n",
    );
    assert_eq!(talk.code, Some(0), "{}", talk.stderr);
    assert!(talk.stdout.starts_with(TRIGGER), "{}", talk.stdout);
    let history = format!("[user] How many?\n[assistant] {TRIGGER}");
    assert!(talk.stderr.contains(&history), "{}", talk.stderr);
}

#[test]
fn sampled_chains_say_the_seed_that_repeats_them() {
    let model = Speaker::new();
    let notes = |more: &[&str]| {
        let mut command = wick();
        command.args(["run", "How many?", "--cot", "zero", "-m"]);
        ended(command.arg(model.path()).args(COMMON).args(more)).stderr
    };
    assert!(notes(&["--temp", "0.9", "--seed", "7"]).contains("; seed 7"));
    assert!(!notes(&["--temp", "0"]).contains("seed"));
}
