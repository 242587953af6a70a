//! `wick bench --perplexity`, held against sums over what `wick run --logits` writes.

use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use crate::bed::{Speaker, ended, oracle, wick};
use crate::run::run;

/// A text of `n` letters and spaces, each of them a token.
fn text(n: usize) -> String {
    let next = |x: &u32| Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let numbers = std::iter::successors(Some(7), next);
    let letters = numbers.map(|x| char::from(b" etaoinshrdlucmf"[(x >> 28) as usize]));
    letters.take(n).collect()
}

fn ids(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

/// Multiplies each row of the model's head by what `factor` has for it.
fn scale_head(model: &Speaker, factor: impl Fn(usize) -> f32) {
    let path = model.path().join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    let head = tensors["lm_head.weight"].clone();
    let rows = head.dim(0).unwrap();
    let factors: Vec<f32> = (0..rows).map(factor).collect();
    let factors = Tensor::from_vec(factors, (rows, 1), &Device::Cpu).unwrap();
    let scaled = head.broadcast_mul(&factors).unwrap();
    tensors.insert("lm_head.weight".to_string(), scaled);
    candle_core::safetensors::save(&tensors, &path).unwrap();
}

/// A model, and a text of `n` tokens in a file beside it.
fn bed(n: usize) -> (Speaker, PathBuf) {
    let model = Speaker::new();
    let file = model.path().join("text.txt");
    std::fs::write(&file, text(n)).unwrap();
    (model, file)
}

fn bench(model: &Path, file: &Path, args: &[&str]) -> Command {
    let mut command = wick();
    command.args(["bench", "-m"]).arg(model);
    command.arg("--perplexity").arg(file).args(args);
    command
}

/// The rows of `-o json`.
#[track_caller]
fn rows(model: &Path, file: &Path, args: &[&str]) -> Vec<Value> {
    let mut command = bench(model, file, args);
    serde_json::from_str(&ended(command.args(["-o", "json"])).done()).unwrap()
}

#[track_caller]
fn number(row: &Value, key: &str) -> f64 {
    let number = row[key].as_f64();
    number.unwrap_or_else(|| panic!("{key} in {row}"))
}

#[track_caller]
fn assert_close(found: f64, wanted: f64) {
    let gap = (found - wanted).abs();
    assert!(gap <= 1e-4 * wanted.abs() + 1e-9, "{found}, not {wanted}");
}

/// A scored token and the logarithms of all tokens' probabilities before it.
struct Scored {
    id: usize,
    ln: Vec<f64>,
}

/// The tokens of each window from `from` on, scored by what `wick run` computes for it.
fn scored(model: &Path, windows: &[Vec<u32>], from: usize) -> Vec<Scored> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("logits.safetensors");
    let mut all = Vec::new();
    for window in windows {
        let ids: Vec<String> = window.iter().map(u32::to_string).collect();
        let mut command = run(model, &["-n", "0", "--prompt-ids", &ids.join(",")]);
        ended(command.arg("--logits").arg(&file)).done();
        let tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
        let logits: Vec<Vec<f32>> = tensors["logits"].to_vec2().unwrap();
        for at in from..window.len() {
            let row: Vec<f64> = logits[at - 1].iter().map(|&l| f64::from(l)).collect();
            let max = row.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = row.iter().map(|l| (l - max).exp()).sum();
            all.push(Scored {
                id: window[at] as usize,
                ln: row.iter().map(|l| l - max - sum.ln()).collect(),
            });
        }
    }
    all
}

/// The mean and its standard error.
fn mean(numbers: &[f64]) -> [f64; 2] {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
    [mean, (squares / (n - 1.0) / n).sqrt()]
}

fn surprises(scored: &[Scored]) -> Vec<f64> {
    scored.iter().map(|token| -token.ln[token.id]).collect()
}

