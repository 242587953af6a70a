//! Qwen1.5, Qwen2 and Qwen2.5: LLaMA with biases on q, k and v. Reference: `modeling_qwen2.py`
//! of `transformers`.

use super::{
    AttentionBias, Config, Family, GgufFamily, Pairing, Window, gguf_keys, llama, model_type_is,
};
use crate::Result;

pub const FAMILY: Family = Family {
    name: "qwen2",
    detect: |c| model_type_is(c, &["qwen2"]),
    declare: |c| {
        let mut spec = llama::decoder(c, "qwen2")?;
        spec.attention.bias = AttentionBias::Qkv;
        spec.attention.window = window(c, spec.n_layers)?;
        c.finish(&[])?;
        Ok(spec)
    },
    tensors: |_| llama::hub_tensors(),
    gguf: Some(GgufFamily {
        architecture: "qwen2",
        declare: |m| {
            let mut spec = gguf_keys::decoder(m, "qwen2", Pairing::Half)?;
            spec.attention.bias = AttentionBias::Qkv;
            Ok(spec)
        },
        metadata: |spec| gguf_keys::metadata(spec, "qwen2"),
        tensors: |_| gguf_keys::tensors(),
    }),
};

/// Qwen's windows: none unless `use_sliding_window`; then in the layers that `layer_types` names
/// or, in older files, from `max_window_layers` on.
pub(super) fn window(c: &Config, n_layers: usize) -> Result<Window> {
    c.opt_strs("layer_types")?;
    let width = c.opt_size("sliding_window")?;
    let first = c.opt_usize("max_window_layers")?.unwrap_or(0);
    let used = c.opt_bool("use_sliding_window")?.unwrap_or(false);
    let Some(width) = width.filter(|_| used) else {
        return Ok(Window::Unlimited);
    };
    match llama::layer_windows(c, n_layers, width)? {
        Some(window) => Ok(window),
        None => Ok(Window::Layers(
            (0..n_layers)
                .map(|i| (i >= first).then_some(width))
                .collect(),
        )),
    }
}
