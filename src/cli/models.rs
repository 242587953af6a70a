//! `wick models`: the table of families and their models.

mod cached;
mod rm;

use std::fmt::Write as _;
use std::io::IsTerminal;

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use self::cached::Cached;
use super::completions;
use super::output::Output;
use super::ui::Ui;
use crate::demo;
use crate::hub::HubOptions;
use crate::hub::card::{self, Card, Family, Text};

/// List the models that have a name, or that are cached; show one card in full; remove
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ModelsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// A model or a family; all without it
    #[arg(add = completions::cards_and_families())]
    name: Option<String>,
    /// List what the cache holds, whoever fetched it, with sizes
    #[arg(long, conflicts_with = "name")]
    cached: bool,
    /// Language of the table [default: Chinese in a Chinese locale, English otherwise]
    #[arg(long, value_enum)]
    lang: Option<Language>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    En,
    Zh,
}

#[derive(Debug, Subcommand)]
enum Action {
    Rm(rm::RmArgs),
}

pub fn run(args: &ModelsArgs, ui: &Ui) -> Result<()> {
    if let Some(Action::Rm(args)) = &args.action {
        return rm::run(args, ui);
    }
    let mut out = Output::new();
    if args.cached {
        let cache = HubOptions::from_env()?.cache;
        out.text(&Cached::read(&cache)?.listing(&cache))?;
        return Ok(());
    }
    let language = args.lang.unwrap_or_else(locale);
    // Where there is no cache, nothing is in it.
    let cached = HubOptions::from_env().ok();
    let cached = cached.and_then(|options| Cached::read(&options.cache).ok());
    let cached = cached.unwrap_or_default();
    let Some(name) = &args.name else {
        out.text(&table(language, &cached))?;
        return Ok(());
    };
    if name == demo::NAME {
        out.text(demo::CARD)?;
        return Ok(());
    }
    if let Some((family, cards)) = meant(name) {
        out.text(&family_rows(family, language))?;
        for card in cards {
            out.text(&card_rows(card, &cached))?;
        }
        return Ok(());
    }
    let names = card::all().map(|(_, c)| &c.name);
    let names = names.chain(card::families().map(|f| &f.name));
    let near = card::did_you_mean(&card::nearest(name, names, 3));
    bail!("no model or family is called {name:?}{near} (`wick models` lists them all)")
}

/// The card that has this name; else the family that has it, with all its cards; else the card
/// that is also called so.
fn meant(name: &str) -> Option<(&'static Family, &'static [Card])> {
    let one = |(family, card): (&'static Family, &'static Card)| {
        let cards: &'static [Card] = std::slice::from_ref(card);
        (family, cards)
    };
    card::find_named(name)
        .map(one)
        .or_else(|| card::find_family(name).map(|family| (family, family.models.as_slice())))
        .or_else(|| card::find(name).map(one))
}

/// The language of the locale.
fn locale() -> Language {
    let value = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|v| !v.is_empty());
    match value {
        Some(v) if v.starts_with("zh") => Language::Zh,
        _ => Language::En,
    }
}

fn said(text: &Text, language: Language) -> &str {
    match (language, &text.zh) {
        (Language::Zh, Some(zh)) => zh,
        _ => &text.en,
    }
}

fn word(language: Language, en: &'static str, zh: &'static str) -> &'static str {
    match language {
        Language::En => en,
        Language::Zh => zh,
    }
}

/// The table: a family's columns, then its models.
fn table(language: Language, cached: &Cached) -> String {
    let mut out = String::new();
    for section in card::sections() {
        let title = said(&section.title, language);
        let _ = writeln!(out, "# {title}\n");
        for family in &section.families {
            let _ = writeln!(out, "{} ({})", family.title, family.name);
            let columns = columns(family, language).into_iter();
            let columns = columns.map(|(name, value)| format!("{name}: {value}"));
            wrap(&mut out, &columns.collect::<Vec<_>>().join(" | "));
            wrap(&mut out, said(&family.about, language));
            for card in &family.models {
                let here = match cached.has(card) {
                    true => word(language, "  [cached]", "  [已缓存]"),
                    false => "",
                };
                let repo = card.hub.as_deref().unwrap_or("-");
                let _ = writeln!(out, "  {:<26} {repo}{here}", card.name);
            }
            out.push('\n');
        }
    }
    let more = word(
        language,
        "`wick models NAME` shows one in full: parameters, notes, licence, sampling.",
        "`wick models 名称` 显示全部：参数结构、备注、许可、采样。",
    );
    let _ = writeln!(out, "{more}");
    out
}

/// Appends `text`, broken where the terminal ends; a pipe gets it in one line.
fn wrap(out: &mut String, text: &str) {
    let width = match (
        std::io::stdout().is_terminal(),
        terminal_size::terminal_size(),
    ) {
        (true, Some((width, _))) => usize::from(width.0).clamp(MIN_WIDTH, MAX_WIDTH),
        (true, None) => 80,
        (false, _) => usize::MAX,
    };
    out.push_str(&broken(text, width));
}

