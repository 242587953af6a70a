//! The other subcommands.

use crate::bed::{Speaker, answer, ended, oracle, wick};
use serde_json::{Value, json};

#[test]
fn bench_measures_the_grid() {
    let mut bench = wick();
    bench.args(["bench", "-m"]).arg(oracle("llama"));
    bench.args([
        "-p", "8,16", "-n", "4", "-d", "0,8", "-r", "3", "-t", "1,2", "-o", "json",
    ]);
    let rows: Vec<Value> = serde_json::from_str(&ended(&mut bench).done()).unwrap();
    assert_eq!(rows.len(), 2 * 2 * 3);
    for row in &rows {
        let samples: Vec<f64> = serde_json::from_value(row["samples_ts"].clone()).unwrap();
        assert_eq!(samples.len(), 3);
        let mean = samples.iter().sum::<f64>() / 3.0;
        assert!((row["avg_ts"].as_f64().unwrap() / mean - 1.0).abs() < 1e-9);
        assert!(samples.iter().all(|&s| s > 0.0));
        assert_eq!(
            (&row["quant"], &row["model"]),
            (&json!("F32"), &json!("llama"))
        );
        let generates = row["n_gen"] == 4;
        assert_eq!(row["bandwidth_share"].is_number(), generates);
        assert_eq!(row["multiply_share"].is_number(), !generates);
        let reached = row[["multiply_share", "bandwidth_share"][usize::from(generates)]].as_f64();
        assert!(reached.is_some_and(|r| r > 0.0), "{row}");
        for floor in ["bandwidth_bytes_per_s", "multiply_adds_per_s"] {
            assert!(row[floor].as_f64().is_some_and(|f| f > 1e7), "{row}");
        }
    }
    for format in ["md", "csv", "jsonl"] {
        let mut bench = wick();
        bench.args(["bench", "-m"]).arg(oracle("llama"));
        bench.args(["-p", "8", "-n", "4", "-r", "1", "-o", format]);
        let lines = ended(&mut bench).done().lines().count();
        let header = match format {
            "md" => 2,
            "csv" => 1,
            _ => 0,
        };
        assert_eq!(lines, header + 2, "{format}");
    }
    let mut bench = wick();
    bench
        .args(["bench", "-p", "4000", "-m"])
        .arg(oracle("llama"));
    assert!(ended(&mut bench).failed(1).contains("context of 512"));
}

#[test]
fn bench_measures_models_whose_prompts_need_their_marks() {
    let bench = |name: &str, args: &[&str]| {
        let mut command = wick();
        command.args(["bench", "-r", "2", "-o", "json", "-m"]);
        ended(command.arg(oracle(name)).args(args))
    };
    let measured = |name: &str, args: &[&str]| {
        let rows: Vec<Value> = serde_json::from_str(&bench(name, args).done()).unwrap();
        let fast = |row: &Value| row["avg_ts"].as_f64().is_some_and(|t| t > 0.0);
        assert!(rows.iter().all(fast), "{name}: {rows:?}");
        rows.len()
    };
    for name in ["chatglm1", "glm10b", "glm130b"] {
        assert_eq!(measured(name, &["-p", "2,24", "-n", "1,6"]), 4, "{name}");
    }
    let behind = ["-p", "0", "-n", "6", "-d", "0,1,24"];
    assert_eq!(measured("glm10b", &behind), 3);
    for name in ["chatglm1", "t5"] {
        let message = bench(name, &["-p", "8", "-n", "0", "-d", "0,8"]).failed(2);
        assert!(
            message.contains("--n-depth") && message.contains("-p 0"),
            "{message}"
        );
    }
    let short = bench("chatglm1", &["-p", "1", "-n", "0"]).failed(2);
    assert!(short.contains("--n-prompt 1"), "{short}");
}

