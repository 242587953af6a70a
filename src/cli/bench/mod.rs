//! `wick bench`: how fast prompts are read and answers made.

mod measure;
mod setting;
mod table;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

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
use crate::bench::{Floors, Load};
use crate::memory;
use crate::quant::Isa;

/// Measure the speed of prompts and of generation
#[derive(Debug, Args)]
#[command(
    after_help = "Every comma list makes a grid. `reached` is the part of what this machine \
                  could do at best, both measured at the start with as many threads: generation \
                  reads the weights and the KV cache from memory for each token; prompts multiply, \
                  INT4 and INT8 weights with the widest integer instruction in registers (GMAC/s: \
                  billions of multiply-adds per second), others with that of f32.\n\
                  --against alternates two settings and prints how many times as fast the first \
                  is: the geometric mean of the pairs' ratios, with a 95 % interval (Student's t \
                  on their logarithms)."
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
    #[command(flatten)]
    hub: HubArgs,
}

pub fn run(args: &BenchArgs, ui: &Ui) -> Result<()> {
    if args.repetitions == 0 {
        return Err(usage("--repetitions 0: at least one is needed"));
    }
    let groups = wanted(args, ui)?;
    for one in groups.iter().flatten() {
        one.check()?;
    }
    let loads = loads(args);
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
    let with = |threads: usize| -> Result<Wanted> {
        Ok(Wanted {
            label: String::new(),
            model: open::named(&model, ui)?.to_string(),
            load: load.clone(),
            threads,
            cache_type: args.cache_type,
            isa: Isa::best(),
        })
    };
    match (&args.against, args.threads.as_slice()) {
        (None, []) => Ok(vec![vec![with(threads::number(None)?)?]]),
        (None, list) => {
            let one = |&n| Ok(vec![with(threads::number(Some(n))?)?]);
            list.iter().map(one).collect()
        }
        (Some(text), [] | [_]) => {
            let first = with(threads::number(args.threads.first().copied())?)?;
            let other = first.changed(text)?;
            Ok(vec![vec![first, other]])
        }
        (Some(_), _) => Err(usage("--against takes one number of threads, not a list")),
    }
}

/// What is measured at each depth.
fn loads(args: &BenchArgs) -> Vec<Load> {
    let some = |list: &[usize]| list.iter().copied().filter(|&n| n > 0).collect::<Vec<_>>();
    let prompts = some(&args.n_prompt).into_iter().map(Load::Prompt);
    let answers = some(&args.n_gen).into_iter().map(Load::Generate);
    prompts.chain(answers).collect()
}
