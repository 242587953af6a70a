//! What is asked: from the argument, a file, a pipe, or as token ids.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::exit::usage;
use super::open::{Found, Texts};
use super::task::{Task, Var};
use crate::arch::Structure;
use crate::files::take_at_most;
use crate::text::{Message, Role, Specials};

/// Where the prompt comes from.
#[derive(Debug, Clone, Args)]
pub struct PromptArgs {
    /// The prompt; piped standard input is put before it, and alone is the prompt
    #[arg(value_name = "PROMPT", conflicts_with_all = ["prompt", "file", "prompt_ids"])]
    pub text: Option<String>,
    /// The prompt, as a flag
    #[arg(short, long, value_name = "PROMPT", conflicts_with_all = ["file", "prompt_ids"])]
    pub prompt: Option<String>,
    /// Read the prompt from a file
    #[arg(short, long, conflicts_with = "prompt_ids")]
    pub file: Option<PathBuf>,
    /// Token ids instead of text, as 1,2,3; needs no tokenizer
    #[arg(long, value_name = "IDS", value_delimiter = ',', conflicts_with_all = ["raw", "system", "template", "cot"])]
    pub prompt_ids: Vec<u32>,
    /// The prompt as it is, without a chat format
    #[arg(long, conflicts_with_all = ["system", "template"])]
    pub raw: bool,
    /// Put the prompt into the template of a task: commit, explain, extract (with --var what=…),
    /// fix, summarize, translate (into English, or --var to=…), or a Jinja file with {{ input }}
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "prompt_ids")]
    pub task: Option<String>,
    /// A variable of the task's template, as in to=French (repeatable)
    #[arg(long, value_name = "NAME=TEXT", requires = "task")]
    pub var: Vec<Var>,
    /// Answer each line of a file, or of - for standard input: {"prompt": …}, with "system", "id"
    /// and, for --task, "var": {"to": …} if wanted, or the prompt alone as a JSON string
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = ["text", "prompt", "file", "prompt_ids", "infill", "logits", "dump"])]
    pub batch: Option<PathBuf>,
}

/// What is asked, before it is turned into tokens.
pub enum Prompt {
    Ids(Vec<u32>),
    Text(String),
}

/// The longest prompt that is read: more than any context holds.
const LONGEST: u64 = 64 << 20;

impl PromptArgs {
    /// The task that the prompt is for.
    pub fn task(&self) -> Result<Option<Task>> {
        let open = |name: &String| Task::open(name, &self.var);
        self.task.as_ref().map(open).transpose()
    }

    /// Reads the prompt, and puts it into the template of `task`.
    pub fn read(&self, task: Option<&Task>) -> Result<Prompt> {
        if !self.prompt_ids.is_empty() {
            return Ok(Prompt::Ids(self.prompt_ids.clone()));
        }
        let given = match &self.file {
            Some(path) if path == Path::new("-") => None,
            Some(path) => Some(chomp(read_text(path, LONGEST)?)),
            None => self.text.clone().or_else(|| self.prompt.clone()),
        };
        let stdin = io::stdin();
        let piped = match stdin.is_terminal() {
            true => String::new(),
            false => chomp(text_of(stdin.lock(), "standard input", LONGEST)?),
        };
        let text = match (piped.is_empty(), given) {
            (true, Some(given)) => given,
            (false, Some(given)) => format!("{piped}\n\n{given}"),
            (false, None) => piped,
            (true, None) => String::new(),
        };
        let text = match task {
            Some(task) => task.render(&text, &BTreeMap::new())?,
            None => Some(text).filter(|text| !text.is_empty()),
        };
        text.map(Prompt::Text).ok_or_else(|| {
            usage("there is no prompt: give it as an argument, with -f FILE, or through a pipe")
        })
    }
}

/// Reads a text file of at most `most` bytes.
pub fn read_text(path: &Path, most: u64) -> Result<String> {
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| name.clone())?;
    text_of(file, &name, most)
}

fn text_of(source: impl Read, name: &str, most: u64) -> Result<String> {
    let bytes = take_at_most(source, most).with_context(|| name.to_string())?;
    let Some(bytes) = bytes else {
        bail!("{name}: longer than {most} bytes");
    };
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        anyhow::anyhow!("{name}: not UTF-8 text at byte {at}")
    })
}

/// Without the newline that ends a file or an `echo`.
fn chomp(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// The error of a system message that no chat format has a place for.
pub fn no_chat_format() -> anyhow::Error {
    usage("--system: the model comes without a chat format; choose one with --template")
}

/// A prompt as the model gets it.
pub struct Rendered {
    /// `None` where ids were given and there is no tokenizer.
    pub text: Option<String>,
    pub ids: Vec<u32>,
    /// Whether the answer goes on from the prompt's own text, so that a first space is kept.
    pub continues: bool,
}

/// Renders a prompt that stands alone: through the chat template unless `raw`, or there is none.
pub fn render(
    prompt: &Prompt,
    system: Option<&str>,
    raw: bool,
    found: &Found,
    texts: &Texts,
) -> Result<Rendered> {
    let text = match prompt {
        Prompt::Ids(ids) => {
            let tokenizer = texts.tokenizer.as_ref();
            let ends_in_text =
                |t: &crate::text::Tokenizer| ids.last().is_some_and(|&id| !t.is_special(id));
            return Ok(Rendered {
                text: tokenizer.map(|t| t.decode(ids, true)),
                ids: ids.clone(),
                continues: tokenizer.is_some_and(ends_in_text),
            });
        }
        Prompt::Text(text) => text,
    };
    let template = texts.template.as_ref().filter(|_| !raw);
    let text = match (template, system) {
        (Some(template), system) => {
            let mut messages = Vec::new();
            messages.extend(system.map(|s| Message::new(Role::System, s)));
            messages.push(Message::new(Role::User, text));
            template.render(&messages, true)?
        }
        (None, None) => text.clone(),
        (None, Some(_)) => return Err(no_chat_format()),
    };
    let tokenizer = texts.tokenizer(found)?;
    let ids = tokenizer.encode_prompt(&text, Specials::Parse)?;
    let structure = &found.opened.spec.structure;
    let decoder_only = !matches!(structure, Structure::EncoderDecoder(_));
    if ids.is_empty() {
        bail!("the prompt is empty: it spells no token");
    }
    Ok(Rendered {
        continues: template.is_none() && decoder_only,
        text: Some(text),
        ids,
    })
}
