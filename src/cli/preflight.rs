//! Before anything is fetched: what it will take, and a refusal where this machine cannot hold it.

use anyhow::{Result, bail};

use super::figures::bytes;
use super::flags::ContextArgs;
use super::settings;
use super::ui::Ui;
use crate::hub::{Alternative, Disk, LEAST_CONTEXT, Offer, Outline, Plan, Preflight, alternatives};
use crate::load::Opened;
use crate::memory::{self, Forecast};
use crate::nn::Storage;
use crate::quant::Encoding;

/// What a model is fetched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be run, its weights kept like this: it has to fit into memory.
    Run(Storage),
    /// To be read tensor by tensor.
    Read,
}

/// What a user is told before a download.
pub struct Report {
    /// Download, disk, memory and context, a line each.
    pub lines: Vec<String>,
    /// Why this machine cannot hold it, each with what would help.
    problems: Vec<String>,
}

/// The quantizations that a refusal offers.
const OFFERS: [Offer; 2] = [
    (
        "int8",
        Storage::Quantized {
            layers: Encoding::Q8_0,
            ends: Encoding::Q8_0,
        },
    ),
    (
        "int4",
        Storage::Quantized {
            layers: Encoding::Q4_0,
            ends: Encoding::Q8_0,
        },
    ),
];

impl Report {
    pub fn new(plan: &Plan, preflight: &Preflight, purpose: Purpose) -> Self {
        let mut report = Self {
            lines: Vec::new(),
            problems: Vec::new(),
        };
        report.disk(plan, &preflight.disk);
        match (&preflight.outline, purpose) {
            (Outline::Opened(opened, _), Purpose::Run(storage)) => {
                report.memory(plan, opened, storage);
            }
            (Outline::CannotRun(error), _) => {
                report.line("memory", format!("unknown: {error}"));
                report
                    .problems
                    .push(format!("wick cannot run this model: {error}"));
            }
            (&Outline::Size { stored, bits }, Purpose::Run(storage)) => {
                report.size(plan, stored, bits, storage);
            }
            (Outline::Unknown(why), Purpose::Run(_)) => {
                report.line("memory", format!("unknown ({why})"));
            }
            (_, Purpose::Read) => {}
        }
        report
    }

    /// Tells it on stderr.
    pub fn show(&self, plan: &Plan, ui: &Ui) {
        ui.line(&format!("{} at {}", plan.model, plan.commit));
        self.lines.iter().for_each(|line| ui.line(line));
    }

    fn line(&mut self, name: &str, value: String) {
        self.lines.push(format!("  {name:<9} {value}"));
    }

    fn disk(&mut self, plan: &Plan, disk: &Disk) {
        let free = match disk.free {
            Some(free) => format!("; {} free in {}", bytes(free), disk.folder.display()),
            None => String::new(),
        };
        let all = match plan.bytes() {
            all if all == disk.needed => String::new(),
            all => format!(" of {}", bytes(all)),
        };
        self.line("download", format!("{}{all}{free}", bytes(disk.needed)));
        if let Err(error) = disk.check() {
            self.problems.push(error.to_string());
        }
    }

    fn memory(&mut self, plan: &Plan, opened: &Opened, storage: Storage) {
        let cache = settings::cache_type(&ContextArgs::default(), opened, storage);
        let forecast = Forecast::new(opened, storage, cache);
        let free = memory::free();
        let of_free = match free {
            Some(free) => format!("; {} free", bytes(free)),
            None => "; the system does not say how much memory is free".to_string(),
        };
        self.line(
            "memory",
            format!(
                "{} of weights{}, {} for each token of context{of_free}",
                bytes(forecast.weights),
                named(storage),
                bytes(forecast.cache_per_token),
            ),
        );
        if let Some(free) = free {
            let fit = match forecast.context_in(free) {
                0 => "no context fits into the free memory".to_string(),
                n if n == forecast.max_len => format!("all {n} tokens of the model's fit"),
                n => format!("{n} of the model's {} tokens fit", forecast.max_len),
            };
            self.line("context", fit);
        }
        let needed = forecast.needed(LEAST_CONTEXT.min(forecast.max_len));
        self.too_large(plan, storage, needed, |all| {
            alternatives(plan, opened, &OFFERS, all)
        });
    }

    /// Where only the size of the weights is known, it is taken for numbers of so many bits, which
    /// become floats of 16 where nothing else is asked for.
    fn size(&mut self, plan: &Plan, stored: u64, bits: u64, storage: Storage) {
        let size = stored.saturating_mul(16) / bits.max(1);
        let needed = reckoned(size, storage);
        let packed = match bits {
            16 => String::new(),
            bits => format!("packed in {bits} bits; "),
        };
        self.line(
            "memory",
            format!(
                "about {} of weights{} ({packed}PyTorch files do not say more)",
                bytes(needed),
                named(storage)
            ),
        );
        self.too_large(plan, storage, needed, |all| {
            let sizes = OFFERS.map(|(name, storage)| (name, reckoned(size, storage)));
            let fit = sizes.into_iter().filter(|(_, size)| *size < all);
            fit.map(|(name, size)| Alternative::Quant(name, size))
                .collect()
        });
    }

    /// Notes that the machine has less memory than is needed, if so.
    fn too_large(
        &mut self,
        plan: &Plan,
        storage: Storage,
        needed: u64,
        offers: impl FnOnce(u64) -> Vec<Alternative>,
    ) {
        let Some(all) = memory::all().filter(|&all| all < needed) else {
            return;
        };
        self.problems.push(format!(
            "{}{} takes {} of memory with a short context, and this machine has {}; {}",
            plan.model,
            named(storage),
            bytes(needed),
            bytes(all),
            offered(&offers(all)),
        ));
    }

    /// # Errors
    /// Where it cannot fit; not with `--force`.
    pub fn refuse(&self, force: bool) -> Result<()> {
        match self.problems.is_empty() || force {
            true => Ok(()),
            false => bail!(
                "{}; nothing was fetched, --force goes on all the same",
                self.problems.join("; ")
            ),
        }
    }
}

/// Bytes of 16-bit weights once they are kept like this.
fn reckoned(size: u64, storage: Storage) -> u64 {
    let encoding = match storage {
        Storage::AsStored => return size,
        Storage::Float(encoding)
        | Storage::Quantized {
            layers: encoding, ..
        } => encoding,
    };
    let block = encoding.block_len() as u64;
    let blocks = usize::try_from(size / 2 / block).unwrap_or(usize::MAX);
    let bytes = encoding.bytes_of(blocks.saturating_mul(encoding.block_len()));
    bytes.map_or(size, |bytes| bytes as u64)
}

/// ` as int4 …`, where that is asked for.
fn named(storage: Storage) -> String {
    match storage {
        Storage::AsStored => String::new(),
        Storage::Float(encoding) => format!(" as {encoding}"),
        Storage::Quantized { layers, ends } if layers == ends => format!(" as {layers}"),
        Storage::Quantized { layers, ends } => format!(" as {layers} (ends {ends})"),
    }
}

fn offered(alternatives: &[Alternative]) -> String {
    let one = |alternative: &Alternative| match alternative {
        Alternative::Quant(name, size) => format!("--quant {name} ({})", bytes(*size)),
        Alternative::Gguf(id, size) => format!("{id} ({})", bytes(*size)),
        Alternative::Card(name) => format!("the smaller {name}"),
    };
    match alternatives {
        [] => "no quantization of it fits".to_string(),
        some => format!(
            "what would fit: {}",
            some.iter().map(one).collect::<Vec<_>>().join(", ")
        ),
    }
}
