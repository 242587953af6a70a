//! One short file per family: from its configuration to a [`Spec`], its tensor names, its layout
//! quirks. Pure data, no tensors.
//!
//! A new family is a new file with a [`Family`] in it, listed in [`FAMILIES`].

mod baichuan;
mod bare;
mod bloom;
mod chatglm;
mod chatglm2;
mod config;
mod falcon;
mod gemma;
mod gguf_keys;
mod glm;
mod glm10b;
mod glm130b;
mod gpt2;
mod gptneox;
mod lamda;
mod llama;
mod llama_cpp;
mod llama_meta;
mod mistral;
mod mixtral;
mod mpt;
mod opt;
mod palm;
mod parallel;
mod phi3;
mod qwen;
mod qwen2;
mod qwen3;
mod qwen3moe;
mod rope;
mod spec;
mod t5;
mod table;
#[cfg(test)]
mod tests;

pub use bare::configuration as bare_configuration;
pub use config::Config;
pub use gguf_keys::{FACTORS, TENSORS};
pub use llama_cpp::differences;
pub use parallel::{Join, PARALLEL_FILES, ParallelFiles};
pub use spec::*;
pub use table::{Change, Part, Rule, TensorTable};

use std::collections::BTreeMap;

use crate::Result;

/// The shapes of a checkpoint's tensors by their stored names.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// A family of models: how to recognize and read its configuration, and where its tensors are.
pub struct Family {
    /// For people; the loader puts it into [`Spec::family`], whatever format the model has.
    pub name: &'static str,
    /// Whether a `config.json` is of this family.
    pub detect: fn(&Config) -> bool,
    /// The declaration that a `config.json` amounts to.
    pub declare: fn(&Config) -> Result<Spec>,
    /// The tensor names of the Hub's repositories.
    pub tensors: fn(&Spec) -> TensorTable,
    /// The family in GGUF, if llama.cpp knows it.
    pub gguf: Option<GgufFamily>,
}

/// A family as llama.cpp's files have it.
#[derive(Clone, Copy)]
pub struct GgufFamily {
    /// `general.architecture`.
    pub architecture: &'static str,
    /// The declaration that the metadata amount to (keys as in the file).
    pub declare: fn(&Config) -> Result<Spec>,
    /// The metadata that llama.cpp needs for a declaration.
    pub metadata: fn(&Spec) -> serde_json::Map<String, serde_json::Value>,
    /// llama.cpp's tensor names and layouts.
    pub tensors: fn(&Spec) -> TensorTable,
}

/// Every family, in the order in which detection asks them.
pub const FAMILIES: &[&Family] = &[
    &llama::FAMILY,
    &llama_meta::FAMILY,
    &mistral::FAMILY,
    &qwen::FAMILY,
    &qwen2::FAMILY,
    &qwen3::FAMILY,
    &chatglm::FAMILY,
    &chatglm2::FAMILY,
    &baichuan::BAICHUAN,
    &baichuan::BAICHUAN2,
    &bloom::FAMILY,
    &gpt2::FAMILY,
    &opt::FAMILY,
    &gptneox::FAMILY,
    &falcon::FAMILY,
    &mpt::FAMILY,
    &phi3::FAMILY,
    &gemma::GEMMA2,
    &gemma::GEMMA3,
    &glm::GLM,
    &glm::GLM4,
    &mixtral::FAMILY,
    &qwen3moe::FAMILY,
    &glm10b::FAMILY,
    &glm130b::FAMILY,
    &palm::FAMILY,
    &lamda::FAMILY,
    &t5::FAMILY,
];

/// The family that a `config.json` declares.
///
/// # Errors
/// Names `model_type` and the families that are known.
pub fn family_of(config: &Config) -> Result<&'static Family> {
    if let Some(family) = FAMILIES.iter().find(|f| (f.detect)(config)) {
        return Ok(family);
    }
    let found = config.opt_str("model_type")?.unwrap_or("(none)");
    Err(config.error(
        "model_type",
        format!(
            "{found} is not a family that wick runs; it runs {}",
            names()
        ),
    ))
}

/// The family of a GGUF file's `general.architecture`.
///
/// # Errors
/// Names the architecture and the families that are known.
pub fn gguf_family_of(metadata: &Config) -> Result<(&'static Family, &'static GgufFamily)> {
    let key = "general.architecture";
    let found = metadata.opt_str(key)?.unwrap_or("(none)");
    if found == "t5encoder" {
        let message = "t5encoder is T5's encoder alone, which generates no text; a file of the architecture t5 is wanted";
        return Err(metadata.error(key, message));
    }
    FAMILIES
        .iter()
        .find_map(|f| {
            let gguf = f.gguf.as_ref()?;
            (gguf.architecture == found).then_some((*f, gguf))
        })
        .ok_or_else(|| {
            metadata.error(
                key,
                format!(
                    "{found} is not a family that wick runs; it runs {}",
                    names()
                ),
            )
        })
}

fn names() -> String {
    let mut names: Vec<&str> = FAMILIES.iter().map(|f| f.name).collect();
    names.dedup();
    names.join(", ")
}

/// Whether `model_type` is one of `types`.
fn model_type_is(config: &Config, types: &[&str]) -> bool {
    matches!(config.opt_str("model_type"), Ok(Some(t)) if types.contains(&t))
}
