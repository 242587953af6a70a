//! Model cards: the table's columns for every family, and where each of its models is found.

use std::sync::LazyLock;

use serde::Deserialize;

/// A cell of the table, in English and, where it says more or reads differently, in Chinese.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Also what a Chinese reader gets where `zh` is absent.
    pub en: String,
    /// Only where it is not the same text.
    pub zh: Option<String>,
}

/// What a family declares: one row of the table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// As it is typed: `llama2`.
    pub name: String,
    /// As its makers write it: `LLaMA-2`.
    pub title: String,
    /// What sets it apart, in a sentence.
    pub about: Text,
    /// Decoder-only, prefix LM or encoder-decoder.
    pub structure: Text,
    /// Numbers of parameters that were published: `7B, 13B`.
    pub sizes: Text,
    /// Training tokens; absent where they were not published.
    pub tokens: Option<Text>,
    /// Layers, width and heads of some sizes.
    pub parameters: Option<Text>,
    /// The table's PE column.
    pub position: Text,
    /// The table's attention and FFN column.
    pub attention: Text,
    /// The table's norm column.
    pub norm: Text,
    /// Context length in tokens (the table's MSL); absent for what is not a model.
    pub context: Option<u32>,
    /// Of the feed-forward layers.
    pub activation: Text,
    /// What else the table says.
    pub notes: Option<Text>,
    /// Of the weights, with the sizes that have another; `-` where there is nothing to license.
    pub licence: String,
    /// A card for each that can be named.
    pub models: Vec<Card>,
}

/// Sampling that a model's makers recommend; `generation_config.json` beside the weights wins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// What logits are divided by; where it is absent, the rest does not count either.
    pub temperature: Option<f32>,
    /// How many of the likeliest tokens are kept.
    pub top_k: Option<u32>,
    /// The probability that the tokens that are kept must reach together.
    pub top_p: Option<f32>,
    /// What recent tokens are made less likely by; 1 is no penalty.
    pub repeat_penalty: Option<f32>,
}

/// One model of a family.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// As it is typed: `qwen3-0.6b`.
    pub name: String,
    /// Other names that [`find`] takes for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Hub id of the original weights; absent where none are public.
    pub hub: Option<String>,
    /// Hub id of a GGUF repository of the same model.
    pub gguf: Option<String>,
    /// Chat format, a file of `prompts/`; absent for a base model.
    pub chat: Option<String>,
    /// Used where the files of the model say nothing on sampling.
    #[serde(default)]
    pub defaults: Defaults,
    /// Context length in tokens, where it is not the family's.
    pub context: Option<u32>,
    /// What a user has to know before fetching it.
    pub note: Option<String>,
}

/// Rows of the table under one heading.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Of what sort its families are.
    pub title: Text,
    /// Its rows, from the top.
    pub families: Vec<Family>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    sections: Vec<Section>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    serde_json::from_str(include_str!("cards.json")).expect("embedded, and parsed by a test")
});

/// The table's headings with their rows.
pub fn sections() -> &'static [Section] {
    &TABLE.sections
}

/// Every family, in the table's order.
pub fn families() -> impl Iterator<Item = &'static Family> {
    sections().iter().flat_map(|section| &section.families)
}

/// Every card with its family, in the table's order.
pub fn all() -> impl Iterator<Item = (&'static Family, &'static Card)> {
    families().flat_map(|family| family.models.iter().map(move |card| (family, card)))
}

/// The card of this name or alias; case does not matter, nor does `_` for `-`.
pub fn find(name: &str) -> Option<(&'static Family, &'static Card)> {
    let wanted = fold(name);
    find_named(name)
        .or_else(|| all().find(|(_, card)| card.aliases.iter().any(|alias| fold(alias) == wanted)))
}

/// As [`find`], aliases left aside.
pub fn find_named(name: &str) -> Option<(&'static Family, &'static Card)> {
    let wanted = fold(name);
    all().find(|(_, card)| fold(&card.name) == wanted)
}

/// The family of this name, as freely spelled as a card's.
pub fn find_family(name: &str) -> Option<&'static Family> {
    let wanted = fold(name);
    families().find(|family| fold(&family.name) == wanted)
}

/// The card whose weights are this hub id's, so that `ORG/NAME` gets its defaults too.
pub fn find_repo(id: &str) -> Option<(&'static Family, &'static Card)> {
    let same = |repo: &Option<String>| repo.as_deref().is_some_and(|r| r.eq_ignore_ascii_case(id));
    all().find(|(_, card)| same(&card.hub) || same(&card.gguf))
}

/// Up to `limit` cards of the same family with fewer parameters, the largest first, as far as
/// names tell (`qwen3-0.6b`, `bloom-560m`, `bloom-7b1`).
pub fn smaller(family: &Family, card: &Card, limit: usize) -> Vec<&'static str> {
    let Some(size) = parameters(&card.name) else {
        return Vec::new();
    };
    let of_family = all().filter(|(f, _)| f.name == family.name);
    let mut others: Vec<(f64, &'static str)> = of_family
        .filter(|(_, c)| c.hub.is_some())
        .filter_map(|(_, c)| Some((parameters(&c.name)?, c.name.as_str())))
        .filter(|(other, _)| *other < size)
        .collect();
    others.sort_by(|a, b| b.0.total_cmp(&a.0));
    others.into_iter().take(limit).map(|(_, n)| n).collect()
}

