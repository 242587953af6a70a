//! From a model's name to a model that runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};

use super::copy;
use super::exit::usage;
use super::flags::{CacheArg, ContextArgs, DeviceName, HubArgs, LoadArgs, ModelArgs};
use super::preflight::{Purpose, Report};
use super::progress::{HubBars, Steps};
use super::settings;
use super::ui::Ui;
use crate::demo;
use crate::hub::cache::Snapshot;
use crate::hub::card::{self, Card};
use crate::hub::{HubOptions, ModelFiles, ModelRef, Preflight, resolve_after};
use crate::load::{Opened, Origin};
use crate::model::Model;
use crate::nn::Storage;
use crate::text::{ChatTemplate, Tokenizer};
use crate::weights::packed::Fit;

/// A model that is found and opened, but not loaded.
pub struct Found {
    /// As the user named it.
    pub name: String,
    /// What was opened: a folder, or the one file that is meant.
    pub path: PathBuf,
    pub opened: Opened,
    pub card: Option<&'static Card>,
    /// What it is of, and in which cache, where it was fetched.
    pub fetched: Option<(PathBuf, Snapshot)>,
}

/// The Hub's options from the environment and the flags.
pub fn hub_options(flags: &HubArgs) -> Result<HubOptions> {
    let mut options = HubOptions::from_env()?;
    options.offline |= flags.offline;
    options.revision = flags.revision.clone();
    Ok(options)
}

/// Where the model `name` is, fetched where needed.
pub struct Located {
    pub path: PathBuf,
    pub card: Option<&'static Card>,
    /// What it is of, and in which cache, where it was fetched.
    pub fetched: Option<(PathBuf, Snapshot)>,
}

/// Finds `name`, fetching it where needed and possible.
pub fn locate(name: &str, hub: &HubArgs, need: Need, ui: &Ui) -> Result<Located> {
    let reference = ModelRef::parse(name)?;
    check_revision(name, &reference, hub)?;
    Ok(match &reference {
        ModelRef::Hub(of_hub) => {
            let options = HubOptions {
                force: need.force,
                ..hub_options(hub)?
            };
            let files = obtain(&reference, &options, need, ui)?;
            let snapshot = Snapshot::of(&options.cache, &files);
            Located {
                path: files.path().to_path_buf(),
                card: of_hub.card,
                fetched: snapshot.map(|snapshot| (options.cache, snapshot)),
            }
        }
        ModelRef::Folder(path) | ModelRef::Gguf(path) | ModelRef::Safetensors(path) => Located {
            path: path.clone(),
            // A folder may be called like a card, or like its repository.
            card: path
                .file_name()
                .and_then(|name| card_named(&name.to_string_lossy())),
            fetched: None,
        },
    })
}

/// Refuses a --revision that nothing would heed: of a model that is not the Hub's, or beside
/// another one in the name.
pub fn check_revision(name: &str, reference: &ModelRef, hub: &HubArgs) -> Result<()> {
    let Some(asked) = hub.revision.as_deref() else {
        return Ok(());
    };
    let ModelRef::Hub(of_hub) = reference else {
        return Err(no_revisions(name, asked));
    };
    match of_hub.revision.as_deref() {
        Some(named) if named != asked => Err(usage(format!(
            "--revision {asked}: {name} names the revision {named} itself; leave one of the two out"
        ))),
        _ => Ok(()),
    }
}

fn no_revisions(name: &str, asked: &str) -> anyhow::Error {
    usage(format!(
        "--revision {asked}: {name} is a model of this machine, which has no revisions; leave --revision out, or name a model of the Hub"
    ))
}

/// Finds `name`, fetching it where needed and possible, and reads its configuration.
pub fn find(name: &str, hub: &HubArgs, need: Need, ui: &Ui) -> Result<Found> {
    // Whatever lies here under that name, which `./demo` names: without -m the embedded model is meant.
    if name == demo::NAME && (cfg!(feature = "demo") || !Path::new(name).exists()) {
        if let Some(asked) = hub.revision.as_deref() {
            return Err(no_revisions(name, asked));
        }
        return Ok(Found {
            name: name.to_string(),
            path: PathBuf::from(name),
            opened: Opened::demo()?,
            card: None,
            fetched: None,
        });
    }
    let Located {
        path,
        card,
        fetched,
    } = locate(name, hub, need, ui)?;
    let mut opened = Opened::open(&path)?;
    // A file that wick wrote names its card.
    let card = card.or_else(|| opened.card.as_deref().and_then(card_named));
    opened.card = card.map(|c| c.name.clone());
    Ok(Found {
        name: name.to_string(),
        path,
        opened,
        card,
        fetched,
    })
}

/// What a model is wanted for, and whether it is to be fetched if it seems not to fit.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    pub purpose: Purpose,
    pub force: bool,
}