#[test]
fn bench_goes_to_the_last_position_and_refuses_more_before_it_measures() {
    let bench = |name: &str, args: &str| {
        let mut command = wick();
        command.args(["bench", "-r", "1", "-o", "jsonl", "-m"]);
        ended(command.arg(oracle(name)).args(args.split(' ')))
    };
    // GPT-2 has learned 256 positions here; GLM's prompts take two of its 128 at least.
    for (name, args) in [
        ("gpt2", "-p 0 -n 256"),
        ("gpt2", "-p 256 -n 0"),
        ("gpt2", "-p 0 -n 128 -d 128"),
        ("glm10b", "-p 0 -n 127"),
    ] {
        let row: Value = serde_json::from_str(&bench(name, args).done()).unwrap();
        assert!(row["avg_ts"].as_f64().is_some_and(|t| t > 0.0), "{row}");
    }
    let most = usize::MAX;
    for (name, args, needed) in [
        ("gpt2", "-p 0 -n 129 -d 0,128".to_string(), 257),
        ("gpt2", "-p 8,257 -n 0".to_string(), 257),
        ("glm10b", "-p 0 -n 1,128".to_string(), 129),
        ("llama", format!("-p 8 -n {most} -d 8"), most),
    ] {
        let ended = bench(name, &args);
        assert_eq!(ended.stdout, "", "{args}");
        let message = ended.failed(1);
        let needed = format!("{needed} tokens are more than the model's context");
        assert!(message.contains(&needed), "{args}: {message}");
    }
}

#[test]
fn bench_refuses_what_no_gpu_has_before_it_looks_for_the_model() {
    for flags in [
        &["--cache-type", "q8_0"][..],
        &["--against", "--cache-type q8_0"],
    ] {
        let mut bench = wick();
        bench.args(["bench", "-m", "nowhere", "--device", "cuda"]);
        let message = ended(bench.args(flags)).failed(2);
        assert!(message.contains("--cache-type q8_0"), "{message}");
    }
}

#[test]
fn what_becomes_of_packed_integers_is_said() {
    let packed = |name: &str| {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        root.join("tests/checkpoints/data").join(name)
    };
    let inspect = |name: &str| ended(wick().arg("inspect").arg(packed(name))).done();
    let told = inspect("gptq4-sym");
    let line = |told: &str, start: &str| {
        let line = told.lines().find(|l| l.trim_start().starts_with(start));
        line.unwrap_or_else(|| panic!("no {start}: {told}"))
            .to_string()
    };
    assert!(line(&told, "packed").contains("7 matrices: GPTQ, 4 bits, groups of 32"));
    assert!(line(&told, "--quant Q4_0").contains("holds them bit for bit"));
    let told = inspect("awq");
    assert!(line(&told, "--quant Q4_0").contains("rounds them once more"));
    assert!(line(&told, "--quant Q8_0").contains("holds them bit for bit"));
    let run = |name: &str, args: &[&str]| {
        let mut command = wick();
        command
            .args(["run", "--prompt-ids", "1,2", "-n", "1", "-m"])
            .arg(packed(name));
        let ended = ended(command.args(args));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stderr
    };
    let told = run("gptq4-sym", &[]);
    assert!(
        told.contains("kept as floats") && told.contains("--quant Q4_0"),
        "{told}"
    );
    assert!(!run("gptq4-sym", &["--quant", "int4"]).contains("packed"));
    let told = run("awq", &["--quant", "int4"]);
    assert!(
        told.contains("7 packed matrices (AWQ") && told.contains("rounded once more"),
        "{told}"
    );
}

