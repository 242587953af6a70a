//! `wick download`: models into the cache that all tools of the Hub share.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::figures::bytes;
use super::flags::HubArgs;
use super::interrupt::Interrupt;
use super::open::hub_options;
use super::output::Output;
use super::progress::HubBars;
use super::ui::Ui;
use crate::hub::{HubOptions, HubRef, ModelRef, fetch, plan, resolve};

/// Fetch models into the Hub's shared cache; prints where they are
#[derive(Debug, Args)]
#[command(after_help = VARIABLES)]
pub struct DownloadArgs {
    /// Cards' names or hub ids ORG/NAME[@REVISION][:FILE_OR_QUANT]
    #[arg(value_name = "MODEL", required = true)]
    models: Vec<String>,
    #[command(flatten)]
    hub: HubArgs,
    /// Fetch the files that match instead of what loading needs (repeatable)
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Leave out the files that match (repeatable)
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Fetch into this folder as plain files instead of the cache
    #[arg(long, value_name = "DIR")]
    local_dir: Option<PathBuf>,
    /// Show files and sizes; fetch nothing
    #[arg(long)]
    dry_run: bool,
}

const VARIABLES: &str = "\
Environment, as Python's huggingface_hub reads it: HF_HOME, HF_HUB_CACHE (where the cache is), \
HF_ENDPOINT (a mirror), HF_TOKEN (sent to the endpoint and nowhere else), HF_HUB_OFFLINE.
A download that stops goes on where it stopped; every file is checked against the Hub's hash.";

pub fn run(args: &DownloadArgs, ui: &Ui) -> Result<()> {
    let mut options = hub_options(&args.hub)?;
    options.include = args.include.clone();
    options.exclude = args.exclude.clone();
    options.local_dir = args.local_dir.clone();
    Interrupt::install()?;
    let mut out = Output::new();
    for name in &args.models {
        let reference = ModelRef::parse(name)?;
        let ModelRef::Hub(hub) = &reference else {
            bail!("{name}: this is a local model already; name a card or a hub id");
        };
        let note = hub.card.and_then(|c| c.note.as_deref());
        if let Some(note) = note {
            ui.note(note);
        }
        match args.dry_run {
            true => dry_run(hub, &options, ui, &mut out)?,
            false => {
                let bars = HubBars::new(*ui);
                let files = match options.offline {
                    true => resolve(&reference, &options, &bars)?,
                    false => fetch(&plan(hub, &options, &bars)?, &options, &bars)?,
                };
                out.line(&files.path().display().to_string())?;
            }
        }
    }
    Ok(())
}

/// What would be fetched.
fn dry_run(hub: &HubRef, options: &HubOptions, ui: &Ui, out: &mut Output) -> Result<()> {
    let bars = HubBars::new(*ui);
    let plan = plan(hub, options, &bars)?;
    out.line(&format!("{} at {}", plan.model, plan.commit))?;
    for file in &plan.files {
        let here = if file.here { "  (here)" } else { "" };
        let size = bytes(file.remote.size);
        out.line(&format!("  {size:>10}  {}{here}", file.remote.path))?;
    }
    out.line(&format!(
        "  {:>10}  in all, {} to fetch",
        bytes(plan.bytes()),
        bytes(plan.missing_bytes())
    ))?;
    Ok(())
}
