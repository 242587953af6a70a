//! The rows of speeds that `wick bench` prints.

use serde::{Serialize, Serializer};
use serde_json::json;

use super::super::figures::{bytes, params};
use super::table::{Line, dash, escaped, optional, quoted};
use crate::bench::Ratio;

/// One measurement of one setting.
#[derive(Debug, Serialize)]
pub struct SpeedRow {
    /// With `--against`, what makes it another than the first.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub setting: String,
    pub model: String,
    /// Bytes of the weights in memory.
    pub size: u64,
    pub params: usize,
    pub quant: &'static str,
    /// The kernels' instruction set.
    pub isa: &'static str,
    pub threads: usize,
    pub n_prompt: usize,
    pub n_gen: usize,
    pub n_depth: usize,
    pub avg_ts: f64,
    pub stddev_ts: f64,
    pub samples_ts: Vec<f64>,
    pub load_s: f64,
    pub peak_rss_bytes: Option<u64>,
    /// Bytes for each second that generation read, as a part of the measured bandwidth.
    pub bandwidth_share: Option<f64>,
    pub bandwidth_bytes_per_s: f64,
    /// Multiply-adds for each second that a prompt took, as a part of the measured rate.
    pub multiply_share: Option<f64>,
    /// That rate: of the widest integer instruction, or of f32 where the weights are floats.
    pub multiply_adds_per_s: f64,
    /// How many times as fast as the next row's setting this is.
    #[serde(serialize_with = "ratio", skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
}

fn ratio<S: Serializer>(ratio: &Option<Ratio>, serializer: S) -> Result<S::Ok, S::Error> {
    let object = ratio.map(|r| {
        let [low, high] = ends(&r);
        json!({ "ratio": r.ratio, "low": low, "high": high, "pairs": r.pairs })
    });
    object.serialize(serializer)
}

/// The interval's ends.
fn ends(ratio: &Ratio) -> [Option<f64>; 2] {
    match ratio.interval {
        Some([low, high]) => [Some(low), Some(high)],
        None => [None, None],
    }
}

const HEADER: [&str; 10] = [
    "model",
    "size",
    "params",
    "quant",
    "threads",
    "test",
    "tokens/s",
    "reached",
    "load",
    "peak memory",
];

impl SpeedRow {
    fn test(&self) -> String {
        let what = match self.n_prompt {
            0 => format!("generate {}", self.n_gen),
            n => format!("prompt {n}"),
        };
        match self.n_depth {
            0 => what,
            d => format!("{what} @ {d}"),
        }
    }

    /// How near the machine's best it comes.
    fn reached(&self) -> String {
        let part = |share: f64, floor: f64, unit: &str| {
            format!("{:.0} % of {:.1} {unit}", share * 100.0, floor / 1e9)
        };
        match (self.bandwidth_share, self.multiply_share) {
            (Some(share), _) => part(share, self.bandwidth_bytes_per_s, "GB/s"),
            (None, Some(share)) => part(share, self.multiply_adds_per_s, "GMAC/s"),
            (None, None) => dash(),
        }
    }
}

impl Line for SpeedRow {
    const CSV_HEADER: &'static str = "model,size,params,quant,threads,n_prompt,n_gen,n_depth,avg_ts,stddev_ts,samples_ts,load_s,peak_rss_bytes,isa,bandwidth_share,bandwidth_bytes_per_s,multiply_share,multiply_adds_per_s,setting,ratio,ratio_low,ratio_high";

    fn heads(compares: bool) -> Vec<&'static str> {
        let more: &[&str] = match compares {
            true => &["setting", "times as fast"],
            false => &[],
        };
        [&HEADER, more].concat()
    }

    fn cells(&self, compares: bool) -> Vec<String> {
        let mut cells = vec![
            escaped(&self.model),
            bytes(self.size),
            params(self.params),
            self.quant.to_string(),
            self.threads.to_string(),
            self.test(),
            format!("{:.2} ± {:.2}", self.avg_ts, self.stddev_ts),
            self.reached(),
            format!("{:.2} s", self.load_s),
            self.peak_rss_bytes.map_or_else(dash, bytes),
        ];
        if compares {
            cells.push(match self.setting.as_str() {
                "" => dash(),
                setting => escaped(setting),
            });
            cells.push(self.ratio.map_or_else(dash, |r| match r.interval {
                Some([low, high]) => format!("{:.3} ({low:.3} to {high:.3})", r.ratio),
                None => format!("{:.3}", r.ratio),
            }));
        }
        cells
    }

    fn csv(&self) -> Vec<String> {
        let samples: Vec<_> = self.samples_ts.iter().map(f64::to_string).collect();
        let [low, high] = self.ratio.as_ref().map_or([None, None], ends);
        vec![
            quoted(&self.model),
            self.size.to_string(),
            self.params.to_string(),
            self.quant.to_string(),
            self.threads.to_string(),
            self.n_prompt.to_string(),
            self.n_gen.to_string(),
            self.n_depth.to_string(),
            self.avg_ts.to_string(),
            self.stddev_ts.to_string(),
            quoted(&samples.join(";")),
            self.load_s.to_string(),
            optional(self.peak_rss_bytes),
            self.isa.to_string(),
            optional(self.bandwidth_share),
            self.bandwidth_bytes_per_s.to_string(),
            optional(self.multiply_share),
            self.multiply_adds_per_s.to_string(),
            quoted(&self.setting),
            optional(self.ratio.map(|r| r.ratio)),
            optional(low),
            optional(high),
        ]
    }
}
