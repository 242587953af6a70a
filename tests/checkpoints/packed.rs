//! Packed integers against the weights that they stand for, as the generator computed them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use wick::load::Opened;
use wick::model::Model;
use wick::nn::Storage;
use wick::quant::Encoding;
use wick::quantize::to_gguf;
use wick::weights::packed::{Bits, Fit, GptqOptions, Packed, Scheme, Zeros};
use wick::weights::{Checkpoint, Data, HostTensor, PyTorch, Safetensors, TensorInfo};

use super::common::{load, session};
use super::{Contents, contents, data};

const EXACT: [&str; 8] = [
    "baichuan-nf4",
    "baichuan-int8",
    "gptq4-sym",
    "gptq4-act-order",
    "gptq8-one-group",
    "gptq2-v2",
    "gptq3",
    "awq",
];
/// bitsandbytes divides by 127 and multiplies by absmax in an order of its own.
const ROUNDED: [&str; 3] = ["bnb-nf4-nested", "bnb-fp4", "bnb-int8"];

fn plain(name: &str) -> Safetensors {
    Safetensors::open_file(&data(name).join("plain.safetensors")).unwrap()
}

fn floats(checkpoint: &dyn Checkpoint, name: &str) -> Vec<f32> {
    let info = &checkpoint.tensors()[name];
    let data = checkpoint.read(name).unwrap();
    let tensor = HostTensor {
        encoding: info.encoding,
        shape: info.shape.clone(),
        data,
    };
    tensor.to_f32().unwrap()
}

#[test]
fn packed_integers_are_the_weights_that_they_stand_for() {
    for name in EXACT {
        let opened = Opened::open(&data(name)).unwrap();
        let found = opened.weights.checkpoint();
        let mut found = contents(found);
        found.retain(|name, _| !name.ends_with(".bias"));
        assert!(found == contents(&plain(name)), "{name}");
    }
    for name in ROUNDED {
        let opened = Opened::open(&data(name)).unwrap();
        let found = opened.weights.checkpoint();
        let plain = plain(name);
        assert!(found.tensors().keys().eq(plain.tensors().keys()), "{name}");
        for (tensor, info) in plain.tensors() {
            assert_eq!(
                found.tensors()[tensor].shape,
                info.shape,
                "{name}: {tensor}"
            );
            let (found, wanted) = (floats(found, tensor), floats(&plain, tensor));
            for (found, wanted) in found.iter().zip(&wanted) {
                let gap = (found - wanted).abs();
                assert!(
                    gap <= 2e-7 * wanted.abs(),
                    "{name}: {tensor}: {found} for {wanted}"
                );
            }
        }
    }
}