#[test]
fn bench_alternates_two_settings() {
    let against = |flags: &str, more: &[&str]| {
        let mut bench = wick();
        bench.args(["bench", "-p", "8", "-n", "4", "-r", "3", "-m"]);
        bench.arg(oracle("llama")).args(["--against", flags]);
        ended(bench.args(more))
    };
    let json = ["-t", "2", "-o", "json"];
    for flags in [
        "-t 1",
        "--quant int8",
        "--quant q8_0",
        "--cache-type q8_0",
        "--isa portable",
    ] {
        let rows: Vec<Value> = serde_json::from_str(&against(flags, &json).done()).unwrap();
        assert_eq!(rows.len(), 4, "{flags}");
        for pair in rows.chunks(2) {
            let samples = |row: &Value| -> Vec<f64> {
                serde_json::from_value(row["samples_ts"].clone()).unwrap()
            };
            let (a, b) = (samples(&pair[0]), samples(&pair[1]));
            let logs: f64 = a.iter().zip(&b).map(|(a, b)| (a / b).ln()).sum();
            let found = &pair[0]["ratio"];
            let figure = |key: &str| found[key].as_f64().unwrap();
            assert!((figure("ratio") / (logs / 3.0).exp() - 1.0).abs() < 1e-9);
            assert!(figure("low") <= figure("ratio") && figure("ratio") <= figure("high"));
            assert_eq!(found["pairs"], 3);
            assert_eq!(pair[1]["setting"], flags);
            assert!(pair[0].get("setting").is_none() && pair[1].get("ratio").is_none());
            assert_eq!(pair[1]["quant"] == "Q8_0", flags.starts_with("--quant"));
            assert_eq!(pair[1]["threads"] == 1, flags == "-t 1");
        }
    }
    let table = against("-t 1", &["-t", "2"]).done();
    let columns = |line: &str| line.matches('|').count();
    assert_eq!(table.lines().count(), 2 + 4);
    assert!(table.lines().all(|l| columns(l) == 13), "{table}");
    let csv = against("-t 1", &["-o", "csv"]).done();
    let commas: Vec<_> = csv.lines().map(|l| l.matches(',').count()).collect();
    assert_eq!(commas, [21; 5], "{csv}");
    assert!(against("--temp 1", &[]).failed(2).contains("--cache-type"));
    assert!(against("-t 1", &["-t", "1,2"]).failed(2).contains("list"));
    assert!(against("nowhere", &[]).failed(1).contains("nowhere"));
}

