//! Models that are published encrypted with another's weights.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::bed::{Ended, answer, ended, oracle, wick};

const PIECE: usize = 10 << 20;

/// `NAME.SHA256.enc` of `plain` in `folder`, byte by byte as `encrypt.py` of point-alpaca does it.
fn encrypt(folder: &Path, name: &str, plain: &[u8], key: &[u8]) {
    let hash = Sha256::digest(plain);
    let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    let pieces = key.len().div_ceil(PIECE);
    let byte = |(at, b): (usize, &u8)| {
        let begin = at / PIECE % pieces * PIECE;
        let len = PIECE.min(key.len() - begin);
        b ^ key[begin + at % PIECE % len]
    };
    let mut out = hash.to_vec();
    out.extend(plain.iter().enumerate().map(byte));
    std::fs::write(folder.join(format!("{name}.{hex}.enc")), out).unwrap();
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn quantize(model: &Path, base: &Path, out: &Path) -> Ended {
    let mut command = wick();
    command.arg("quantize").arg(model).arg("--base").arg(base);
    ended(command.args(["--quant", "none", "-o"]).arg(out))
}

#[test]
fn an_encrypted_model_is_decrypted_with_the_base_and_its_hash_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let [model, base, out] = ["BELLE-LLaMA-7B-2M-enc", "llama", "out"].map(|n| dir.path().join(n));
    for folder in [&model, &base, &out] {
        std::fs::create_dir(folder).unwrap();
    }
    // Shorter than a piece, so that it is repeated within one.
    let key = noise(100_003);
    std::fs::write(base.join("consolidated.00.pth"), &key).unwrap();
    for name in ["config.json", "model.safetensors"] {
        let plain = std::fs::read(oracle("llama").join(name)).unwrap();
        encrypt(&model, name, &plain, &key);
    }
    let gguf = out.join("belle.gguf");
    quantize(&model, &base, &gguf).done();
    let args = [
        "--prompt-ids",
        "1,5,9",
        "-n",
        "8",
        "--temp",
        "0",
        "--ignore-eos",
    ];
    let found = answer(&gguf, &args);
    assert_eq!(found["ids"], answer(&oracle("llama"), &args)["ids"]);
    // Nothing but the model is left behind.
    let left = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    assert_eq!(left(&out), 1);

    let other = dir.path().join("other.pth");
    std::fs::write(&other, noise(100_002)).unwrap();
    let message = quantize(&model, &other, &out.join("b.gguf")).failed(1);
    assert!(
        message.contains("other.pth does not decrypt it"),
        "{message}"
    );
    let nowhere = dir.path().join("nowhere.pth");
    let message = quantize(&model, &nowhere, &out.join("b.gguf")).failed(1);
    assert!(message.contains("nowhere.pth"), "{message}");
    assert_eq!(left(&out), 1);

    // Without the base there is nothing to read.
    let message = ended(wick().arg("run").arg("-m").arg(&model).arg("hello")).failed(1);
    assert!(message.contains("--base"), "{message}");
}

#[test]
fn a_key_begins_anew_where_it_ends_and_repeats_within_its_last_piece() {
    let dir = tempfile::tempdir().unwrap();
    let [model, plain] = ["model", "plain"].map(|n| dir.path().join(n));
    std::fs::create_dir(&model).unwrap();
    std::fs::create_dir(&plain).unwrap();
    let key = noise(PIECE + 1000);
    let content = noise(3 * PIECE + 17);
    encrypt(&model, "weights.bin", &content, &key);
    std::fs::write(model.join("README.md"), "read me").unwrap();
    let key_file = dir.path().join("key.pth");
    std::fs::write(&key_file, &key).unwrap();
    let mut last = (0, 0);
    wick::weights::xor::decrypt(&model, &key_file, &plain, &mut |done, all| {
        last = (done, all)
    })
    .unwrap();
    assert!(std::fs::read(plain.join("weights.bin")).unwrap() == content);
    assert_eq!(
        std::fs::read_to_string(plain.join("README.md")).unwrap(),
        "read me"
    );
    assert_eq!(last, (content.len() as u64, content.len() as u64 + 32));
}