/// `name`'s plain weights as a folder of their own.
fn plain_folder(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(data(name).join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config
        .as_object_mut()
        .unwrap()
        .remove("quantization_config");
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let weights = folder.path().join("model.safetensors");
    std::fs::copy(data(name).join("plain.safetensors"), weights).unwrap();
    folder
}

fn logits(folder: &Path) -> Vec<Vec<f32>> {
    prompt_logits(&load(folder, Storage::AsStored))
}

#[test]
fn models_run_from_packed_files_as_from_plain_ones() {
    for name in EXACT {
        let plain = plain_folder(name);
        assert_eq!(logits(&data(name)), logits(plain.path()), "{name}");
    }
    for name in ROUNDED {
        let plain = plain_folder(name);
        let (found, wanted) = (logits(&data(name)), logits(plain.path()));
        for (found, wanted) in found.iter().flatten().zip(wanted.iter().flatten()) {
            assert!(
                (found - wanted).abs() < 1e-5,
                "{name}: {found} for {wanted}"
            );
        }
    }
}

/// Whether `read_blocks` gives blocks, which must then stand for the very same numbers.
fn fits(folder: &Path, tensor: &str, encoding: Encoding) -> bool {
    let opened = Opened::open(folder).unwrap();
    let checkpoint = opened.weights.checkpoint();
    let Some(blocks) = checkpoint.read_blocks(tensor, encoding).unwrap() else {
        return false;
    };
    let blocks = HostTensor {
        encoding,
        shape: checkpoint.tensors()[tensor].shape.clone(),
        data: Data::Owned(blocks),
    };
    assert_eq!(
        blocks.to_f32().unwrap(),
        floats(checkpoint, tensor),
        "{tensor} as {encoding}"
    );
    true
}

#[test]
fn integers_that_fit_blocks_fit_them_bit_for_bit() {
    use Encoding::{Q4_0, Q5_0, Q8_0};
    let tensor = "model.layers.0.mlp.down_proj.weight";
    for (name, wanted) in [
        ("gptq4-sym", [true, true, true]),
        ("awq", [false, true, true]),
        // Groups of 16, groups out of order, more than a byte, scales that f16 cannot express.
        ("gptq3", [false; 3]),
        ("gptq4-act-order", [false; 3]),
        ("bnb-int8", [false; 3]),
        ("bnb-nf4-nested", [false; 3]),
    ] {
        let found = [Q4_0, Q5_0, Q8_0].map(|e| fits(&data(name), tensor, e));
        assert_eq!(found, wanted, "{name}");
    }
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/chatglm2_int4");
    let tensor = "transformer.encoder.layers.1.mlp.dense_h_to_4h.weight";
    assert!(fits(&oracle, tensor, Q4_0));
    assert!(!fits(&oracle, "transformer.output_layer.weight", Q4_0));
}

fn opening(name: &str, change: impl FnOnce(&mut serde_json::Value)) -> Result<Opened, String> {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(data(name).join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    change(&mut config);
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let weights = folder.path().join("model.safetensors");
    std::fs::copy(data(name).join("model.safetensors"), weights).unwrap();
    Opened::open(folder.path()).map_err(|e| e.to_string())
}

#[test]
fn methods_and_options_that_are_not_read_are_refused_by_name() {
    for (name, key, value, wanted) in [
        ("awq", "quant_method", "\"aqlm\"", "aqlm is not read"),
        ("awq", "version", "\"gemv\"", "quantization_config.version"),
        ("awq", "bits", "3", "quantization_config.bits"),
        (
            "awq",
            "zero_point",
            "false",
            "quantization_config.zero_point",
        ),
        ("gptq4-sym", "bits", "5", "quantization_config.bits"),
        ("gptq4-sym", "bits", "8", "2 groups found, 1 wanted"),
        ("gptq4-sym", "group_size", "64", "scales"),
        (
            "gptq4-sym",
            "group_size",
            "0",
            "quantization_config.group_size",
        ),
        (
            "gptq4-sym",
            "checkpoint_format",
            "\"marlin\"",
            "marlin found",
        ),
        (
            "gptq4-sym",
            "dynamic",
            "{\"+:x\":{\"bits\":8}}",
            "quantization_config.dynamic",
        ),
        ("gptq4-sym", "novel", "7", "quantization_config.novel"),
    ] {
        let error = opening(name, |config| {
            config["quantization_config"][key] = serde_json::from_str(value).unwrap();
        });
        let error = error
            .err()
            .unwrap_or_else(|| panic!("{key} {value} opened"));
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn older_repositories_declare_gptq_in_a_file_of_its_own() {
    let folder = plain_folder("gptq4-sym");
    let from = data("gptq4-sym").join("model.safetensors");
    std::fs::copy(from, folder.path().join("model.safetensors")).unwrap();
    let declared = r#"{"bits": 4, "group_size": 32, "damp_percent": 0.01, "desc_act": false,
        "sym": true, "true_sequential": true, "model_name_or_path": null}"#;
    std::fs::write(folder.path().join("quantize_config.json"), declared).unwrap();
    assert_eq!(logits(folder.path()), logits(&data("gptq4-sym")));
}

#[test]
fn older_repositories_do_not_declare_gptq_at_all() {
    for name in ["gptq4-act-order", "gptq4-sym", "gptq3"] {
        let folder = plain_folder(name);
        let from = data(name).join("model.safetensors");
        std::fs::copy(from, folder.path().join("llama7b-4bit.safetensors")).unwrap();
        std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
        assert_eq!(logits(folder.path()), logits(&data(name)), "{name}");
    }
}

#[test]
fn inspection_tells_which_blocks_hold_the_integers() {
    let fit = |name: &str| Fit::of(&Opened::open(&data(name)).unwrap().weights).unwrap();
    let sym = fit("gptq4-sym").unwrap();
    assert_eq!(sym.packing, "GPTQ, 4 bits, groups of 32");
    assert_eq!((sym.matrices, sym.looked_at), (7, 7));
    assert_eq!(sym.blocks(), Some(Encoding::Q4_0));
    assert_eq!(fit("awq").unwrap().blocks(), Some(Encoding::Q5_0));
    assert_eq!(
        fit("gptq8-one-group").unwrap().blocks(),
        Some(Encoding::Q8_0)
    );
    // Scales in f32 and values that are no multiples of a scale fit nothing.
    for name in ["baichuan-int8", "baichuan-nf4", "gptq4-act-order"] {
        assert_eq!(fit(name).unwrap().blocks(), None, "{name}");
    }
    let plain = plain_folder("awq");
    let plain = Opened::open(plain.path()).unwrap();
    assert_eq!(Fit::of(&plain.weights).unwrap(), None);
}

#[test]
fn a_second_rounding_is_counted() {
    let load = |name: &str, layers| {
        let opened = Opened::open(&data(name)).unwrap();
        let ends = Encoding::Q8_0;
        let storage = Storage::Quantized { layers, ends };
        opened.model(&Device::Cpu, storage, &mut |_, _| {}).unwrap();
        opened.weights.rounded()
    };
    assert_eq!(load("gptq4-sym", Encoding::Q4_0), 0);
    assert_eq!(load("awq", Encoding::Q4_0), 7);
    assert_eq!(load("awq", Encoding::Q8_0), 0);
}

#[test]
fn only_biases_that_are_all_zero_may_be_left_over() {
    // AutoGPTQ gives every layer a bias; this model has none.
    let folder = plain_folder("gptq4-sym");
    let plain = contents(&plain("gptq4-sym"));
    for (value, fits) in [(0u8, true), (0x3c, false)] {
        let mut tensors = plain.clone();
        let bias = (Encoding::F16, vec![64], vec![value; 128]);
        tensors.insert("model.layers.0.mlp.up_proj.bias".to_string(), bias);
        save(&folder.path().join("model.safetensors"), &tensors);
        let opened = Opened::open(folder.path()).unwrap();
        let loaded = opened.model(&Device::Cpu, Storage::AsStored, &mut |_, _| {});
        assert_eq!(loaded.is_ok(), fits, "{value}");
    }
}

fn save(path: &Path, tensors: &Contents) {
    use safetensors::{Dtype, tensor::TensorView};
    let views = tensors.iter().map(|(name, (encoding, shape, bytes))| {
        let dtype = match encoding {
            Encoding::F32 => Dtype::F32,
            _ => Dtype::F16,
        };
        (name, TensorView::new(dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// A checkpoint that a test can bend.
#[derive(Clone)]
struct Memory(
    BTreeMap<String, (TensorInfo, Vec<u8>)>,
    BTreeMap<String, TensorInfo>,
);

impl Memory {
    fn of(checkpoint: &dyn Checkpoint) -> Self {
        let tensors = checkpoint.tensors().values();
        let tensors = tensors.map(|t| {
            let bytes = checkpoint.read(&t.name).unwrap().into_owned();
            (t.name.clone(), (t.clone(), bytes))
        });
        Self(tensors.collect(), checkpoint.tensors().clone())
    }

    fn set(&mut self, name: &str, encoding: Encoding, shape: &[usize], bytes: Vec<u8>) {
        let info = TensorInfo::new(name, encoding, shape.to_vec()).unwrap();
        assert_eq!(info.bytes, bytes.len());
        self.0.insert(name.to_string(), (info.clone(), bytes));
        self.1.insert(name.to_string(), info);
    }

    fn remove(&mut self, name: &str) {
        self.0.remove(name);
        self.1.remove(name);
    }

    /// The error of opening it or of reading all of it.
    fn refusal(self, scheme: &Scheme) -> String {
        let read = Packed::new(Box::new(self), scheme).and_then(|packed| {
            let names: Vec<String> = packed.tensors().keys().cloned().collect();
            names
                .iter()
                .try_for_each(|name| packed.read(name).map(drop))
        });
        read.expect_err("read").to_string()
    }
}

impl Checkpoint for Memory {
    fn path(&self) -> &Path {
        Path::new("memory")
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.1
    }

    fn read(&self, name: &str) -> wick::Result<Data<'_>> {
        Ok(Data::Borrowed(&self.0[name].1))
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

#[test]
fn parts_that_are_missing_or_do_not_fit_are_refused_by_name() {
    use Encoding::{F16, F32, I8, I32, U8};
    let gptq = |bits| {
        Scheme::Gptq(GptqOptions {
            bits,
            group_size: Some(16),
            zeros: Zeros::LessOne,
        })
    };
    let stored = |name: &str| {
        let path = data(name).join("model.safetensors");
        Memory::of(&Safetensors::open_file(&path).unwrap())
    };
    let stem = "model.layers.0.mlp.up_proj"; // 64 × 32
    let check = |mut memory: Memory, scheme: &Scheme, change: &dyn Fn(&mut Memory), part: &str| {
        change(&mut memory);
        let error = memory.refusal(scheme);
        assert!(error.contains(&format!("{stem}{part}")), "{part}: {error}");
    };
    let name = |part: &str| format!("{stem}{part}");
    let four = gptq(4);
    for part in [".qzeros", ".scales"] {
        check(
            stored("gptq4-act-order"),
            &four,
            &|m| m.remove(&name(part)),
            part,
        );
        let awq = Scheme::Awq {
            group_size: Some(32),
        };
        check(stored("awq"), &awq, &|m| m.remove(&name(part)), part);
    }
    type Change<'a> = (&'a str, Encoding, &'a [usize], Vec<u8>);
    let changes: [Change; 6] = [
        (".g_idx", I32, &[32], [9, 0, 0, 0].repeat(32)),
        (".g_idx", I32, &[32], vec![0xff; 128]),
        (".g_idx", I32, &[8], vec![0; 32]),
        (".qweight", I32, &[1 << 50, 0], Vec::new()),
        (".qweight", I32, &[256], vec![0; 1024]),
        (".scales", F16, &[2, 63], vec![0; 252]),
    ];
    for (part, encoding, shape, bytes) in changes {
        let change = |m: &mut Memory| m.set(&name(part), encoding, shape, bytes.clone());
        let told = if shape == [1 << 50, 0] { "" } else { part };
        check(stored("gptq4-act-order"), &four, &change, told);
    }
    let state = ".weight.quant_state.bitsandbytes__nf4";
    for json in [
        r#"{"blocksize": 0, "shape": [64, 32], "nested_blocksize": 256}"#,
        r#"{"blocksize": 64, "shape": [64, 32], "nested_blocksize": 0}"#,
        r#"{"blocksize": 64, "shape": [64, 31], "nested_blocksize": 256}"#,
        r#"{"blocksize": 64, "shape": [2048]}"#,
        r#"{"blocksize": 64, "shape": [9223372036854775807, 64]}"#,
        r#"{"blocksize": -1}"#,
        "[[[[",
    ] {
        let change = |m: &mut Memory| {
            m.set(&name(state), U8, &[json.len()], json.as_bytes().to_vec());
        };
        check(stored("bnb-nf4-nested"), &Scheme::Bnb, &change, state);
    }
    let short = |m: &mut Memory| m.set(&name(".weight.absmax"), U8, &[31], vec![0; 31]);
    check(
        stored("bnb-nf4-nested"),
        &Scheme::Bnb,
        &short,
        ".weight.absmax",
    );
    let tiled = |m: &mut Memory| m.set(&name(".weight_format"), U8, &[], vec![2]);
    check(stored("bnb-int8"), &Scheme::Bnb, &tiled, ".weight_format");
    let short = |m: &mut Memory| m.set(&name(".SCB"), F32, &[63], vec![0; 252]);
    check(stored("bnb-int8"), &Scheme::Bnb, &short, ".SCB");
    let short = |m: &mut Memory| m.set(&name(".weight_scale"), F16, &[63], vec![0; 126]);
    let glm = Scheme::Glm { bits: Bits::Four };
    check(stored("bnb-int8"), &glm, &short, ".weight_scale");
    let wide = |m: &mut Memory| {
        m.set(&name(".weight"), I8, &[64, 2, 16], vec![0; 2048]);
        m.set(&name(".weight_scale"), F16, &[64], vec![0; 128]);
    };
    check(stored("bnb-int8"), &glm, &wide, ".weight");
}

#[test]
fn baichuans_parts_are_refused_by_name() {
    use Encoding::{F32, I8, I64, U8};
    let stored = |name: &str| {
        let path = data(name).join("pytorch_model.bin");
        Memory::of(&PyTorch::open_file(&path).unwrap())
    };
    let stem = "model.layers.0.mlp.up_proj"; // 64 × 32
    type Change<'a> = (&'a str, Encoding, &'a [usize], Vec<u8>);
    let number = |n: i64| n.to_le_bytes().to_vec();
    let changes: [Change; 6] = [
        (".weight.quant_state.3", I64, &[], number(0)),
        (".weight.quant_state.3", I64, &[], number(-64)),
        (".weight.quant_state.1", I64, &[1], number(2048)),
        (".weight.quant_state.0", U8, &[31], vec![0; 31]),
        (".weight.quant_state.4.1.1", F32, &[255], vec![0; 1020]),
        (".weight.data", U8, &[1023], vec![0; 1023]),
    ];
    let told = |error: &str, part: &str| {
        assert!(error.contains(stem), "{part}: {error}");
    };
    for (part, encoding, shape, bytes) in changes {
        let mut memory = stored("baichuan-nf4");
        memory.set(&format!("{stem}{part}"), encoding, shape, bytes);
        told(&memory.refusal(&Scheme::Bnb), part);
    }
    for part in [
        ".weight.data",
        ".weight.quant_state.6",
        ".weight.quant_state.4.1.2",
    ] {
        let mut memory = stored("baichuan-nf4");
        memory.remove(&format!("{stem}{part}"));
        told(&memory.refusal(&Scheme::Bnb), part);
    }
    let mut memory = stored("baichuan-int8");
    memory.set(&format!("{stem}.scale"), F32, &[63], vec![0; 252]);
    told(&memory.refusal(&Scheme::Channels), ".scale");
    // Square matrices alone do not tell how they lie.
    let mut memory = stored("baichuan-int8");
    let names: Vec<String> = memory.1.keys().cloned().collect();
    for name in names.iter().filter(|n| n.ends_with(".scale")) {
        memory.remove(name);
    }
    memory.set("a.weight", I8, &[4, 4], vec![0; 16]);
    memory.set("a.scale", F32, &[4], vec![0; 16]);
    let error = memory.refusal(&Scheme::Channels);
    assert!(
        error.contains("a.weight") && error.contains("square"),
        "{error}"
    );
}

#[test]
fn int4_of_packed_integers_loses_nothing_where_they_fit() {
    let name = "gptq4-sym";
    let folder = tempfile::tempdir().unwrap();
    let gguf = folder.path().join("model.gguf");
    let int4 = Storage::Quantized {
        layers: Encoding::Q4_0,
        ends: Encoding::F32,
    };
    let opened = Opened::open(&data(name)).unwrap();
    to_gguf(&opened, int4, &gguf, &mut |written, _| {
        assert_eq!(written.error, 0.0, "{}", written.name);
    })
    .unwrap();
    let reopened = Opened::open(&gguf).unwrap();
    let mut blocks = 0;
    for (tensor, info) in reopened.weights.tensors() {
        let found = reopened.weights.read(tensor, &info.shape).unwrap();
        let wanted = opened.weights.read(tensor, &info.shape).unwrap();
        assert_eq!(
            found.to_f32().unwrap(),
            wanted.to_f32().unwrap(),
            "{tensor}"
        );
        blocks += usize::from(info.encoding == Encoding::Q4_0);
    }
    assert_eq!(blocks, 7);
    // Quantizing while loading gives the same blocks.
    let loaded = |path: &Path, storage| prompt_logits(&load(path, storage));
    let found = loaded(&data(name), int4);
    assert_eq!(found, loaded(&gguf, Storage::AsStored));
}

fn prompt_logits(model: &Arc<dyn Model>) -> Vec<Vec<f32>> {
    let mut session = session(model, usize::MAX);
    session.prompt(&[1, 7, 39, 0, 22]).unwrap();
    session.logits().unwrap().unwrap().to_vec2().unwrap()
}
