//! `--logits` and `--dump`: what is written, where, and what is left of it.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use candle_core::Device;

use crate::bed::{Ended, Speaker, answer, ended, oracle};
use crate::run::run;

#[test]
fn intermediates_are_written_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dump.safetensors");
    let args = ["--prompt-ids", "1,2,3", "-n", "1", "--dump"];
    answer(
        &oracle("llama"),
        &[&args[..], &[file.to_str().unwrap()]].concat(),
    );
    let tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    assert!(
        tensors.keys().any(|k| k.starts_with("blk.0.")),
        "{:?}",
        tensors.keys()
    );
    assert!(tensors.values().all(|t| t.dim(0).unwrap() == 3));
}

#[test]
fn a_file_for_tensors_is_opened_first_and_written_last() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("no/such/folder/x.safetensors");
    for flag in ["--logits", "--dump"] {
        let mut command = run(Path::new("nowhere"), &["--prompt-ids", "1", flag]);
        let message = ended(command.arg(&nowhere)).failed(1);
        assert!(
            message.contains(flag) && message.contains(nowhere.to_str().unwrap()),
            "{message}"
        );
    }
    // What is there stays where there is nothing to write.
    let file = dir.path().join("x.safetensors");
    std::fs::write(&file, [7u8; 100_000]).unwrap();
    let args = ["--prompt-ids", "1,2", "-n", "0", "--logits"];
    ended(run(Path::new("nowhere"), &args).arg(&file)).failed(1);
    assert_eq!(std::fs::read(&file).unwrap(), [7u8; 100_000]);
    answer(
        &oracle("llama"),
        &[&args[..], &[file.to_str().unwrap()]].concat(),
    );
    let tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    assert_eq!(tensors["logits"].dims(), [2, 311]);
    // Not the file that is read.
    let model = Speaker::new();
    let weights = model.path().join("model.safetensors");
    let before = std::fs::read(&weights).unwrap();
    let message = ended(run(model.path(), &args).arg(&weights)).failed(1);
    assert!(message.contains("the model that is read"), "{message}");
    assert_eq!(std::fs::read(&weights).unwrap(), before);
}

#[test]
#[cfg(unix)]
fn tensors_go_into_a_pipe_and_through_a_link() {
    use std::os::unix::fs::FileTypeExt;

    let dir = tempfile::tempdir().unwrap();
    let [pipe, link, file] = ["pipe", "link", "file"].map(|name| dir.path().join(name));
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    std::fs::write(&file, b"").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    // Held open at both ends, so that nobody waits for the other; it has room for all of it.
    let mut both = std::fs::OpenOptions::new();
    let mut both = both.read(true).write(true).open(&pipe).unwrap();
    let args = ["--prompt-ids", "1,2,3", "-n", "0"];
    let mut command = run(&oracle("llama"), &args);
    command.arg("--logits").arg(&pipe).arg("--dump").arg(&link);
    ended(&mut command).done();
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
    let mut bytes = vec![0; 1 << 16];
    let n = both.read(&mut bytes).unwrap();
    let logits = candle_core::safetensors::load_buffer(&bytes[..n], &Device::Cpu).unwrap();
    assert_eq!(logits["logits"].dims(), [3, 311]);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    let dump = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    assert!(dump.keys().any(|k| k.starts_with("blk.0.")));
}

#[test]
fn tensors_are_written_also_where_nobody_reads_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("logits.safetensors");
    let args = ["--prompt-ids", "1,2", "--ignore-eos", "-q"];
    let mut command = run(&oracle("llama"), &args);
    command.args(["-c", "30000", "-n", "20000"]);
    command.arg("--logits").arg(&file);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut head = [0; 20];
    child.stdout.take().unwrap().read_exact(&mut head).unwrap();
    let ended: Ended = child.wait_with_output().unwrap().into();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    let rows = tensors["logits"].dim(0).unwrap();
    assert!(rows > 2, "{rows}");
    assert_eq!(tensors["ids"].dims(), [rows]);
}

#[test]
fn a_run_that_writes_nothing_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let [logits, dump] = ["logits", "dump"].map(|name| dir.path().join(name));
    let both = |mut command: Command| {
        command.arg("--logits").arg(&logits);
        command.arg("--dump").arg(&dump);
        ended(&mut command)
    };
    both(run(Path::new("nowhere"), &["--prompt-ids", "1"])).failed(1);
    let long = ["--prompt-ids", "1,2,3", "-c", "2"];
    both(run(&oracle("llama"), &long)).failed(1);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    // What was there before stays, as it was.
    std::fs::write(&dump, "before").unwrap();
    both(run(&oracle("llama"), &long)).failed(1);
    assert!(!logits.exists());
    assert_eq!(std::fs::read_to_string(&dump).unwrap(), "before");
}

#[test]
fn one_file_is_not_written_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = run(&oracle("llama"), &["--prompt-ids", "1"]);
    command.arg("--logits").arg(dir.path().join("x"));
    // Another spelling of the same path.
    command.arg("--dump").arg(dir.path().join("./x"));
    let message = ended(&mut command).failed(2);
    assert!(message.contains("--logits and --dump"), "{message}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
