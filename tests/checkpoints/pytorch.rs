//! Files that `torch.save` made.

use std::path::Path;

use wick::weights::{Checkpoint, PyTorch, Safetensors};

use super::common::shared;
use super::{contents, data};

fn error(path: &Path) -> String {
    match PyTorch::open_file(path) {
        Ok(_) => panic!("{} opened", path.display()),
        Err(e) => e.to_string(),
    }
}

#[test]
fn views_types_and_both_containers_are_read_as_torch_reads_them() {
    let wanted = contents(&Safetensors::open_file(&data("pytorch.safetensors")).unwrap());
    assert_eq!(wanted.len(), 21);
    for name in ["zip.pt", "legacy.pt", "protocol4.pt", "wrapped.pt"] {
        let found = contents(&PyTorch::open_file(&data(name)).unwrap());
        assert_eq!(found, wanted, "{name}");
    }
}

#[test]
fn contiguous_tensors_are_lent_from_the_file() {
    let file = PyTorch::open_file(&data("zip.pt")).unwrap();
    let borrowed = |name| matches!(file.read(name).unwrap(), wick::weights::Data::Mapped(_));
    assert!(borrowed("f32.weight") && borrowed("rows.weight"));
    assert!(!borrowed("transposed.weight"));
}

#[test]
fn what_is_not_a_tensor_is_refused_by_name() {
    let mixed = error(&data("mixed.pt"));
    assert!(
        mixed.contains("\"epoch\" is a whole number, not a tensor"),
        "{mixed}"
    );
    let module = error(&data("module.pt"));
    assert!(
        module.contains("torch.nn.modules.linear.Linear"),
        "{module}"
    );
}

#[test]
fn pytorch_oracles_hold_what_their_safetensors_hold() {
    for name in ["lamda/pytorch_model.bin", "palm/palm.pt"] {
        let Some(path) = shared(&format!("oracles/{name}")) else {
            return;
        };
        let found = contents(&PyTorch::open_file(&path).unwrap());
        let wanted = Safetensors::open_file(&path.with_file_name("model.safetensors")).unwrap();
        assert_eq!(found, contents(&wanted), "{name}");
        assert!(found.len() > 10);
    }
}

#[test]
fn sharded_oracles_open_through_their_index() {
    for name in ["baichuan_7b", "baichuan_13b", "chatglm2"] {
        let Some(folder) = shared(&format!("oracles/{name}")) else {
            return;
        };
        let opened = PyTorch::open_index(&folder.join("pytorch_model.bin.index.json")).unwrap();
        assert!(contents(&opened).len() > 10, "{name}");
    }
}

#[test]
fn an_index_may_not_leave_its_folder_nor_lie() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(data("zip.pt"), folder.path().join("a.bin")).unwrap();
    let index = folder.path().join("pytorch_model.bin.index.json");
    for (map, wanted) in [
        (r#"{"f32.weight": "../a.bin"}"#, "not a plain file name"),
        (r#"{"f32.weight": "/etc/passwd"}"#, "not a plain file name"),
        (
            r#"{"other.weight": "a.bin"}"#,
            "other.weight is said to be in a.bin",
        ),
    ] {
        std::fs::write(&index, format!(r#"{{"weight_map": {map}}}"#)).unwrap();
        let error = PyTorch::open_index(&index).err().unwrap().to_string();
        assert!(error.contains(wanted), "{map}: {error}");
    }
    std::fs::write(&index, r#"{"weight_map": {"f32.weight": "a.bin"}}"#).unwrap();
    assert!(PyTorch::open_index(&index).is_ok());
}
