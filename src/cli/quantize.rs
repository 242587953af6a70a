//! `wick quantize`: a model into a GGUF file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use tempfile::TempDir;

use super::completions;
use super::figures::bytes;
use super::flags::{HubArgs, Quant};
use super::interrupt::{Interrupt, remove_if_stopped};
use super::open::Need;
use super::output::Output;
use super::preflight::Purpose;
use super::progress::Steps;
use super::ui::Ui;
use super::{open, threads};
use crate::files::{check_output, folder_of, partial};
use crate::hub::free_bytes;
use crate::load::Opened;
use crate::nn::Storage;
use crate::quantize::{Written, to_gguf};
use crate::text::Held;
use crate::weights::xor;

/// Write a model as GGUF, quantized tensor by tensor
#[derive(Debug, Args)]
pub struct QuantizeArgs {
    /// A folder, a file, a card's name or a hub id
    #[arg(value_name = "MODEL", add = completions::models())]
    model: String,
    /// The file to write
    #[arg(short, long, value_name = "OUT.gguf")]
    output: PathBuf,
    /// int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), f32, f16, bf16, a GGUF type, or none
    /// to keep what is stored
    #[arg(long, value_name = "TYPE")]
    quant: Quant,
    /// MODEL is only the difference from this one (a folder): add the two, as for
    /// tatsu-lab/alpaca-7b-wdiff and LLaMA-7B; or it is encrypted with this one's
    /// consolidated.00.pth, as the BELLE-LLaMA-*-enc are
    #[arg(long, value_name = "FOLDER")]
    base: Option<PathBuf>,
    /// Overwrite the file if it exists; fetch even what the disk cannot hold
    #[arg(long)]
    force: bool,
    /// Threads that work [default: the physical cores]
    #[arg(
        short,
        long,
        value_name = "N",
        env = "WICK_THREADS",
        hide_env_values = true
    )]
    threads: Option<usize>,
    #[command(flatten)]
    hub: HubArgs,
}

pub fn run(args: &QuantizeArgs, ui: &Ui) -> Result<()> {
    check_output(&args.output).context("--output")?;
    if args.output.exists() && !args.force {
        bail!("{} exists; --force overwrites it", args.output.display());
    }
    Interrupt::install()?;
    let need = Need {
        purpose: Purpose::Read,
        force: args.force,
    };
    let _unfinished = remove_if_stopped(partial(&args.output));
    // The decrypted files, which are there while this lives.
    let mut plain = None;
    let opened = match &args.base {
        None => open::find(&args.model, &args.hub, need, ui)?.opened,
        Some(base) => {
            let open::Located { path, card, .. } = open::locate(&args.model, &args.hub, need, ui)?;
            let mut opened = match xor::is_encrypted(&path) {
                false => Opened::difference(&path, base)?,
                true => {
                    let folder = folder_beside(&args.output)?;
                    let unfinished = remove_if_stopped(folder.path().to_path_buf());
                    let (folder, _) = plain.insert((folder, unfinished));
                    Opened::open(&decrypted(&path, base, folder.path(), ui)?)?
                }
            };
            opened.card = card.map(|c| c.name.clone());
            opened
        }
    };
    let mut tensors: Vec<Written> = Vec::new();
    let mut bar = Steps::tensors(ui);
    let n = threads::number(args.threads)?;
    let held = threads::with(n, || {
        to_gguf(&opened, args.quant.0, &args.output, &mut |one, all| {
            tensors.push(one.clone());
            bar.at(tensors.len(), all);
        })
    })??;
    bar.finish();
    for difference in crate::arch::differences(opened.family, &opened.spec) {
        match opened.family.gguf {
            Some(_) => ui.note(format!("llama.cpp reads this file, but {difference}")),
            None => ui.note(difference),
        }
    }
    if let Some(said) = said(held) {
        ui.note(said);
    }
    table(&tensors)?;
    let before = opened.file_bytes();
    let after = std::fs::metadata(&args.output).map_or(0, |m| m.len());
    ui.line(&format!(
        "{}: {} (the original: {})",
        args.output.display(),
        bytes(after),
        bytes(before)
    ));
    open::note_packed(&opened, args.quant.0, ui)?;
    let kept = tensors
        .iter()
        .filter(|t| t.shape.len() > 1 && t.to == t.from);
    if let (Storage::Quantized { .. }, n @ 1..) = (args.quant.0, kept.count()) {
        ui.note(format!(
            "{n} matrices are written as they were: they are in that type already, or their rows do not fill whole blocks"
        ));
    }
    Ok(())
}

/// A temporary folder beside the file that is to be written, where there is room for large ones.
fn folder_beside(file: &Path) -> Result<TempDir> {
    let parent = folder_of(file);
    tempfile::Builder::new()
        .prefix(".wick-plain-")
        .tempdir_in(parent)
        .with_context(|| format!("{}: no folder can be made here", parent.display()))
}

/// Decrypts the folder `path` with `base` into a folder in `room`, which is its name's.
fn decrypted(path: &Path, base: &Path, room: &Path, ui: &Ui) -> Result<PathBuf> {
    let size = xor::encrypted_bytes(path)?;
    if let Some(free) = free_bytes(room).filter(|&free| free < size) {
        bail!(
            "{} takes {} while it is converted, beside the file that is written, where {} are free",
            path.display(),
            bytes(size),
            bytes(free)
        );
    }
    let full = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let plain = room.join(full.file_name().unwrap_or("model".as_ref()));
    std::fs::create_dir(&plain).with_context(|| plain.display().to_string())?;
    let mut bar = Steps::decrypting(ui);
    xor::decrypt(path, base, &plain, &mut |done, all| {
        // In MiB, for a step is a number of things.
        bar.at((done >> 20) as usize, (all >> 20) as usize);
    })?;
    bar.finish();
    Ok(plain)
}

/// What others than wick have to know of the vocabulary.
fn said(held: Held) -> Option<&'static str> {
    match held {
        Held::Exactly => None,
        Held::Absent => Some("the model has no vocabulary: it is asked by ids (--prompt-ids)"),
        Held::Nearly => Some(
            "llama.cpp's keys hold the vocabulary nearly, so that it may cut some texts into other tokens; wick reads the original files, which are in the GGUF too",
        ),
        Held::AsFiles => Some(
            "llama.cpp's keys cannot hold the vocabulary; its original files are in the GGUF, where wick reads them",
        ),
    }
}

/// Each tensor with its size and what rounding cost.
fn table(tensors: &[Written]) -> Result<()> {
    let mut out = Output::new();
    out.line(&format!(
        "{:<34} {:<16} {:>5} {:>6} {:>11} {:>10}",
        "tensor", "shape", "from", "to", "size", "rel. error"
    ))?;
    for t in tensors {
        let shape = t.shape.iter().map(usize::to_string);
        let shape = shape.collect::<Vec<_>>().join("×");
        out.line(&format!(
            "{:<34} {shape:<16} {:>5} {:>6} {:>11} {:>10}",
            t.name,
            t.from.name(),
            t.to.name(),
            bytes(t.bytes as u64),
            match t.error {
                0.0 => "-".to_string(),
                e => format!("{e:.2e}"),
            }
        ))?;
    }
    Ok(())
}