#[track_caller]
fn assert_row(row: &Value, scored: &[Scored], [windows, n_ctx]: [usize; 2]) {
    let [nll, error] = mean(&surprises(scored));
    assert_close(number(row, "perplexity"), nll.exp());
    assert_close(number(row, "stderr"), nll.exp() * error);
    assert_eq!(row["tokens"], json!(scored.len()));
    assert_eq!([&row["windows"], &row["n_ctx"]], [windows, n_ctx]);
}

#[test]
fn the_second_half_of_every_window_is_scored() {
    let (model, file) = bed(300);
    let all = ids(&text(300));
    let windows: Vec<_> = all.chunks_exact(64).map(<[u32]>::to_vec).collect();
    assert_eq!(windows.len(), 4);
    let wanted = scored(model.path(), &windows, 33);
    let found = rows(model.path(), &file, &["-c", "64"]);
    assert_eq!((found.len(), wanted.len()), (1, 4 * 31));
    assert_row(&found[0], &wanted, [4, 64]);
    assert_eq!(found[0]["quant"], "F32");
    let name = model.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(found[0]["model"], name);
    assert!(found[0]["size"].as_u64().is_some_and(|size| size > 100_000));
    // A window of an odd length, and more scored tokens than go through the model at once.
    let windows: Vec<_> = all.chunks_exact(145).map(<[u32]>::to_vec).collect();
    let wanted = scored(model.path(), &windows, 73);
    let found = rows(model.path(), &file, &["-c", "145"]);
    assert_row(&found[0], &wanted, [2, 145]);
}

#[test]
fn bos_takes_the_place_of_every_windows_first_token() {
    let (model, file) = bed(100);
    // The model's configuration says that it is token 1.
    let config = json!({ "add_bos_token": true }).to_string();
    std::fs::write(model.path().join("tokenizer_config.json"), config).unwrap();
    let mut all = vec![1];
    all.extend(ids(&text(100)));
    let mut windows: Vec<_> = all.chunks_exact(32).map(<[u32]>::to_vec).collect();
    windows.iter_mut().for_each(|window| window[0] = 1);
    let wanted = scored(model.path(), &windows, 17);
    let found = rows(model.path(), &file, &["-c", "32"]);
    assert_row(&found[0], &wanted, [3, 32]);
    // A single window's first token is BOS, so that all of the text's are scored.
    let wanted = scored(model.path(), &[all], 1);
    assert_eq!(wanted.len(), 100);
    assert_row(&rows(model.path(), &file, &[])[0], &wanted, [1, 512]);
    let cut = rows(model.path(), &file, &["-c", "64"]);
    assert_eq!(cut[0]["tokens"], 63);
}

#[test]
fn all_of_a_short_text_is_scored_but_its_first_token() {
    let (model, file) = bed(90);
    let all = ids(&text(90));
    let wanted = scored(model.path(), std::slice::from_ref(&all), 1);
    assert_eq!(wanted.len(), 89);
    let print = |size: &str| {
        let mut command = bench(model.path(), &file, &["-c", size, "-o", "jsonl"]);
        let ended = ended(&mut command);
        let said = ended.stderr.clone();
        let row: Value = serde_json::from_str(&ended.done()).unwrap();
        (row, said)
    };
    let (row, said) = print("90");
    assert_row(&row, &wanted, [1, 90]);
    assert!(said.contains("shorter than two windows of 90"), "{said}");
    // Longer than a window and shorter than two: what does not fit is left out, and that is said.
    let wanted = scored(model.path(), &[all[..50].to_vec()], 1);
    let (row, said) = print("50");
    assert_row(&row, &wanted, [1, 50]);
    assert!(said.contains("last 40 tokens"), "{said}");
    // Of a single token there is no standard error.
    std::fs::write(&file, "ab").unwrap();
    let found = rows(model.path(), &file, &[]);
    assert_eq!(found[0]["tokens"], 1);
    assert_eq!(found[0]["stderr"], Value::Null);
}

