//! `wick bench`: how fast prompts are read and answers made.

mod table;

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::Args;

use self::table::{Format, Row, Table};
use super::completions;
use super::exit::usage;
use super::flags::{CacheArg, ContextArgs, DeviceName, HubArgs, LoadArgs, ModelArgs, Quant};
use super::interrupt::Interrupt;
use super::open::{self, Loaded};
use super::ui::Ui;
use super::{settings, threads};
use crate::bench::{self, Load, memory};

/// Measure the speed of prompts and of generation
#[derive(Debug, Args)]
#[command(
    after_help = "Every comma list makes a grid. `share` is the part of the machine's \
                        memory bandwidth, measured at the start, that reading the weights and the \
                        KV cache for each token comes to."
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
    #[arg(short, long, value_enum, default_value = "md")]
    output: Format,
    /// Quantize while loading: int8, int4, none, or a GGUF type
    #[arg(long, value_name = "TYPE")]
    quant: Option<Quant>,
    /// cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]
    #[arg(long, value_enum, value_name = "TYPE")]
    cache_type: Option<CacheArg>,
    #[command(flatten)]
    hub: HubArgs,
}

pub fn run(args: &BenchArgs, ui: &Ui) -> Result<()> {
    if args.repetitions == 0 {
        return Err(usage("--repetitions 0: at least one is needed"));
    }
    let model = ModelArgs {
        model: args.model.clone(),
        hub: args.hub.clone(),
        load: LoadArgs {
            quant: args.quant,
            dtype: None,
            device: args.device,
            threads: None,
            force: false,
            // What is measured is loading as it is asked for, and nothing is left behind.
            no_quant_cache: true,
        },
    };
    let name = open::named(&model, ui)?;
    let grid = match args.threads.as_slice() {
        [] => vec![threads::number(None)?],
        list => list
            .iter()
            .map(|&n| threads::number(Some(n)))
            .collect::<Result<_>>()?,
    };
    let interrupt = Interrupt::install()?;
    // Measured before the model is there, so that its buffer does not count as the model's.
    let mut bandwidth = BTreeMap::new();
    for &n in &grid {
        bandwidth.insert(n, threads::with(n, bench::read_bandwidth)?);
    }
    memory::reset_peak_rss();
    let most = grid.iter().copied().max().unwrap_or(1);
    let loaded = threads::with(most, || open::load(name, &model.hub, &model.load, ui))??;
    let mut table = Table::new(args.output);
    for &n in &grid {
        for &depth in &args.n_depth {
            for load in loads(args) {
                let row = threads::with(n, || {
                    let machine = Machine {
                        threads: n,
                        bandwidth: bandwidth[&n],
                    };
                    measure(args, &loaded, load, depth, &machine, &interrupt)
                })??;
                table.add(row)?;
            }
        }
    }
    table.end()
}

/// What is measured at each depth.
fn loads(args: &BenchArgs) -> Vec<Load> {
    let prompts = args
        .n_prompt
        .iter()
        .filter(|&&n| n > 0)
        .map(|&n| Load::Prompt(n));
    let answers = args
        .n_gen
        .iter()
        .filter(|&&n| n > 0)
        .map(|&n| Load::Generate(n));
    prompts.chain(answers).collect()
}

struct Machine {
    threads: usize,
    /// Bytes for each second.
    bandwidth: f64,
}

fn measure(
    args: &BenchArgs,
    loaded: &Loaded,
    load: Load,
    depth: usize,
    machine: &Machine,
    interrupt: &Interrupt,
) -> Result<Row> {
    let opened = &loaded.found.opened;
    let (n_prompt, n_gen) = match load {
        Load::Prompt(n) => (n, 0),
        Load::Generate(n) => (0, n),
    };
    let context = ContextArgs {
        ctx_size: Some(depth.saturating_add(n_prompt + n_gen).saturating_add(2)),
        cache_type: args.cache_type,
    };
    let cache_type = settings::cache_type(&context, opened, loaded.storage);
    let limit = opened.spec.max_len;
    if depth + n_prompt + n_gen > limit {
        bail!(
            "{} tokens at depth {depth} are more than the model's context of {limit}",
            n_prompt + n_gen
        );
    }
    settings::context(&context, opened, cache_type)?;
    let samples = bench::measure(
        &loaded.model,
        load,
        depth,
        args.repetitions,
        cache_type,
        &interrupt.flag(),
    )?;
    let weights = memory::weight_bytes(opened, loaded.storage);
    // Half of what is generated is in the cache on average.
    let cache = memory::cache_bytes_per_token(&opened.spec, cache_type);
    let read = weights.per_token + cache.saturating_mul((depth + n_gen / 2) as u64);
    let share = (n_gen > 0).then(|| samples.mean() * read as f64 / machine.bandwidth);
    Ok(Row {
        model: open::short_name(&loaded.found.name),
        size: loaded.model.weight_bytes() as u64,
        params: loaded.model.n_params(),
        quant: main_encoding(loaded),
        threads: machine.threads,
        n_prompt,
        n_gen,
        n_depth: depth,
        avg_ts: samples.mean(),
        stddev_ts: samples.stddev(),
        samples_ts: samples.0,
        load_s: loaded.load_s,
        peak_rss_bytes: memory::peak_rss(),
        bandwidth_share: share,
        bandwidth_bytes_per_s: machine.bandwidth,
    })
}

/// The encoding that most weights are kept in.
fn main_encoding(loaded: &Loaded) -> &'static str {
    let mut counts = BTreeMap::new();
    for (name, info) in loaded.found.opened.weights.tensors() {
        let encoding = loaded.storage.encoding(info.encoding, &info.shape, name);
        *counts.entry(encoding).or_insert(0) += info.len();
    }
    let main = counts.into_iter().max_by_key(|&(_, n)| n);
    main.map_or("-", |(encoding, _)| encoding.name())
}
