//! The lines of `--batch`, read one at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Bytes of the longest line that is read: more than any context holds.
const LONGEST: u64 = 16 << 20;

/// What a line asks.
#[derive(Debug, Default)]
pub struct Question {
    /// Empty where the line has none.
    pub prompt: String,
    pub system: Option<String>,
    /// Variables of the task.
    pub var: BTreeMap<String, String>,
}

/// A line that is not empty.
pub struct Line {
    /// From 1 on.
    pub number: usize,
    /// As it was written.
    pub id: Option<Box<RawValue>>,
    /// An error where the line is none that could be answered.
    pub question: Result<Question>,
}

/// A file, or standard input.
pub struct Lines {
    source: BufReader<Box<dyn Read + Send>>,
    /// For messages.
    name: String,
    /// Lines that were read, empty ones too.
    number: usize,
    /// Whether the last line was longer than what was read of it.
    cut: bool,
}

impl Lines {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// If there is none, or it is a folder.
    pub fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::of(Box::new(io::stdin()), "standard input"));
        }
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("--batch {name}"))?;
        if file.metadata().is_ok_and(|m| m.is_dir()) {
            bail!("--batch {name}: a folder; a file with a JSON object on each line is wanted");
        }
        Ok(Self::of(Box::new(file), &name))
    }

    fn of(source: Box<dyn Read + Send>, name: &str) -> Self {
        Self {
            source: BufReader::new(source),
            name: name.to_string(),
            number: 0,
            cut: false,
        }
    }

    /// The next line that is not empty; `None` at the end.
    ///
    /// # Errors
    /// If the source cannot be read any further.
    pub fn read(&mut self) -> Result<Option<Line>> {
        loop {
            let bytes = self.bytes().with_context(|| self.name.clone())?;
            let Some(bytes) = bytes else {
                return Ok(None);
            };
            if !self.cut && bytes.trim_ascii().is_empty() {
                continue;
            }
            let too_long = || anyhow!("the line is longer than {LONGEST} bytes");
            let (id, question) = match self.cut {
                true => (None, Err(too_long())),
                false => parse(&bytes),
            };
            return Ok(Some(Line {
                number: self.number,
                id,
                question,
            }));
        }
    }

    /// The next line, or what fits of it; then `cut` is set, and its rest is passed over before
    /// the line after it, for it may never end.
    fn bytes(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.cut {
            self.source.skip_until(b'\n')?;
        }
        let mut bytes = Vec::new();
        let mut source = self.source.by_ref().take(LONGEST + 1);
        let n = source.read_until(b'\n', &mut bytes)?;
        self.cut = n as u64 > LONGEST && !bytes.ends_with(b"\n");
        self.number += 1;
        Ok((n > 0).then_some(bytes))
    }
}

/// The object of a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    prompt: Option<String>,
    system: Option<String>,
    id: Option<Box<RawValue>>,
    #[serde(default)]
    var: BTreeMap<String, String>,
}

/// What is read of an object that is not as it should be.
#[derive(Deserialize)]
struct Named {
    id: Option<Box<RawValue>>,
}

/// The id of a line, where one is to be found, and what it asks.
fn parse(line: &[u8]) -> (Option<Box<RawValue>>, Result<Question>) {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text.trim_start_matches('\u{feff}').trim(),
        Err(e) => {
            let at = e.valid_up_to();
            return (None, Err(anyhow!("not UTF-8 text at byte {at}")));
        }
    };
    match text.as_bytes().first() {
        Some(b'"') => {
            let prompt = serde_json::from_str::<String>(text).map_err(|e| wrong(&e));
            let question = |prompt| Question {
                prompt,
                ..Question::default()
            };
            (None, prompt.map(question))
        }
        Some(b'{') => match serde_json::from_str::<Object>(text) {
            Ok(object) => {
                let question = Question {
                    prompt: object.prompt.unwrap_or_default(),
                    system: object.system,
                    var: object.var,
                };
                (object.id, Ok(question))
            }
            Err(e) => {
                let named = serde_json::from_str::<Named>(text).ok();
                (named.and_then(|named| named.id), Err(wrong(&e)))
            }
        },
        _ => {
            let wanted = r#"neither {"prompt": …} nor a JSON string"#;
            (None, Err(anyhow!(wanted)))
        }
    }
}

