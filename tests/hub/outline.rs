//! What a model is and will take, before it is fetched.

use std::fs;
use std::path::Path;

use wick::hub::{HubError, ModelRef, Outline, Plan, Preflight, Quiet, hollow, plan};
use wick::load::Opened;
use wick::memory::Forecast;
use wick::nn::{CacheType, Storage};
use wick::quant::Encoding;
use wick::weights::Checkpoint;
use wick::weights::gguf::{Gguf, TensorHeader, Value, Writer};

use crate::bed::{Bed, ID, noise};

fn planned(bed: &Bed) -> Plan {
    let ModelRef::Hub(model) = ModelRef::parse(ID).unwrap() else {
        panic!()
    };
    plan(&model, &bed.options, &Quiet).unwrap()
}

/// A safetensors file of one large tensor.
fn safetensors(len: usize) -> Vec<u8> {
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{len}],"data_offsets":[0,{len}]}}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(noise(9, len));
    bytes
}

#[test]
fn an_outline_has_headers_and_lengths_and_nothing_else() {
    let bed = Bed::empty();
    let weights = safetensors(8 << 20);
    bed.hub.add(
        ID,
        &[
            ("config.json", b"{}"),
            ("model.safetensors", &weights),
            ("tokenizer.json", b"{}"),
        ],
    );
    let outline = hollow(&planned(&bed), &bed.options, &Quiet)
        .unwrap()
        .unwrap();
    let file = outline.files().path().join("model.safetensors");
    let found = fs::read(&file).unwrap();
    let data = weights.len() - (8 << 20);
    assert_eq!(found.len(), weights.len());
    assert_eq!(found[..data], weights[..data]);
    assert!(found[data..].iter().all(|b| *b == 0));
    let tensors = wick::weights::Safetensors::open_file(&file).unwrap();
    assert_eq!(tensors.tensors()["w"].shape, [8 << 20]);
    assert_eq!(
        fs::read(outline.folder().join("config.json")).unwrap(),
        b"{}"
    );
    assert!(!outline.folder().join("tokenizer.json").exists());
    assert!(!bed.options.cache.exists());
    let folder = outline.folder().to_path_buf();
    drop(outline);
    assert!(!folder.exists());
}

#[test]
fn a_gguf_outline_opens_as_gguf() {
    let bed = Bed::empty();
    let words: Vec<String> = (0..20_000).map(|i| format!("word{i}")).collect();
    let metadata = [
        (
            "general.architecture".to_string(),
            Value::String("llama".into()),
        ),
        (
            "tokenizer.ggml.tokens".to_string(),
            Value::Array(wick::weights::gguf::Array::Strings(words)),
        ),
    ];
    let tensor = TensorHeader {
        name: "w".into(),
        encoding: Encoding::F32,
        shape: vec![1000, 256],
    };
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = Writer::new(&mut file, &metadata, &[tensor]).unwrap();
    writer.tensor("w", &noise(1, 1_024_000)).unwrap();
    writer.finish().unwrap();
    bed.hub.add(ID, &[("m-F32.gguf", file.get_ref())]);
    let outline = hollow(&planned(&bed), &bed.options, &Quiet)
        .unwrap()
        .unwrap();
    let opened = Gguf::open(outline.files().path()).unwrap();
    assert_eq!(opened.tensors()["w"].shape, [1000, 256]);
    assert_eq!(
        opened
            .metadata()
            .strings("tokenizer.ggml.tokens")
            .unwrap()
            .unwrap()
            .len(),
        20_000
    );
}