#[test]
fn windows_are_512_tokens_or_as_many_as_the_model_has() {
    let (model, file) = bed(1100);
    let found = rows(model.path(), &file, &[]);
    let counts = ["n_ctx", "windows", "tokens"].map(|key| number(&found[0], key));
    assert_eq!(counts, [512.0, 2.0, 510.0]);
    // GPT-2's oracle has learned 256 positions.
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(oracle("gpt2").join(name), dir.path().join(name)).unwrap();
    }
    let tokenizer = model.path().join("tokenizer.json");
    std::fs::copy(tokenizer, dir.path().join("tokenizer.json")).unwrap();
    let all = ids(&text(1100));
    let windows: Vec<_> = all.chunks_exact(256).map(<[u32]>::to_vec).collect();
    let wanted = scored(dir.path(), &windows, 129);
    assert_row(&rows(dir.path(), &file, &[])[0], &wanted, [4, 256]);
    let message = ended(&mut bench(dir.path(), &file, &["-c", "257"])).failed(1);
    assert!(message.contains("lower --ctx-size"), "{message}");
    // RoPE goes on past what a model was made for, which is said.
    let past = ended(&mut bench(model.path(), &file, &["-c", "530"]));
    assert!(past.stderr.contains("the 512 tokens"), "{}", past.stderr);
    past.done();
}

#[test]
fn a_model_without_an_opinion_is_as_perplexed_as_its_vocabulary_is_large() {
    let (model, file) = bed(300);
    scale_head(&model, |_| 0.0);
    let found = rows(model.path(), &file, &["-c", "64"]);
    assert!((number(&found[0], "perplexity") - 311.0).abs() < 1e-9);
    assert!(number(&found[0], "stderr") < 1e-9);
}

#[test]
fn two_settings_are_compared_token_by_token() {
    let (first, file) = bed(300);
    let second = Speaker::new();
    scale_head(&second, |row| 1.0 + 0.5 * (row as f32).sin());
    let all = ids(&text(300));
    let windows: Vec<_> = all.chunks_exact(64).map(<[u32]>::to_vec).collect();
    let [a, b] = [&first, &second].map(|model| scored(model.path(), &windows, 33));
    let path = second.path().to_str().unwrap();
    let found = rows(first.path(), &file, &["-c", "64", "--against", path]);
    assert_eq!(found.len(), 2);
    assert_row(&found[0], &a, [4, 64]);
    assert_row(&found[1], &b, [4, 64]);
    assert!(found[0].get("setting").is_none() && found[0].get("kl_divergence").is_none());
    assert_eq!(found[1]["setting"], path);
    let pairs = || a.iter().zip(&b);
    let kl = pairs().map(|(a, b)| {
        let both = a.ln.iter().zip(&b.ln);
        both.map(|(a, b)| a.exp() * (a - b)).sum::<f64>()
    });
    let [kl, kl_error] = mean(&kl.collect::<Vec<f64>>());
    assert!(kl > 0.01, "{kl}");
    assert_close(number(&found[1], "kl_divergence"), kl);
    assert_close(number(&found[1], "kl_stderr"), kl_error);
    let ratios = surprises(&a).into_iter().zip(surprises(&b));
    let ratios: Vec<f64> = ratios.map(|(a, b)| b - a).collect();
    let [ratio, ratio_error] = mean(&ratios);
    assert_close(number(&found[1], "log_ratio"), ratio);
    assert_close(number(&found[1], "log_ratio_stderr"), ratio_error);
    let [of_first, of_second] = [0, 1].map(|i: usize| number(&found[i], "perplexity").ln());
    assert!((number(&found[1], "log_ratio") - (of_second - of_first)).abs() < 1e-9);
    let top = |scored: &Scored| {
        let ids = 0..scored.ln.len();
        ids.max_by(|&a, &b| scored.ln[a].total_cmp(&scored.ln[b]))
    };
    let same = pairs().map(|(a, b)| f64::from(top(a) == top(b)));
    let [same, same_error] = mean(&same.collect::<Vec<f64>>());
    assert!(0.0 < same && same < 1.0, "{same}");
    assert_close(number(&found[1], "same_top"), same);
    assert_close(number(&found[1], "same_top_stderr"), same_error);
}