/// What is wrong with a line's JSON, without the number that every line has there.
fn wrong(error: &serde_json::Error) -> anyhow::Error {
    let said = error.to_string();
    anyhow!("{}", said.replace(" at line 1 column ", " at column "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: Vec<u8>) -> Lines {
        Lines::of(Box::new(io::Cursor::new(bytes)), "test")
    }

    fn next(lines: &mut Lines) -> Option<(usize, Result<Question>)> {
        lines.read().unwrap().map(|l| (l.number, l.question))
    }

    #[test]
    fn a_line_as_long_as_may_be_is_read_and_a_longer_one_is_passed_over() {
        let text = |n: usize| format!("\"{}\"\n", "a".repeat(n - 2));
        let most = LONGEST as usize;
        let source = [text(most), text(most + 1), text(2 * most), text(3)];
        let mut lines = lines(source.concat().into_bytes());
        let (number, question) = next(&mut lines).unwrap();
        assert_eq!((number, question.unwrap().prompt.len()), (1, most - 2));
        for wanted in [2, 3] {
            let (number, question) = next(&mut lines).unwrap();
            let message = question.unwrap_err().to_string();
            assert!(number == wanted && message.contains("longer than"));
        }
        let (number, question) = next(&mut lines).unwrap();
        assert_eq!((number, question.unwrap().prompt.as_str()), (4, "a"));
        assert!(next(&mut lines).is_none());
    }

    #[test]
    fn a_line_without_an_end_is_told_before_its_end_is_looked_for() {
        let mut lines = Lines::of(Box::new(io::repeat(b'x')), "test");
        let line = lines.read().unwrap().unwrap();
        assert!(line.question.is_err());
    }

    #[test]
    fn empty_lines_are_counted_only_and_the_last_needs_no_end() {
        let text = "\r\n  \n\u{feff}\"a\"\r\n\n{\"prompt\": \"b\"}";
        let mut lines = lines(text.as_bytes().to_vec());
        for wanted in [(3, "a"), (5, "b")] {
            let (number, question) = next(&mut lines).unwrap();
            assert_eq!((number, question.unwrap().prompt.as_str()), wanted);
        }
        assert!(next(&mut lines).is_none());
    }

    #[test]
    fn an_id_is_kept_as_it_is_written_also_where_the_rest_is_wrong() {
        for id in [
            "12345678901234567890123",
            r#"{"b": [1.0], "a":2}"#,
            r#""\u00e4""#,
        ] {
            for rest in [r#""prompt": "a""#, r#""prompt": 1"#, r#""temp": 1"#] {
                let line = format!("{{\"id\": {id}, {rest}}}");
                let (found, _) = parse(line.as_bytes());
                assert_eq!(found.map(|f| f.get().to_string()).as_deref(), Some(id));
            }
        }
        let (none, question) = parse(br#"{"id": null, "prompt": "a"}"#);
        assert!(none.is_none() && question.is_ok());
    }

    #[test]
    fn what_is_no_question_is_said() {
        let cases: [(&[u8], &str); 9] = [
            (b"hello", "nor a JSON string"),
            (br#"["a"]"#, "nor a JSON string"),
            (br#"{"prompt": "#, "EOF"),
            (br#"{"prompt": "a"} x"#, "trailing characters at column"),
            (br#"{"prompt": [1]}"#, "expected a string"),
            (br#"{"promt": "a"}"#, "unknown field `promt`"),
            (br#"{"prompt": "a", "prompt": "b"}"#, "duplicate field"),
            (br#"{"prompt": "a", "var": {"n": 1}}"#, "expected a string"),
            (b"\"a\xff\"", "not UTF-8 text at byte 2"),
        ];
        for (line, what) in cases {
            let (_, question) = parse(line);
            let message = question.unwrap_err().to_string();
            assert!(message.contains(what), "{line:?}: {message}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(format!("{{\"id\": {deep}").as_bytes()).1.is_err());
    }
}
