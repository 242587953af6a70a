//! `wick bench --perplexity`: how well a model predicts a text.

use std::iter;
use std::path::Path;

use anyhow::{Context, Result};

use super::super::exit::usage;
use super::super::figures::bytes;
use super::super::interrupt::Interrupt;
use super::super::open::{self, Found, Texts};
use super::super::progress::Steps;
use super::super::prompt::read_text;
use super::super::ui::Ui;
use super::perplexity_row::{Distance, PerplexityRow};
use super::setting::Setting;
use super::table::Table;
use super::{BenchArgs, one_thread_count, pair};
use crate::arch::Structure;
use crate::bench::{Comparison, LogSoftmax, Perplexity, Reader, Window, Windows};
use crate::text::{Specials, Tokenizer};

/// The longest text that is read: some millions of tokens, a day's work for a CPU.
const LONGEST: u64 = 16 << 20;

/// Tokens of a window where nobody asks for another number; llama.cpp's.
const USUAL: usize = 512;

/// Measures the perplexity of the text in `file`, of one setting or of two.
pub fn run(args: &BenchArgs, file: &Path, ui: &Ui) -> Result<()> {
    let (first, other) = pair(args, one_thread_count(args, "--perplexity")?, ui)?;
    for one in iter::once(&first).chain(&other) {
        one.check()?;
    }
    Interrupt::install()?;
    let text = read_text(file, LONGEST).with_context(|| {
        format!(
            "--perplexity takes UTF-8 text of at most {}",
            bytes(LONGEST)
        )
    })?;
    let name = file.display().to_string();
    // Before the weights are loaded: what cannot be measured is refused at once.
    let look = |found: &Found| -> Result<Spelled> {
        let spelled = Spelled::new(found, &text, args.ctx_size)?;
        spelled.windows(spelled.n_ctx).context(name.clone())?;
        Ok(spelled)
    };
    let (first, spelled) = first.load_new(&args.hub, ui, look)?;
    let mut n_ctx = spelled.n_ctx;
    let second = match other {
        None => None,
        Some(other) if other.shares_weights(&first.wanted) => Some(other.sharing(&first)),
        Some(other) => {
            let (second, own) = other.load_new(&args.hub, ui, |found| {
                let own = look(found)?;
                spelled.check_same(&own)?;
                Ok(own.n_ctx)
            })?;
            n_ctx = n_ctx.min(own);
            Some(second)
        }
    };
    let windows = spelled.windows(n_ctx).context(name.clone())?;
    let settings = iter::once(&first).chain(&second);
    let trained = settings.map(|s| s.loaded.found.opened.spec.max_len).min();
    notes(&name, &windows, trained, ui);
    let rows = match &second {
        None => vec![alone(&first, &windows, ui)?],
        Some(second) => side_by_side([&first, second], &windows, ui)?,
    };
    let mut table = Table::new(args.output, second.is_some());
    rows.into_iter().try_for_each(|row| table.add(row))?;
    table.end()
}

/// What a user should know of the windows.
fn notes(name: &str, windows: &Windows, trained: Option<usize>, ui: &Ui) {
    let (size, n_ctx) = (windows.size(), windows.n_ctx());
    if let Some(trained) = trained.filter(|&trained| size > trained) {
        ui.note(format!(
            "windows of {size} tokens are longer than the {trained} tokens that the model was made for"
        ));
    }
    if windows.count() == 1 {
        let left_out = match windows.left_out() {
            0 => String::new(),
            n => format!("; the last {n} tokens are left out"),
        };
        ui.note(format!(
            "{name} is shorter than two windows of {n_ctx} tokens: all but the first of {size} tokens are scored, in one window{left_out}"
        ));
    }
}

/// A text in a model's tokens.
struct Spelled {
    tokenizer: Tokenizer,
    ids: Vec<u32>,
    /// How many tokens the model predicts.
    n_logits: usize,
    /// Tokens of a window: as asked for, or as many as are usual and the model has.
    n_ctx: usize,
}

impl Spelled {
    /// Refuses models that give a text no probability, and cuts `text` into the tokens of others.
    fn new(found: &Found, text: &str, ctx_size: Option<usize>) -> Result<Self> {
        check_structure(found)?;
        let texts = Texts::plain(found)?;
        let tokenizer = texts.tokenizer(found)?.clone();
        let spec = &found.opened.spec;
        Ok(Self {
            ids: tokenizer.encode(text, Specials::Plain)?,
            tokenizer,
            n_logits: spec.vocab_size,
            n_ctx: ctx_size.unwrap_or(spec.max_len.min(USUAL)),
        })
    }

    fn windows(&self, n_ctx: usize) -> Result<Windows> {
        Ok(Windows::new(self.tokenizer.prefix(), &self.ids, n_ctx)?)
    }

