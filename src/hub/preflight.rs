//! What fetching and running a model will take, known before the first byte of its weights.

use super::card;
use super::disk::Disk;
use super::error::{HubError, Result};
use super::fetch::Plan;
use super::hollow::{Hollow, hollow, packed_bits};
use super::options::HubOptions;
use super::pick::gguf;
use super::progress::Progress;
use super::shards::lacks_shards;
use crate::load::Opened;
use crate::memory::Forecast;
use crate::nn::{CacheType, Storage};
use crate::weights::xor::plain_name;

/// A context that a model must have room for to be of use, in tokens.
pub const LEAST_CONTEXT: usize = 512;

/// What a plan will take of this machine.
pub struct Preflight {
    /// Bytes to come, and room for them.
    pub disk: Disk,
    /// What loading will make of it.
    pub outline: Outline,
}

/// What is known of a model before it is fetched.
pub enum Outline {
    /// What the loader makes of the headers. The outline's folder goes with it.
    Opened(Box<Opened>, Hollow),
    /// wick cannot run it, and says why.
    CannotRun(crate::Error),
    /// Only how many bytes the weights have, and in how many bits the configuration says that each
    /// number is stored: PyTorch files have no header.
    Size {
        /// Bytes of the weights files.
        stored: u64,
        /// Of each number; 16 where the configuration does not say.
        bits: u64,
    },
    /// Nothing, and why.
    Unknown(&'static str),
}

impl Preflight {
    /// Asks for the configuration and the headers of a planned model.
    ///
    /// # Errors
    /// The Hub refuses them or cannot be reached.
    pub fn new(plan: &Plan, options: &HubOptions, progress: &dyn Progress) -> Result<Self> {
        Ok(Self {
            disk: Disk::new(plan, options),
            outline: outline(plan, options, progress)?,
        })
    }
}

fn outline(plan: &Plan, options: &HubOptions, progress: &dyn Progress) -> Result<Outline> {
    if !options.include.is_empty() {
        return Ok(Outline::Unknown("only the files that --include names"));
    }
    let hollow = match hollow(plan, options, progress) {
        Ok(Some(hollow)) => hollow,
        Ok(None) => return without_headers(plan, options),
        Err(HubError::Io { .. }) => {
            return Ok(Outline::Unknown(
                "the temporary folder cannot hold an outline",
            ));
        }
        Err(error @ HubError::Format { .. }) => return Ok(Outline::CannotRun(error.into())),
        Err(error) => return Err(error),
    };
    if !options.exclude.is_empty() && lacks_shards(plan, hollow.folder())? {
        return Ok(Outline::Unknown("--exclude leaves out some of its weights"));
    }
    Ok(match Opened::open(hollow.files().path()) {
        Ok(opened) => Outline::Opened(Box::new(opened), hollow),
        Err(error) => Outline::CannotRun(error),
    })
}

/// Bits of a number where the configuration says nothing else.
const USUAL_BITS: u64 = 16;

/// What is known of weights without headers.
fn without_headers(plan: &Plan, options: &HubOptions) -> Result<Outline> {
    let mut files = plan.files.iter();
    if files.any(|file| plain_name(&file.remote.path).is_some()) {
        return Ok(Outline::Unknown("its weights are encrypted"));
    }
    match plan.weight_bytes() {
        0 => Ok(Outline::Unknown("--exclude leaves out its weights")),
        stored => Ok(Outline::Size {
            stored,
            bits: packed_bits(plan, options)?.unwrap_or(USUAL_BITS),
        }),
    }
}

/// Ways to run a model, or one like it, in less memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alternative {
    /// Quantized while loading: the flag's value, and bytes of the weights then.
    Quant(&'static str, u64),
    /// Another GGUF of the repository: its hub id, and its bytes.
    Gguf(String, u64),
    /// A smaller model of the family, by its card's name.
    Card(&'static str),
}

/// Quantizations that are offered: the flag's value, and what it stands for.
pub type Offer = (&'static str, Storage);

/// What would fit into `memory` bytes where the planned model does not, the nearest to it first.
pub fn alternatives(
    plan: &Plan,
    opened: &Opened,
    offers: &[Offer],
    memory: u64,
) -> Vec<Alternative> {
    let context = LEAST_CONTEXT.min(opened.spec.max_len);
    let fits = |&(name, storage): &Offer| {
        let fades = |rope: &crate::arch::Rope| rope.decay.is_some();
        let cache = match opened.spec.position.rope().is_some_and(fades) {
            true => CacheType::F32,
            false => CacheType::F16,
        };
        let forecast = Forecast::new(opened, storage, cache);
        (forecast.needed(context) <= memory).then_some(Alternative::Quant(name, forecast.weights))
    };
    let stored = opened.weights.tensors();
    let has_blocks = stored.map(|(_, t)| t.encoding).any(|e| e.is_quantized());
    // Blocks stay as they are stored.
    let offers: &[Offer] = if has_blocks { &[] } else { offers };
    let mut found: Vec<Alternative> = offers.iter().filter_map(fits).collect();
    if !matches!(plan.kind, super::pick::Kind::Folder) {
        let smaller = gguf::sizes(&plan.all).into_iter().rev();
        let smaller = smaller.filter(|(_, bytes)| *bytes < plan.bytes() && *bytes <= memory);
        let repo = &plan.model.repo;
        found.extend(smaller.map(|(quant, b)| Alternative::Gguf(format!("{repo}:{quant}"), b)));
    }
    let card = card::find_repo(&plan.model.repo.to_string());
    if let Some((family, card)) = card {
        let names = card::smaller(family, card, MOST_CARDS).into_iter();
        found.extend(names.map(Alternative::Card));
    }
    found
}

const MOST_CARDS: usize = 2;
