//! `wick quantize`: a model into a GGUF file.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::figures::bytes;
use super::flags::{HubArgs, Quant};
use super::interrupt::Interrupt;
use super::output::Output;
use super::progress::Steps;
use super::ui::Ui;
use super::{open, threads};
use crate::load::Opened;
use crate::nn::Storage;
use crate::quantize::{Written, to_gguf};

/// Write a model as GGUF, quantized tensor by tensor
#[derive(Debug, Args)]
pub struct QuantizeArgs {
    /// A folder, a file, a card's name or a hub id
    #[arg(value_name = "MODEL")]
    model: String,
    /// The file to write
    #[arg(short, long, value_name = "OUT.gguf")]
    output: PathBuf,
    /// int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), f32, f16, bf16, a GGUF type, or none
    /// to keep what is stored
    #[arg(long, value_name = "TYPE")]
    quant: Quant,
    /// MODEL is only the difference from this one (a folder): add the two, as for
    /// tatsu-lab/alpaca-7b-wdiff and LLaMA-7B
    #[arg(long, value_name = "FOLDER")]
    base: Option<PathBuf>,
    /// Overwrite the file if it exists
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
    if args.output.exists() && !args.force {
        bail!("{} exists; --force overwrites it", args.output.display());
    }
    let interrupt = Interrupt::install()?;
    interrupt.remove_if_stopped(crate::quantize::partial(&args.output));
    let mut found = open::find(&args.model, &args.hub, ui)?;
    if let Some(base) = &args.base {
        found.opened = Opened::difference(&found.opened.path, base)?;
    }
    let mut tensors: Vec<Written> = Vec::new();
    let mut bar = Steps::tensors(ui);
    let n = threads::number(args.threads)?;
    threads::with(n, || {
        to_gguf(
            &found.opened,
            args.quant.0,
            &args.output,
            &mut |one, all| {
                tensors.push(one.clone());
                bar.at(tensors.len(), all);
            },
        )
    })??;
    bar.finish();
    table(&tensors)?;
    let before = found.opened.file_bytes();
    let after = std::fs::metadata(&args.output).map_or(0, |m| m.len());
    ui.line(&format!(
        "{}: {} (the original: {})",
        args.output.display(),
        bytes(after),
        bytes(before)
    ));
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
