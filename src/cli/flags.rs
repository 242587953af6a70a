//! Flags that several subcommands share, as they are parsed. [`super::settings`] makes them mean
//! something.

use std::num::ParseIntError;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::completions;
use crate::generate::{Cot, Draft};
use crate::nn::{CacheType, Storage};
use crate::quant::Encoding;

/// Which model.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// A folder, a .gguf, a .safetensors, a card's name (`wick models`) or a hub id
    /// ORG/NAME[@REVISION][:FILE_OR_QUANT] [default: the embedded demo model]
    #[arg(
        short,
        long,
        value_name = "MODEL",
        env = "WICK_MODEL",
        hide_env_values = true,
        add = completions::models()
    )]
    pub model: Option<String>,
    #[command(flatten)]
    pub hub: HubArgs,
    #[command(flatten)]
    pub load: LoadArgs,
}

/// How the Hub is asked.
#[derive(Debug, Clone, Args)]
pub struct HubArgs {
    /// Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]
    #[arg(long)]
    pub offline: bool,
    /// Branch, tag or commit of a hub id
    #[arg(long)]
    pub revision: Option<String>,
}

/// How a model is loaded.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// Quantize while loading: int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), none, or a GGUF
    /// type
    #[arg(long, value_name = "TYPE")]
    pub quant: Option<Quant>,
    /// Keep the weights in this type
    #[arg(long, value_enum, ignore_case = true, conflicts_with = "quant")]
    pub dtype: Option<Dtype>,
    /// cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    pub device: DeviceName,
    /// Threads that work [default: the physical cores]
    #[arg(
        short,
        long,
        value_name = "N",
        env = "WICK_THREADS",
        hide_env_values = true,
        allow_negative_numbers = true,
        value_parser = natural::<usize>("leave --threads out for the physical cores")
    )]
    pub threads: Option<usize>,
    /// Fetch and load even what the disk or the memory cannot hold
    #[arg(long)]
    pub force: bool,
    /// Keep no quantized copy of a downloaded model for the next start with the same --quant
    #[arg(long)]
    pub no_quant_cache: bool,
}

/// How much a model remembers.
#[derive(Debug, Clone, Default, Args)]
pub struct ContextArgs {
    /// Tokens of prompt and answer together [default: the model's, as far as memory goes]
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = ctx_size)]
    pub ctx_size: Option<usize>,
    /// Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]
    #[arg(long, value_enum, value_name = "TYPE", ignore_case = true)]
    pub cache_type: Option<CacheArg>,
}

/// How tokens are chosen. What is not given comes from the model's own files, then from its card.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Sampling (default: as the model's files say)")]
pub struct SamplingArgs {
    /// Temperature; 0 is greedy and repeatable
    #[arg(
        long,
        alias = "temperature",
        value_name = "T",
        allow_negative_numbers = true
    )]
    pub temp: Option<f32>,
    /// Only the K likeliest tokens; 0 for all
    #[arg(
        long,
        value_name = "K",
        allow_negative_numbers = true,
        value_parser = natural::<usize>("give --top-k 0 for all tokens")
    )]
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together reach probability P
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,
    /// Only tokens at least P times as likely as the likeliest
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub min_p: Option<f32>,
    /// Make recent tokens less likely; 1 is off
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub repeat_penalty: Option<f32>,
    /// How many tokens are recent
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = natural::<usize>("give --repeat-last-n the context's size for all tokens")
    )]
    pub repeat_last_n: Option<usize>,
    /// Repeat the choices of an earlier run [default: random, and reported]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = natural::<u64>("leave --seed out for a random one")
    )]
    pub seed: Option<u64>,
}

/// Reads a number that is not negative. Where it is, as llama.cpp writes "no limit" or "random",
/// the message says what means the same `instead`.
fn natural<T: FromStr<Err = ParseIntError> + 'static>(
    instead: &'static str,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text: &str| match text.parse::<T>() {
        Ok(n) => Ok(n),
        Err(_) if text.starts_with('-') => Err(format!("it cannot be negative; {instead}")),
        Err(e) => Err(e.to_string()),
    }
}

/// Reads a context's size.
fn ctx_size(text: &str) -> Result<usize, String> {
    let instead = "leave --ctx-size out for the model's own";
    match natural(instead)(text)? {
        0 => Err(format!("at least one token is needed; {instead}")),
        n => Ok(n),
    }
}

