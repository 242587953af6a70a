//! Models written as GGUF and read back, and what INT8 and INT4 cost.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use common::{
    Reference, greedy, load, max_gap, name, oracles, prompt_logits, rows, session, shared,
};
use wick::arch::{FfnKind, HeadWeight};
use wick::load::Opened;
use wick::nn::Storage;
use wick::quant::Encoding;
use wick::quantize::{Written, to_gguf};
use wick::text::{Specials, Tokenizer};
use wick::weights::Checkpoint;
use wick::weights::gguf::{Gguf, TensorHeader, Value, Writer};

const INT8: Storage = Storage::Quantized {
    layers: Encoding::Q8_0,
    ends: Encoding::Q8_0,
};
const INT4: Storage = Storage::Quantized {
    layers: Encoding::Q4_0,
    ends: Encoding::Q8_0,
};
const IQ4_NL: Storage = Storage::Quantized {
    layers: Encoding::IQ4_NL,
    ends: Encoding::IQ4_NL,
};

fn quantize(model: &Path, storage: Storage, out: &Path) -> Vec<Written> {
    let mut written = Vec::new();
    let opened = Opened::open(model).unwrap();
    to_gguf(&opened, storage, out, &mut |w, _| written.push(w.clone())).unwrap();
    written
}

#[test]
fn an_f32_gguf_is_the_folder_it_was_made_from() {
    let dir = tempfile::tempdir().unwrap();
    for folder in oracles() {
        let name = name(&folder);
        let reference = Reference::load(&folder);
        let gguf = dir.path().join(format!("{name}.gguf"));
        quantize(&folder, Storage::Float(Encoding::F32), &gguf);
        let model = load(&gguf, Storage::AsStored);
        let mut session = session(&model, usize::MAX);
        session.prompt(&reference.ids("input_ids")).unwrap();
        let generated = greedy(&mut session, 16);
        let found = prompt_logits(&model, &reference, usize::MAX);
        let stored = prompt_logits(&load(&folder, Storage::AsStored), &reference, usize::MAX);
        let gap = max_gap(&found, &stored);
        assert!(gap <= 1e-5, "{name}: logits are off by {gap}");
        assert_eq!(generated, reference.ids("gen"), "{name}");
    }
}

#[test]
fn an_f16_gguf_is_as_close_as_f16_is() {
    let dir = tempfile::tempdir().unwrap();
    for folder in oracles() {
        let name = name(&folder);
        let reference = Reference::load(&folder);
        let gguf = dir.path().join(format!("{name}.gguf"));
        quantize(&folder, Storage::Float(Encoding::F16), &gguf);
        let model = load(&gguf, Storage::AsStored);
        let found = prompt_logits(&model, &reference, usize::MAX);
        let gap = max_gap(&found, &reference.rows("logits").unwrap());
        if reference.has("logits_f64") {
            // Its scores are so large that even f32 strays.
            continue;
        }
        println!("{name}: f16 logits off by {gap:.1e}");
        // f16 rounds each weight by at most 2^-11 of itself; the oracles' logits reach 10.
        assert!(gap <= 5e-2, "{name}: logits are off by {gap}");
    }
}

#[test]
fn quantizing_while_loading_and_a_quantized_gguf_are_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    for folder in oracles() {
        let name = name(&folder);
        let reference = Reference::load(&folder);
        for (kind, storage) in [("int8", INT8), ("int4", INT4), ("iq4_nl", IQ4_NL)] {
            let gguf = dir.path().join(format!("{name}-{kind}.gguf"));
            quantize(&folder, storage, &gguf);
            let loaded = prompt_logits(&load(&folder, storage), &reference, usize::MAX);
            let written = prompt_logits(&load(&gguf, Storage::AsStored), &reference, usize::MAX);
            let gap = max_gap(&loaded, &written);
            assert!(gap <= 1e-5, "{name} {kind}: {gap}");
        }
    }
}

type Entries = Vec<(String, Value)>;
type Tensors = Vec<(TensorHeader, Vec<u8>)>;