#[test]
fn a_setting_against_itself_differs_in_nothing() {
    let (model, file) = bed(200);
    let copy = Speaker::new();
    let path = copy.path().to_str().unwrap();
    for against in ["-t 1", "--quant none", path] {
        let args = ["-t", "1", "-c", "64", "--against", against];
        let found = rows(model.path(), &file, &args);
        for key in ["perplexity", "stderr", "tokens"] {
            assert_eq!(found[0][key], found[1][key], "{against}: {key}");
        }
        for key in [
            "kl_divergence",
            "kl_stderr",
            "log_ratio",
            "log_ratio_stderr",
        ] {
            assert_eq!(number(&found[1], key), 0.0, "{against}: {key}");
        }
        assert_eq!(number(&found[1], "same_top"), 1.0, "{against}");
    }
    // Rounding is seen.
    let args = ["-c", "64", "--against", "--quant int4"];
    let found = rows(model.path(), &file, &args);
    assert!(number(&found[1], "kl_divergence") > 1e-6, "{found:?}");
    assert_ne!(found[0]["quant"], found[1]["quant"]);
}

#[test]
fn every_format_says_the_same() {
    let (model, file) = bed(200);
    let printed = |format: &str, more: &[&str]| {
        let mut command = bench(model.path(), &file, &["-c", "64", "-o", format]);
        ended(command.args(more)).done()
    };
    let row: Value = serde_json::from_str(&printed("jsonl", &[])).unwrap();
    let perplexity = number(&row, "perplexity");
    let csv = printed("csv", &[]);
    let (head, cells) = csv.trim_end().split_once('\n').unwrap();
    let at = head.split(',').position(|name| name == "perplexity");
    let cell = cells.split(',').nth(at.unwrap()).unwrap();
    assert_close(cell.parse().unwrap(), perplexity);
    let table = printed("md", &[]);
    assert!(table.contains(&format!("| {perplexity:.4} ± ")), "{table}");
    let cases: [(&[&str], usize, usize); 2] = [(&[], 1, 7), (&["--against", "-t 1"], 2, 11)];
    for (against, n, columns) in cases {
        let table = printed("md", against);
        let bars = |line: &str| line.matches('|').count();
        assert!(table.lines().all(|l| bars(l) == columns + 1), "{table}");
        assert_eq!(table.lines().count(), 2 + n);
        let csv = printed("csv", against);
        let commas: Vec<_> = csv.lines().map(|l| l.matches(',').count()).collect();
        assert_eq!(commas, vec![14; 1 + n], "{csv}");
    }
}

#[test]
fn a_logit_that_is_no_number_is_an_error() {
    let (model, file) = bed(200);
    scale_head(&model, |row| if row == 300 { f32::NAN } else { 1.0 });
    let name = model.path().to_str().unwrap();
    let message = ended(&mut bench(model.path(), &file, &[])).failed(1);
    assert!(message.contains("a logit is NaN"), "{message}");
    assert!(message.contains(name), "{message}");
    // Of two settings it is said which one's it is.
    let whole = Speaker::new();
    let mut command = bench(whole.path(), &file, &["--against", name]);
    let message = ended(&mut command).failed(1);
    assert!(message.contains("a logit is NaN"), "{message}");
    assert!(message.contains(name), "{message}");
}

#[test]
fn a_text_that_cannot_be_read_or_scored_is_named() {
    let (model, file) = bed(0);
    let refused = |model: &Path, what: &str| {
        let message = ended(&mut bench(model, &file, &[])).failed(1);
        assert!(message.contains(file.to_str().unwrap()), "{message}");
        assert!(message.contains(what), "{what}: {message}");
    };
    refused(model.path(), "at least 2");
    std::fs::write(&file, "a").unwrap();
    refused(model.path(), "at least 2");
    // Before the model is looked for: there is none of this name.
    let nowhere = Path::new("nowhere");
    std::fs::write(&file, b"abc\xff").unwrap();
    refused(nowhere, "byte 3");
    let long = std::fs::File::create(&file).unwrap();
    long.set_len(17 << 20).unwrap();
    refused(nowhere, "longer than");
    std::fs::remove_file(&file).unwrap();
    refused(nowhere, "--perplexity");
}

