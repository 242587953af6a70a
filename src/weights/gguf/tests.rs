//! Files that are laid out in other ways than the writer's, and such as lie.

use std::io::Cursor;
use std::path::Path;

use serde_json::json;

use super::read::MAX_LOOSE;
use super::*;
use crate::Result;
use crate::quant::Encoding;
use crate::weights::Checkpoint;

/// A text as files have it.
fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A file that says how it is aligned, with the tensor `w`: four numbers at `offset` of the data.
fn aligned(alignment: u32, offset: u64) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    // The numbers of tensors and of metadata entries.
    out.extend([1u64, 1].map(u64::to_le_bytes).concat());
    out.extend(text(ALIGNMENT));
    out.extend([4, alignment].map(u32::to_le_bytes).concat());
    out.extend(text("w"));
    out.extend(1u32.to_le_bytes());
    out.extend(4u64.to_le_bytes());
    out.extend(0u32.to_le_bytes());
    out.extend(offset.to_le_bytes());
    let start = out.len().next_multiple_of(alignment as usize);
    out.resize(start + offset as usize, 0);
    out.extend(numbers());
    out
}

fn numbers() -> Vec<u8> {
    [1f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat()
}

fn open(content: &[u8]) -> Result<Gguf> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    Gguf::open(file.path())
}

#[test]
fn data_lie_at_multiples_of_the_alignment() {
    for alignment in [8, 32, 64] {
        let gguf = open(&aligned(alignment, u64::from(alignment))).unwrap();
        assert_eq!(*gguf.read("w").unwrap(), *numbers());
    }
    for (alignment, offset, named) in [
        (32, 16, "tensor w"),
        (8, 1, "tensor w"),
        (1, 1, ALIGNMENT),
        (4, 0, ALIGNMENT),
        (24, 0, ALIGNMENT),
    ] {
        let error = open(&aligned(alignment, offset)).err().unwrap().to_string();
        assert!(error.contains(named), "{alignment} {offset}: {error}");
    }
}

#[test]
fn a_copied_alignment_is_not_written() {
    let metadata = [
        (ALIGNMENT.to_string(), Value::U32(4096)),
        ("general.name".to_string(), Value::String("x".to_string())),
    ];
    let header = TensorHeader {
        name: "w".to_string(),
        encoding: Encoding::F32,
        shape: vec![4],
    };
    let mut file = Cursor::new(Vec::new());
    let mut writer = Writer::new(&mut file, &metadata, &[header]).unwrap();
    writer.tensor("w", &numbers()).unwrap();
    writer.finish().unwrap();
    let gguf = open(file.get_ref()).unwrap();
    assert_eq!(*gguf.read("w").unwrap(), *numbers());
    assert_eq!(gguf.metadata().get(ALIGNMENT), None);
    assert_eq!(gguf.metadata().str("general.name").unwrap(), Some("x"));
}

#[test]
fn arrays_that_take_far_more_memory_than_room_are_refused() {
    let flags = |n: usize| {
        let array = Array::Other(vec![Value::Bool(true); n]);
        let metadata = [("x.flags".to_string(), Value::Array(array))];
        let mut file = Cursor::new(Vec::new());
        let writer = Writer::new(&mut file, &metadata, &[]).unwrap();
        writer.finish().unwrap();
        open(file.get_ref())
    };
    let few = flags(60).unwrap().metadata();
    let wanted = Value::Array(Array::Other(vec![Value::Bool(true); 60]));
    assert_eq!(few.get("x.flags"), Some(&wanted));
    let error = flags(MAX_LOOSE + 1).err().unwrap().to_string();
    assert!(error.contains("elements"), "{error}");
}

#[test]
fn a_value_of_another_type_is_told() {
    let entries = [
        ("number", Value::I32(-1)),
        ("text", Value::String("x".to_string())),
        ("list", Value::Array(Array::U32(vec![1]))),
    ];
    let entries = entries.map(|(key, value)| (key.to_string(), value));
    let metadata = Metadata::new(Path::new("x.gguf"), entries);
    let errors = [
        metadata.str("number").err(),
        metadata.u32("number").err(),
        metadata.bool("text").err(),
        metadata.f32s("list").err(),
    ];
    assert_eq!(
        errors.map(|error| error.unwrap().to_string()),
        [
            "x.gguf: number: i32 -1 found, a string wanted",
            "x.gguf: number: i32 -1 found, a 32-bit number wanted",
            "x.gguf: text: a string found, a boolean wanted",
            "x.gguf: list: an array of u32 found, an array of f32 wanted",
        ]
    );
}

#[test]
fn long_arrays_declare_nothing_but_their_length() {
    let array = |n: usize| Value::Array(Array::I32(vec![7; n]));
    let entries = [
        ("llama.short".to_string(), array(2)),
        ("llama.long".to_string(), array(100_000)),
    ];
    let json = to_json(&Metadata::new(Path::new("x"), entries));
    assert_eq!(json.get("llama.short"), Some(&json!([7, 7])));
    assert_eq!(json.get("llama.long"), None);
    assert_eq!(json.get("llama.long.length"), Some(&json!(100_000)));
}