/// The metadata and the tensors of a GGUF.
fn contents(path: &Path) -> (Entries, Tensors) {
    let file = Gguf::open(path).unwrap();
    let metadata = file.metadata();
    let entries = metadata.iter().map(|(k, v)| (k.to_string(), v.clone()));
    let tensors = file.tensors().values().map(|t| {
        let header = TensorHeader {
            name: t.name.clone(),
            encoding: t.encoding,
            shape: t.shape.clone(),
        };
        (header, file.read(&t.name).unwrap().into_owned())
    });
    (entries.collect(), tensors.collect())
}

fn write(path: &Path, metadata: &[(String, Value)], tensors: &[(TensorHeader, Vec<u8>)]) {
    let headers: Vec<TensorHeader> = tensors.iter().map(|(header, _)| header.clone()).collect();
    let out = std::fs::File::create(path).unwrap();
    let mut writer = Writer::new(out, metadata, &headers).unwrap();
    for (header, data) in tensors {
        writer.tensor(&header.name, data).unwrap();
    }
    writer.finish().unwrap();
}

/// The GGUF `from` without what wick alone writes, as another program's converter leaves it.
fn without_own_keys(from: &Path, to: &Path) {
    let (mut metadata, tensors) = contents(from);
    metadata.retain(|(key, _)| !key.starts_with("wick."));
    write(to, &metadata, &tensors);
}

/// What GGUF's own keys cannot say: Qwen's stretching and dynamic NTK, Bloom's residual, a T5 whose
/// head is tied and yet not scaled, and Falcon's older form.
const UNSAID: [&str; 5] = [
    "qwen_long8",
    "bloom-6heads",
    "llama-dynamic-rope",
    "flan-t5",
    "falcon-rw",
];

#[test]
fn llama_cpps_keys_alone_say_what_the_model_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for folder in oracles() {
        let name = name(&folder);
        let known = Opened::open(&folder).unwrap().family.gguf.is_some();
        if !known || UNSAID.contains(&name.as_str()) {
            continue;
        }
        let reference = Reference::load(&folder);
        let [own, bare] = ["own", "bare"].map(|n| dir.path().join(format!("{n}.gguf")));
        quantize(&folder, Storage::Float(Encoding::F32), &own);
        without_own_keys(&own, &bare);
        let found = prompt_logits(&load(&bare, Storage::AsStored), &reference, usize::MAX);
        let stored = prompt_logits(&load(&folder, Storage::AsStored), &reference, usize::MAX);
        let gap = max_gap(&found, &stored);
        assert!(gap <= 1e-4, "{name}: logits are off by {gap}");
        seen += 1;
    }
    assert!(seen >= 18, "{seen} families");
}

/// A copy of an oracle with LongRoPE, whose long divisors begin within its prompt.
fn with_longrope(folder: &Path, copy: &Path) {
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    let factors = |base: f64| {
        (0..8)
            .map(|i| base + 0.25 * f64::from(i))
            .collect::<Vec<_>>()
    };
    config["original_max_position_embeddings"] = 8.into();
    config["rope_parameters"] = serde_json::json!({
        "rope_type": "longrope", "rope_theta": 10000.0,
        "short_factor": factors(1.0), "long_factor": factors(3.0)
    });
    std::fs::write(copy.join("config.json"), config.to_string()).unwrap();
    let weights = "model.safetensors";
    std::fs::copy(folder.join(weights), copy.join(weights)).unwrap();
}