/// A model of the Hub, after a look at what it will take.
fn obtain(reference: &ModelRef, options: &HubOptions, need: Need, ui: &Ui) -> Result<ModelFiles> {
    let bars = HubBars::new(*ui);
    resolve_after(reference, options, &bars, |plan| -> Result<()> {
        let report = Report::new(plan, &Preflight::new(plan, options, &bars)?, need.purpose);
        report.show(plan, ui);
        report.refuse(need.force)
    })
}

/// The card of this name, or of the hub repository whose name this is without its organization.
fn card_named(name: &str) -> Option<&'static Card> {
    let repo = |card: &Card| {
        let name = card.hub.as_deref()?.split('/').nth(1);
        name.map(str::to_string)
    };
    let is = |card: &Card| {
        let names = [Some(card.name.clone()), repo(card)];
        names.iter().flatten().any(|n| n.eq_ignore_ascii_case(name))
    };
    card::all().map(|(_, card)| card).find(|card| is(card))
}

/// The model that `-m` or WICK_MODEL names; without either the embedded demo model, where this
/// build has it, which is said.
pub fn named<'a>(flags: &'a ModelArgs, ui: &Ui) -> Result<&'a str> {
    match flags.model.as_deref() {
        Some(name) => Ok(name),
        None if cfg!(feature = "demo") => {
            ui.line("demo model; -m chooses another");
            Ok(demo::NAME)
        }
        None => Err(usage(
            "which model? -m names one (or WICK_MODEL): a folder, a file, a card or a hub id; `wick models` lists the cards; this build has no demo model (feature `demo` is off)",
        )),
    }
}

/// Refuses types that no GPU has, before a model is fetched for one.
pub fn check_device(load: &LoadArgs, context: &ContextArgs) -> Result<()> {
    if load.device == DeviceName::Cpu {
        return Ok(());
    }
    if context.cache_type == Some(CacheArg::Q8) {
        return Err(usage(
            "--cache-type q8_0 is for the CPU; take f16, or leave --device out",
        ));
    }
    let Storage::Quantized { layers, ends } = settings::storage(load) else {
        return Ok(());
    };
    let mut encodings = [layers, ends].into_iter();
    match encodings.find(|e| e.to_candle().is_none()) {
        Some(encoding) => Err(usage(format!(
            "--quant {encoding} is for the CPU; take q4_0 or q8_0, or leave --device out"
        ))),
        None => Ok(()),
    }
}

/// A model that runs.
pub struct Loaded {
    pub found: Found,
    pub model: Arc<dyn Model>,
    pub storage: Storage,
    /// Seconds from the name to the loaded model.
    pub load_s: f64,
}

/// Finds and loads a model.
pub fn load(name: &str, hub: &HubArgs, flags: &LoadArgs, ui: &Ui) -> Result<Loaded> {
    let (loaded, ()) = load_after(name, hub, flags, ui, |_| Ok(()))?;
    Ok(loaded)
}

/// As [`load`], once `look` has seen what was found and does not refuse it.
pub fn load_after<T>(
    name: &str,
    hub: &HubArgs,
    flags: &LoadArgs,
    ui: &Ui,
    look: impl FnOnce(&Found) -> Result<T>,
) -> Result<(Loaded, T)> {
    let start = Instant::now();
    let device = settings::device(flags.device)?;
    let storage = settings::storage(flags);
    let need = Need {
        purpose: Purpose::Run(storage),
        force: flags.force,
    };
    let found = find(name, hub, need, ui)?;
    let seen = look(&found)?;
    note_blocks(&found.opened, storage, ui);
    let copy = match flags.no_quant_cache {
        true => None,
        false => copy::of(&found, storage, ui),
    };
    let mut bar = Steps::layers(ui);
    let mut step = |done: usize, all: usize| bar.at(done, all);
    let opened = copy.as_ref().unwrap_or(&found.opened);
    let model = opened.model(&device, storage, &mut step)?;
    bar.finish();
    note_packed(&found.opened, storage, ui)?;
    let loaded = Loaded {
        found,
        model,
        storage,
        load_s: start.elapsed().as_secs_f64(),
    };
    Ok((loaded, seen))
}

/// Says that blocks stay what they are stored as.
fn note_blocks(opened: &Opened, storage: Storage, ui: &Ui) {
    if storage == Storage::AsStored {
        return;
    }
    let stored = opened.weights.tensors().map(|(_, info)| info.encoding);
    if let Some(encoding) = stored.filter(|e| e.is_quantized()).max() {
        ui.note(format!(
            "{} holds {encoding} already; --quant and --dtype change plain floats only",
            opened.path.display()
        ));
    }
}