    /// Refuses another model whose predictions are of other tokens than this one's.
    fn check_same(&self, other: &Self) -> Result<()> {
        let differ = |how: String| {
            Err(usage(format!(
                "--against: {how}, so that their predictions cannot be compared; measure each model on its own"
            )))
        };
        let (here, there) = (self.n_logits, other.n_logits);
        if here != there {
            return differ(format!(
                "the one model predicts {here} tokens, the other {there}"
            ));
        }
        for id in 0..u32::try_from(here).unwrap_or(u32::MAX) {
            // Ids that only fill up the rows have a piece in some formats and none in others.
            let pieces = (self.tokenizer.piece(id), other.tokenizer.piece(id));
            if let (Some(a), Some(b)) = pieces
                && a != b
            {
                return differ(format!(
                    "token {id} is {a:?} in the one vocabulary and {b:?} in the other"
                ));
            }
        }
        let same_prefix = self.tokenizer.prefix() == other.tokenizer.prefix();
        match same_prefix && self.ids == other.ids {
            true => Ok(()),
            false => differ("the models cut the text into different tokens".to_string()),
        }
    }
}

/// Refuses models for which a text has no probability of its own.
fn check_structure(found: &Found) -> Result<()> {
    let what = match found.opened.spec.structure {
        Structure::Causal => return Ok(()),
        Structure::EncoderDecoder(_) => {
            "is an encoder-decoder, which answers a text and does not continue it"
        }
        Structure::Prefix(_) => "fills the blanks of a text (GLM) and does not continue it",
    };
    Err(usage(format!(
        "--perplexity: {} {what}, so that it gives a text no perplexity; name a decoder-only model",
        found.name
    )))
}

/// A reader of the windows, as a setting wants it.
fn reader(setting: &Setting, windows: &Windows) -> Result<Reader> {
    let kind = setting.cache_for(windows.size(), "--ctx-size")?;
    let reader = Reader::new(&setting.loaded.model, kind, windows);
    reader.with_context(|| setting.name().to_string())
}

/// The row of one setting.
fn alone(setting: &Setting, windows: &Windows, ui: &Ui) -> Result<PerplexityRow> {
    let mut reader = reader(setting, windows)?;
    let measured = setting.with(|| -> Result<Perplexity> {
        let mut perplexity = Perplexity::default();
        let mut bar = Steps::windows(ui);
        for (done, window) in windows.iter().enumerate() {
            bar.at(done, windows.count());
            reader.begin(&window)?;
            for (ids, next) in window.pieces() {
                perplexity.add(&reader.read(ids)?, next)?;
            }
        }
        bar.finish();
        Ok(perplexity)
    })?;
    let perplexity = measured.with_context(|| setting.name().to_string())?;
    Ok(row(setting, perplexity, windows))
}

/// The rows of two settings, which read the text piece by piece in turn.
fn side_by_side(
    [first, second]: [&Setting; 2],
    windows: &Windows,
    ui: &Ui,
) -> Result<Vec<PerplexityRow>> {
    let mut a = Side::new(first, windows)?;
    let mut b = Side::new(second, windows)?;
    let mut found = Comparison::default();
    let mut bar = Steps::windows(ui);
    for (done, window) in windows.iter().enumerate() {
        bar.at(done, windows.count());
        a.begin(&window)?;
        b.begin(&window)?;
        for (ids, next) in window.pieces() {
            let (of_a, of_b) = (a.read(ids)?, b.read(ids)?);
            second.with(|| found.add(&of_a, &of_b, next))??;
        }
    }
    bar.finish();
    let of_second = PerplexityRow {
        distance: Some(Distance::from(&found)),
        ..row(second, found.second, windows)
    };
    Ok(vec![row(first, found.first, windows), of_second])
}

/// A setting that reads beside another.
struct Side<'a> {
    setting: &'a Setting,
    reader: Reader,
}

impl<'a> Side<'a> {
    fn new(setting: &'a Setting, windows: &Windows) -> Result<Self> {
        let reader = reader(setting, windows)?;
        Ok(Self { setting, reader })
    }

    fn begin(&mut self, window: &Window) -> Result<()> {
        let begun = self.setting.with(|| self.reader.begin(window))?;
        begun.with_context(|| self.setting.name().to_string())
    }

    fn read(&mut self, ids: &[u32]) -> Result<Vec<LogSoftmax>> {
        let read = self.setting.with(|| self.reader.read(ids))?;
        read.with_context(|| self.setting.name().to_string())
    }
}

fn row(setting: &Setting, perplexity: Perplexity, windows: &Windows) -> PerplexityRow {
    PerplexityRow {
        setting: setting.wanted.label.clone(),
        model: open::short_name(&setting.loaded.found.name),
        quant: setting.main_encoding().name(),
        size: setting.loaded.model.weight_bytes() as u64,
        perplexity: perplexity.value(),
        stderr: perplexity.standard_error(),
        tokens: perplexity.tokens(),
        windows: windows.count(),
        n_ctx: windows.n_ctx(),
        distance: None,
    }
}