#[test]
fn longrope_is_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let phi3 = oracles().into_iter().find(|f| name(f) == "phi3").unwrap();
    with_longrope(&phi3, dir.path());
    let reference = Reference::load(&phi3);
    let logits =
        |path: &Path| prompt_logits(&load(path, Storage::AsStored), &reference, usize::MAX);
    let [own, bare] = ["own", "bare"].map(|n| dir.path().join(format!("{n}.gguf")));
    quantize(dir.path(), Storage::Float(Encoding::F32), &own);
    without_own_keys(&own, &bare);
    let wanted = logits(dir.path());
    assert!(
        max_gap(&wanted, &logits(&phi3)) > 1e-2,
        "the divisors count"
    );
    for file in [&own, &bare] {
        let gap = max_gap(&logits(file), &wanted);
        assert!(gap <= 1e-5, "{}: {gap}", file.display());
    }
    // A GGUF made of a GGUF keeps them.
    let again = dir.path().join("again.gguf");
    quantize(&bare, Storage::Float(Encoding::F32), &again);
    assert!(max_gap(&logits(&again), &wanted) <= 1e-5);
}

/// A vocabulary of words for an oracle, which llama.cpp's keys cannot hold.
fn words(folder: &Path, size: usize) {
    let vocab: serde_json::Map<String, serde_json::Value> =
        (0..size).map(|id| (format!("w{id}"), id.into())).collect();
    let json = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null, "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"}
    });
    std::fs::write(folder.join("tokenizer.json"), json.to_string()).unwrap();
}

