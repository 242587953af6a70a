//! The rows that `wick bench` prints.

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use super::super::figures::{bytes, params};
use super::super::output::Output;

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
    pub model: String,
    /// Bytes of the weights in memory.
    pub size: u64,
    pub params: usize,
    pub quant: &'static str,
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
}

/// Rows as they come; a JSON array is written at the end.
pub struct Table {
    out: Output,
    format: Format,
    rows: Vec<Row>,
}

const HEADER: &str = "| model | size | params | quant | threads | test | tokens/s | share | load | peak memory |\n|-|-|-|-|-|-|-|-|-|-|";

const CSV_HEADER: &str = "model,size,params,quant,threads,n_prompt,n_gen,n_depth,avg_ts,stddev_ts,load_s,peak_rss_bytes,bandwidth_share,bandwidth_bytes_per_s";

impl Table {
    pub fn new(format: Format) -> Self {
        Self {
            out: Output::new(),
            format,
            rows: Vec::new(),
        }
    }

    /// Adds a row, printed at once unless all are one JSON array.
    pub fn add(&mut self, row: Row) -> Result<()> {
        let first = self.rows.is_empty();
        match self.format {
            Format::Md => {
                if first {
                    self.out.line(HEADER)?;
                }
                self.out.line(&row.markdown())?;
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

    fn markdown(&self) -> String {
        let dash = || "–".to_string();
        let cells = [
            self.model.replace('|', "\\|"),
            bytes(self.size),
            params(self.params),
            self.quant.to_string(),
            self.threads.to_string(),
            self.test(),
            format!("{:.2} ± {:.2}", self.avg_ts, self.stddev_ts),
            self.bandwidth_share
                .map_or_else(dash, |s| format!("{:.0} %", s * 100.0)),
            format!("{:.2} s", self.load_s),
            self.peak_rss_bytes.map_or_else(dash, bytes),
        ];
        format!("| {} |", cells.join(" | "))
    }

    fn csv(&self) -> String {
        let optional = |v: Option<String>| v.unwrap_or_default();
        let cells = [
            format!("\"{}\"", self.model.replace('"', "\"\"")),
            self.size.to_string(),
            self.params.to_string(),
            self.quant.to_string(),
            self.threads.to_string(),
            self.n_prompt.to_string(),
            self.n_gen.to_string(),
            self.n_depth.to_string(),
            self.avg_ts.to_string(),
            self.stddev_ts.to_string(),
            self.load_s.to_string(),
            optional(self.peak_rss_bytes.map(|b| b.to_string())),
            optional(self.bandwidth_share.map(|s| s.to_string())),
            self.bandwidth_bytes_per_s.to_string(),
        ];
        cells.join(",")
    }
}
