//! One side of a measurement: a model and how it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Parser;

use super::super::dashed;
use super::super::exit::usage;
use super::super::figures::bytes;
use super::super::flags::{CacheArg, ContextArgs, HubArgs, LoadArgs, Quant};
use super::super::open::{self, Found, Loaded};
use super::super::ui::Ui;
use super::super::{settings, threads};
use crate::arch::Structure;
use crate::bench::Load;
use crate::memory;
use crate::nn::CacheType;
use crate::quant::{Encoding, Isa};

/// What a user asks for, nothing loaded yet.
#[derive(Clone)]
pub struct Wanted {
    /// The flags that make it another than the first; empty for the first itself.
    pub label: String,
    pub model: String,
    pub load: LoadArgs,
    pub threads: usize,
    pub cache_type: Option<CacheArg>,
    pub isa: Isa,
}

/// What `--against` takes.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Flags {
    #[arg(short, long)]
    model: Option<String>,
    #[arg(short, long)]
    threads: Option<usize>,
    #[arg(long)]
    quant: Option<Quant>,
    #[arg(long, value_enum, ignore_case = true)]
    cache_type: Option<CacheArg>,
    #[arg(long, value_parser = isa)]
    isa: Option<Isa>,
}

/// An instruction set of this machine.
fn isa(name: &str) -> Result<Isa, String> {
    let all = Isa::available();
    let found = all.iter().find(|isa| isa.name() == name).copied();
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|isa| isa.name()).collect();
        format!("this machine has {}", names.join(", "))
    })
}

impl Wanted {
    /// This setting changed by `text`: another model's name, or flags.
    pub fn changed(&self, text: &str) -> Result<Self> {
        let mut other = Self {
            label: text.to_string(),
            ..self.clone()
        };
        if !text.starts_with('-') {
            other.model = text.to_string();
            return Ok(other);
        }
        let words = text.split_whitespace().map(dashed);
        let flags = Flags::try_parse_from(words).map_err(|e| {
            let e = e.to_string();
            let first = e.lines().next().unwrap_or_default();
            let first = first.trim_start_matches("error: ");
            usage(format!(
                "--against {text:?}: {first}; a model or -m, -t, --quant, --cache-type, --isa are wanted"
            ))
        })?;
        if let Some(model) = flags.model {
            other.model = model;
        }
        if let Some(n) = flags.threads {
            other.threads = threads::number(Some(n))?;
        }
        other.load.quant = flags.quant.or(self.load.quant);
        other.cache_type = flags.cache_type.or(self.cache_type);
        other.isa = flags.isa.unwrap_or(self.isa);
        Ok(other)
    }

    /// Refuses what suits no model, before one is fetched.
    pub fn check(&self) -> Result<()> {
        open::check_device(&self.load, &self.context())
    }

    fn context(&self) -> ContextArgs {
        ContextArgs {
            ctx_size: None,
            cache_type: self.cache_type,
        }
    }

    /// Whether both need the same weights in memory.
    pub fn shares_weights(&self, other: &Self) -> bool {
        self.model == other.model && self.load.quant == other.load.quant
    }

    /// Loads the model, unless `before` has it.
    pub fn load(self, hub: &HubArgs, before: Option<&Setting>, ui: &Ui) -> Result<Setting> {
        match before {
            Some(before) if self.shares_weights(&before.wanted) => Ok(self.sharing(before)),
            _ => Ok(self.load_new(hub, ui, |_| Ok(()))?.0),
        }
    }

    /// Loads the model once `look` has seen what was found and does not refuse it.
    pub fn load_new<T: Send>(
        self,
        hub: &HubArgs,
        ui: &Ui,
        look: impl FnOnce(&Found) -> Result<T> + Send,
    ) -> Result<(Setting, T)> {
        let load = || open::load_after(&self.model, hub, &self.load, ui, look);
        let (loaded, seen) = threads::with(self.threads, load)??;
        let setting = Setting {
            wanted: self,
            loaded: Arc::new(loaded),
        };
        Ok((setting, seen))
    }

    /// This setting with the weights of `other`, which it shares.
    pub fn sharing(self, other: &Setting) -> Setting {
        Setting {
            wanted: self,
            loaded: other.loaded.clone(),
        }
    }
}

/// A setting whose model is there.
pub struct Setting {
    pub wanted: Wanted,
    pub loaded: Arc<Loaded>,
}