#[test]
fn every_family_answers_text_from_its_quantized_gguf() {
    for folder in oracles() {
        let (name, dir) = (name(&folder), tempfile::tempdir().unwrap());
        for file in std::fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            if path
                .file_name()
                .is_some_and(|n| n != "reference.safetensors")
            {
                std::fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        words(
            dir.path(),
            Opened::open(dir.path()).unwrap().spec.vocab_size,
        );
        let prompt = Reference::load(&folder).ids("input_ids");
        let text: Vec<String> = prompt.iter().map(|id| format!("w{id}")).collect();
        let answer = |path: &Path, tokenizer: &Tokenizer, storage: Storage| {
            let ids = tokenizer.encode(&text.join(" "), Specials::Plain).unwrap();
            assert_eq!(ids, prompt, "{name}");
            let mut session = session(&load(path, storage), usize::MAX);
            session.prompt(&ids).unwrap();
            tokenizer.decode(&greedy(&mut session, 8), false)
        };
        let own = Tokenizer::from_folder(dir.path()).unwrap().unwrap();
        for storage in [INT8, INT4] {
            let gguf = dir.path().join("model.gguf");
            quantize(dir.path(), storage, &gguf);
            let metadata = Gguf::open(&gguf).unwrap().metadata();
            let carried = Tokenizer::from_gguf(&metadata).unwrap().unwrap();
            assert_eq!(
                answer(&gguf, &carried, Storage::AsStored),
                answer(dir.path(), &own, storage),
                "{name}"
            );
        }
    }
}

/// The mean over positions of KL(reference ‖ found), in nats.
fn mean_kl(reference: &[Vec<f32>], found: &[Vec<f32>]) -> f64 {
    let log_softmax = |row: &[f32]| -> Vec<f64> {
        let max = row.iter().fold(f64::MIN, |m, &x| m.max(x.into()));
        let total: f64 = row.iter().map(|&x| (f64::from(x) - max).exp()).sum();
        let shift = max + total.ln();
        row.iter().map(|&x| f64::from(x) - shift).collect()
    };
    let kl = |(p, q): (&Vec<f32>, &Vec<f32>)| -> f64 {
        let (p, q) = (log_softmax(p), log_softmax(q));
        p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum()
    };
    let sum: f64 = reference.iter().zip(found).map(kl).sum();
    sum / reference.len() as f64
}

fn has_experts(folder: &Path) -> bool {
    let kind = Opened::open(folder).unwrap().spec.ffn.kind;
    matches!(kind, FfnKind::Experts(_))
}

#[test]
fn int8_and_int4_stay_near_f32() {
    // Random weights have no structure for blocks to profit from, so the oracles bound the
    // machinery; the trained model bounds what a user sees.
    for folder in oracles() {
        let name = name(&folder);
        let reference = Reference::load(&folder);
        if reference.has("logits_f64") {
            // Its scores are so large that even f32 strays.
            continue;
        }
        let logits = |storage| prompt_logits(&load(&folder, storage), &reference, usize::MAX);
        let wanted = logits(Storage::AsStored);
        let int8 = mean_kl(&wanted, &logits(INT8));
        let int4 = mean_kl(&wanted, &logits(INT4));
        println!("{name}: mean KL int8 {int8:.2e}, int4 {int4:.2e} nats");
        // Rounding can send a token to another expert, and random experts have nothing in common.
        let routed = has_experts(&folder);
        let bounds = if routed { [5e-2, 1.0] } else { [1e-2, 0.7] };
        assert!((0.0..bounds[0]).contains(&int8), "{name}: int8 {int8}");
        assert!((0.0..bounds[1]).contains(&int4), "{name}: int4 {int4}");
    }
}

#[test]
fn int8_and_int4_stay_near_f32_on_a_trained_model() {
    let Some(folder) = shared("real/stories260K") else {
        return;
    };
    let reference = Reference::load(&folder);
    let logits = |storage| {
        let model = load(&folder, storage);
        let mut session = session(&model, usize::MAX);
        session.prompt(&reference.ids("gen")).unwrap();
        rows(&session)
    };
    let wanted = logits(Storage::AsStored);
    let int8 = mean_kl(&wanted, &logits(INT8));
    let int4 = mean_kl(&wanted, &logits(INT4));
    println!("stories260K: mean KL int8 {int8:.2e}, int4 {int4:.2e} nats");
    assert!((0.0..1e-3).contains(&int8), "int8 {int8}");
    assert!((0.0..1e-1).contains(&int4), "int4 {int4}");
}

#[test]
fn nothing_is_left_behind_when_writing_fails() {
    let dir = tempfile::tempdir().unwrap();
    let folder = &oracles()[0];
    let opened = Opened::open(folder).unwrap();
    let out = dir.path().join("no/such/folder/out.gguf");
    assert!(to_gguf(&opened, INT8, &out, &mut |_, _| {}).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    // Not even when it ends in a panic.
    let out = dir.path().join("out.gguf");
    let ended = catch_unwind(AssertUnwindSafe(|| {
        to_gguf(&opened, INT8, &out, &mut |written, _| {
            assert!(written.name.is_empty(), "a tensor was written");
        })
    }));
    assert!(ended.is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

fn llama() -> PathBuf {
    oracles().into_iter().find(|f| name(f) == "llama").unwrap()
}

/// A copy of the oracle `llama` without the tensors that have `part` in their names, and with
/// another value of a key of its configuration.
fn damaged(part: &str, key: &str, value: usize) -> tempfile::TempDir {
    let (folder, dir) = (llama(), tempfile::tempdir().unwrap());
    let weights = folder.join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(weights, &Device::Cpu).unwrap();
    tensors.retain(|name, _| !name.contains(part));
    candle_core::safetensors::save(&tensors, dir.path().join("model.safetensors")).unwrap();
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config[key] = value.into();
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    dir
}

/// Why a model cannot be loaded.
fn refusal(path: &Path) -> String {
    let opened = Opened::open(path).unwrap();
    let loaded = opened.model(&Device::Cpu, Storage::AsStored, &mut |_, _| {});
    loaded.err().unwrap().to_string()
}

#[test]
fn what_cannot_be_loaded_is_not_written() {
    let nothing = "-";
    for (part, key, value, named) in [
        ("lm_head", "num_hidden_layers", 3, "output.weight"),
        ("layers.1.", "num_hidden_layers", 3, "blk.1."),
        ("2.mlp.up", "num_hidden_layers", 3, "blk.2.ffn_up.weight"),
        (nothing, "num_hidden_layers", 1, "layers.1."),
        (nothing, "vocab_size", 77, "embed_tokens"),
        (nothing, "intermediate_size", 80, "ffn_gate"),
    ] {
        let model = damaged(part, key, value);
        let opened = Opened::open(model.path()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out.gguf");
        let written = to_gguf(&opened, INT8, &out, &mut |_, _| {});
        let message = written.err().unwrap().to_string();
        assert!(message.contains(named), "{message}");
        assert_eq!(message, refusal(model.path()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

/// A copy of the oracle `llama` with another first number in one tensor.
fn with_number(tensor: &str, number: f32) -> tempfile::TempDir {
    let (folder, dir) = (llama(), tempfile::tempdir().unwrap());
    let weights = folder.join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(weights, &Device::Cpu).unwrap();
    let old = &tensors[tensor];
    let mut numbers: Vec<f32> = old.flatten_all().unwrap().to_vec1().unwrap();
    numbers[0] = number;
    let new = Tensor::from_vec(numbers, old.dims(), &Device::Cpu).unwrap();
    tensors.insert(tensor.to_string(), new);
    candle_core::safetensors::save(&tensors, dir.path().join("model.safetensors")).unwrap();
    std::fs::copy(folder.join("config.json"), dir.path().join("config.json")).unwrap();
    dir
}

/// Why a model is not written; nothing is left behind.
fn unwritten(model: &Path, storage: Storage) -> String {
    let dir = tempfile::tempdir().unwrap();
    let opened = Opened::open(model).unwrap();
    let out = dir.path().join("out.gguf");
    let written = to_gguf(&opened, storage, &out, &mut |_, _| {});
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    written.err().unwrap().to_string()
}

#[test]
fn what_is_infinite_or_not_a_number_is_not_written() {
    let f16 = Storage::Float(Encoding::F16);
    for (tensor, named) in [
        ("model.norm.weight", "tensor output_norm.weight: 1 of"),
        (
            "model.layers.1.mlp.gate_proj.weight",
            "tensor blk.1.ffn_gate.weight: 1 of",
        ),
    ] {
        for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let model = with_number(tensor, number);
            for storage in [INT8, INT4, IQ4_NL, f16, Storage::AsStored] {
                let message = unwritten(model.path(), storage);
                assert!(message.contains(named), "{storage:?}: {message}");
            }
        }
    }
    // f16 ends at 65504.
    let model = with_number("model.layers.1.mlp.gate_proj.weight", 1e6);
    let message = unwritten(model.path(), f16);
    assert!(
        message.contains("tensor blk.1.ffn_gate.weight: has numbers too large for F16"),
        "{message}"
    );
    let dir = tempfile::tempdir().unwrap();
    let [whole, bad] = ["whole", "bad"].map(|n| dir.path().join(format!("{n}.gguf")));
    quantize(model.path(), Storage::Float(Encoding::BF16), &whole);
    // A block whose scale is not a number.
    quantize(&llama(), INT8, &whole);
    let (metadata, mut tensors) = contents(&whole);
    let gate = tensors
        .iter_mut()
        .find(|(header, _)| header.name == "blk.1.ffn_gate.weight");
    gate.unwrap().1[..2].copy_from_slice(&0x7e00u16.to_le_bytes());
    write(&bad, &metadata, &tensors);
    for storage in [INT4, Storage::Float(Encoding::F32)] {
        let message = unwritten(&bad, storage);
        assert!(
            message.contains("tensor blk.1.ffn_gate.weight: 32 of"),
            "{storage:?}: {message}"
        );
    }
}

#[test]
fn a_ggufs_head_is_tied_only_if_nothing_declares_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, headless, bare] = ["w", "h", "b"].map(|n| dir.path().join(format!("{n}.gguf")));
    quantize(&llama(), Storage::Float(Encoding::F32), &whole);
    let (metadata, mut tensors) = contents(&whole);
    tensors.retain(|(header, _)| header.name != "output.weight");
    write(&headless, &metadata, &tensors);
    let message = refusal(&headless);
    assert!(message.contains("output.weight"), "{message}");
    without_own_keys(&headless, &bare);
    let spec = Opened::open(&bare).unwrap().spec;
    assert_eq!(spec.head.weight, HeadWeight::Tied);
}

#[test]
fn rows_that_cannot_be_moved_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, bad] = ["whole", "bad"].map(|n| dir.path().join(format!("{n}.gguf")));
    quantize(&llama(), Storage::Float(Encoding::F32), &whole);
    let (metadata, tensors) = contents(&whole);
    for (name, encoding, shape, bytes) in [
        ("blk.0.attn_q.bias", Encoding::Q8_0, vec![64], 68),
        ("blk.0.attn_q.weight", Encoding::F32, vec![64, 0], 0),
    ] {
        let mut tensors = tensors.clone();
        tensors.retain(|(header, _)| header.name != name);
        let header = TensorHeader {
            name: name.to_string(),
            encoding,
            shape,
        };
        tensors.push((header, vec![0; bytes]));
        write(&bad, &metadata, &tensors);
        let message = Opened::open(&bad).err().unwrap().to_string();
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn a_model_is_never_overwritten_by_its_own_quantization() {
    let dir = tempfile::tempdir().unwrap();
    let gguf = dir.path().join("model.gguf");
    quantize(&oracles()[0], Storage::Float(Encoding::F32), &gguf);
    let before = std::fs::read(&gguf).unwrap();
    let opened = Opened::open(&gguf).unwrap();
    assert!(to_gguf(&opened, INT8, &gguf, &mut |_, _| {}).is_err());
    assert_eq!(std::fs::read(&gguf).unwrap(), before);
}

#[test]
fn a_split_gguf_is_opened_whole_by_any_of_its_parts() {
    let dir = tempfile::tempdir().unwrap();
    let folder = &oracles()[0];
    let whole = dir.path().join("whole.gguf");
    quantize(folder, Storage::Float(Encoding::F32), &whole);
    let (entries, tensors) = contents(&whole);
    let parts = [0, tensors.len() / 3, tensors.len() / 2, tensors.len()];
    let name = |i: usize| dir.path().join(format!("m-{:05}-of-00003.gguf", i + 1));
    for i in 0..3 {
        // Only the first part has the model's metadata.
        let mut metadata = match i {
            0 => entries.clone(),
            _ => Vec::new(),
        };
        metadata.extend([
            ("split.no".to_string(), Value::U16(i as u16)),
            ("split.count".to_string(), Value::U16(3)),
            (
                "split.tensors.count".to_string(),
                Value::I32(tensors.len() as i32),
            ),
        ]);
        write(&name(i), &metadata, &tensors[parts[i]..parts[i + 1]]);
    }
    let reference = Reference::load(folder);
    let wanted = prompt_logits(&load(&whole, Storage::AsStored), &reference, usize::MAX);
    for i in 0..3 {
        let found = prompt_logits(&load(&name(i), Storage::AsStored), &reference, usize::MAX);
        assert_eq!(max_gap(&found, &wanted), 0.0, "by part {}", i + 1);
    }
    // What is written of it is one file.
    let joined = dir.path().join("joined.gguf");
    quantize(&name(1), Storage::AsStored, &joined);
    let found = prompt_logits(&load(&joined, Storage::AsStored), &reference, usize::MAX);
    assert!(max_gap(&found, &wanted) <= 1e-5);
    let (metadata, _) = contents(&joined);
    assert!(metadata.iter().all(|(key, _)| !key.starts_with("split.")));
    std::fs::remove_file(name(1)).unwrap();
    let error = Opened::open(&name(0)).err().unwrap().to_string();
    assert!(error.contains("m-00002-of-00003.gguf"), "{error}");
}

#[test]
fn a_file_of_the_users_beside_the_output_stays() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("model.gguf");
    let other = dir.path().join("model.gguf.part");
    std::fs::write(&other, "a browser's").unwrap();
    quantize(&llama(), INT8, &out);
    assert_eq!(std::fs::read(&other).unwrap(), b"a browser's");
    // Nor is a model of that name written over.
    std::fs::rename(&out, &other).unwrap();
    let before = std::fs::read(&other).unwrap();
    quantize(&other, INT4, &out);
    assert!(std::fs::read(&other).unwrap() == before);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}