#[test]
fn weights_that_are_none_are_named() {
    for (name, bytes) in [
        ("model.safetensors", vec![0xff; 100]),
        ("model.safetensors", vec![1, 2]),
        ("m.gguf", b"GGML....".to_vec()),
    ] {
        let bed = Bed::empty();
        bed.hub.add(ID, &[("config.json", b"{}"), (name, &bytes)]);
        let error = hollow(&planned(&bed), &bed.options, &Quiet).unwrap_err();
        assert!(
            matches!(&error, HubError::Format { file, .. } if file == name),
            "{error}"
        );
    }
    let bed = Bed::empty();
    bed.hub
        .add(ID, &[("config.json", b"{}"), ("pytorch_model.bin", b"PK")]);
    assert!(
        hollow(&planned(&bed), &bed.options, &Quiet)
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_configuration_that_is_none_by_its_size_is_not_fetched() {
    let bed = Bed::new();
    bed.hub.edit(ID, |repo| {
        repo.claims.insert("config.json".into(), 1 << 40);
    });
    let error = hollow(&planned(&bed), &bed.options, &Quiet).unwrap_err();
    assert!(
        matches!(&error, HubError::Format { file, .. } if file == "config.json"),
        "{error}"
    );
    assert!(bed.hub.content_requests().is_empty());
}

#[test]
fn shards_that_are_excluded_are_not_looked_at_and_nothing_is_refused_for_them() {
    let mut bed = Bed::empty();
    let shards = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ];
    let index = format!(
        r#"{{"weight_map":{{"w":"{}","v":"{}"}}}}"#,
        shards[0], shards[1]
    );
    let weights = safetensors(1000);
    bed.hub.add(
        ID,
        &[
            ("config.json", b"{}"),
            ("model.safetensors.index.json", index.as_bytes()),
            (shards[0], &weights),
            (shards[1], &weights),
        ],
    );
    bed.options.exclude = vec!["*-00002-*".into()];
    let found = Preflight::new(&planned(&bed), &bed.options, &Quiet).unwrap();
    assert!(matches!(found.outline, Outline::Unknown(why) if why.contains("--exclude")));
    let requests = bed.hub.requests();
    assert!(!requests.iter().any(|r| r.path.contains(shards[1])));
}

#[test]
fn weights_without_headers_are_known_by_their_size_and_their_bits() {
    let outline = |config: &str, weights: &str, exclude: &[&str]| {
        let mut bed = Bed::empty();
        bed.hub.add(
            ID,
            &[("config.json", config.as_bytes()), (weights, &[1; 1000])],
        );
        bed.options.exclude = exclude.iter().map(ToString::to_string).collect();
        let plan = planned(&bed);
        Preflight::new(&plan, &bed.options, &Quiet).unwrap().outline
    };
    for (config, wanted) in [
        (r#"{"quantization_bit":4}"#, 4),
        (r#"{"quantization_bit":8}"#, 8),
        (r#"{"quantization_config":{"bits":4}}"#, 4),
        (r#"{"quantization_bit":0}"#, 16),
        (r#"{"quantization_bit":"4"}"#, 16),
        ("{}", 16),
        ("not JSON", 16),
    ] {
        match outline(config, "pytorch_model.bin", &[]) {
            Outline::Size { stored, bits } => assert_eq!((stored, bits), (1000, wanted)),
            _ => panic!("{config}: no size"),
        }
    }
    let unknown = |outline: Outline, part: &str| match outline {
        Outline::Unknown(why) => assert!(why.contains(part), "{why}"),
        _ => panic!("{part}: something is known"),
    };
    let encrypted = format!("pytorch_model.bin.{}.enc", "ab".repeat(32));
    unknown(outline("{}", "pytorch_model.bin", &["*.bin"]), "--exclude");
    unknown(outline("{}", &encrypted, &[]), "encrypted");
}

/// The files of a model of the shared data, `None` where they are absent.
fn shared(folder: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).join(folder);
    let Ok(entries) = fs::read_dir(&folder) else {
        eprintln!("skipped: {} is not here", folder.display());
        return None;
    };
    let file = |e: std::io::Result<fs::DirEntry>| {
        let path = e.unwrap().path();
        (
            path.file_name().unwrap().to_str().unwrap().to_string(),
            fs::read(path).unwrap(),
        )
    };
    Some(entries.map(file).collect())
}

#[test]
fn a_model_is_understood_from_its_outline() {
    let Some(files) = shared("real/stories260K") else {
        return;
    };
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .filter(|(name, _)| ["config.json", "model.safetensors"].contains(&name.as_str()))
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let bed = Bed::empty();
    bed.hub.add(ID, &files);
    let outline = hollow(&planned(&bed), &bed.options, &Quiet)
        .unwrap()
        .unwrap();
    let opened = Opened::open(outline.files().path()).unwrap();
    assert_eq!(
        (
            opened.spec.family,
            opened.spec.n_layers,
            opened.spec.hidden_size
        ),
        ("llama", 5, 64)
    );
    // 2 x 5 layers x 4 heads x 8 numbers of f16; the file holds f32 and little else.
    let forecast = Forecast::new(&opened, Storage::AsStored, CacheType::F16);
    assert_eq!(forecast.cache_per_token, 2 * 5 * 4 * 8 * 2);
    let file = fs::metadata(outline.files().path().join("model.safetensors"))
        .unwrap()
        .len();
    assert!(
        forecast.weights <= file && forecast.weights > file * 9 / 10,
        "{forecast:?}"
    );
    let int8 = Storage::Quantized {
        layers: Encoding::Q8_0,
        ends: Encoding::Q8_0,
    };
    let int8 = Forecast::new(&opened, int8, CacheType::F16);
    // Rows of 172 do not fill blocks of 32 and stay as they are.
    assert!(int8.weights < forecast.weights / 2, "{int8:?}");
}

#[test]
fn every_oracle_is_forecast_from_its_outline_as_from_its_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles");
    let mut seen = 0;
    for entry in fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path();
        let whole = Opened::open(&folder).unwrap();
        let names = fs::read_dir(&folder)
            .unwrap()
            .map(|e| e.unwrap().file_name());
        let files: Vec<(String, Vec<u8>)> = names
            .map(|name| name.into_string().unwrap())
            .filter(|name| !name.starts_with("reference"))
            .map(|name| (name.clone(), fs::read(folder.join(name)).unwrap()))
            .collect();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (&**n, &**b)).collect();
        let bed = Bed::empty();
        bed.hub.add(ID, &files);
        let Some(outline) = hollow(&planned(&bed), &bed.options, &Quiet).unwrap() else {
            continue;
        };
        let opened = Opened::open(outline.files().path())
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for storage in [
            Storage::AsStored,
            Storage::Quantized {
                layers: Encoding::Q4_0,
                ends: Encoding::Q8_0,
            },
        ] {
            let of = |opened| Forecast::new(opened, storage, CacheType::F16);
            assert_eq!(of(&opened), of(&whole), "{}", folder.display());
        }
        seen += 1;
    }
    assert!(seen > 30, "only {seen} have headers");
}
