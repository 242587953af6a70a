//! The table that `wick bench` prints, whatever its rows are.

use std::borrow::Borrow;

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use super::super::output::Output;

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Md,
    Json,
    Jsonl,
    Csv,
}

/// A row of a table, in every format; as JSON it is the object that serde makes of it.
pub trait Line: Serialize {
    /// The names of [`Line::csv`]'s columns.
    const CSV_HEADER: &'static str;

    /// The names of [`Line::cells`]' columns.
    fn heads(compares: bool) -> Vec<&'static str>;

    /// The cells of a Markdown table, some more where settings are compared.
    fn cells(&self, compares: bool) -> Vec<String>;

    /// The cells of a CSV file, those quoted that may hold anything.
    fn csv(&self) -> Vec<String>;
}

/// Rows as they come; a JSON array is written at the end.
pub struct Table<R> {
    out: Output,
    format: Format,
    /// Whether settings are compared.
    compares: bool,
    rows: Vec<R>,
}

impl<R: Line> Table<R> {
    pub fn new(format: Format, compares: bool) -> Self {
        Self {
            out: Output::new(),
            format,
            compares,
            rows: Vec::new(),
        }
    }

    /// Adds a row, printed at once unless all are one JSON array.
    pub fn add(&mut self, row: R) -> Result<()> {
        let first = self.rows.is_empty();
        match self.format {
            Format::Md => {
                if first {
                    let heads = R::heads(self.compares);
                    self.out.line(&markdown(&heads))?;
                    self.out.line(&format!("|{}", "-|".repeat(heads.len())))?;
                }
                self.out.line(&markdown(&row.cells(self.compares)))?;
            }
            Format::Csv => {
                if first {
                    self.out.line(R::CSV_HEADER)?;
                }
                self.out.line(&row.csv().join(","))?;
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

/// A line of a Markdown table.
fn markdown<S: Borrow<str>>(cells: &[S]) -> String {
    format!("| {} |", cells.join(" | "))
}

/// Text as a Markdown table's cell.
pub fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

/// What stands in a Markdown table's cell that has nothing to say.
pub fn dash() -> String {
    "–".to_string()
}

/// Text as a CSV file's cell.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A number as a CSV file's cell, empty where there is none.
pub fn optional<T: ToString>(number: Option<T>) -> String {
    number.map(|n| n.to_string()).unwrap_or_default()
}
