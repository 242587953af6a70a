//! The shell asks the built program what may stand next.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli_bed::ended;
use crate::program::{Desk, ID, environment};

/// What is offered for the last of `words`.
fn offered(desk: &Desk, words: &[&str]) -> Vec<String> {
    let mut command = desk.wick(&["--", "wick"]);
    command.args(words);
    command
        .env("WICK_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .env("_CLAP_IFS", "\n")
        .current_dir(desk.dir.path());
    ended(&mut command)
        .done()
        .lines()
        .map(str::to_string)
        .collect()
}

#[test]
fn completion_offers_cards_what_is_cached_and_paths() {
    let desk = Desk::new();
    desk.run(&["download", ID]).done();
    fs::write(desk.dir.path().join("qwen-mine.gguf"), "").unwrap();
    for flag in [
        &["run", "-m"][..],
        &["chat", "--model"],
        &["bench", "-m"],
        &["inspect"],
    ] {
        let of = |current| offered(&desk, &[flag, &[current]].concat());
        assert_eq!(of("test"), [ID], "{flag:?}");
        let qwen = of("qwen");
        for wanted in ["qwen3-0.6b", "qwen-mine.gguf"] {
            assert!(qwen.iter().any(|c| c == wanted), "{flag:?}: {qwen:?}");
        }
        assert!(!qwen.iter().any(|c| c.starts_with("llama")), "{qwen:?}");
    }
    assert_eq!(offered(&desk, &["models", "rm", ""])[0], ID);
    let cards = offered(&desk, &["download", "chatglm2"]);
    assert!(cards.contains(&"chatglm2-6b".to_string()), "{cards:?}");
    let flags = offered(&desk, &["run", "--max"]);
    assert!(
        flags.iter().any(|f| f.starts_with("--max-tokens")),
        "{flags:?}"
    );
    assert!(
        desk.hub
            .requests()
            .iter()
            .all(|r| !r.path.contains("chatglm2"))
    );
}

#[test]
#[cfg(unix)]
fn the_committed_script_completes_in_bash() {
    if Command::new("bash").arg("--version").output().is_err() {
        eprintln!("skipped: there is no bash");
        return;
    }
    let desk = Desk::new();
    desk.run(&["download", ID]).done();
    let wick = desk.wick(&[]);
    let program = PathBuf::from(wick.get_program());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions/wick.bash");
    let line = "source \"$0\"; COMP_WORDS=(wick run -m test); COMP_CWORD=3; \
                $(complete -p wick | sed 's/.* -F \\([^ ]*\\) .*/\\1/') wick test -m; \
                printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", line]).arg(script);
    environment(&mut bash, &wick);
    let path = std::env::var("PATH").unwrap_or_default();
    bash.env(
        "PATH",
        format!("{}:{path}", program.parent().unwrap().display()),
    );
    bash.current_dir(desk.dir.path());
    assert_eq!(ended(&mut bash).done().trim(), ID);
}
