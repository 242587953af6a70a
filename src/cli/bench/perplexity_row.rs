//! The rows that `wick bench --perplexity` prints.

use serde::Serialize;

use super::super::figures::bytes;
use super::table::{Line, dash, escaped, optional, quoted};
use crate::bench::Comparison;

/// What one setting makes of the text.
#[derive(Debug, Serialize)]
pub struct PerplexityRow {
    /// With `--against`, what makes it another than the first.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub setting: String,
    pub model: String,
    pub quant: &'static str,
    /// Bytes of the weights in memory.
    pub size: u64,
    pub perplexity: f64,
    /// The perplexity's standard error; null of a single token.
    pub stderr: Option<f64>,
    /// Tokens that were scored.
    pub tokens: usize,
    pub windows: usize,
    /// The most tokens that a window may have.
    pub n_ctx: usize,
    #[serde(flatten)]
    pub distance: Option<Distance>,
}

/// How far the second setting is from the first. Standard errors are null of a single token.
#[derive(Debug, Serialize)]
pub struct Distance {
    /// The mean KL(first || second) of a token in nats.
    pub kl_divergence: f64,
    pub kl_stderr: Option<f64>,
    /// ln of the second's perplexity less that of the first's.
    pub log_ratio: f64,
    pub log_ratio_stderr: Option<f64>,
    /// The share of tokens for which both hold the same one likeliest.
    pub same_top: f64,
    pub same_top_stderr: Option<f64>,
}

impl From<&Comparison> for Distance {
    fn from(of: &Comparison) -> Self {
        Self {
            kl_divergence: of.divergence.value(),
            kl_stderr: of.divergence.standard_error(),
            log_ratio: of.log_ratio.value(),
            log_ratio_stderr: of.log_ratio.standard_error(),
            same_top: of.same_top.value(),
            same_top_stderr: of.same_top.standard_error(),
        }
    }
}

impl Distance {
    fn cells(&self) -> [String; 3] {
        let percent = |share: f64| share * 100.0;
        let error = self.same_top_stderr.map(percent);
        let same_top = estimate(percent(self.same_top), error, 2);
        [
            estimate(self.kl_divergence, self.kl_stderr, 6),
            estimate(self.log_ratio, self.log_ratio_stderr, 6),
            format!("{same_top} %"),
        ]
    }
}

/// A figure with its standard error, where that is known.
fn estimate(value: f64, error: Option<f64>, digits: usize) -> String {
    match error {
        Some(error) => format!("{value:.digits$} ± {error:.digits$}"),
        None => format!("{value:.digits$}"),
    }
}

impl Line for PerplexityRow {
    const CSV_HEADER: &'static str = "model,quant,size,perplexity,stderr,tokens,windows,n_ctx,setting,kl_divergence,kl_stderr,log_ratio,log_ratio_stderr,same_top,same_top_stderr";

    fn heads(compares: bool) -> Vec<&'static str> {
        let mut heads = vec![
            "model",
            "quant",
            "size",
            "perplexity",
            "tokens",
            "windows",
            "n_ctx",
        ];
        if compares {
            heads.extend([
                "setting",
                "KL divergence",
                "ln of the ratio",
                "same likeliest",
            ]);
        }
        heads
    }

    fn cells(&self, compares: bool) -> Vec<String> {
        let mut cells = vec![
            escaped(&self.model),
            self.quant.to_string(),
            bytes(self.size),
            estimate(self.perplexity, self.stderr, 4),
            self.tokens.to_string(),
            self.windows.to_string(),
            self.n_ctx.to_string(),
        ];
        if compares {
            cells.push(match self.setting.as_str() {
                "" => dash(),
                setting => escaped(setting),
            });
            let distance = self.distance.as_ref().map(Distance::cells);
            cells.extend(distance.unwrap_or_else(|| [dash(), dash(), dash()]));
        }
        cells
    }

    fn csv(&self) -> Vec<String> {
        let distance = self.distance.as_ref();
        vec![
            quoted(&self.model),
            self.quant.to_string(),
            self.size.to_string(),
            self.perplexity.to_string(),
            optional(self.stderr),
            self.tokens.to_string(),
            self.windows.to_string(),
            self.n_ctx.to_string(),
            quoted(&self.setting),
            optional(distance.map(|d| d.kl_divergence)),
            optional(distance.and_then(|d| d.kl_stderr)),
            optional(distance.map(|d| d.log_ratio)),
            optional(distance.and_then(|d| d.log_ratio_stderr)),
            optional(distance.map(|d| d.same_top)),
            optional(distance.and_then(|d| d.same_top_stderr)),
        ]
    }
}
