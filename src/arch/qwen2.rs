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
        spec.attention.window = window(c, spec.n_layers, first_windowed(c)?)?;
        // Qwen2.5-1M attends in chunks past this length, which the reference does not.
        if let Some(chunks) = c.opt_object("dual_chunk_attention_config")? {
            let original = chunks.size("original_max_position_embeddings")?;
            spec.max_len = spec.max_len.min(original);
        }
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

/// The first layer with a window, in files without `layer_types`.
pub(super) fn first_windowed(c: &Config) -> Result<usize> {
    Ok(c.opt_usize("max_window_layers")?.unwrap_or(28))
}

/// Qwen's windows: none unless `use_sliding_window`; then in the layers that `layer_types` names
/// or, in older files, from the `first` on.
pub(super) fn window(c: &Config, n_layers: usize, first: usize) -> Result<Window> {
    const WIDTH: &str = "sliding_window";
    c.opt_strs("layer_types")?;
    let width = c.opt_size(WIDTH)?.unwrap_or(4096);
    let used = c.opt_bool("use_sliding_window")?.unwrap_or(false);
    if !used || c.is_null(WIDTH) {
        return Ok(Window::Unlimited);
    }
    match llama::layer_windows(c, n_layers, width)? {
        Some(window) => Ok(window),
        None => Ok(Window::Layers(
            (0..n_layers)
                .map(|i| (i >= first).then_some(width))
                .collect(),
        )),
    }
}