/// How an answer is asked for and where it ends.
#[derive(Debug, Clone, Args)]
pub struct AnswerArgs {
    /// At most N new tokens; with --cot of each chain, whose answer may take 48 more [default:
    /// until the model or the context ends]
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = natural::<usize>("leave --max-tokens out for no limit")
    )]
    pub max_tokens: Option<usize>,
    /// End the answer before this text (repeatable)
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Go on after the model's end tokens
    #[arg(long)]
    pub ignore_eos: bool,
    /// System message
    #[arg(short, long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Chat format: a name (`wick inspect` lists them) or a file with a Jinja template
    /// [default: the model's own]
    #[arg(long, value_name = "NAME|FILE")]
    pub template: Option<String>,
    /// Think first: zero (step by step, then the answer), few (after worked examples) or vote:N
    /// (N sampled chains; the answer that most of them reach)
    #[arg(long, value_name = "HOW")]
    pub cot: Option<Cot>,
    /// Guess at the next tokens and verify several in one pass: lookup takes what followed the same
    /// words before. Answers are as likely as without, though rounding may turn one into another;
    /// copies and edits come faster
    #[arg(long, value_enum, value_name = "KIND", ignore_case = true)]
    pub draft: Option<DraftArg>,
}

impl AnswerArgs {
    /// Where guesses at the next tokens come from.
    pub fn draft(&self) -> Draft {
        match self.draft {
            None | Some(DraftArg::None) => Draft::None,
            Some(DraftArg::Lookup) => Draft::Lookup,
        }
    }
}

/// `--draft`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DraftArg {
    None,
    Lookup,
}

/// `--quant`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quant(pub Storage);

impl FromStr for Quant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let both = |encoding| Storage::Quantized {
            layers: encoding,
            ends: encoding,
        };
        Ok(Self(match text.to_ascii_lowercase().as_str() {
            "none" => Storage::AsStored,
            "int8" => both(Encoding::Q8_0),
            "int4" => Storage::Quantized {
                layers: Encoding::Q4_0,
                ends: Encoding::Q8_0,
            },
            _ => match Encoding::from_name(text) {
                Some(e) if e.is_quantized() && e.is_multiplied() => both(e),
                Some(e @ (Encoding::F32 | Encoding::F16 | Encoding::BF16)) => Storage::Float(e),
                _ => {
                    return Err(
                        "int8, int4, none, or a GGUF type such as q4_k is wanted".to_string()
                    );
                }
            },
        }))
    }
}

/// `--dtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dtype {
    F32,
    F16,
    Bf16,
}

impl Dtype {
    pub fn encoding(self) -> Encoding {
        match self {
            Self::F32 => Encoding::F32,
            Self::F16 => Encoding::F16,
            Self::Bf16 => Encoding::BF16,
        }
    }
}

/// `--cache-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CacheArg {
    F32,
    F16,
    #[value(name = "q8_0")]
    Q8,
}

impl CacheArg {
    pub fn kind(self) -> CacheType {
        match self {
            Self::F32 => CacheType::F32,
            Self::F16 => CacheType::F16,
            Self::Q8 => CacheType::Q8,
        }
    }
}

/// `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceName {
    Cpu,
    Cuda(usize),
    Metal,
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        match text.split_once(':').unwrap_or((text.as_str(), "0")) {
            ("cpu", _) if text == "cpu" => Ok(Self::Cpu),
            ("metal", _) if text == "metal" => Ok(Self::Metal),
            ("cuda", n) => n
                .parse()
                .map(Self::Cuda)
                .map_err(|e| format!("cuda:N: {e}")),
            _ => Err("cpu, cuda, cuda:N or metal is wanted".to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantizations_are_read_by_any_of_their_names() {
        let q = |text: &str| text.parse::<Quant>().map(|q| q.0);
        assert_eq!(q("none"), Ok(Storage::AsStored));
        assert_eq!(q("int8"), q("Q8_0"));
        assert_ne!(
            q("int4"),
            q("q4_0"),
            "int4 keeps embedding and head in Q8_0"
        );
        assert_eq!(q("f16"), Ok(Storage::Float(Encoding::F16)));
        assert!(q("int3").is_err() && q("i32").is_err());
        assert!(q("q6_k").is_ok() && q("iq4-nl").is_ok());
        // Types of activations, for which no weights can be run.
        assert!(q("q8_1").is_err() && q("q8_k").is_err());
    }

    #[test]
    fn a_negative_number_is_answered_with_what_means_the_same() {
        let read = natural::<usize>("leave it out");
        assert_eq!(read("7"), Ok(7));
        assert!(read("-1").unwrap_err().contains("leave it out"));
        for bad in ["", "x", "1.5", "99999999999999999999999"] {
            assert!(!read(bad).unwrap_err().contains("leave it out"), "{bad}");
        }
        assert_eq!(ctx_size("1"), Ok(1));
        for bad in ["0", "-1"] {
            assert!(ctx_size(bad).unwrap_err().contains("--ctx-size"), "{bad}");
        }
    }

    #[test]
    fn devices_are_read_with_their_number() {
        assert_eq!("cuda:3".parse(), Ok(DeviceName::Cuda(3)));
        assert_eq!("cuda".parse(), Ok(DeviceName::Cuda(0)));
        assert_eq!("CPU".parse(), Ok(DeviceName::Cpu));
        for bad in ["cpu:0", "cuda:", "cuda:-1", "tpu", ""] {
            assert!(bad.parse::<DeviceName>().is_err(), "{bad}");
        }
    }
}
