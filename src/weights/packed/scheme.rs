//! Which packing a configuration declares.

use std::fmt;
use std::path::Path;

use serde_json::json;

use super::channels;
use super::glm::Bits;
use super::gptq::{self, Options, Zeros};
use crate::Result;
use crate::arch::Config;
use crate::weights::Checkpoint;

/// How a checkpoint's matrices are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// ChatGLM's own.
    Glm {
        /// Key `quantization_bit`: 4 or 8.
        bits: Bits,
    },
    /// AutoGPTQ, GPTQModel.
    Gptq(Options),
    /// AutoAWQ's `gemm`.
    Awq {
        /// Inputs that share a scale; `None` for all of them.
        group_size: Option<usize>,
    },
    /// bitsandbytes; each tensor says itself whether it has 8 or 4 bits.
    Bnb,
    /// INT8 with one scale for each output (Baichuan-13B-Chat-int8).
    Channels,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = |size: Option<usize>| match size {
            Some(n) => format!("groups of {n}"),
            None => "one group".to_string(),
        };
        match self {
            Self::Glm { bits: Bits::Four } => write!(f, "ChatGLM's INT4"),
            Self::Glm { bits: Bits::Eight } => write!(f, "ChatGLM's INT8"),
            Self::Gptq(o) => write!(f, "GPTQ, {} bits, {}", o.bits, groups(o.group_size)),
            Self::Awq { group_size } => write!(f, "AWQ, 4 bits, {}", groups(*group_size)),
            Self::Bnb => write!(f, "bitsandbytes"),
            Self::Channels => write!(f, "INT8, a scale for each output"),
        }
    }
}

/// The key of `config.json` that declares a packing.
pub const KEY: &str = "quantization_config";
/// Files of repositories older than that key, with the method that they belong to.
const OLD_FILES: [(&str, &str); 2] = [
    ("quantize_config.json", "gptq"),
    ("quant_config.json", "awq"),
];

/// Keys that describe how weights were found, or how a GPU is to run them.
const GPTQ_HARMLESS: &[&str] = &[
    "backend",
    "batch_size",
    "block_name_to_quantize",
    "cache_block_outputs",
    "damp_auto_increment",
    "damp_percent",
    "dataset",
    "desc_act",
    "disable_exllama",
    "exllama_config",
    "max_input_length",
    "meta",
    "model_file_base_name",
    "model_name_or_path",
    "model_seqlen",
    "module_name_preceding_first_block",
    "modules_in_block_to_quantize",
    "pad_token_id",
    "static_groups",
    "sym",
    "tokenizer",
    "true_sequential",
    "use_cuda_fp16",
    "use_exllama",
];
const AWQ_HARMLESS: &[&str] = &[
    "backend",
    "do_fuse",
    "exllama_config",
    "fuse_max_seq_len",
    "modules_to_fuse",
    "modules_to_not_convert",
];

impl Scheme {
    /// The packing that `config` (or a file of `folder`, in older repositories) declares; `None`
    /// for plain weights. Marks the keys as read.
    ///
    /// # Errors
    /// Names a method, or an option of it, that is not read.
    pub fn of(config: &Config, folder: &Path) -> Result<Option<Self>> {
        if let Some(declared) = config.opt_object(KEY)? {
            let bnb = ["load_in_4bit", "load_in_8bit"]
                .iter()
                .any(|k| declared.get(k).is_some());
            let fallback = if bnb { "bitsandbytes" } else { "" };
            return Self::declared(&declared, fallback).map(Some);
        }
        match config.opt_usize("quantization_bit")? {
            None | Some(0) => {}
            Some(4) => return Ok(Some(Self::Glm { bits: Bits::Four })),
            Some(8) => return Ok(Some(Self::Glm { bits: Bits::Eight })),
            Some(n) => {
                return Err(config.error("quantization_bit", format!("{n} found, 4 or 8 wanted")));
            }
        }
        for (name, method) in OLD_FILES {
            let path = folder.join(name);
            if path.is_file() {
                return Self::declared(&Config::open(&path)?, method).map(Some);
            }
        }
        Ok(None)
    }

    /// The packing that the tensors themselves show, where no configuration declares one: older
    /// GPTQ files, whose options follow from their shapes, and INT8 with a scale for each output.
    ///
    /// # Errors
    /// If packed tensors have shapes that no packing has.
    pub fn of_tensors(checkpoint: &dyn Checkpoint) -> Result<Option<Self>> {
        if let Some(options) = gptq::options_of(checkpoint)? {
            return Ok(Some(Self::Gptq(options)));
        }
        Ok(channels::is_there(checkpoint).then_some(Self::Channels))
    }

    /// The packing of a `quantization_config`, whose method is `fallback` if it does not say.
    fn declared(c: &Config, fallback: &str) -> Result<Self> {
        let method = c.opt_str("quant_method")?.unwrap_or(fallback);
        let method = if method.is_empty() { "(none)" } else { method };
        match method {
            "gptq" => Self::gptq(c),
            "awq" => Self::awq(c),
            // Its options steer the quantizer and the run; the tensors tell the rest.
            "bitsandbytes" => Ok(Self::Bnb),
            other => Err(c.error(
                "quant_method",
                format!("{other} is not read; gptq, awq and bitsandbytes are"),
            )),
        }
    }

    fn gptq(c: &Config) -> Result<Self> {
        let bits = match c.usize("bits")? {
            n @ (2 | 3 | 4 | 8) => n as u32,
            n => return Err(c.error("bits", format!("{n} found; 2, 3, 4 and 8 are read"))),
        };
        let zeros = match c.opt_str("checkpoint_format")? {
            None | Some("gptq") => Zeros::LessOne,
            Some("gptq_v2") => Zeros::AsIs,
            Some(other) => {
                let message = format!("{other} found; gptq and gptq_v2 are read");
                return Err(c.error("checkpoint_format", message));
            }
        };
        c.only("pack_dtype", &[json!("int32")])?;
        c.only("is_marlin_format", &[json!(false)])?;
        c.only("lm_head", &[json!(false), json!(true)])?;
        c.only("dynamic", &[json!({})])?;
        let group_size = group_size(c, "group_size")?;
        c.finish(GPTQ_HARMLESS)?;
        Ok(Self::Gptq(Options {
            bits,
            group_size,
            zeros,
        }))
    }

    /// AutoAWQ's own files call the sizes `w_bit` and `q_group_size`.
    fn awq(c: &Config) -> Result<Self> {
        c.only("bits", &[json!(4)])?;
        c.only("w_bit", &[json!(4)])?;
        c.only("zero_point", &[json!(true)])?;
        c.only("version", &[json!("gemm"), json!("GEMM")])?;
        let key = match c.get("group_size") {
            Some(_) => "group_size",
            None => "q_group_size",
        };
        let group_size = group_size(c, key)?;
        c.finish(AWQ_HARMLESS)?;
        Ok(Self::Awq { group_size })
    }
}

/// Inputs of a group; −1 means all.
fn group_size(c: &Config, key: &str) -> Result<Option<usize>> {
    match c.get(key).map(|v| v.as_i64()) {
        Some(Some(-1)) => Ok(None),
        _ => c.size(key).map(Some),
    }
}
