//! `wick models`: the table of families and their models.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use super::output::Output;
use crate::demo;
use crate::hub::card::{self, Card, Family, Text};
use crate::hub::{HubOptions, cache};

/// List the models that have a name, or show one card in full
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// A model or a family; all without it
    name: Option<String>,
    /// Language of the table [default: Chinese in a Chinese locale, English otherwise]
    #[arg(long, value_enum)]
    lang: Option<Language>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    En,
    Zh,
}

pub fn run(args: &ModelsArgs) -> Result<()> {
    let language = args.lang.unwrap_or_else(locale);
    let cached = cached();
    let mut out = Output::new();
    let Some(name) = &args.name else {
        out.text(&table(language, &cached))?;
        return Ok(());
    };
    if name == demo::NAME {
        out.text(demo::CARD)?;
        return Ok(());
    }
    if let Some((family, card)) = card::find(name) {
        out.text(&family_rows(family, language))?;
        out.text(&card_rows(card, &cached))?;
        return Ok(());
    }
    if let Some(family) = card::families().iter().find(|f| f.name == *name) {
        out.text(&family_rows(family, language))?;
        for card in &family.models {
            out.text(&card_rows(card, &cached))?;
        }
        return Ok(());
    }
    let names = card::all().map(|(_, c)| &c.name);
    let names = names.chain(card::families().iter().map(|f| &f.name));
    let near = match card::nearest(name, names, 3).as_slice() {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(" or ")),
    };
    bail!("no model or family is called {name:?}{near} (`wick models` lists them all)")
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

/// Hub ids of what the cache holds, in lower case; nothing where there is no cache.
fn cached() -> BTreeSet<String> {
    let list = HubOptions::from_env().and_then(|options| cache::list(&options.cache));
    let models = list.unwrap_or_default().into_iter();
    models
        .map(|m| m.repo.to_string().to_ascii_lowercase())
        .collect()
}

fn is_cached(card: &Card, cached: &BTreeSet<String>) -> bool {
    let mut repos = card.hub.iter().chain(&card.gguf);
    repos.any(|repo| cached.contains(&repo.to_ascii_lowercase()))
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

/// One line for each model, under its family's columns.
fn table(language: Language, cached: &BTreeSet<String>) -> String {
    let mut out = String::new();
    for family in card::families() {
        let columns = [
            said(&family.structure, language),
            said(&family.sizes, language),
            said(&family.position, language),
            said(&family.attention, language),
            said(&family.norm, language),
            said(&family.activation, language),
        ];
        let _ = writeln!(
            out,
            "{} ({}): {}; {} {}",
            family.title,
            family.name,
            columns.join("; "),
            word(language, "context", "上下文"),
            family.context
        );
        for card in &family.models {
            let here = match is_cached(card, cached) {
                true => word(language, "  [cached]", "  [已缓存]"),
                false => "",
            };
            let repo = card.hub.as_deref().unwrap_or("-");
            let _ = writeln!(out, "  {:<26} {repo}{here}", card.name);
        }
    }
    out
}

fn family_rows(family: &Family, language: Language) -> String {
    let unknown = word(language, "not published", "未公布");
    let tokens = family.tokens.as_ref();
    let context = family.context.to_string();
    let rows = [
        ("about", "特点", said(&family.about, language)),
        ("structure", "结构", said(&family.structure, language)),
        ("sizes", "规模", said(&family.sizes, language)),
        (
            "training tokens",
            "训练token数",
            tokens.map_or(unknown, |t| said(t, language)),
        ),
        ("positions", "位置编码", said(&family.position, language)),
        ("attention", "注意力", said(&family.attention, language)),
        ("norm", "归一化", said(&family.norm, language)),
        ("context", "上下文长度", context.as_str()),
        ("activation", "激活函数", said(&family.activation, language)),
        ("licence", "许可", family.licence.as_str()),
    ];
    let mut out = format!("{} ({})\n", family.title, family.name);
    for (en, zh, value) in rows {
        let _ = writeln!(out, "  {:<18} {value}", word(language, en, zh));
    }
    out
}

fn card_rows(card: &Card, cached: &BTreeSet<String>) -> String {
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
    row("cached", if is_cached(card, cached) { "yes" } else { "no" });
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
        row("note", note);
    }
    out
}
