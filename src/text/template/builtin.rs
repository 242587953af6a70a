//! The formats of `prompts/chat`, embedded.

macro_rules! formats {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../prompts/chat/", $name, ".jinja")))),*]
    };
}

const FORMATS: &[(&str, &str)] = formats![
    "alpaca",
    "baichuan",
    "baichuan2",
    "belle",
    "chatglm",
    "chatglm2",
    "chatglm3",
    "chatml",
    "gemma",
    "glm4",
    "llama-2",
    "llama-3",
    "mistral",
    "phi-3",
    "plain",
    "qwen",
    "qwen3",
    "zephyr",
];

pub(super) fn source(name: &str) -> Option<&'static str> {
    FORMATS.iter().find(|(n, _)| *n == name).map(|(_, s)| *s)
}

pub(super) fn names() -> Vec<&'static str> {
    FORMATS.iter().map(|(name, _)| *name).collect()
}