/// Says what becomes of packed integers: what they cost as floats, or what was lost in blocks that
/// do not hold them.
pub fn note_packed(opened: &Opened, storage: Storage, ui: &Ui) -> Result<()> {
    let weights = &opened.weights;
    let rounded = weights.rounded();
    let as_floats = matches!(storage, Storage::AsStored | Storage::Float(_));
    if !as_floats && rounded == 0 {
        return Ok(());
    }
    let Some(fit) = Fit::of(weights)? else {
        return Ok(());
    };
    let better = match fit.blocks() {
        Some(blocks) => format!("--quant {blocks} keeps the integers as they are"),
        None => "no blocks hold the integers as they are".to_string(),
    };
    ui.note(match as_floats {
        true => format!(
            "{} packed matrices ({}) are kept as floats, which take more memory; {better}",
            fit.matrices, fit.packing
        ),
        false => format!(
            "{rounded} packed matrices ({}) do not fit these blocks and were rounded once more; {better}",
            fit.packing
        ),
    });
    Ok(())
}

/// What turns text into tokens and conversations into prompts.
pub struct Texts {
    pub tokenizer: Option<Tokenizer>,
    pub template: Option<ChatTemplate>,
}

impl Texts {
    /// The model's tokenizer, and the chat template that is asked for, else the model's own,
    /// else its card's.
    pub fn open(found: &Found, template: Option<&str>) -> Result<Self> {
        let Self { tokenizer, .. } = Self::plain(found)?;
        let own = || match &found.opened.origin {
            Origin::Folder { folder, .. } => ChatTemplate::from_folder(folder),
            Origin::Gguf(metadata) => ChatTemplate::from_gguf(metadata),
        };
        let of_card = || found.card.and_then(|c| c.chat.as_deref()).and_then(format);
        let template = match template {
            Some(name) => Some(template_named(name)?),
            None => own()?.or_else(of_card),
        };
        let template = match (&tokenizer, template) {
            (Some(tokenizer), Some(template)) => Some(template.with_tokenizer(tokenizer)),
            (_, template) => template,
        };
        Ok(Self {
            tokenizer,
            template,
        })
    }

    /// The model's tokenizer alone, for prompts that go to the model as they are.
    pub fn plain(found: &Found) -> Result<Self> {
        let tokenizer = match &found.opened.origin {
            Origin::Folder { folder, .. } => Tokenizer::from_folder(folder)?,
            Origin::Gguf(metadata) => Tokenizer::from_gguf(metadata)?,
        };
        Ok(Self {
            tokenizer,
            template: None,
        })
    }

    /// Neither.
    pub fn none() -> Self {
        Self {
            tokenizer: None,
            template: None,
        }
    }

    /// The tokenizer, which text cannot do without.
    pub fn tokenizer(&self, found: &Found) -> Result<&Tokenizer> {
        self.tokenizer.as_ref().with_context(|| {
            let path = found.opened.path.display();
            match found.opened.origin {
                Origin::Folder { .. } => format!(
                    "{path}: no tokenizer is there; put the model's tokenizer.json or tokenizer.model beside its weights"
                ),
                Origin::Gguf(_) => format!(
                    "{path}: no tokenizer is in it; write it anew from a folder that has tokenizer.json or tokenizer.model (`wick quantize`)"
                ),
            }
        })
    }
}

/// A format of wick's own, with or without the dashes in its name.
fn format(name: &str) -> Option<ChatTemplate> {
    let plain = |s: &str| s.replace('-', "");
    let names = ChatTemplate::builtin_names();
    let known = names.into_iter().find(|n| plain(n) == plain(name))?;
    ChatTemplate::builtin(known)
}

/// The largest template that is read.
const LARGEST_TEMPLATE: u64 = 1 << 20;

/// Refuses a --template that is none, before a model is fetched for it.
pub fn check_template(name: Option<&str>) -> Result<()> {
    name.map(template_named).transpose().map(drop)
}

/// `--template`: a format's name or a file.
fn template_named(name: &str) -> Result<ChatTemplate> {
    if let Some(template) = format(name) {
        return Ok(template);
    }
    let path = PathBuf::from(name);
    if !path.is_file() {
        let known = ChatTemplate::builtin_names();
        let near = card::did_you_mean(&card::nearest(name, &known, 2));
        return Err(usage(format!(
            "--template {name}: neither a file nor a format{near} (formats: {})",
            known.join(", ")
        )));
    }
    let source = super::prompt::read_text(&path, LARGEST_TEMPLATE)?;
    Ok(ChatTemplate::from_source(name, &source)?)
}

/// The last part of a model's path or name, for tables.
pub fn short_name(name: &str) -> String {
    let last = Path::new(name).file_name();
    last.map_or_else(|| name.to_string(), |n| n.to_string_lossy().into_owned())
}
