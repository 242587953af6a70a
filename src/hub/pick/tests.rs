use super::*;

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| s.to_string()).collect()
}

fn quant(q: &str) -> Option<FileSpec> {
    Some(FileSpec::Quant(q.to_string()))
}

#[test]
fn safetensors_are_taken_rather_than_bin_and_nothing_else_is() {
    let all = names(&[
        "README.md",
        "config.json",
        "model.safetensors",
        "pytorch_model.bin",
        "tokenizer.json",
        "modeling_x.py",
        "onnx/model.onnx",
        "onnx/config.json",
        "flax_model.msgpack",
        "model.fp16.safetensors",
        "consolidated.safetensors",
        "ice_text.model",
    ]);
    let picked = pick("a/b", &all, None).unwrap();
    assert_eq!(picked.kind, Kind::Folder);
    assert_eq!(
        picked.files,
        [
            "config.json",
            "tokenizer.json",
            "ice_text.model",
            "model.safetensors"
        ]
    );
}

#[test]
fn shards_come_with_their_index() {
    let all = names(&[
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "consolidated-00001-of-00001.safetensors",
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model.bin.index.json",
    ]);
    let picked = pick("a/b", &all, None).unwrap();
    assert_eq!(
        picked.files,
        [
            "config.json",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
        ]
    );
    let bin = names(&[
        "config.json",
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model-00002-of-00002.bin",
        "pytorch_model.bin.index.json",
        "training_args.bin",
        "rng_state_0.pth",
    ]);
    assert_eq!(pick("a/b", &bin, None).unwrap().files.len(), 4);
    let one = names(&["config.json", "adapter.bin", "rng_state_0.pth"]);
    assert_eq!(
        pick("a/b", &one, None).unwrap().files,
        ["config.json", "adapter.bin"]
    );
    let palm = names(&["config.json", "palm_410m_8k_v0.pt"]);
    assert_eq!(
        pick("a/b", &palm, None).unwrap().files,
        ["config.json", "palm_410m_8k_v0.pt"]
    );
}

#[test]
fn a_quantization_is_a_word_of_the_files_name() {
    let all = names(&[
        "m-Q4_K_M.gguf",
        "m-Q4_K_S.gguf",
        "m-Q8_0.gguf",
        "m-f16.gguf",
        "m-bf16.gguf",
        "mmproj-F16.gguf",
    ]);
    for (q, file) in [
        ("Q4_K_M", "m-Q4_K_M.gguf"),
        ("q8_0", "m-Q8_0.gguf"),
        ("F16", "m-f16.gguf"),
        ("BF16", "m-bf16.gguf"),
    ] {
        assert_eq!(pick("a/b", &all, quant(q).as_ref()).unwrap().files, [file]);
    }
    let message = pick("a/b", &all, quant("Q4_K").as_ref())
        .unwrap_err()
        .to_string();
    assert!(message.contains("Q4_K_M, "), "{message}");
    assert_eq!(
        pick("a/b", &all, None).unwrap().kind,
        Kind::Gguf("m-Q4_K_M.gguf".into())
    );
}

#[test]
fn split_ggufs_are_taken_whole_or_not_at_all() {
    let whole = names(&[
        "Q8/m-Q8_0-00001-of-00002.gguf",
        "Q8/m-Q8_0-00002-of-00002.gguf",
        "m-Q4_0.gguf",
    ]);
    let picked = pick("a/b", &whole, quant("Q8_0").as_ref()).unwrap();
    assert_eq!(
        picked.kind,
        Kind::Gguf("Q8/m-Q8_0-00001-of-00002.gguf".into())
    );
    assert_eq!(picked.files.len(), 2);
    let second = Some(FileSpec::Path("Q8/m-Q8_0-00002-of-00002.gguf".into()));
    assert_eq!(pick("a/b", &whole, second.as_ref()).unwrap(), picked);
    assert!(pick("a/b", &whole[..1], quant("Q8_0").as_ref()).is_err());
}

#[test]
fn a_weights_file_that_is_named_is_opened_itself() {
    let all = names(&[
        "config.json",
        "model.safetensors",
        "a.safetensors",
        "a.bin",
        "a.pt",
        "a.pth",
    ]);
    for file in &all[2..] {
        let picked = pick("a/b", &all, Some(&FileSpec::Path(file.clone()))).unwrap();
        assert_eq!(picked.kind, Kind::Safetensors(file.clone()));
        assert_eq!(picked.files, ["config.json", file]);
    }
}

#[test]
fn unclear_choices_are_offered() {
    let all = names(&["m-IQ2_XS.gguf", "m-IQ3_S.gguf"]);
    let message = pick("a/b", &all, None).unwrap_err().to_string();
    assert!(message.contains("a/b:IQ2_XS, a/b:IQ3_S"), "{message}");
    let message = pick("a/b", &names(&["README.md"]), None)
        .unwrap_err()
        .to_string();
    assert!(message.contains("README.md"), "{message}");
}

#[test]
fn globs_add_and_take_away() {
    let all = names(&[
        "config.json",
        "model.safetensors",
        "onnx/model.onnx",
        "README.md",
    ]);
    let include = ["*.onnx".to_string(), "*.md".to_string()];
    let picked = pick_globs("a/b", &all, None, &include, &["README*".to_string()]).unwrap();
    assert_eq!(picked.files, ["onnx/model.onnx"]);
    let picked = pick_globs("a/b", &all, None, &[], &["*.safetensors".to_string()]).unwrap();
    assert_eq!(picked.files, ["config.json"]);
    assert!(pick_globs("a/b", &all, None, &["[".to_string()], &[]).is_err());
}

#[test]
fn hostile_names_do_not_panic() {
    for name in [
        "",
        ".",
        "-of-",
        "a-00000-of-00000.gguf",
        "é-Q4_0.gguf",
        "99999-of-99999.gguf",
        "-00001-of-99999.gguf",
    ] {
        let _ = SplitName::parse(name);
        let _ = gguf::quant_of(name);
        let _ = pick("a/b", &names(&[name]), quant("Q4_0").as_ref());
    }
}

#[test]
fn files_that_are_published_without_a_configuration_are_taken() {
    let all = names(&["README.md", "palm_410m_8k_v0.pt"]);
    let picked = pick("a/b", &all, None).unwrap();
    assert_eq!(picked.kind, Kind::Folder);
    assert_eq!(picked.files, ["palm_410m_8k_v0.pt"]);
    let metas = names(&["consolidated.00.pth", "consolidated.01.pth", "params.json"]);
    let mut picked = pick("a/b", &metas, None).unwrap().files;
    picked.sort();
    assert_eq!(picked, metas);
}

#[test]
fn every_encrypted_file_is_taken() {
    let hash = "0a".repeat(32);
    let encrypted = [
        format!("config.json.{hash}.enc"),
        format!("pytorch_model.bin.{hash}.enc"),
    ];
    let mut all = encrypted.to_vec();
    all.extend(names(&["README.md", "tokenizer.model", "notes.enc"]));
    let picked = pick("a/b", &all, None).unwrap().files;
    assert_eq!(picked, ["tokenizer.model", &encrypted[0], &encrypted[1]]);
}
