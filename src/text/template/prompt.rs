//! Templates of prompts: texts with variables, rendered as chat templates are and within the same
//! bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use minijinja::value::Object;
use minijinja::{ErrorKind, Value};

use super::environment;
use super::worker::{self, Failure};

/// Why a template gives no prompt.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// Variables have no value, and the template cannot do without.
    #[error("prompt template {template}: no value for {}", names.join(", "))]
    Missing {
        /// What the template is called.
        template: String,
        /// Those variables; where it cannot be told which, all that were looked up in vain.
        names: Vec<String>,
    },
    /// Values were given for variables that the template does not have.
    #[error("prompt template {template}: no use for {}", names.join(", "))]
    Unused {
        /// What the template is called.
        template: String,
        /// Those variables.
        names: Vec<String>,
    },
    /// It is no template, fails, or takes more steps than any honest template does.
    #[error("prompt template {template}: {message}")]
    Template {
        /// What the template is called.
        template: String,
        /// What is wrong, with the line.
        message: String,
    },
    /// It works longer, or takes more memory, than any honest template does. As with
    /// [`Error::Runaway`](crate::Error::Runaway), its work goes on and cannot be stopped.
    #[error("prompt template {template}: {message}")]
    Runaway {
        /// What the template is called.
        template: String,
        /// What it does without end.
        message: String,
    },
}

/// A template of a prompt that compiles.
#[derive(Debug, Clone)]
pub struct PromptTemplate {
    /// For messages: a file or a task's name.
    name: String,
    source: String,
    /// Names that are looked up somewhere in it, sorted.
    variables: Vec<String>,
}

impl PromptTemplate {
    /// A template from its source; `name` is for messages.
    ///
    /// # Errors
    /// [`PromptError::Template`] if `source` is none; [`PromptError::Runaway`].
    pub fn from_source(name: &str, source: &str) -> Result<Self, PromptError> {
        let mut this = Self {
            name: name.to_string(),
            source: source.to_string(),
            variables: Vec::new(),
        };
        // What was compiled stays on the thread: code that is nested deep is dropped by recursion.
        let source = this.source.clone();
        let found = worker::run(move || environment::variables(&source).map_err(|e| said(&e)))
            .map_err(|failure| this.gave_nothing(&failure))?;
        this.variables = found.map_err(|message| this.failed(message))?;
        Ok(this)
    }

    /// The variables that it uses, sorted by name: those that it sets itself are none.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// The prompt with `values` for the variables.
    ///
    /// # Errors
    /// As [`PromptError`] says. That a variable has no value is no error where the template has a
    /// default for it or only asks whether it has one.
    pub fn render(&self, values: BTreeMap<String, String>) -> Result<String, PromptError> {
        let this = self.clone();
        worker::run(move || this.render_here(values))
            .map_err(|failure| self.gave_nothing(&failure))?
    }

    /// [`Self::render`] on this thread.
    fn render_here(&self, values: BTreeMap<String, String>) -> Result<String, PromptError> {
        let given = Arc::new(Given::new(values));
        let context = Value::from_dyn_object(given.clone());
        let text = environment::render_strictly(&self.source, context)
            .map_err(|e| self.explained(&e, &given))?;
        let mut unused = given.unasked();
        unused.retain(|name| !self.variables.contains(name));
        match unused.is_empty() {
            true => Ok(text),
            false => Err(PromptError::Unused {
                template: self.name.clone(),
                names: unused,
            }),
        }
    }

    /// What `error` says to who gave the values.
    fn explained(&self, error: &minijinja::Error, given: &Given) -> PromptError {
        let mut names = match undefined(error) {
            Some(name) => vec![name.to_string()],
            None if error.kind() == ErrorKind::UndefinedError => self.variables.clone(),
            None => Vec::new(),
        };
        // A name that was not looked up here is one of the template's own, and none of a value.
        let asked = given.asked();
        names.retain(|name| asked.contains(name) && !given.values.contains_key(name));
        match names.is_empty() {
            true => self.failed(said(error)),
            false => PromptError::Missing {
                template: self.name.clone(),
                names,
            },
        }
    }

    fn gave_nothing(&self, failure: &Failure) -> PromptError {
        let message = failure.to_string();
        match failure {
            Failure::Runaway(_) => PromptError::Runaway {
                template: self.name.clone(),
                message,
            },
            Failure::Over(_) => self.failed(message),
        }
    }

    fn failed(&self, message: String) -> PromptError {
        PromptError::Template {
            template: self.name.clone(),
            message,
        }
    }
}

/// The error and its line, in words.
fn said(error: &minijinja::Error) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return "works without end".to_string();
    }
    let mut text = error.kind().to_string();
    if let Some(detail) = error.detail() {
        text.push_str(&format!(": {detail}"));
    }
    if let Some(line) = error.line() {
        text.push_str(&format!(" (line {line})"));
    }
    text
}

/// The variable that minijinja names as undefined, as `x` of "`x.y` is undefined".
fn undefined(error: &minijinja::Error) -> Option<&str> {
    let (before, _) = error.detail()?.split_once("` is undefined")?;
    let (_, expression) = before.rsplit_once('`')?;
    expression.split(['.', '[']).next()
}