#[test]
fn quantize_writes_what_run_reads() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("llama.gguf");
    let quantize = |force: bool| {
        let mut command = wick();
        command
            .arg("quantize")
            .arg(oracle("llama"))
            .arg("-o")
            .arg(&out);
        command
            .args(["--quant", "f32"])
            .args(force.then_some("--force"));
        ended(&mut command)
    };
    let table = quantize(false).done();
    assert!(table.contains("blk.0.attn_q.weight"), "{table}");
    let args = ["--prompt-ids", "1,2,3", "-n", "8", "--ignore-eos"];
    assert_eq!(
        answer(&out, &args)["ids"],
        answer(&oracle("llama"), &args)["ids"]
    );
    // By whatever name.
    let others = tempfile::tempdir().unwrap();
    for name in ["llama", "llama.q8.0", "llama.bin"] {
        let other = others.path().join(name);
        std::fs::copy(&out, &other).unwrap();
        assert_eq!(
            answer(&other, &args)["ids"],
            answer(&out, &args)["ids"],
            "{name}"
        );
    }
    assert!(quantize(false).failed(1).contains("--force"));
    quantize(true).done();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn quantize_writes_over_nothing_but_files_and_says_so_first() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    // Refused before the model is looked for: there is none of this name.
    let refused = |out: &std::path::Path, what: &str| {
        let mut command = wick();
        command.args(["quantize", "nowhere", "--quant", "int8", "--force", "-o"]);
        let message = ended(command.arg(out)).failed(1);
        for part in ["--output", out.to_str().unwrap(), what] {
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
    };
    refused(&folder, "no file");
    refused(&dir.path().join("missing/out.gguf"), "make it first");
    #[cfg(unix)]
    {
        let [pipe, link] = ["pipe", "link"].map(|name| dir.path().join(name));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        refused(&pipe, "no file");
        refused(&link, "no file");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn quantize_says_where_llama_cpp_differs() {
    let dir = tempfile::tempdir().unwrap();
    let notes = |model: &std::path::Path| {
        let mut command = wick();
        command
            .arg("quantize")
            .arg(model)
            .args(["--quant", "int8", "--force", "-o"]);
        let ended = ended(command.arg(dir.path().join("out.gguf")));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stderr
    };
    let mistral = notes(&oracle("mistral-window"));
    assert!(mistral.contains("no sliding window here"), "{mistral}");
    assert!(notes(&oracle("opt")).contains("only wick reads this file"));
    assert!(!notes(&oracle("llama")).contains("llama.cpp"));
    // Text in and text out, from the file alone.
    let model = Speaker::new();
    notes(model.path());
    let args = ["Hi", "-n", "12", "--ignore-eos", "--temp", "0"];
    let found = answer(&dir.path().join("out.gguf"), &args);
    let mut quantized = args.to_vec();
    quantized.extend(["--quant", "int8"]);
    let wanted = answer(model.path(), &quantized);
    for key in ["prompt", "prompt_ids", "text", "ids"] {
        assert_eq!(found[key], wanted[key], "{key}");
    }
}

#[test]
fn alpaca_takes_an_instruction_with_or_without_an_input() {
    let model = Speaker::new();
    let shown = |args: &[&str]| {
        let mut inspect = wick();
        inspect.arg("inspect").arg(model.path());
        ended(inspect.args(["--template", "alpaca"]).args(args)).done()
    };
    let both = shown(&["-s", "Translate into French.", "-p", "Good morning."]);
    let wanted =
        "### Instruction:\nTranslate into French.\n\n### Input:\nGood morning.\n\n### Response:";
    assert!(both.contains(wanted), "{both}");
    assert!(both.contains("paired with an input that provides further context"));
    let alone = shown(&["-p", "Name three rivers."]);
    let wanted = "completes the request.\n\n### Instruction:\nName three rivers.\n\n### Response:";
    assert!(
        alone.contains(wanted) && !alone.contains("### Input"),
        "{alone}"
    );
}

#[test]
fn an_encoder_decoder_reports_its_whole_prompt() {
    let mut run = wick();
    run.args([
        "run",
        "--prompt-ids",
        "5,6,7,8,9",
        "-n",
        "2",
        "--ignore-eos",
        "-m",
    ]);
    let ended = ended(run.arg(oracle("t5")));
    assert!(
        ended.stderr.contains("prompt: 5 tokens"),
        "{}",
        ended.stderr
    );
}

#[test]
fn inspect_shows_what_the_loader_sees() {
    let model = Speaker::new();
    let mut inspect = wick();
    inspect
        .arg("inspect")
        .arg(model.path())
        .args(["-p", "Hi", "-s", "S", "--tensors"]);
    let text = ended(&mut inspect).done();
    for wanted in [
        "layers           3",
        "4 heads, 4 KV heads, 16 dimensions",
        "F32              30 tensors",
        "blk.2.ffn_down.weight",
        "256 pieces",
        "KV cache",
        "[system]S[user]Hi[assistant]",
        "72 \"H\", 105 \"i\"",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
    // The formats that there are, whether the model has one of its own, none, or no tokenizer.
    let inspected = |model: &std::path::Path, args: &[&str]| {
        let text = ended(wick().arg("inspect").arg(model).args(args)).done();
        let row = text.lines().find(|line| line.starts_with("  --template "));
        let row = row.unwrap_or_else(|| panic!("no formats in {text}"));
        for name in wick::text::ChatTemplate::builtin_names() {
            assert!(row.contains(name), "{name} is not in {row}");
        }
        text
    };
    inspected(model.path(), &[]);
    inspected(model.path(), &["--template", "chatml"]);
    inspected(&oracle("llama"), &[]);
    std::fs::write(model.path().join("tokenizer_config.json"), "{}").unwrap();
    let none = inspected(model.path(), &[]);
    assert!(none.contains("  chat format      none\n"), "{none}");
}

#[test]
fn models_lists_the_table_in_two_languages() {
    let models = |args: &[&str]| ended(wick().arg("models").args(args));
    let table = models(&[]).done();
    for name in [
        "chatglm2-6b",
        "llama2-7b-chat",
        "qwen3-0.6b",
        "THUDM/chatglm2-6b",
    ] {
        assert!(table.contains(name), "{name}");
    }
    let chinese = models(&["--lang", "zh"]).done();
    // Every row and heading of the table that this began with.
    for title in [
        "LLaMA",
        "LLaMA-2",
        "Alpaca",
        "BELLE",
        "Baichuan",
        "Baichuan-2",
        "Qwen",
        "ChatGLM-2",
        "GLM",
        "BLOOM",
        "OPT",
        "PaLM",
        "T5",
        "FLAN",
        "FLAN-T5",
        "CoT",
    ] {
        for table in [&table, &chinese] {
            let row = format!("\n{title} (");
            assert!(table.contains(&row), "{title}");
        }
    }
    for heading in ["LLaMA等小模型", "100B以上大模型", "基于指令微调"] {
        assert!(chinese.contains(heading), "{heading}");
    }
    let card = models(&["chatglm2-6b"]).done();
    for wanted in [
        "structure: prefix LM",
        "training tokens: 1.4T",
        "PE: RoPE",
        "attention, FFN: multi-query",
        "norm: RMSNorm",
        "MSL: 32768",
        "activation: SwiGLU",
        "parameters: 6B: 28 layers of 4096",
        "notes: one cache for all queries",
        "licence: ChatGLM2-6B",
        "temperature 0.8, top_p 0.8",
    ] {
        assert!(card.contains(wanted), "{wanted:?} is not in\n{card}");
    }
    let card = models(&["ChatGLM2_6B", "--lang", "zh"]).done();
    for wanted in [
        "模型结构",
        "训练数据",
        "参数结构",
        "MSL: 32768",
        "激活函数",
        "备注",
    ] {
        assert!(card.contains(wanted), "{wanted:?} is not in\n{card}");
    }
    // A family's name is no model's here, whatever -m takes it for; an alias of its own is.
    for (name, cards) in [
        ("glm", &["glm-10b", "glm-10b-chinese", "glm-130b"][..]),
        ("Gemma2", &["gemma2-2b-it", "gemma2-9b-it"][..]),
        ("glm4", &["glm-4-9b-chat"][..]),
    ] {
        let shown = models(&[name]).done();
        for card in cards {
            assert!(shown.contains(&format!("\n{card}\n")), "{name}: {shown}");
        }
        assert_eq!(shown.matches("\n\n").count(), cards.len(), "{name}");
    }
    // Where a model's context is not its family's, it is said.
    let context = |name: &str| {
        let shown = models(&[name]).done();
        let row = shown.lines().find(|line| line.starts_with("  MSL  "));
        row.and_then(|row| row.split_whitespace().nth(1)?.parse::<u32>().ok())
    };
    for (name, wanted) in [
        ("glm-4-9b-chat", Some(131072)),
        ("phi3.5-mini", Some(131072)),
        ("glm-10b", Some(1024)),
        ("glm-10b-chinese", Some(1024)),
        ("chatglm3-6b", None),
        ("glm-130b", None),
    ] {
        assert_eq!(context(name), wanted, "{name}");
    }
    assert!(models(&["chatglm3"]).done().contains("sizes: 6B, 9B"));
    let message = models(&["chatgml2-6b"]).failed(1);
    assert!(message.contains("chatglm2-6b"), "{message}");
}

#[test]
fn completions_are_printed() {
    let script = ended(wick().args(["completions", "fish"])).done();
    assert!(
        script.contains("complete") && script.contains("wick"),
        "{script}"
    );
}

#[test]
fn download_refuses_what_is_here_and_what_it_cannot_ask() {
    let mut download = wick();
    let message = ended(download.arg("download").arg(oracle("llama"))).failed(1);
    assert!(message.contains("local model"), "{message}");
    let dir = tempfile::tempdir().unwrap();
    let mut download = wick();
    download.env("HF_HOME", dir.path());
    let message = ended(download.args(["download", "--offline", "qwen3-0.6b"])).failed(1);
    assert!(message.contains("offline"), "{message}");
    for flag in ["--local-dir", "--include", "--exclude"] {
        let mut download = wick();
        download.env("HF_HOME", dir.path());
        download.args(["download", "--offline", "qwen3-0.6b", flag, "x"]);
        let message = ended(&mut download).failed(2);
        assert!(
            message.contains(flag) && message.contains("--offline"),
            "{message}"
        );
    }
}

#[test]
fn bench_refuses_to_measure_nothing() {
    let mut bench = wick();
    let message = ended(bench.args(["bench", "-m", "nowhere", "-p", "0", "-n", "0"])).failed(2);
    assert!(message.contains("nothing to measure"), "{message}");
}
