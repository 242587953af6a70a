//! Checkpoint readers against the libraries that write the formats, and against hostile files.
//! `data/` is made by `tests/generators`.

#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod packed;
mod pytorch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wick::quant::Encoding;
use wick::weights::Checkpoint;

fn data(name: &str) -> PathBuf {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/checkpoints/data"
    ))
    .join(name)
}

type Contents = BTreeMap<String, (Encoding, Vec<usize>, Vec<u8>)>;

fn contents(checkpoint: &dyn Checkpoint) -> Contents {
    let tensors = checkpoint.tensors().values();
    let content = tensors.map(|t| {
        let bytes = checkpoint.read(&t.name).unwrap().into_owned();
        (t.name.clone(), (t.encoding, t.shape.clone(), bytes))
    });
    content.collect()
}