/// What a template sees: the values, and who asked for them.
#[derive(Debug)]
struct Given {
    values: BTreeMap<String, Value>,
    /// Names that were looked up, with a value or without: also such as no look at the source
    /// finds, as in `{% set to = to or 'English' %}`.
    asked: Mutex<BTreeSet<String>>,
}

impl Given {
    fn new(values: BTreeMap<String, String>) -> Self {
        let values = values.into_iter();
        Self {
            values: values.map(|(name, text)| (name, text.into())).collect(),
            asked: Mutex::default(),
        }
    }

    /// Names that were looked up so far.
    fn asked(&self) -> BTreeSet<String> {
        self.asked.lock().map(|a| a.clone()).unwrap_or_default()
    }

    /// Names that have a value and were not looked up.
    fn unasked(&self) -> Vec<String> {
        let asked = self.asked();
        let names = self.values.keys();
        names
            .filter(|name| !asked.contains(*name))
            .cloned()
            .collect()
    }
}

impl Object for Given {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        if let Ok(mut asked) = self.asked.lock() {
            asked.insert(name.to_string());
        }
        self.values.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, values: &[(&str, &str)]) -> Result<String, PromptError> {
        let values = values.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        PromptTemplate::from_source("test", source)?.render(values.collect())
    }

    #[track_caller]
    fn missing(source: &str, values: &[(&str, &str)]) -> Vec<String> {
        match render(source, values) {
            Err(PromptError::Missing { names, .. }) => names,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn unused(source: &str, values: &[(&str, &str)]) -> Vec<String> {
        match render(source, values) {
            Err(PromptError::Unused { names, .. }) => names,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_are_text_and_no_code() {
        let text = render("{{ a }}\n{{ b }}\n", &[("a", "{{ b }}"), ("b", "<&>")]);
        assert_eq!(text.unwrap(), "{{ b }}\n<&>");
    }

    #[test]
    fn a_variable_without_a_value_is_named_unless_the_template_can_do_without() {
        for source in [
            "{{ to }}",
            "{{ input }} {{ to }}",
            "{{ input }}\n\n{{ to | upper }}",
            "{% for c in to %}{{ c }}{% endfor %}",
            "{{ style | default('x') }} {{ to }}",
            "{{ to.upper() }}",
            "{% macro m() %}{{ to }}{% endmacro %}{{ input }}{{ m() }}",
        ] {
            let names = missing(source, &[("input", "a")]);
            assert_eq!(names, ["to"], "{source}");
        }
        for source in [
            "{{ to | default('a') }}",
            "{% if to %}{{ to }}{% else %}a{% endif %}",
            "{{ 'a' if to is undefined else to }}",
            "{% set to = to or 'a' %}{{ to }}",
        ] {
            assert_eq!(render(source, &[]).unwrap(), "a", "{source}");
            assert_eq!(render(source, &[("to", "b")]).unwrap(), "b", "{source}");
        }
    }

    #[test]
    fn what_the_template_itself_makes_is_no_missing_value() {
        for source in [
            "{{ input.split(',')[1] }}",
            "{% set words = input.split() %}{{ words[5] }}",
            "{% for word in input.split() %}{{ word.first.letter }}{% endfor %}",
        ] {
            match render(source, &[("input", "a")]) {
                Err(PromptError::Template { message, .. }) => {
                    assert!(message.contains("(line 1)"), "{source}: {message}");
                }
                other => panic!("{source}: {other:?}"),
            }
        }
        // What is made of a missing value leads to it all the same.
        let source = "{% set words = to.split() %}{{ words[5] }}";
        assert_eq!(missing(source, &[]), ["to"]);
    }

    #[test]
    fn a_value_without_a_use_is_named() {
        assert_eq!(unused("{{ a }}", &[("a", "1"), ("b", "2")]), ["b"]);
        assert_eq!(unused("b", &[("b", "2")]), ["b"]);
        let set = "{% set b = 1 %}{{ b }}";
        assert_eq!(unused(set, &[("b", "2")]), ["b"]);
        // It is one of the template's, though not for this value of the other.
        let either = "{% if a %}{{ a }}{% else %}{{ b }}{% endif %}";
        assert_eq!(render(either, &[("a", "1"), ("b", "2")]).unwrap(), "1");
    }

    #[test]
    fn the_variables_are_those_that_the_template_does_not_set() {
        let source = "{% set x = a %}{% for y in range(3) %}{{ x }}{{ y }}{{ b }}{% endfor %}";
        let template = PromptTemplate::from_source("test", source).unwrap();
        assert_eq!(template.variables(), ["a", "b"]);
    }

    #[test]
    fn what_fails_or_does_not_end_is_refused_with_its_line() {
        let error = |source: &str| render(source, &[]).unwrap_err().to_string();
        let syntax = error("a\n{% if %}");
        assert!(
            syntax.contains("template test: syntax error") && syntax.contains("line 2"),
            "{syntax}"
        );
        let long = "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(error(long).contains("works without end"));
        assert!(error(&"a".repeat(1 << 20)).contains("bytes of source"));
    }
}
