//! `/set`: what can be changed between two turns.

use std::str::FromStr;

use anyhow::{Result, anyhow, bail};

use super::super::flags::SamplingArgs;

const NAMES: [&str; 8] = [
    "temp",
    "top-k",
    "top-p",
    "min-p",
    "repeat-penalty",
    "repeat-last-n",
    "max-tokens",
    "seed",
];

/// What there is, for messages.
pub fn list() -> String {
    format!("the settings are {}", NAMES.join(", "))
}

/// What `/set` changes.
pub struct Settings {
    pub sampling: SamplingArgs,
    pub max_tokens: Option<usize>,
}

impl Settings {
    /// Sets `name` to `value`; `off` is what leaves a filter or a limit out, or makes the seed
    /// random.
    ///
    /// # Errors
    /// If there is no such setting, or `value` is none for it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let sampling = &mut self.sampling;
        let typed = Typed { name, value };
        match name {
            "temp" | "temperature" => sampling.temp = Some(typed.number("a number")?),
            "top-k" => sampling.top_k = Some(typed.whole_or_off()?.unwrap_or(0)),
            "top-p" => sampling.top_p = Some(typed.number_or_off()?.unwrap_or(1.0)),
            "min-p" => sampling.min_p = Some(typed.number_or_off()?.unwrap_or(0.0)),
            "repeat-penalty" => {
                sampling.repeat_penalty = Some(typed.number_or_off()?.unwrap_or(1.0));
            }
            "repeat-last-n" => sampling.repeat_last_n = Some(typed.number("a whole number")?),
            "max-tokens" => self.max_tokens = typed.whole_or_off()?,
            "seed" => sampling.seed = typed.whole_or_off()?,
            _ => bail!("there is no setting {name}; {}", list()),
        }
        Ok(())
    }
}

/// What a user typed behind `/set`.
struct Typed<'a> {
    name: &'a str,
    value: &'a str,
}

impl Typed<'_> {
    fn number<T: FromStr>(&self, wanted: &str) -> Result<T> {
        self.value.parse().map_err(|_| {
            let typed = format!("/set {} {}", self.name, self.value);
            anyhow!("{}: {wanted} is wanted", typed.trim_end())
        })
    }

    /// `None` of `off`.
    fn or_off<T: FromStr>(&self, wanted: &str) -> Result<Option<T>> {
        match self.value.eq_ignore_ascii_case("off") {
            true => Ok(None),
            false => self.number(wanted).map(Some),
        }
    }

    fn number_or_off(&self) -> Result<Option<f32>> {
        self.or_off("a number or off")
    }

    fn whole_or_off<T: FromStr>(&self) -> Result<Option<T>> {
        self.or_off("a whole number or off")
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::HELP;
    use super::*;

    fn start() -> Settings {
        Settings {
            sampling: SamplingArgs::default(),
            max_tokens: Some(7),
        }
    }

    #[test]
    fn every_setting_takes_a_number_and_the_help_names_it() {
        for name in NAMES {
            assert!(start().set(name, "1").is_ok(), "{name}");
            assert!(HELP.contains(name), "{name}");
            for wrong in ["hot", "", "1 2"] {
                let message = start().set(name, wrong).unwrap_err().to_string();
                let typed = format!("/set {name} {wrong}");
                assert!(message.starts_with(typed.trim_end()), "{message}");
                assert!(message.contains("number"), "{message}");
            }
        }
        let message = start().set("bogus", "1").unwrap_err().to_string();
        assert!(message.contains("bogus") && message.contains(&list()));
    }

    #[test]
    fn off_takes_a_filter_a_limit_or_the_seed_away() {
        let mut settings = start();
        for name in ["top-k", "top-p", "min-p", "repeat-penalty", "max-tokens"] {
            settings.set(name, "off").unwrap();
        }
        let sampling = &settings.sampling;
        assert_eq!((sampling.top_k, sampling.top_p), (Some(0), Some(1.0)));
        assert_eq!(sampling.min_p, Some(0.0));
        assert_eq!(sampling.repeat_penalty, Some(1.0));
        assert_eq!(settings.max_tokens, None);
        settings.set("seed", "7").unwrap();
        assert_eq!(settings.sampling.seed, Some(7));
        settings.set("seed", "off").unwrap();
        assert_eq!(settings.sampling.seed, None);
        assert!(settings.set("temp", "off").is_err());
    }
}
