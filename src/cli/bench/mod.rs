//! `wick bench`: how fast prompts are read and answers made, and how well a text is predicted.

mod measure;
mod perplexity;
mod perplexity_row;
mod setting;
mod speed_row;
mod table;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::iter;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use self::measure::Test;
use self::setting::{Setting, Wanted};
use self::table::{Format, Table};
use super::completions;
use super::exit::usage;
use super::flags::{CacheArg, DeviceName, HubArgs, LoadArgs, ModelArgs, Quant};
use super::interrupt::Interrupt;
use super::ui::Ui;
use super::{open, threads};
use crate::bench::{Floors, Load, Windows};
use crate::memory;
use crate::quant::Isa;

/// Measure the speed of prompts and of generation, or the perplexity of a text
#[derive(Debug, Args)]
#[command(
    after_help = "Every comma list makes a grid. `reached` is the part of what this machine \
                  could do at best, both measured at the start with as many threads: generation \
                  reads the weights and the KV cache from memory for each token; prompts multiply, \
                  INT4 and INT8 weights with the widest integer instruction in registers (GMAC/s: \
                  billions of multiply-adds per second), others with that of f32.\n\
                  --against alternates two settings and prints how many times as fast the first \
                  is: the geometric mean of the pairs' ratios, with a 95 % interval (Student's t \
                  on their logarithms).\n\
                  --perplexity prints exp of the mean negative log-likelihood of a token, as \
                  llama.cpp's llama-perplexity does: over windows of -c tokens that do not \
                  overlap, BOS first in each where the tokenizer adds it, the second half of each \
                  scored; of a text shorter than two windows only the first window is read, and \
                  all of it but its first token scored. With --against also how far the second \
                  setting is from the first: the mean KL divergence (nats), ln of the second's \
                  perplexity over the first's, and how often both hold the same token likeliest. \
                  All with their standard errors."
)]
pub struct BenchArgs {
    /// A folder, a .gguf, a .safetensors, a card's name or a hub id
    #[arg(
        short,
        long,
        value_name = "MODEL",
        env = "WICK_MODEL",
        hide_env_values = true,
        add = completions::models()
    )]
    model: Option<String>,
    /// Prompts of these lengths; 0 for none
    #[arg(
        short = 'p',
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "512"
    )]
    n_prompt: Vec<usize>,
    /// Answers of these lengths; 0 for none
    #[arg(
        short = 'n',
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "128"
    )]
    n_gen: Vec<usize>,
    /// Tokens that are in the cache before
    #[arg(
        short = 'd',
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "0"
    )]
    n_depth: Vec<usize>,
    /// How often each is measured
    #[arg(short, long, value_name = "N", default_value = "5")]
    repetitions: usize,
    /// Threads [default: the physical cores]
    #[arg(short, long, value_name = "N,…", value_delimiter = ',')]
    threads: Vec<usize>,
    /// How the table is written
    #[arg(short, long, value_enum, default_value = "md", ignore_case = true)]
    output: Format,
    /// Quantize while loading: int8, int4, none, or a GGUF type
    #[arg(long, value_name = "TYPE")]
    quant: Option<Quant>,
    /// cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]
    #[arg(long, value_enum, value_name = "TYPE", ignore_case = true)]
    cache_type: Option<CacheArg>,
    /// Alternate with another setting: a model, or flags that change this one ("-t 1",
    /// "--quant int8", "--cache-type f32", "--isa avx2", "-m MODEL")
    #[arg(long, value_name = "MODEL|FLAGS", allow_hyphen_values = true)]
    against: Option<String>,
    /// Measure the perplexity of this text (UTF-8, at most 16 MiB) instead of speeds
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["n_prompt", "n_gen", "n_depth", "repetitions"]
    )]
    perplexity: Option<PathBuf>,
    /// Tokens of a window of --perplexity [default: 512, or the model's context where that is
    /// shorter]
    #[arg(
        short,
        long,
        value_name = "N",
        allow_negative_numbers = true,
        requires = "perplexity",
        value_parser = window
    )]
    ctx_size: Option<usize>,
    #[command(flatten)]
    hub: HubArgs,
}

/// Reads the length of a window.
fn window(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(n) if n >= Windows::SHORTEST => Ok(n),
        _ => Err(format!(
            "a number from {} on is wanted, for a shorter window has no token to score; leave --ctx-size out for 512",
            Windows::SHORTEST
        )),
    }
}

