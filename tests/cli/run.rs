//! `wick run`: where prompts come from, what is printed, how it ends.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::bed::{Ended, Speaker, answer, ended, oracle, wick};
use candle_core::Device;
use serde_json::{Value, json};

/// `wick run -m MODEL ARGS`.
pub fn run(model: &Path, args: &[&str]) -> Command {
    let mut command = wick();
    command.args(["run", "-m"]).arg(model).args(args);
    command
}

/// Runs `command` with `input` on its standard input.
pub fn piped(mut command: Command, input: &str) -> Ended {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_prompt_comes_from_anywhere() {
    let model = Speaker::new();
    let file = model.path().join("prompt.txt");
    std::fs::write(&file, "Hi, 你好\n").unwrap();
    let common = ["-n", "1", "-o", "json"];
    let prompt = |ended: Ended| -> String {
        let answer: Value = serde_json::from_str(&ended.done()).unwrap();
        answer["prompt"].as_str().unwrap().to_string()
    };
    let chat = "[user]Hi, 你好[assistant]";
    for args in [
        vec!["Hi, 你好"],
        vec!["-p", "Hi, 你好"],
        vec!["-f", file.to_str().unwrap()],
    ] {
        let mut command = run(model.path(), &args);
        assert_eq!(prompt(ended(command.args(common))), chat, "{args:?}");
    }
    assert_eq!(
        prompt(piped(run(model.path(), &common), "Hi, 你好\n")),
        chat
    );
    let mut joined = run(model.path(), &["Sum up."]);
    joined.args(common);
    assert_eq!(
        prompt(piped(joined, "A text.\n")),
        "[user]A text.\n\nSum up.[assistant]"
    );
    let mut system = run(model.path(), &["Hi", "-s", "Be brief."]);
    assert_eq!(
        prompt(ended(system.args(common))),
        "[system]Be brief.[user]Hi[assistant]"
    );
    let mut raw = run(model.path(), &["Hi", "--raw"]);
    assert_eq!(prompt(ended(raw.args(common))), "Hi");
    let mut named = run(model.path(), &["Hi", "--template", "chatml"]);
    assert_eq!(
        prompt(ended(named.args(common))),
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn text_json_and_jsonl_say_the_same() {
    let model = Speaker::new();
    let args = ["Tell me", "-n", "40", "--ignore-eos"];
    let whole = answer(model.path(), &args);
    let text = ended(&mut run(model.path(), &args)).done();
    assert_eq!(whole["text"], json!(text));
    assert_eq!(whole["model"], json!(model.path()));
    for key in [
        "load_s",
        "prompt_s",
        "prompt_tokens_per_s",
        "first_token_s",
        "generate_s",
        "tokens_per_s",
    ] {
        let value = whole["timings"][key].as_f64();
        assert!(value.is_some_and(|v| v > 0.0), "{key}: {value:?}");
    }
    let mut lines = run(model.path(), &args);
    let lines = ended(lines.args(["-o", "jsonl"])).done();
    let mut lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let last = lines.pop().unwrap();
    assert_eq!(last["text"], json!(text));
    let pieces: String = lines.iter().map(|l| l["text"].as_str().unwrap()).collect();
    assert_eq!(pieces, text);
    let ids: Vec<&Value> = lines.iter().filter_map(|l| l.get("id")).collect();
    assert_eq!(json!(ids), whole["ids"]);
}

#[test]
fn a_stop_text_ends_the_answer_before_it_also_across_tokens() {
    let model = Speaker::new();
    let args = ["Tell me", "-n", "60", "--ignore-eos"];
    let whole = answer(model.path(), &args);
    let text = whole["text"].as_str().unwrap();
    // Each token is a byte, so two characters are at least two tokens.
    let middle: Vec<char> = text.chars().collect();
    let stop: String = middle[10..13].iter().collect();
    let at = text.find(&stop).unwrap();
    let mut stopping = args.to_vec();
    stopping.extend(["--stop", "never said", "--stop", &stop]);
    let stopped = answer(model.path(), &stopping);
    assert_eq!(stopped["text"], json!(text[..at]));
    assert_eq!(stopped["finish_reason"], "stop");
}

#[test]
fn a_seed_repeats_its_choices_and_is_reported() {
    let model = oracle("qwen3");
    let sampled = [
        "--prompt-ids",
        "1,2,3",
        "-n",
        "24",
        "--ignore-eos",
        "--temp",
        "1.5",
    ];
    let first = answer(&model, &sampled);
    let seed = first["seed"].to_string();
    let again = |threads: &str| {
        let mut args = sampled.to_vec();
        args.extend(["--seed", &seed, "-t", threads]);
        answer(&model, &args)["ids"].clone()
    };
    assert_eq!(again("1"), first["ids"]);
    assert_eq!(again("2"), first["ids"]);
    assert_ne!(answer(&model, &sampled)["ids"], first["ids"]);
}

#[test]
fn without_a_tokenizer_the_answer_is_its_ids() {
    let args = ["--prompt-ids", "1,2,3", "-n", "5", "--ignore-eos"];
    let whole = answer(&oracle("llama"), &args);
    let ids = ended(&mut run(&oracle("llama"), &args)).done();
    assert_eq!(format!("[{ids}]"), whole["ids"].to_string());
    assert_eq!(whole["text"], Value::Null);
    let no_text = ended(&mut run(&oracle("llama"), &["hello"])).failed(1);
    for way in ["tokenizer.json", "--prompt-ids"] {
        assert!(no_text.contains(way), "{no_text}");
    }
    // Where ids are given already, or cannot be, they are no way out.
    for line in [
        "run --prompt-ids 1 --stop x -m",
        "run Hi --cot zero -m",
        "chat -m",
        "inspect -p Hi",
    ] {
        let mut command = wick();
        command.args(line.split(' ')).arg(oracle("llama"));
        let message = ended(&mut command).failed(1);
        assert!(message.contains("tokenizer.json"), "{line}: {message}");
        assert!(!message.contains("--prompt-ids"), "{line}: {message}");
    }
}

#[test]
fn a_full_context_is_said() {
    let ids = ["--prompt-ids", "1,2,3,4,5,6,7,8", "--ignore-eos"];
    let mut long = run(&oracle("llama"), &ids);
    let message = ended(long.args(["-c", "5"])).failed(1);
    assert!(message.contains("8 tokens are needed, 5 fit"), "{message}");
    let mut cut = run(&oracle("llama"), &ids);
    let cut = ended(cut.args(["-c", "12", "-n", "50"]));
    assert!(
        cut.stderr.contains("context of 12 tokens is full"),
        "{}",
        cut.stderr
    );
    assert_eq!(cut.done().split(',').count(), 5);
    // Also where an encoder reads the prompt, which takes no place in the answer's cache.
    let ids = ["--prompt-ids", "5,6,7,8,9", "--ignore-eos"];
    let message = ended(run(&oracle("t5"), &ids).args(["-c", "4"])).failed(1);
    assert!(message.contains("5 tokens are needed, 4 fit"), "{message}");
    ended(run(&oracle("t5"), &ids).args(["-c", "5", "-n", "1"])).done();
}

/// A model whose weights of these names are multiplied.
fn scaled(factors: &[(&str, f64)]) -> Speaker {
    let model = Speaker::new();
    let file = model.path().join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    for (name, tensor) in &mut tensors {
        for (end, factor) in factors {
            if name.ends_with(end) {
                *tensor = (&*tensor * *factor).unwrap();
            }
        }
    }
    candle_core::safetensors::save(&tensors, &file).unwrap();
    model
}

#[test]
fn a_model_that_computes_no_number_fails_and_says_why() {
    let cached = |model: &Speaker, kind: &str| {
        let mut command = run(model.path(), &["--prompt-ids", "1,2,3,4", "-n", "4"]);
        ended(command.args(["--cache-type", kind]))
    };
    let damaged = scaled(&[("model.norm.weight", f64::NAN)]);
    let message = cached(&damaged, "f32").failed(1);
    assert!(message.contains("weights are damaged"), "{message}");
    // Values that f16 does not hold.
    let wide = scaled(&[("v_proj.weight", 1e7), ("o_proj.weight", 1e-7)]);
    let message = cached(&wide, "f16").failed(1);
    assert!(message.contains("--cache-type f32"), "{message}");
    cached(&wide, "f32").done();
}

#[test]
fn the_end_tokens_that_a_models_files_name_end_an_answer() {
    let model = Speaker::new();
    let args = ["Tell me", "-n", "40", "--temp", "0"];
    let whole = answer(model.path(), &[&args[..], &["--ignore-eos"]].concat());
    let whole: Vec<u32> = serde_json::from_value(whole["ids"].clone()).unwrap();
    // The one that comes up last for the first time.
    let is_new = |at: &usize| !whole[..*at].contains(&whole[*at]);
    let at = (0..whole.len()).rfind(is_new).unwrap();
    assert!(at > 0, "{whole:?}");
    let ends = || {
        let ended = answer(model.path(), &args);
        assert_eq!(ended["finish_reason"], "stop");
        assert_eq!(ended["ids"], json!(whole[..at]));
    };
    let write = |file: &str, json: &Value| {
        std::fs::write(model.path().join(file), json.to_string()).unwrap();
    };
    let named = json!({ "eos_token_id": [whole[at]] });
    write("generation_config.json", &named);
    ends();
    // Where that names none, the configuration's counts.
    write("generation_config.json", &json!({}));
    let config = std::fs::read_to_string(model.path().join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["eos_token_id"] = json!(whole[at]);
    write("config.json", &config);
    ends();
}

#[test]
fn numbers_are_the_same_whatever_the_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    // Long enough that attention shares its keys out among the threads.
    let ids = (0..1100u32).map(|i| (i * 7919 % 311).to_string());
    let ids = ids.collect::<Vec<_>>().join(",");
    let bits = |threads: &str| -> Vec<u32> {
        let file = dir.path().join(threads);
        let mut args = vec!["--prompt-ids", &ids, "-c", "1200", "-n", "4"];
        args.extend(["--ignore-eos", "-t", threads, "--logits"]);
        args.push(file.to_str().unwrap());
        answer(&oracle("llama"), &args);
        let tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
        let logits = tensors["logits"].flatten_all().unwrap();
        let logits: Vec<f32> = logits.to_vec1().unwrap();
        logits.into_iter().map(f32::to_bits).collect()
    };
    let (one, two) = (bits("1"), bits("2"));
    assert_eq!(one.len(), 1103 * 311);
    let other = one.iter().zip(&two).position(|(a, b)| a != b);
    assert_eq!(other, None, "the first number that is another");
}

#[test]
fn quiet_is_quiet() {
    let mut command = run(&oracle("llama"), &["--prompt-ids", "1,2", "-n", "3", "-q"]);
    assert_eq!(ended(&mut command).stderr, "");
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let said = |line: &str, variables: &[(&str, &str)]| {
        let mut command = wick();
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.args(line.split(' '));
        ended(command.envs(variables.iter().copied()))
    };
    let line = "run -m tests/oracles/llama --prompt-ids 1 -n 1 -q";
    for threads in ["", " ", "1"] {
        said(line, &[("WICK_THREADS", threads)]).done();
    }
    said(line, &[("WICK_THREADS", "0")]).failed(2);
    said("run --prompt-ids 1 -n 1", &[("WICK_MODEL", "nowhere")]).failed(1);
    for line in ["run --prompt-ids 1 -n 1", "inspect"] {
        let unset = said(line, &[]);
        let blank = said(line, &[("WICK_MODEL", "")]);
        let first = |ended: &Ended| ended.stderr.lines().next().map(str::to_string);
        assert_eq!(first(&blank), first(&unset), "{line}");
        assert_eq!(blank.code, unset.code, "{line}");
    }
    // A flag that is given nothing is a mistake.
    let mut command = wick();
    command.args(["run", "-m", "", "--prompt-ids", "1"]);
    assert!(ended(&mut command).failed(1).contains("it is empty"));
}

#[test]
fn weights_are_quantized_and_converted_while_loading() {
    let dir = tempfile::tempdir().unwrap();
    let logits = |extra: &[&str]| -> Vec<f32> {
        let file = dir.path().join("logits.safetensors");
        let mut args = vec!["--prompt-ids", "5,6,7,8", "-n", "0", "--logits"];
        args.push(file.to_str().unwrap());
        args.extend(extra);
        answer(&oracle("llama"), &args);
        let tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
        tensors["logits"].flatten_all().unwrap().to_vec1().unwrap()
    };
    let plain = logits(&[]);
    let gap = |other: Vec<f32>| {
        let gaps = plain.iter().zip(&other).map(|(a, b)| (a - b).abs());
        gaps.fold(0.0f32, f32::max)
    };
    let gaps = [
        gap(logits(&["--quant", "none"])),
        gap(logits(&["--dtype", "f16"])),
        gap(logits(&["--quant", "int8"])),
        gap(logits(&["--quant", "int4"])),
    ];
    assert_eq!(gaps[0], 0.0);
    assert!(
        gaps.is_sorted() && gaps[1] > 0.0 && gaps[2] < gaps[3],
        "{gaps:?}"
    );
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let mut command = run(
        &oracle("llama"),
        &["--prompt-ids", "1,2", "--ignore-eos", "-q"],
    );
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .args(["-c", "100000", "-n", "50000"])
        .spawn()
        .unwrap();
    let mut head = [0; 20];
    child.stdout.take().unwrap().read_exact(&mut head).unwrap();
    let ended: Ended = child.wait_with_output().unwrap().into();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
#[cfg(unix)]
fn closed_standard_input_is_no_prompt() {
    let shell = format!(
        "exec {} run -m {} <&-",
        env!("CARGO_BIN_EXE_wick"),
        oracle("llama").display()
    );
    let message = ended(Command::new("sh").args(["-c", &shell])).failed(2);
    assert!(message.contains("there is no prompt"), "{message}");
}

#[test]
#[cfg(unix)]
fn ctrl_c_stops_and_prints_what_there_is() {
    let model = Speaker::new();
    for format in ["text", "jsonl"] {
        let args = [
            "Tell me",
            "-n",
            "50000",
            "-c",
            "100000",
            "--ignore-eos",
            "-o",
            format,
        ];
        let mut command = run(model.path(), &args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut begun = [0; 10];
        stdout.read_exact(&mut begun).unwrap();
        interrupt(child.id());
        let mut rest = String::new();
        // The first bytes may end inside of a character.
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).unwrap();
        rest.push_str(&String::from_utf8_lossy(&bytes));
        let ended: Ended = child.wait_with_output().unwrap().into();
        assert_eq!(ended.code, Some(130), "{}", ended.stderr);
        if format == "jsonl" {
            let last: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
            assert_eq!(last["finish_reason"], "interrupted");
            assert!(!last["ids"].as_array().unwrap().is_empty());
        }
    }
}

/// Sends SIGINT.
#[cfg(unix)]
pub fn interrupt(process: u32) {
    let kill = Command::new("kill")
        .args(["-INT", &process.to_string()])
        .status();
    assert!(kill.unwrap().success());
}

#[test]
fn drafts_are_counted_and_change_nothing() {
    let model = oracle("llama");
    let ids = "5,6,7,8,5,6,7,8,5,6,7,8,5,6";
    let args = ["--prompt-ids", ids, "-n", "40", "--ignore-eos"];
    for sampling in [&["--temp", "0"][..], &["--temp", "1", "--seed", "3"]] {
        let with = |more: &[&str]| answer(&model, &[&args[..], sampling, more].concat());
        let (plain, drafted) = (with(&[]), with(&["--draft", "lookup"]));
        assert_eq!(drafted["ids"], plain["ids"]);
        assert!(plain["timings"].get("draft").is_none());
        let draft = &drafted["timings"]["draft"];
        let count = |key: &str| draft[key].as_u64().unwrap();
        let (all, right) = (count("drafted_tokens"), count("accepted_tokens"));
        assert!(all > 0 && right <= all, "{draft}");
        let rate = draft["acceptance_rate"].as_f64().unwrap();
        assert!((rate - right as f64 / all as f64).abs() < 1e-9);
    }
}

#[test]
fn an_answer_ends_where_learned_positions_end() {
    // GPT-2's oracle has 256 of them.
    let args = ["--prompt-ids", "5,6,7,8", "--ignore-eos", "-c", "300"];
    let answer = answer(&oracle("gpt2"), &args);
    assert_eq!(answer["finish_reason"], "length");
    // The last token needs no place.
    assert_eq!(answer["ids"].as_array().unwrap().len(), 256 - 4 + 1);
}

#[test]
fn keys_that_outgrow_f16_are_kept_in_f32() {
    let run = |more: &[&str]| {
        let mut run = wick();
        run.args(["run", "--prompt-ids", "5,6", "-n", "2", "-m"]);
        run.arg(oracle("palm")).args(more);
        ended(&mut run)
    };
    for kind in ["f16", "q8_0"] {
        let message = run(&["--cache-type", kind]).failed(1);
        assert!(message.contains("--cache-type f32"), "{message}");
    }
    // Weights in f16 do not make the cache f16.
    run(&["--dtype", "f16"]).done();
}
