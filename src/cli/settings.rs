//! What the flags mean for this model on this machine.

use anyhow::{Context, Result, bail};
use candle_core::Device;

use super::exit::usage;
use super::flags::{ContextArgs, DeviceName, LoadArgs, SamplingArgs};
use crate::generate::Sampling;
use crate::hub::card::Card;
use crate::load::Opened;
use crate::memory;
use crate::nn::{CacheType, Storage};
use crate::quant::Encoding;

/// How the weights are kept.
pub fn storage(flags: &LoadArgs) -> Storage {
    match (flags.dtype, flags.quant) {
        (Some(dtype), _) => Storage::Float(dtype.encoding()),
        (None, Some(quant)) => quant.0,
        (None, None) => Storage::AsStored,
    }
}

/// The device, if this build can use it.
pub fn device(name: DeviceName) -> Result<Device> {
    let (feature, built) = match name {
        DeviceName::Cpu => return Ok(Device::Cpu),
        DeviceName::Cuda(_) => ("cuda", cfg!(feature = "cuda")),
        DeviceName::Metal => ("metal", cfg!(feature = "metal")),
    };
    if !built {
        bail!(
            "this build of wick has no {feature}: build with `cargo build --release --features {feature}`, or leave --device out"
        );
    }
    let device = match name {
        DeviceName::Cuda(n) => Device::new_cuda(n),
        _ => Device::new_metal(0),
    };
    device.with_context(|| format!("--device {feature}: the device cannot be used"))
}

/// The type of the KV cache: f32 where most weights are kept in f32 or keys outgrow f16 (xPos), f16
/// otherwise.
pub fn cache_type(flags: &ContextArgs, opened: &Opened, storage: Storage) -> CacheType {
    if let Some(kind) = flags.cache_type {
        return kind.kind();
    }
    let rope = opened.spec.position.rope();
    if rope.is_some_and(|rope| rope.decay.is_some()) {
        return CacheType::F32;
    }
    let [mut f32s, mut all] = [0usize; 2];
    for (name, info) in opened.weights.tensors() {
        all += info.len();
        if storage.encoding(info.encoding, &info.shape, name) == Encoding::F32 {
            f32s += info.len();
        }
    }
    match f32s > all / 2 {
        true => CacheType::F32,
        false => CacheType::F16,
    }
}

/// How many tokens fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextSize {
    pub size: usize,
    /// What a user should know about it.
    pub note: Option<String>,
}

/// What is taken to be free where the system does not say.
const USUALLY_FREE: u64 = 8 << 30;

/// The context's size: as asked for, else the model's, bounded by the memory that is free.
///
/// # Errors
/// If what is asked for is more than the whole machine's memory.
pub fn context(flags: &ContextArgs, opened: &Opened, kind: CacheType) -> Result<ContextSize> {
    let spec = &opened.spec;
    let per_token = memory::cache_bytes_per_token(spec, kind).max(1);
    let fits = |bytes: u64| usize::try_from(bytes / per_token).unwrap_or(usize::MAX);
    let Some(asked) = flags.ctx_size else {
        let free = memory::free();
        let why = match free {
            Some(_) => "no more fit into the free memory",
            None => "the system does not say how much memory is free; --ctx-size N asks for more",
        };
        let most = fits(free.unwrap_or(USUALLY_FREE) / 10 * 8).max(1);
        let note = (most < spec.max_len).then(|| {
            format!(
                "the context is {most} tokens of the model's {}: {why}",
                spec.max_len
            )
        });
        return Ok(ContextSize {
            size: spec.max_len.min(most),
            note,
        });
    };
    if asked == 0 {
        return Err(usage("--ctx-size 0: at least one token is needed"));
    }
    let all = fits(memory::all().unwrap_or(u64::MAX));
    if asked > all {
        bail!(
            "--ctx-size {asked}: its KV cache alone is larger than this machine's memory; at most {all} tokens fit"
        );
    }
    let note = (asked > spec.max_len).then(|| {
        format!(
            "--ctx-size {asked} is more than the {} tokens that the model was made for",
            spec.max_len
        )
    });
    Ok(ContextSize { size: asked, note })
}

/// How tokens are chosen: flags over the model's files over its card.
pub fn sampling(flags: &SamplingArgs, opened: &Opened, card: Option<&Card>) -> Result<Sampling> {
    check(flags)?;
    let defaults = opened.defaults()?;
    let silent = defaults.do_sample.is_none() && defaults.temperature.is_none();
    let mut sampling = match card.map(|c| c.defaults) {
        Some(card) if silent && card.temperature.is_some() => Sampling {
            temperature: card.temperature.unwrap_or(0.0),
            top_k: card.top_k.map(|k| k as usize),
            top_p: card.top_p,
            repeat_penalty: card.repeat_penalty.unwrap_or(1.0),
            ..Sampling::default()
        },
        _ => defaults.sampling(),
    };
    let filters = flags.top_k.is_some_and(|k| k > 0)
        || flags.top_p.is_some_and(|p| p < 1.0)
        || flags.min_p.is_some_and(|p| p > 0.0);
    if filters && sampling.temperature == 0.0 {
        // A filter that is asked for means that something is to be filtered.
        sampling.temperature = defaults.temperature.filter(|&t| t > 0.0).unwrap_or(1.0);
    }
    sampling.temperature = flags.temp.unwrap_or(sampling.temperature);
    sampling.top_k = flags.top_k.or(sampling.top_k);
    sampling.top_p = flags.top_p.or(sampling.top_p);
    sampling.min_p = flags.min_p.or(sampling.min_p);
    sampling.repeat_penalty = flags.repeat_penalty.unwrap_or(sampling.repeat_penalty);
    sampling.repeat_last_n = flags.repeat_last_n.unwrap_or(sampling.repeat_last_n);
    Ok(sampling)
}

/// Refuses what no sampling can be made of.
pub fn check(flags: &SamplingArgs) -> Result<()> {
    let within = |flag: &str, value: Option<f32>, low: f32, high: f32| match value {
        Some(v) if !(low..=high).contains(&v) => {
            let most = match high {
                f32::MAX => String::new(),
                high => format!(" and at most {high}"),
            };
            Err(usage(format!("{flag} {v}: at least {low}{most} is wanted")))
        }
        _ => Ok(()),
    };
    within("--temp", flags.temp, 0.0, f32::MAX)?;
    within("--top-p", flags.top_p, 0.0, 1.0)?;
    within("--min-p", flags.min_p, 0.0, 1.0)?;
    within("--repeat-penalty", flags.repeat_penalty, 0.01, f32::MAX)
}

/// The seed that is asked for, or a random one that every JSON reader can hold exactly.
pub fn seed(flags: &SamplingArgs) -> u64 {
    flags.seed.unwrap_or_else(|| rand::random::<u32>().into())
}
