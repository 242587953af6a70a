//! What `torch.save` writes for a dict of float32 tensors, from the formats' definitions
//! (`torch/serialization.py`, pickle protocol 2, zip with stored entries).

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};

/// Saves `{name: tensor}` in f32; with `wrapper`, as `{wrapper: {name: tensor}}`.
pub fn save(path: &Path, tensors: &BTreeMap<String, Tensor>, wrapper: Option<&str>) {
    let mut pickle = b"\x80\x02".to_vec();
    if let Some(wrapper) = wrapper {
        pickle.push(b'}');
        text(&mut pickle, wrapper);
    }
    pickle.extend(b"}(");
    let mut storages: Vec<(String, Vec<u8>)> = Vec::new();
    for (i, (name, tensor)) in tensors.iter().enumerate() {
        let flat = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
        let values: Vec<f32> = flat.to_vec1().unwrap();
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(b"ctorch\nFloatStorage\n");
        text(&mut pickle, &i.to_string());
        text(&mut pickle, "cpu");
        int(&mut pickle, values.len());
        pickle.extend(b"tQK\0");
        let dims = tensor.dims();
        tuple(&mut pickle, dims.iter().copied());
        let strides = (0..dims.len()).map(|d| dims[d + 1..].iter().product());
        tuple(&mut pickle, strides);
        pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        storages.push((format!("archive/data/{i}"), bytes));
    }
    pickle.push(b'u');
    if wrapper.is_some() {
        pickle.push(b's');
    }
    pickle.push(b'.');
    let mut entries: Vec<(&str, &[u8])> = vec![("archive/data.pkl", &pickle)];
    for (name, bytes) in &storages {
        entries.push((name, bytes));
    }
    std::fs::write(path, zip(&entries)).unwrap();
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn int(out: &mut Vec<u8>, n: usize) {
    out.push(b'J');
    out.extend((n as i32).to_le_bytes());
}

fn tuple(out: &mut Vec<u8>, numbers: impl Iterator<Item = usize>) {
    out.push(b'(');
    numbers.for_each(|n| int(out, n));
    out.push(b't');
}

/// A zip archive of stored entries.
pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let header = out.len() as u32;
        let sizes = [0, content.len() as u32, content.len() as u32].map(u32::to_le_bytes);
        let name_len = (name.len() as u16).to_le_bytes();
        let fixed = [&[0; 10][..], &sizes.concat(), &name_len, &[0; 2]].concat();
        out.extend([b"PK\x03\x04", &fixed[..], name.as_bytes(), content].concat());
        directory.extend([b"PK\x01\x02\0\0", &fixed[..], &[0; 10]].concat());
        directory.extend([&header.to_le_bytes(), name.as_bytes()].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let at = (out.len() as u32).to_le_bytes();
    let size = (directory.len() as u32).to_le_bytes();
    out.extend(directory);
    out.extend(
        [
            b"PK\x05\x06\0\0\0\0",
            &count[..],
            &count,
            &size,
            &at,
            &[0; 2],
        ]
        .concat(),
    );
    out
}
