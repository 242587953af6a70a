//! Checkpoint readers against the libraries that write the formats, and against hostile files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wick::weights::{Checkpoint, PyTorch, Safetensors};

/// The read-only data beside the repository, where there is any.
fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).join(path);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

type Contents = BTreeMap<String, (wick::quant::Encoding, Vec<usize>, Vec<u8>)>;

fn contents(checkpoint: &dyn Checkpoint) -> Contents {
    let tensors = checkpoint.tensors().values();
    let content = tensors.map(|t| {
        let bytes = checkpoint.read(&t.name).unwrap().into_owned();
        (t.name.clone(), (t.encoding, t.shape.clone(), bytes))
    });
    content.collect()
}

#[test]
fn pytorch_files_hold_what_their_safetensors_hold() {
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
fn every_pytorch_oracle_opens() {
    for name in ["baichuan_7b", "baichuan_13b", "chatglm2"] {
        let Some(folder) = shared(&format!("oracles/{name}")) else {
            return;
        };
        let opened = PyTorch::open_index(&folder.join("pytorch_model.bin.index.json")).unwrap();
        assert!(contents(&opened).len() > 10, "{name}");
    }
    for name in ["chatglm1_int8", "chatglm2_int4", "glm10b"] {
        let Some(folder) = shared(&format!("oracles/{name}")) else {
            return;
        };
        let opened = PyTorch::open_file(&folder.join("pytorch_model.bin")).unwrap();
        assert!(contents(&opened).len() > 10, "{name}");
    }
}