/// The number of parameters that a name states.
fn parameters(name: &str) -> Option<f64> {
    name.split('-').find_map(|word| {
        let unit = word.find(['b', 'm'])?;
        let (number, rest) = (&word[..unit], &word[unit + 1..]);
        let number = match rest {
            "" => number.parse::<f64>(),
            // `7b1` is 7.1b.
            tenths => format!("{number}.{tenths}").parse(),
        };
        let scale = if word.as_bytes()[unit] == b'b' {
            1e9
        } else {
            1e6
        };
        Some(number.ok()? * scale)
    })
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// Up to `limit` of `candidates` that look like `name`, best first.
pub fn nearest<S: AsRef<str>>(
    name: &str,
    candidates: impl IntoIterator<Item = S>,
    limit: usize,
) -> Vec<String> {
    let wanted = fold(name);
    let mut scored: Vec<(f64, String)> = candidates
        .into_iter()
        .map(|candidate| {
            let text = fold(candidate.as_ref());
            let mut score = strsim::jaro_winkler(&wanted, &text);
            // A user who typed a part of the name is closer than the letters say.
            if wanted.len() >= 3 && text.contains(&wanted) {
                score = score.max(0.9);
            }
            (score, candidate.as_ref().to_string())
        })
        .filter(|(score, _)| *score >= 0.75)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().take(limit).map(|(_, s)| s).collect()
}

/// `; did you mean A or B?`, to go on a sentence with; nothing where there are no names.
pub fn did_you_mean(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!("; did you mean {}?", names.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::name::RepoId;
    use std::collections::HashSet;

    #[test]
    fn every_name_is_told_apart_and_every_hub_id_is_one() {
        let mut names = HashSet::new();
        for (_, card) in all() {
            for name in std::iter::once(&card.name).chain(&card.aliases) {
                assert!(names.insert(fold(name)), "{name} names two models");
                assert!(!name.contains('/'), "{name} would read as a hub id");
            }
            for repo in card.hub.iter().chain(&card.gguf) {
                RepoId::parse(repo).unwrap_or_else(|e| panic!("{}: {e}", card.name));
            }
            assert!(card.hub.is_some() || card.note.is_some(), "{}", card.name);
            if let Some(chat) = &card.chat {
                let known = crate::text::ChatTemplate::builtin(chat).is_some();
                assert!(known, "{}: no chat format {chat}", card.name);
            }
        }
    }

    #[test]
    fn the_tables_models_have_cards() {
        for name in [
            "llama",
            "llama2-7b-chat",
            "alpaca",
            "belle",
            "baichuan",
            "baichuan2",
            "qwen",
            "chatglm2-6b",
            "glm",
            "bloom",
            "opt",
            "palm",
            "t5",
            "flan",
            "flan-t5-small",
            "qwen3-0.6b",
        ] {
            assert!(find(name).is_some(), "{name}");
        }
        let (family, card) = find("ChatGLM2_6B").unwrap();
        assert_eq!(
            (family.name.as_str(), family.context),
            ("chatglm2", Some(32768))
        );
        assert_eq!(card.defaults.temperature, Some(0.8));
        assert_eq!(
            find_repo("qwen/qwen3-0.6b-gguf").unwrap().1.name,
            "qwen3-0.6b"
        );
    }

    #[test]
    fn a_familys_name_is_the_familys_though_a_model_has_it_too() {
        let alias_only = |name: &str| find(name).is_some() && find_named(name).is_none();
        assert!(families().any(|family| alias_only(&family.name)));
        for family in families() {
            let found = find_family(&family.name.to_ascii_uppercase());
            assert_eq!(found, Some(family));
            // Where a card has the very name, it is of that family.
            let card = find_named(&family.name).map(|(of, _)| of);
            assert!(card.is_none_or(|of| of == family), "{}", family.name);
        }
    }

    #[test]
    fn smaller_models_of_the_family_are_named_largest_first() {
        let smaller_than = |name: &str| {
            let (family, card) = find(name).unwrap();
            smaller(family, card, 2)
        };
        assert_eq!(smaller_than("qwen3-4b"), ["qwen3-1.7b", "qwen3-0.6b"]);
        assert_eq!(smaller_than("bloom-7b1"), ["bloom-560m", "bloomz-560m"]);
        assert!(smaller_than("qwen3-0.6b").is_empty());
    }

    #[test]
    fn a_typo_is_answered_with_the_name_meant() {
        let near = nearest("chatgml2-6b", all().map(|(_, c)| &c.name), 3);
        assert!(near.contains(&"chatglm2-6b".to_string()), "{near:?}");
        assert!(nearest("zzzzzz", all().map(|(_, c)| &c.name), 3).is_empty());
    }
}
