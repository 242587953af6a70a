//! One test of one setting, or of two that alternate.

use std::collections::BTreeMap;

use anyhow::Result;

use super::super::flags::DeviceName;
use super::super::interrupt::Interrupt;
use super::super::open;
use super::setting::Setting;
use super::speed_row::SpeedRow;
use crate::bench::{Floors, Load, Ratio, Samples, Speed, memory};
use crate::nn::CacheType;
use crate::quant::Encoding;

/// What is measured, and how often.
pub struct Test {
    pub load: Load,
    pub depth: usize,
    pub repetitions: usize,
}

/// What the machine can do at best with some threads and instructions.
pub type AllFloors = BTreeMap<(usize, &'static str), Floors>;

impl Test {
    /// A row for each setting; the first has its ratio to the second, if there is one.
    pub fn run(
        &self,
        settings: &[Setting],
        floors: &AllFloors,
        interrupt: &Interrupt,
    ) -> Result<Vec<SpeedRow>> {
        let flag = interrupt.flag();
        let mut sides = Vec::new();
        for setting in settings {
            let kind = setting.cache_type(self.load, self.depth)?;
            let model = &setting.loaded.model;
            let speed =
                setting.with(|| Speed::new(model, self.load, self.depth, kind, &flag))??;
            sides.push((setting, kind, speed, Samples::default()));
        }
        // One setting needs no turns.
        let (turns, samples) = match sides.len() {
            1 => (1, self.repetitions),
            _ => (self.repetitions, 1),
        };
        for _ in 0..turns {
            for (setting, _, speed, all) in &mut sides {
                setting.with(|| -> Result<()> {
                    speed.warm_up()?;
                    for _ in 0..samples {
                        all.0.push(speed.sample()?);
                    }
                    Ok(())
                })??;
            }
            // First the one, then the other goes first: what changes steadily favours neither.
            sides.reverse();
        }
        if turns % 2 == 1 {
            sides.reverse();
        }
        let ratio = match sides.as_slice() {
            [a, b] => Ratio::of(&a.3.0, &b.3.0),
            _ => None,
        };
        let mut rows = Vec::new();
        for (setting, kind, _, samples) in sides {
            let key = (setting.wanted.threads, setting.wanted.isa.name());
            let mut row = self.row(setting, kind, samples, &floors[&key]);
            row.ratio = ratio.filter(|_| rows.is_empty());
            // Two settings' memory cannot be told apart.
            row.peak_rss_bytes = crate::memory::peak_rss().filter(|_| ratio.is_none());
            rows.push(row);
        }
        Ok(rows)
    }

    fn n_prompt(&self) -> usize {
        match self.load {
            Load::Prompt(n) => n,
            Load::Generate(_) => 0,
        }
    }

    fn n_gen(&self) -> usize {
        match self.load {
            Load::Prompt(_) => 0,
            Load::Generate(n) => n,
        }
    }

    fn row(
        &self,
        setting: &Setting,
        kind: CacheType,
        samples: Samples,
        floors: &Floors,
    ) -> SpeedRow {
        let loaded = &*setting.loaded;
        let opened = &loaded.found.opened;
        let encoding = setting.main_encoding();
        let multiply_adds_per_s = match encoding {
            Encoding::F32 | Encoding::F16 | Encoding::BF16 => floors.f32_per_s,
            _ => floors.int8_per_s,
        };
        let weights = memory::weight_bytes_read(opened, loaded.storage);
        // Half of what is generated is in the cache on average.
        let cache = memory::cache_bytes_read(&opened.spec, kind, self.depth + self.n_gen() / 2);
        let read = cache.saturating_add(weights);
        let share = |each: u64, floor: f64| samples.mean() * each as f64 / floor;
        let (bandwidth_share, multiply_share) = match self.load {
            // The floors are the CPU's.
            _ if setting.wanted.load.device != DeviceName::Cpu => (None, None),
            Load::Generate(_) => (Some(share(read, floors.bytes_per_s)), None),
            Load::Prompt(_) => {
                let each = memory::prompt_multiply_adds(opened);
                (None, Some(share(each, multiply_adds_per_s)))
            }
        };
        SpeedRow {
            setting: setting.wanted.label.clone(),
            model: open::short_name(&loaded.found.name),
            size: loaded.model.weight_bytes() as u64,
            params: loaded.model.n_params(),
            quant: encoding.name(),
            isa: setting.wanted.isa.name(),
            threads: setting.wanted.threads,
            n_prompt: self.n_prompt(),
            n_gen: self.n_gen(),
            n_depth: self.depth,
            avg_ts: samples.mean(),
            stddev_ts: samples.stddev(),
            samples_ts: samples.0,
            load_s: loaded.load_s,
            peak_rss_bytes: None,
            bandwidth_share,
            bandwidth_bytes_per_s: floors.bytes_per_s,
            multiply_share,
            multiply_adds_per_s,
            ratio: None,
        }
    }
}
