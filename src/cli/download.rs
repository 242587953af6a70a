//! `wick download`: models into the cache that all tools of the Hub share.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::completions;
use super::exit::usage;
use super::figures::bytes;
use super::flags::{HubArgs, Quant};
use super::interrupt::Interrupt;
use super::open::hub_options;
use super::output::Output;
use super::preflight::{Purpose, Report};
use super::progress::HubBars;
use super::ui::Ui;
use crate::demo;
use crate::hub::{HubOptions, ModelRef, Plan, Preflight, fetch, plan, resolve};
use crate::nn::Storage;

/// Fetch models into the Hub's shared cache; prints where they are
#[derive(Debug, Args)]
#[command(after_help = VARIABLES)]
pub struct DownloadArgs {
    /// Cards' names or hub ids ORG/NAME[@REVISION][:FILE_OR_QUANT]
    #[arg(value_name = "MODEL", required = true, add = completions::hub_models())]
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
    /// Show files, sizes and what the model will take; fetch nothing
    #[arg(long)]
    dry_run: bool,
    /// Reckon the memory at this quantization; the files are the same
    #[arg(long, value_name = "TYPE")]
    quant: Option<Quant>,
    /// Fetch even what the disk or the memory cannot hold, or wick cannot run
    #[arg(long)]
    force: bool,
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
    options.force = args.force;
    check_folder(args)?;
    if options.offline {
        check_offline(args)?;
    }
    Interrupt::install()?;
    let mut out = Output::new();
    for name in &args.models {
        if cfg!(feature = "demo") && name == demo::NAME {
            // As for a local model: the path that is promised on stdout is none of a download.
            bail!("{name}: this model is in the program already; there is nothing to download");
        }
        let reference = ModelRef::parse(name)?;
        let ModelRef::Hub(hub) = &reference else {
            bail!("{name}: this is a local model already; name a card or a hub id");
        };
        if let Some(note) = hub.card.and_then(|c| c.note.as_deref()) {
            ui.note(note);
        }
        let bars = HubBars::new(*ui);
        if options.offline && !args.dry_run {
            let files = resolve(&reference, &options, &bars)?;
            out.line(&files.path().display().to_string())?;
            continue;
        }
        let plan = plan(hub, &options, &bars)?;
        if args.dry_run || plan.missing_bytes() > 0 {
            let report = report(args, &plan, &options, &bars)?;
            match args.dry_run {
                true => list(&plan, &report, &mut out)?,
                false => report.show(&plan, ui),
            }
            report.refuse(args.force)?;
        }
        if !args.dry_run {
            let files = fetch(&plan, &options, &bars)?;
            out.line(&files.path().display().to_string())?;
        }
    }
    Ok(())
}

/// Models have files of the same names, of which one folder can hold but one.
fn check_folder(args: &DownloadArgs) -> Result<()> {
    match (&args.local_dir, args.models.len()) {
        (Some(folder), 2..) => Err(usage(format!(
            "--local-dir {}: one folder holds one model, and {} are named; their files have the same names; give each a folder of its own, or leave --local-dir out",
            folder.display(),
            args.models.len()
        ))),
        _ => Ok(()),
    }
}

/// Offline the cache is looked at as it is, and nothing is chosen or put elsewhere.
fn check_offline(args: &DownloadArgs) -> Result<()> {
    let flags = [
        ("--local-dir", args.local_dir.is_some()),
        ("--include", !args.include.is_empty()),
        ("--exclude", !args.exclude.is_empty()),
    ];
    match flags.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(usage(format!(
            "{flag} wants the Hub's list of files, which --offline (or HF_HUB_OFFLINE) forbids to ask for; leave one of the two out"
        ))),
        None => Ok(()),
    }
}

fn report(
    args: &DownloadArgs,
    plan: &Plan,
    options: &HubOptions,
    bars: &HubBars,
) -> Result<Report> {
    let storage = args.quant.map_or(Storage::AsStored, |quant| quant.0);
    let preflight = Preflight::new(plan, options, bars)?;
    Ok(Report::new(plan, &preflight, Purpose::Run(storage)))
}

/// What would be fetched, and what it would take.
fn list(plan: &Plan, report: &Report, out: &mut Output) -> Result<()> {
    out.line(&format!("{} at {}", plan.model, plan.commit))?;
    for file in &plan.files {
        let here = if file.is_here() { "  (here)" } else { "" };
        let size = bytes(file.remote.size);
        out.line(&format!("  {size:>10}  {}{here}", file.remote.path))?;
    }
    for line in &report.lines {
        out.line(line)?;
    }
    Ok(())
}