/// Lines are neither broken shorter nor left longer than this.
const MIN_WIDTH: usize = 40;
const MAX_WIDTH: usize = 110;

/// `text` in lines of at most `width` columns, indented; broken at spaces and, as Chinese is,
/// before and after any wide character.
fn broken(text: &str, width: usize) -> String {
    let mut out = "  ".to_string();
    let mut column = 2;
    for word in words(text) {
        let wide = word.trim_end().width();
        if column + wide > width && column > 4 {
            out.truncate(out.trim_end().len());
            out.push_str("\n    ");
            column = 4;
        }
        out.push_str(word);
        column += word.width();
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// The parts between which a line may be broken: words with the space after them, wide characters
/// with the punctuation after them.
fn words(text: &str) -> Vec<&str> {
    const CLOSING: &str = "，。；：、）】！？”";
    let mut words = Vec::new();
    let (mut begin, mut last) = (0, None::<char>);
    for (at, c) in text.char_indices() {
        let wide = |c: char| c.width() == Some(2);
        let breaks = last.is_some_and(|last| c != ' ' && (last == ' ' || wide(last) || wide(c)));
        if breaks && !CLOSING.contains(c) && last.is_none_or(|l| !"（【“".contains(l)) {
            words.push(&text[begin..at]);
            begin = at;
        }
        last = Some(c);
    }
    words.push(&text[begin..]);
    words
}

/// The columns that every row of the table has.
fn columns(family: &Family, language: Language) -> Vec<(&'static str, String)> {
    let tokens = family.tokens.as_ref().map(|t| said(t, language));
    let unknown = word(language, "not published", "未公布");
    let context = family.context.map_or("-".to_string(), |n| n.to_string());
    let text = |text: &Text| said(text, language).to_string();
    let name = |en, zh| word(language, en, zh);
    vec![
        (name("structure", "模型结构"), text(&family.structure)),
        (name("sizes", "模型大小"), text(&family.sizes)),
        (
            name("training tokens", "训练数据"),
            tokens.unwrap_or(unknown).to_string(),
        ),
        (name("PE", "PE"), text(&family.position)),
        (
            name("attention, FFN", "attention，FFN"),
            text(&family.attention),
        ),
        (name("norm", "norm"), text(&family.norm)),
        (name("MSL", "MSL"), context),
        (name("activation", "激活函数"), text(&family.activation)),
    ]
}

fn family_rows(family: &Family, language: Language) -> String {
    let mut out = format!("{} ({})\n", family.title, family.name);
    let mut row = |name: &str, value: &str| wrap(&mut out, &format!("{name}: {value}"));
    row(
        word(language, "about", "含义"),
        said(&family.about, language),
    );
    for (name, value) in columns(family, language) {
        row(name, &value);
    }
    if let Some(parameters) = &family.parameters {
        let name = word(language, "parameters", "参数结构");
        row(name, said(parameters, language));
    }
    if let Some(notes) = &family.notes {
        row(word(language, "notes", "备注"), said(notes, language));
    }
    row(word(language, "licence", "许可"), &family.licence);
    out
}

fn card_rows(card: &Card, cached: &Cached) -> String {
    let mut out = format!("\n{}\n", card.name);
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:<18} {value}");
    };
    if !card.aliases.is_empty() {
        row("also called", &card.aliases.join(", "));
    }
    row("hub", card.hub.as_deref().unwrap_or("not published"));
    if let Some(gguf) = &card.gguf {
        row("GGUF", gguf);
    }
    if let Some(context) = card.context {
        row("MSL", &context.to_string());
    }
    row("cached", &cached.of_card(card));
    row(
        "chat format",
        card.chat.as_deref().unwrap_or("none (a base model)"),
    );
    let d = card.defaults;
    let given = [
        ("temperature", d.temperature),
        ("top_k", d.top_k.map(|k| k as f32)),
        ("top_p", d.top_p),
        ("repeat_penalty", d.repeat_penalty),
    ];
    let given: Vec<String> = given
        .iter()
        .filter_map(|(name, value)| value.map(|v| format!("{name} {v}")))
        .collect();
    if !given.is_empty() {
        row("sampling", &given.join(", "));
    }
    if let Some(note) = &card.note {
        wrap(&mut out, &format!("note: {note}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_fits_a_terminal() {
        for language in [Language::En, Language::Zh] {
            for family in card::families() {
                for text in [Some(&family.about), family.notes.as_ref()]
                    .into_iter()
                    .flatten()
                {
                    let text = said(text, language);
                    let lines = broken(text, 80);
                    assert!(lines.lines().all(|l| l.width() <= 80), "{lines}");
                    let squeezed = |t: &str| t.split_whitespace().collect::<String>();
                    assert_eq!(squeezed(&lines), squeezed(text));
                    assert_eq!(broken(text, usize::MAX).lines().count(), 1);
                }
            }
        }
        assert_eq!(
            broken("ab cd 你好，好", 9),
            "  ab cd\n    你\n    好，\n    好\n"
        );
    }
}