#[test]
fn models_that_do_not_continue_a_text_or_read_none_are_refused() {
    let (model, file) = bed(100);
    let blanks = "fills the blanks";
    for (name, what) in [
        ("t5", "encoder-decoder"),
        ("glm10b", blanks),
        ("glm130b", blanks),
        ("chatglm1", blanks),
    ] {
        let message = ended(&mut bench(&oracle(name), &file, &[])).failed(2);
        assert!(message.contains("--perplexity"), "{message}");
        assert!(message.contains(what), "{message}");
    }
    let other = oracle("t5");
    let against = ["--against", other.to_str().unwrap()];
    let message = ended(&mut bench(model.path(), &file, &against)).failed(2);
    assert!(message.contains("encoder-decoder"), "{message}");
    let message = ended(&mut bench(&oracle("llama"), &file, &[])).failed(1);
    assert!(message.contains("no tokenizer"), "{message}");
}

#[test]
fn other_vocabularies_are_not_compared() {
    let (model, file) = bed(100);
    let other = Speaker::new();
    let path = other.path().join("tokenizer.json");
    let json = std::fs::read_to_string(&path).unwrap();
    let mut tokenizer: Value = serde_json::from_str(&json).unwrap();
    // Two pieces that the text does not have.
    tokenizer["model"]["vocab"]["X"] = json!(u32::from(b'Y'));
    tokenizer["model"]["vocab"]["Y"] = json!(u32::from(b'X'));
    std::fs::write(&path, tokenizer.to_string()).unwrap();
    let name = other.path().to_str().unwrap();
    let mut command = bench(model.path(), &file, &["--against", name]);
    let message = ended(&mut command).failed(2);
    assert!(message.contains("--against"), "{message}");
    assert!(message.contains("token 88"), "{message}");
    // The same pieces, and one model puts BOS first.
    std::fs::write(&path, json).unwrap();
    let config = json!({ "add_bos_token": true }).to_string();
    std::fs::write(other.path().join("tokenizer_config.json"), config).unwrap();
    let mut command = bench(model.path(), &file, &["--against", name]);
    let message = ended(&mut command).failed(2);
    assert!(message.contains("different tokens"), "{message}");
}

#[test]
fn flags_that_mean_nothing_here_are_refused_before_a_model_is_looked_for() {
    let (_model, file) = bed(100);
    let nowhere = Path::new("nowhere");
    for (args, what) in [
        (["-c", "2"], "--ctx-size"),
        (["-c", "-1"], "--ctx-size"),
        (["-p", "8"], "--n-prompt"),
        (["-n", "8"], "--n-gen"),
        (["-d", "8"], "--n-depth"),
        (["-r", "2"], "--repetitions"),
        (["-t", "1,2"], "list"),
        (["--against", "--temp 1"], "--cache-type"),
    ] {
        let message = ended(&mut bench(nowhere, &file, &args)).failed(2);
        assert!(message.contains(what), "{args:?}: {message}");
    }
    let mut alone = wick();
    let message = ended(alone.args(["bench", "-m", "nowhere", "-c", "64"])).failed(2);
    assert!(message.contains("--perplexity"), "{message}");
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_it() {
    use std::io::Write;
    use std::process::Stdio;

    let model = Speaker::new();
    let mut command = bench(model.path(), Path::new("/dev/stdin"), &["-t", "1"]);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // More than a pipe holds: once it is written, the program reads and heeds Ctrl-C.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text(1_000_000).as_bytes()).unwrap();
    drop(stdin);
    std::thread::sleep(std::time::Duration::from_millis(300));
    crate::run::interrupt(child.id());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    assert!(ended.stdout.is_empty());
}
