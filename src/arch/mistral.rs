//! Mistral: LLaMA with a sliding window. Reference: `modeling_mistral.py` of `transformers`.

use super::{Family, Window, llama, model_type_is};

pub const FAMILY: Family = Family {
    name: "mistral",
    detect: |c| model_type_is(c, &["mistral"]),
    declare: |c| {
        let mut spec = llama::decoder(c, "mistral")?;
        if let Some(window) = c.opt_size("sliding_window")? {
            spec.attention.window = Window::All(window);
        }
        c.finish(&[])?;
        Ok(spec)
    },
    tensors: |_| llama::hub_tensors(),
    // llama.cpp has no architecture of its own for it.
    gguf: llama::FAMILY.gguf,
};
