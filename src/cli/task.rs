//! `wick run --task`: the prompt, put into a template.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use anyhow::Result;

use super::exit::usage;
use super::prompt::read_text;
use crate::Error;
use crate::hub::card;
use crate::text::{PromptError, PromptTemplate};

macro_rules! tasks {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../prompts/task/", $name, ".jinja")))),*]
    };
}

/// The tasks of `prompts/task`, embedded.
const TASKS: &[(&str, &str)] = tasks![
    "commit",
    "explain",
    "extract",
    "fix",
    "summarize",
    "translate",
];

/// The variable that holds the prompt.
const INPUT: &str = "input";
const INPUT_IS_TAKEN: &str = "input stands for the prompt; choose another name";

/// The largest template that is read.
const LARGEST: u64 = 1 << 20;
/// How often a stand-in is given for what has no value yet; honest templates have few variables.
const STAND_INS: usize = 64;

/// `--var`.
#[derive(Debug, Clone)]
pub struct Var {
    name: String,
    value: String,
}

impl FromStr for Var {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((INPUT, _)) => Err(INPUT_IS_TAKEN.to_string()),
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_string(),
                value: value.to_string(),
            }),
            _ => Err("NAME=TEXT is wanted, as in to=French".to_string()),
        }
    }
}

/// A template and the variables of the command line.
pub struct Task {
    name: String,
    template: PromptTemplate,
    vars: BTreeMap<String, String>,
}

impl Task {
    /// The task called `name`, or that of the file.
    ///
    /// # Errors
    /// If there is neither, or the file holds no template.
    pub fn open(name: &str, vars: &[Var]) -> Result<Self> {
        let embedded = TASKS.iter().find(|(known, _)| *known == name);
        let source = match embedded {
            Some((_, source)) => source.to_string(),
            None => of_file(name)?,
        };
        let vars = vars.iter().map(|v| (v.name.clone(), v.value.clone()));
        Ok(Self {
            name: name.to_string(),
            template: PromptTemplate::from_source(name, &source)?,
            vars: vars.collect(),
        })
    }

    /// Refuses variables of the command line that the template does not use, before there is a
    /// prompt. What cannot be told without one is told by [`Self::render`].
    ///
    /// # Errors
    /// Names those variables; or if the template's work does not end.
    pub fn check(&self) -> Result<()> {
        let mut values = self.vars.clone();
        if self.template.variables().iter().any(|name| name == INPUT) {
            values.insert(INPUT.to_string(), INPUT.to_string());
        }
        for _ in 0..STAND_INS {
            match self.template.render(values.clone()) {
                // A line may have these, and the rest is seen only with them.
                Err(PromptError::Missing { names, .. }) => {
                    values.extend(names.into_iter().map(|name| (name.clone(), name)));
                }
                Err(PromptError::Unused {
                    template,
                    mut names,
                }) => {
                    names.retain(|name| self.vars.contains_key(name));
                    return match names.is_empty() {
                        true => Ok(()),
                        false => Err(self.refused(PromptError::Unused { template, names })),
                    };
                }
                Err(error @ PromptError::Runaway { .. }) => return Err(self.refused(error)),
                Ok(_) | Err(PromptError::Template { .. }) => break,
            }
        }
        Ok(())
    }

    /// What the model is asked about `input`; `None` if the template needs one and it is empty.
    /// Variables in `more` hide those of the command line.
    ///
    /// # Errors
    /// If a variable has no value or no use, or the template fails; [`Error::Runaway`].
    pub fn render(&self, input: &str, more: &BTreeMap<String, String>) -> Result<Option<String>> {
        if more.contains_key(INPUT) {
            return Err(usage(INPUT_IS_TAKEN));
        }
        let mut values = values(&self.vars, more);
        if !input.is_empty() {
            values.insert(INPUT.to_string(), input.to_string());
        }
        match self.template.render(values) {
            Ok(text) if text.is_empty() => Err(usage(format!(
                "--task {}: the template gives an empty text",
                self.name
            ))),
            Ok(text) => Ok(Some(text)),
            Err(PromptError::Missing { names, .. }) if names.iter().any(|n| n == INPUT) => Ok(None),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// The error for who typed the command line.
    fn refused(&self, error: PromptError) -> anyhow::Error {
        let name = &self.name;
        match error {
            PromptError::Missing { names, .. } => {
                let flags = names.iter().map(|n| format!("--var {n}=TEXT"));
                usage(format!(
                    "--task {name}: there is no value for {}; give {}",
                    names.join(", "),
                    flags.collect::<Vec<_>>().join(" ")
                ))
            }
            PromptError::Unused { names, .. } => usage(format!(
                "--task {name}: the template has no use for {}; its variables are {}",
                shown(&names),
                shown(self.template.variables())
            )),
            error @ PromptError::Template { .. } => error.into(),
            error @ PromptError::Runaway { .. } => Error::Runaway(error.to_string()).into(),
        }
    }
}

/// The template of a user's own.
fn of_file(name: &str) -> Result<String> {
    let path = Path::new(name);
    // Also a pipe, as of the shell's <(…).
    if path.metadata().is_ok_and(|found| !found.is_dir()) {
        return read_text(path, LARGEST);
    }
    let known: Vec<_> = TASKS.iter().map(|(known, _)| *known).collect();
    let near = card::did_you_mean(&card::nearest(name, &known, 2));
    Err(usage(format!(
        "--task {name}: neither a task nor a file{near} (tasks: {})",
        known.join(", ")
    )))
}

/// The variables of the command line, and over them those of a line.
fn values(
    flags: &BTreeMap<String, String>,
    line: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut values = flags.clone();
    values.extend(line.clone());
    values
}

/// Names of variables, in a message.
fn shown(names: &[String]) -> String {
    let labels = names.iter().map(|name| match name.as_str() {
        INPUT => "input (the prompt)",
        name => name,
    });
    match names {
        [] => "none".to_string(),
        _ => labels.collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_compiles_and_uses_the_prompt() {
        for (name, _) in TASKS {
            let task = Task::open(name, &[]).unwrap();
            assert!(
                task.template.variables().iter().any(|v| v == INPUT),
                "{name}"
            );
        }
    }

    #[test]
    fn a_variable_is_a_name_and_a_text() {
        let read = |text: &str| text.parse::<Var>().map(|v| (v.name, v.value));
        let pair = |a: &str, b: &str| Ok((a.to_string(), b.to_string()));
        assert_eq!(read("to=French"), pair("to", "French"));
        assert_eq!(read("sum=a = b"), pair("sum", "a = b"));
        assert_eq!(read("to="), pair("to", ""));
        for bad in ["", "to", "=French", "input=x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
