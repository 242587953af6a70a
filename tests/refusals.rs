//! Strictness, family by family: a key that nobody knows, a tensor that is missing, spare or of
//! another shape is refused by its name.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use common::{name, oracles};
use wick::arch::{Config, HeadWeight, Rule, TensorTable, family_of};
use wick::load::Opened;
use wick::nn::Storage;
use wick::quant::Encoding;
use wick::weights::{Checkpoint, Data, TensorInfo, Weights, open_folder};

/// A checkpoint with some of its tensors changed.
struct Changed {
    stored: Arc<dyn Checkpoint>,
    tensors: BTreeMap<String, TensorInfo>,
}

impl Checkpoint for Changed {
    fn path(&self) -> &Path {
        self.stored.path()
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn read(&self, name: &str) -> wick::Result<Data<'_>> {
        let bytes = self.tensors[name].bytes;
        match self.stored.tensors().contains_key(name) {
            true => Ok(Data::Owned(self.stored.read(name)?[..bytes].to_vec())),
            false => Ok(Data::Owned(vec![1; bytes])),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// An oracle that is opened again and again, each time a little different.
struct Subject {
    folder: PathBuf,
    stored: Arc<dyn Checkpoint>,
}

impl Subject {
    fn load(&self, change: impl FnOnce(&mut BTreeMap<String, TensorInfo>)) -> wick::Result<()> {
        let mut opened = Opened::open(&self.folder)?;
        let mut tensors = self.stored.tensors().clone();
        change(&mut tensors);
        let changed = Changed {
            stored: self.stored.clone(),
            tensors,
        };
        opened.weights = Weights::new(Box::new(changed), &(opened.family.tensors)(&opened.spec))?;
        if opened.spec.head.weight == HeadWeight::Tied {
            opened.weights.ignore("output.weight");
        }
        let loaded = opened.model(&Device::Cpu, Storage::AsStored, &mut |_, _| {});
        loaded.map(drop)
    }

    #[track_caller]
    fn refusal(&self, change: impl FnOnce(&mut BTreeMap<String, TensorInfo>)) -> String {
        let folder = self.folder.display();
        let error = self.load(change);
        error
            .expect_err(&format!("{folder} was loaded"))
            .to_string()
    }
}

/// The oracles whose matrices are not packed.
fn subjects() -> impl Iterator<Item = Subject> {
    let of_folder = |folder: PathBuf| {
        let stored: Arc<dyn Checkpoint> = Arc::from(open_folder(&folder).unwrap());
        let packed = stored
            .tensors()
            .values()
            .any(|t| t.encoding == Encoding::I8);
        (!packed).then_some(Subject { folder, stored })
    };
    oracles().into_iter().filter_map(of_folder)
}

/// Whether a name is that of a layer's first, or of no layer's, tensor: all layers are alike.
fn is_of_first_layer(name: &str) -> bool {
    let mut numbers = name
        .split('.')
        .filter_map(|part| part.parse::<usize>().ok());
    let first = numbers.next().unwrap_or(0);
    let expert = name
        .split_once("experts.")
        .and_then(|(_, rest)| rest.split('.').next());
    first == 0 && expert.is_none_or(|e| e == "0")
}

fn fits(pattern: &str, name: &str) -> bool {
    let mut rest = name;
    for (i, piece) in pattern.split("{}").enumerate() {
        if i > 0 {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        match rest.strip_prefix(piece) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

/// The rule that a stored tensor follows; `None` for what the family ignores.
fn rule<'t>(table: &'t TensorTable, name: &str) -> Option<&'t Rule> {
    let prefix = table.optional_prefix.unwrap_or_default();
    let name = name.strip_prefix(prefix).unwrap_or(name);
    let stems = [".weight", ".bias", ""];
    let stems: Vec<&str> = stems.iter().filter_map(|s| name.strip_suffix(s)).collect();
    let of_rule = |rule: &&Rule| stems.iter().any(|stem| fits(rule.stored, stem));
    table.rules.iter().find(of_rule)
}

#[test]
fn missing_tensors_and_tensors_of_another_shape_are_named() {
    let mut tensors_seen = 0;
    for subject in subjects() {
        let opened = Opened::open(&subject.folder).unwrap();
        let table = (opened.family.tensors)(&opened.spec);
        let tied = opened.spec.head.weight == HeadWeight::Tied;
        subject.load(|_| {}).unwrap();
        for (stored, info) in subject.stored.tensors() {
            let Some(rule) = rule(&table, stored) else {
                continue;
            };
            let is_head = rule.parts.iter().any(|p| p.canonical == "output");
            if !is_of_first_layer(stored) || is_head && tied {
                continue;
            }
            tensors_seen += 1;
            let message = subject.refusal(|tensors| drop(tensors.remove(stored)));
            let canonical = |part: &wick::arch::Part| part.canonical.replace("{}", "0");
            let named = rule.parts.iter().any(|p| message.contains(&canonical(p)))
                // One of a stack of experts.
                || message.contains("number 0 of its stack");
            assert!(
                named && message.contains("missing"),
                "{} without {stored}: {message}",
                name(&subject.folder)
            );
            let mut shape = info.shape.clone();
            shape[0] -= 1;
            let shorter = TensorInfo::new(stored, info.encoding, shape).unwrap();
            let message = subject.refusal(|tensors| drop(tensors.insert(stored.clone(), shorter)));
            assert!(
                message.contains(stored),
                "{}, {stored} with a row less: {message}",
                name(&subject.folder)
            );
        }
    }
    assert!(tensors_seen > 300, "{tensors_seen}");
}

#[test]
fn spare_tensors_are_named() {
    for subject in subjects() {
        for spare in ["model.layers.0.novel.weight", "transformer.novel.bias"] {
            let info = TensorInfo::new(spare, Encoding::F32, vec![4]).unwrap();
            let message = subject.refusal(|tensors| drop(tensors.insert(spare.to_string(), info)));
            assert!(
                message.contains(spare),
                "{}: {message}",
                name(&subject.folder)
            );
        }
    }
}

#[test]
fn keys_that_nobody_knows_are_named() {
    for folder in oracles() {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        for value in ["2", "true", "\"mixed\"", "[1]", "{\"a\": 1}"] {
            let at = text.rfind('}').unwrap();
            let changed = format!("{}, \"novel_attention\": {value}}}", &text[..at]);
            let config = Config::parse(&path, &changed).unwrap();
            let spec = (family_of(&config).unwrap().declare)(&config);
            let message = spec.expect_err(&name(&folder)).to_string();
            assert!(message.contains("novel_attention"), "{message}");
        }
    }
}

/// Keys by which other families are known or which change their mathematics: no family may take
/// one that it does not understand for read.
#[test]
fn keys_of_other_families_are_named() {
    const FOREIGN: [(&str, &str); 4] = [
        ("inner_hidden_size", "7"),
        ("block_position_encoding", "true"),
        ("multi_query_group_num", "2"),
        ("n_kv_heads", "3"),
    ];
    for folder in oracles() {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        for (key, value) in FOREIGN {
            let mut object: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&text).unwrap();
            if object.contains_key(key) {
                continue;
            }
            object.insert(key.to_string(), serde_json::from_str(value).unwrap());
            let config = Config::from_object(&path, object);
            let Ok(family) = family_of(&config) else {
                continue;
            };
            let message = match (family.declare)(&config) {
                Err(e) => e.to_string(),
                Ok(_) => panic!("{} takes {key}", name(&folder)),
            };
            assert!(!message.is_empty());
        }
    }
}
