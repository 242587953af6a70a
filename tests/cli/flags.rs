//! Flags: what is refused before a model is looked for, and how freely values are written.

use crate::bed::{Ended, ended, oracle, wick};

fn said(line: &str) -> Ended {
    let mut command = wick();
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    ended(command.args(line.split(' ')))
}

#[test]
fn what_suits_no_model_is_refused_before_one_is_looked_for() {
    for (flags, what) in [
        ("hi --temp -1", "--temp -1"),
        ("hi --top-p 2", "--top-p 2"),
        ("hi --template nosuch", "--template nosuch"),
        ("hi -c 0", "--ctx-size"),
        ("hi -t 0", "--threads 0"),
        ("hi --cot vote:3 --temp 0", "--temp 0"),
        ("--prompt-ids 1 --cot zero", "--cot"),
        ("--prompt-ids 1 --infill", "--infill"),
        ("hi --device cuda --cache-type q8_0", "--cache-type q8_0"),
        ("hi --device metal --quant iq4_nl", "--quant IQ4_NL"),
    ] {
        let message = said(&format!("run -m nowhere {flags}")).failed(2);
        assert!(message.contains(what), "{flags}: {message}");
    }
    said("run -m nowhere hi --cot vote:3").failed(1);
}

#[test]
fn a_negative_number_is_answered_with_what_to_do_instead() {
    for (flag, instead) in [
        ("--seed", "leave --seed out"),
        ("-n", "leave --max-tokens out"),
        ("-c", "leave --ctx-size out"),
        ("-t", "leave --threads out"),
        ("--top-k", "--top-k 0"),
        ("--repeat-last-n", "the context's size"),
    ] {
        for command in ["run hi", "chat"] {
            let message = said(&format!("{command} -m nowhere {flag} -1")).failed(2);
            assert!(message.contains(instead), "{flag}: {message}");
        }
    }
}

#[test]
fn values_may_be_written_in_capitals_and_temp_in_full() {
    let line = "run -m tests/oracles/llama --prompt-ids 1 -n 1 --temperature 0 --dtype F16 \
                --cache-type Q8_0 --draft LOOKUP --device CPU -o JSON";
    let answer = said(line).done();
    assert!(answer.contains("\"acceptance_rate\""), "{answer}");
}

#[test]
fn a_revision_that_nothing_would_heed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let revision = |model: &str, revision: &str| {
        let mut command = wick();
        command.env("HF_HOME", dir.path());
        command.args(["run", "--prompt-ids", "1", "-m", model]);
        ended(command.args(["--revision", revision]))
    };
    let folder = oracle("llama");
    let message = revision(folder.to_str().unwrap(), "main").failed(2);
    assert!(message.contains("--revision main"), "{message}");
    let message = revision("wick/none@a", "b").failed(2);
    assert!(message.contains("--revision b"), "{message}");
    // Said twice, it is heeded: this model is not in the cache.
    for (model, twice) in [("wick/none@a", "a"), ("wick/none", "a")] {
        let message = revision(model, twice).failed(1);
        assert!(message.contains("offline"), "{message}");
    }
    #[cfg(feature = "demo")]
    revision("demo", "main").failed(2);
}
