use super::*;

fn hub(text: &str) -> HubRef {
    match ModelRef::parse(text) {
        Ok(ModelRef::Hub(hub)) => hub,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn hub_ids_with_revision_and_file() {
    let model = hub("Org/Name@refs/pr/1:sub/model-Q4_K_M.gguf");
    assert_eq!(model.repo.to_string(), "Org/Name");
    assert_eq!(model.revision.as_deref(), Some("refs/pr/1"));
    assert_eq!(
        model.file,
        Some(FileSpec::Path("sub/model-Q4_K_M.gguf".into()))
    );
    assert_eq!(
        hub("Qwen/Qwen3-0.6B-GGUF:Q8_0").file,
        Some(FileSpec::Quant("Q8_0".into()))
    );
    assert_eq!(hub("Qwen/Qwen3-0.6B").card.unwrap().name, "qwen3-0.6b");
    assert_eq!(hub("a/b@v1:Q8_0").to_string(), "a/b@v1:Q8_0");
}

#[test]
fn the_address_of_a_page_names_what_the_page_is_of() {
    for (address, wanted) in [
        ("https://huggingface.co/Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("http://HuggingFace.co/Qwen/Qwen3-0.6B/", "Qwen/Qwen3-0.6B"),
        ("huggingface.co/Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("https://hf-mirror.com/a/b?x=1#readme", "a/b"),
        ("hf.co/a/b:Q8_0", "a/b:Q8_0"),
        ("hf.co/a/b@refs/pr/1:m.gguf", "a/b@refs/pr/1:m.gguf"),
        ("https://huggingface.co/a/b/tree/main", "a/b@main"),
        ("https://hf.co/a/b/tree/refs%2Fpr%2F1", "a/b@refs/pr/1"),
        ("https://hf.co/a/b/tree/refs/pr/1", "a/b@refs/pr/1"),
        (
            "https://hf.co/a/b/resolve/refs/pr/12/sub/m.gguf",
            "a/b@refs/pr/12:sub/m.gguf",
        ),
        ("https://hf.co/a/b/blob/v1/sub/m.gguf", "a/b@v1:sub/m.gguf"),
        (
            "https://hf.co/a/b/resolve/v1/m%20x.gguf?a=b",
            "a/b@v1:m x.gguf",
        ),
    ] {
        assert_eq!(hub(address).to_string(), wanted, "{address}");
    }
    let known = hub("https://huggingface.co/Qwen/Qwen3-0.6B");
    assert_eq!(known, hub("Qwen/Qwen3-0.6B"));
    let file = hub("https://hf.co/a/b/blob/main/Q8_0").file;
    assert_eq!(file, Some(FileSpec::Path("Q8_0".into())));
}

#[test]
fn the_address_of_anything_else_is_answered_with_what_to_give() {
    for address in [
        "https://huggingface.co",
        "https://huggingface.co/Qwen",
        "https://huggingface.co/datasets/a/b",
        "https://huggingface.co/a/b/discussions/1",
        "https://huggingface.co/a/b/tree/main/sub",
        "https://huggingface.co/a/b/blob/main",
        "https://github.com/a/b",
        "https://huggingface.co.example.org/a/b",
    ] {
        let message = ModelRef::parse(address).unwrap_err().to_string();
        assert!(message.contains("give ORG/NAME"), "{address}: {message}");
    }
    for address in [
        "https://hf.co/a/b/blob/main/%2e%2e/x.gguf",
        "https://hf.co/a/b/resolve/main/..%2f..%2fx.gguf",
        "https://hf.co/a/b/tree/%2e%2e",
        "https://hf.co/a/b/blob/main/%ff.gguf",
        "https://hf.co/a/b/blob/main/x%0a.gguf",
        "https://hf.co/a/b/blob/main/x%2",
        "hf.co/../b",
    ] {
        assert!(ModelRef::parse(address).is_err(), "{address}");
    }
}

#[test]
fn names_that_windows_takes_for_something_else_are_known() {
    for name in "C: C:x.gguf a.json:b nul CON.json com1.bin LPT¹ x. a?b".split(' ') {
        assert!(is_special_on_windows(name), "{name:?}");
    }
    assert!(is_special_on_windows("aux .txt") && is_special_on_windows("x "));
    for name in "config.json console.json common COM10.bin .cache nulls.txt".split(' ') {
        assert!(!is_special_on_windows(name), "{name:?}");
    }
    for file in ["C:/x.gguf", "sub/NUL", "C:x.gguf"] {
        assert_eq!(check_file(file).is_err(), cfg!(windows), "{file}");
    }
}

#[test]
fn a_folder_of_the_cache_is_a_repositorys() {
    let id = RepoId::parse("Org/Name.x").unwrap();
    assert_eq!(RepoId::from_folder(&id.folder()), Some(id));
    for other in "models--Org datasets--Org--Name Org/Name .locks models--a--b--c".split(' ') {
        assert_eq!(RepoId::from_folder(other), None, "{other}");
    }
}

#[test]
fn cards_stand_for_their_repositories() {
    assert_eq!(hub("chatglm2-6b").repo.to_string(), "THUDM/chatglm2-6b");
    assert_eq!(
        hub("qwen3-0.6b:Q8_0").repo.to_string(),
        "Qwen/Qwen3-0.6B-GGUF"
    );
    let file = hub("qwen3-0.6b:sub/Qwen3-0.6B-Q8_0.gguf");
    assert_eq!(file.repo.to_string(), "Qwen/Qwen3-0.6B-GGUF");
    // What is no GGUF lies in the model's own repository.
    let file = hub("qwen3-0.6b:model.safetensors");
    assert_eq!(file.repo.to_string(), "Qwen/Qwen3-0.6B");
    assert!(matches!(
        ModelRef::parse("glm-130b"),
        Err(HubError::NotPublished { .. })
    ));
}

#[test]
fn each_part_of_a_hub_id_may_have_96_characters() {
    let (longest, longer) = ("x".repeat(96), "x".repeat(97));
    assert!(RepoId::parse(&format!("{longest}/{longest}")).is_ok());
    for id in [format!("a/{longer}"), format!("{longer}/a")] {
        let message = RepoId::parse(&id).unwrap_err().to_string();
        assert!(message.contains("96"), "{message}");
    }
}

#[test]
fn dangerous_names_are_refused() {
    for name in [
        "",
        "../../etc/passwd",
        "a/../b",
        "a/b@../../x",
        "a/b:../x.gguf",
        "a/b:/etc/x.gguf",
        "a/b@x y",
        "a/b\u{1b}[31m",
        "a/b:x\u{7}.gguf",
        "a/b@",
        "a/b:",
        "/a/b/c",
        "a//b",
        "a/-b",
        "a/b:c\\d.gguf",
    ] {
        assert!(ModelRef::parse(name).is_err(), "{name:?}");
    }
}

#[test]
fn an_unknown_name_says_what_was_tried_and_offers_the_nearest() {
    let message = ModelRef::parse("qwen3-06b").unwrap_err().to_string();
    for part in ["qwen3-06b", "the path", "cards", "ORG/NAME", "qwen3-0.6b"] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
}

#[test]
fn what_exists_here_wins() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("qwen3-0.6b");
    std::fs::create_dir(&folder).unwrap();
    let text = folder.to_str().unwrap();
    assert!(matches!(ModelRef::parse(text), Err(HubError::Local { .. })));
    std::fs::write(folder.join("config.json"), "{}").unwrap();
    assert_eq!(
        ModelRef::parse(text).unwrap(),
        ModelRef::Folder(folder.clone())
    );
    let file = folder.join("model.safetensors");
    std::fs::write(&file, "").unwrap();
    assert_eq!(
        ModelRef::parse(file.to_str().unwrap()).unwrap(),
        ModelRef::Safetensors(file)
    );
}

#[test]
fn models_without_config_json_are_found() {
    let hash = "0a".repeat(32);
    for (file, other) in [
        ("params.json", "consolidated.00.pth"),
        ("palm_410m_8k_v0.pt", "README.md"),
        (&format!("config.json.{hash}.enc"), "README.md"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        for name in [file, other] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(
            ModelRef::parse(dir.path().to_str().unwrap()).unwrap(),
            ModelRef::Folder(dir.path().to_path_buf())
        );
    }
}

#[test]
fn a_split_gguf_is_opened_at_its_first_part_and_must_be_whole() {
    let dir = tempfile::tempdir().unwrap();
    let second = dir.path().join("m-Q8_0-00002-of-00002.gguf");
    std::fs::write(&second, "").unwrap();
    let message = ModelRef::parse(second.to_str().unwrap())
        .unwrap_err()
        .to_string();
    assert!(message.contains("m-Q8_0-00001-of-00002.gguf"), "{message}");
    let first = dir.path().join("m-Q8_0-00001-of-00002.gguf");
    std::fs::write(&first, "").unwrap();
    let found = ModelRef::parse(second.to_str().unwrap()).unwrap();
    assert_eq!(found, ModelRef::Gguf(first.clone()));
    assert_eq!(
        ModelRef::parse(dir.path().to_str().unwrap()).unwrap(),
        ModelRef::Gguf(first)
    );
}

#[test]
fn a_missing_file_offers_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("stories.gguf"), "").unwrap();
    let name = dir.path().join("storys.gguf");
    let message = ModelRef::parse(name.to_str().unwrap())
        .unwrap_err()
        .to_string();
    assert!(message.contains("stories.gguf"), "{message}");
}

proptest::proptest! {
    #[test]
    fn whatever_is_typed_names_a_place_inside_the_cache(text in "[a-zA-Z0-9./@:~\\\\-_ \\PC]{0,40}") {
        if let Ok(ModelRef::Hub(model)) = ModelRef::parse(&text) {
            let inside = |path: &str| std::path::Path::new(path)
                .components()
                .all(|c| matches!(c, std::path::Component::Normal(_)));
            proptest::prop_assert!(inside(&model.repo.folder()) && !model.repo.folder().contains('/'));
            proptest::prop_assert!(model.revision.iter().all(|r| inside(r)));
            if let Some(FileSpec::Path(file) | FileSpec::Quant(file)) = &model.file {
                proptest::prop_assert!(inside(file));
            }
        }
    }
}