pub fn run(args: &BenchArgs, ui: &Ui) -> Result<()> {
    match &args.perplexity {
        Some(file) => perplexity::run(args, file, ui),
        None => speeds(args, ui),
    }
}

/// Measures how fast prompts are read and answers made.
fn speeds(args: &BenchArgs, ui: &Ui) -> Result<()> {
    if args.repetitions == 0 {
        return Err(usage("--repetitions 0: at least one is needed"));
    }
    let loads = loads(args);
    if loads.is_empty() {
        return Err(usage(
            "--n-prompt 0 and --n-gen 0: there is nothing to measure; give one of them a length",
        ));
    }
    let groups = wanted(args, ui)?;
    for one in groups.iter().flatten() {
        one.check()?;
    }
    let interrupt = Interrupt::install()?;
    // Measured before a model is there, so that the buffer does not count as the model's.
    let mut floors = BTreeMap::new();
    for one in groups.iter().flatten() {
        let key = (one.threads, one.isa.name());
        if let Entry::Vacant(room) = floors.entry(key) {
            room.insert(threads::with(one.threads, || Floors::measure(one.isa))??);
        }
    }
    memory::reset_peak_rss();
    let mut table = Table::new(args.output, args.against.is_some());
    let mut before: Option<Setting> = None;
    for group in groups {
        let mut settings = Vec::new();
        for one in group {
            let known = settings.last().or(before.as_ref());
            let setting = one.load(&args.hub, known, ui)?;
            // Before anything is measured: a refusal after an hour would cost that hour.
            setting.check(&loads, &args.n_depth)?;
            settings.push(setting);
        }
        for &depth in &args.n_depth {
            for &load in &loads {
                let test = Test {
                    load,
                    depth,
                    repetitions: args.repetitions,
                };
                for row in test.run(&settings, &floors, &interrupt)? {
                    table.add(row)?;
                }
            }
        }
        before = settings.pop();
    }
    table.end()
}

/// What is to be measured, what alternates side by side.
fn wanted(args: &BenchArgs, ui: &Ui) -> Result<Vec<Vec<Wanted>>> {
    if args.against.is_some() {
        let (first, other) = pair(args, one_thread_count(args, "--against")?, ui)?;
        return Ok(vec![iter::once(first).chain(other).collect()]);
    }
    let count = threads::number(args.threads.first().copied())?;
    let (first, _) = pair(args, count, ui)?;
    let others = args.threads.iter().skip(1).map(|&n| -> Result<Wanted> {
        let threads = threads::number(Some(n))?;
        let first = first.clone();
        Ok(Wanted { threads, ..first })
    });
    let all = iter::once(Ok(first.clone())).chain(others);
    all.map(|one| Ok(vec![one?])).collect()
}

/// The setting that the flags ask for, with so many threads, and the one that --against asks for.
fn pair(args: &BenchArgs, threads: usize, ui: &Ui) -> Result<(Wanted, Option<Wanted>)> {
    let load = LoadArgs {
        quant: args.quant,
        dtype: None,
        device: args.device,
        threads: None,
        force: false,
        // What is measured is loading as it is asked for, and nothing is left behind.
        no_quant_cache: true,
    };
    let model = ModelArgs {
        model: args.model.clone(),
        hub: args.hub.clone(),
        load: load.clone(),
    };
    let first = Wanted {
        label: String::new(),
        model: open::named(&model, ui)?.to_string(),
        load,
        threads,
        cache_type: args.cache_type,
        isa: Isa::best(),
    };
    let other = args.against.as_deref().map(|text| first.changed(text));
    let other = other.transpose()?;
    Ok((first, other))
}

/// The number of threads, for what takes no list of them.
fn one_thread_count(args: &BenchArgs, flag: &str) -> Result<usize> {
    match args.threads.as_slice() {
        [] => threads::number(None),
        &[n] => threads::number(Some(n)),
        _ => Err(usage(format!(
            "{flag} takes one number of threads, not a list"
        ))),
    }
}

/// What is measured at each depth.
fn loads(args: &BenchArgs) -> Vec<Load> {
    let some = |list: &[usize]| list.iter().copied().filter(|&n| n > 0).collect::<Vec<_>>();
    let prompts = some(&args.n_prompt).into_iter().map(Load::Prompt);
    let answers = some(&args.n_gen).into_iter().map(Load::Generate);
    prompts.chain(answers).collect()
}