impl Setting {
    /// Runs `work` with the setting's threads and instructions.
    pub fn with<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.wanted.isa.choose();
        threads::with(self.wanted.threads, work)
    }

    /// Refuses what has no meaning for the model, or no room.
    ///
    /// # Errors
    /// A prompt behind others where all of one is read at once, or one too short for its marks;
    /// more tokens than the model or the machine's memory holds.
    pub fn check(&self, loads: &[Load], depths: &[usize]) -> Result<()> {
        let has_prompts = loads.iter().any(|load| matches!(load, Load::Prompt(_)));
        match &self.loaded.found.opened.spec.structure {
            Structure::Causal => {}
            _ if has_prompts && depths.iter().any(|&n| n > 0) => {
                return Err(usage(
                    "-d/--n-depth: this model reads all of a prompt in one pass, so that none comes after tokens in the cache; add -p 0 to measure answers alone, or leave -d out",
                ));
            }
            Structure::Prefix(_) if loads.contains(&Load::Prompt(1)) => {
                return Err(usage(
                    "-p/--n-prompt 1: this model's prompts end with a mask and a start token; 2 is the least",
                ));
            }
            _ => {}
        }
        for &depth in depths {
            for &load in loads {
                self.cache_type(load, depth)?;
            }
        }
        Ok(())
    }

    /// The type of the KV cache for `load` after `depth` tokens.
    ///
    /// # Errors
    /// If the model or the machine's memory does not hold so many.
    pub fn cache_type(&self, load: Load, depth: usize) -> Result<CacheType> {
        let opened = &self.loaded.found.opened;
        let tokens = load.positions(depth, &opened.spec.structure);
        let limit = opened.spec.max_len;
        if tokens > limit {
            bail!(
                "{tokens} tokens are more than the model's context of {limit}; lower --n-prompt, --n-gen or --n-depth"
            );
        }
        let flags = "--n-prompt, --n-gen or --n-depth";
        self.cache_for(tokens.saturating_add(2), flags)
    }

    /// The type of a KV cache for `tokens` tokens, which `flags` ask for.
    ///
    /// # Errors
    /// If the machine's memory does not hold so many.
    pub fn cache_for(&self, tokens: usize, flags: &str) -> Result<CacheType> {
        let Loaded { found, storage, .. } = &*self.loaded;
        let kind = settings::cache_type(&self.wanted.context(), &found.opened, *storage);
        let each = memory::cache_bytes_per_token(&found.opened.spec, kind);
        let needed = each.saturating_mul(tokens as u64);
        match memory::all() {
            Some(all) if needed > all => bail!(
                "the KV cache of {tokens} tokens takes {}, and this machine has {} of memory; lower {flags}",
                bytes(needed),
                bytes(all)
            ),
            _ => Ok(kind),
        }
    }

    /// What tells this setting from another: its flags, or else its model.
    pub fn name(&self) -> &str {
        match self.wanted.label.as_str() {
            "" => &self.wanted.model,
            label => label,
        }
    }

    /// The encoding that most weights are kept in.
    pub fn main_encoding(&self) -> Encoding {
        let Loaded { found, storage, .. } = &*self.loaded;
        let mut counts = BTreeMap::new();
        for (name, info) in found.opened.weights.tensors() {
            let encoding = storage.encoding(info.encoding, &info.shape, name);
            *counts.entry(encoding).or_insert(0) += info.len();
        }
        let main = counts.into_iter().max_by_key(|&(_, n)| n);
        main.map_or(Encoding::F32, |(encoding, _)| encoding)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::exit::Usage;
    use super::super::super::flags::DeviceName;
    use super::*;

    fn first() -> Wanted {
        Wanted {
            label: String::new(),
            model: "a.gguf".to_string(),
            load: LoadArgs {
                quant: Some("int8".parse().unwrap()),
                dtype: None,
                device: DeviceName::Cpu,
                threads: None,
                force: false,
                no_quant_cache: true,
            },
            threads: 2,
            cache_type: None,
            isa: Isa::PORTABLE,
        }
    }

    #[test]
    fn flags_change_what_they_name_and_nothing_else() {
        let one = first().changed("-t 1 --cache-type f32").unwrap();
        assert_eq!((one.threads, one.cache_type), (1, Some(CacheArg::F32)));
        assert!(one.shares_weights(&first()));
        let four = first().changed("--quant int4").unwrap();
        assert!(!four.shares_weights(&first()) && four.threads == 2);
        let best = Isa::available().last().copied().unwrap();
        let named = first().changed(&format!("--isa {}", best.name())).unwrap();
        assert_eq!(named.isa, best);
        let words = "--cache_type q8_0 --model a_b.gguf";
        let under = first().changed(words).unwrap();
        assert_eq!(under.cache_type, Some(CacheArg::Q8));
        assert_eq!(under.model, "a_b.gguf");
        for other in ["b c.gguf", "-m b"] {
            assert!(!first().changed(other).unwrap().shares_weights(&first()));
        }
        assert_eq!(first().changed("b c.gguf").unwrap().model, "b c.gguf");
        for bad in ["-t 0", "-t x", "--isa none", "--temp 1", "-m", "--help"] {
            assert!(first().changed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn types_that_no_gpu_has_are_refused_before_a_model_is_fetched() {
        let mut gpu = first();
        gpu.load.device = DeviceName::Cuda(0);
        assert!(gpu.check().is_ok());
        let flags = "--cache-type q8_0";
        let message = gpu.changed(flags).unwrap().check().unwrap_err();
        assert!(message.is::<Usage>(), "{message}");
        assert!(message.to_string().contains(flags), "{message}");
        let cpu = first().changed(flags).unwrap();
        assert!(cpu.check().is_ok());
    }
}
