//! The rows that `wick bench` prints.

use anyhow::Result;
use clap::ValueEnum;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::super::figures::{bytes, params};
use super::super::output::Output;
use crate::bench::Ratio;

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Md,
    Json,
    Jsonl,
    Csv,
}

/// One line of the table.
#[derive(Debug, Serialize)]
pub struct Row {
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

/// Rows as they come; a JSON array is written at the end.
pub struct Table {
    out: Output,
    format: Format,
    /// Whether settings alternate.
    compares: bool,
    rows: Vec<Row>,
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

const CSV_HEADER: &str = "model,size,params,quant,threads,n_prompt,n_gen,n_depth,avg_ts,stddev_ts,samples_ts,load_s,peak_rss_bytes,isa,bandwidth_share,bandwidth_bytes_per_s,multiply_share,multiply_adds_per_s,setting,ratio,ratio_low,ratio_high";

impl Table {
    pub fn new(format: Format, compares: bool) -> Self {
        Self {
            out: Output::new(),
            format,
            compares,
            rows: Vec::new(),
        }
    }

    /// Adds a row, printed at once unless all are one JSON array.
    pub fn add(&mut self, row: Row) -> Result<()> {
        let first = self.rows.is_empty();
        match self.format {
            Format::Md => {
                if first {
                    let more: &[&str] = match self.compares {
                        true => &["setting", "times as fast"],
                        false => &[],
                    };
                    let cells = [&HEADER, more].concat();
                    self.out.line(&format!("| {} |", cells.join(" | ")))?;
                    self.out.line(&format!("|{}", "-|".repeat(cells.len())))?;
                }
                self.out.line(&row.markdown(self.compares))?;
            }
            Format::Csv => {
                if first {
                    self.out.line(CSV_HEADER)?;
                }
                self.out.line(&row.csv())?;
            }
            Format::Jsonl => self.out.line(&serde_json::to_string(&row)?)?,
            Format::Json => {}
        }
        self.rows.push(row);
        Ok(())
    }

    /// Ends the table.
    pub fn end(mut self) -> Result<()> {
        if self.format == Format::Json {
            self.out.line(&serde_json::to_string_pretty(&self.rows)?)?;
        }
        Ok(())
    }
}

impl Row {
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

    fn markdown(&self, compares: bool) -> String {
        let dash = || "–".to_string();
        let part = |share: f64, floor: f64, unit: &str| {
            format!("{:.0} % of {:.1} {unit}", share * 100.0, floor / 1e9)
        };
        let reached = match (self.bandwidth_share, self.multiply_share) {
            (Some(share), _) => part(share, self.bandwidth_bytes_per_s, "GB/s"),
            (None, Some(share)) => part(share, self.multiply_adds_per_s, "GMAC/s"),
            (None, None) => dash(),
        };
        let mut cells = vec![
            self.model.replace('|', "\\|"),
            bytes(self.size),
            params(self.params),
            self.quant.to_string(),
            self.threads.to_string(),
            self.test(),
            format!("{:.2} ± {:.2}", self.avg_ts, self.stddev_ts),
            reached,
            format!("{:.2} s", self.load_s),
            self.peak_rss_bytes.map_or_else(dash, bytes),
        ];
        if compares {
            cells.push(match self.setting.as_str() {
                "" => dash(),
                setting => setting.replace('|', "\\|"),
            });
            cells.push(self.ratio.map_or_else(dash, |r| match r.interval {
                Some([low, high]) => format!("{:.3} ({low:.3} to {high:.3})", r.ratio),
                None => format!("{:.3}", r.ratio),
            }));
        }
        format!("| {} |", cells.join(" | "))
    }

    fn csv(&self) -> String {
        let optional = |v: Option<f64>| v.map(|v| v.to_string()).unwrap_or_default();
        let quoted = |v: &str| format!("\"{}\"", v.replace('"', "\"\""));
        let samples: Vec<_> = self.samples_ts.iter().map(f64::to_string).collect();
        let [low, high] = self.ratio.as_ref().map_or([None, None], ends);
        let cells = [
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
            self.peak_rss_bytes
                .map(|b| b.to_string())
                .unwrap_or_default(),
            self.isa.to_string(),
            optional(self.bandwidth_share),
            self.bandwidth_bytes_per_s.to_string(),
            optional(self.multiply_share),
            self.multiply_adds_per_s.to_string(),
            quoted(&self.setting),
            optional(self.ratio.map(|r| r.ratio)),
            optional(low),
            optional(high),
        ];
        cells.join(",")
    }
}
