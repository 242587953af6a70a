//! `wick inspect`: what the loader sees, without loading.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;

use super::completions;
use super::figures::{bytes, params};
use super::flags::{ContextArgs, DeviceName, Dtype, HubArgs, LoadArgs, Quant};
use super::interrupt::Interrupt;
use super::open::{self, Found, Need, Texts};
use super::output::Output;
use super::preflight::Purpose;
use super::prompt::{self, Prompt};
use super::settings;
use super::ui::Ui;
use crate::arch::{Position, Spec};
use crate::load::Origin;
use crate::memory::{self, Forecast};
use crate::text::{ChatTemplate, Tokenizer};
use crate::weights::packed::Fit;

/// Show what the loader sees in a model: its columns, tensors, tokenizer, prompt and memory
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A folder, a file, a card's name or a hub id
    #[arg(
        value_name = "MODEL",
        env = "WICK_MODEL",
        hide_env_values = true,
        add = completions::models()
    )]
    model: String,
    #[command(flatten)]
    hub: HubArgs,
    /// Show this text as the model gets it, with its ids
    #[arg(short, long, value_name = "TEXT")]
    prompt: Option<String>,
    /// System message of the prompt
    #[arg(
        short,
        long,
        value_name = "TEXT",
        requires = "prompt",
        conflicts_with = "raw"
    )]
    system: Option<String>,
    /// The prompt without a chat format
    #[arg(long, requires = "prompt", conflicts_with = "template")]
    raw: bool,
    /// Chat format: a name or a file with a Jinja template [default: the model's own]
    #[arg(long, value_name = "NAME|FILE")]
    template: Option<String>,
    /// List every tensor
    #[arg(long)]
    tensors: bool,
    /// Forecast the memory of weights quantized while loading: int8, int4, none, or a GGUF type
    #[arg(long, value_name = "TYPE")]
    quant: Option<Quant>,
    /// Forecast the memory of weights in this type
    #[arg(long, value_enum, ignore_case = true, conflicts_with = "quant")]
    dtype: Option<Dtype>,
    /// Fetch even what the disk cannot hold
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    context: ContextArgs,
}

impl InspectArgs {
    /// As if the model were loaded on the CPU.
    fn load(&self) -> LoadArgs {
        LoadArgs {
            quant: self.quant,
            dtype: self.dtype,
            device: DeviceName::Cpu,
            threads: None,
            force: self.force,
            no_quant_cache: true,
        }
    }
}

pub fn run(args: &InspectArgs, ui: &Ui) -> Result<()> {
    open::check_template(args.template.as_deref())?;
    // Ctrl-C removes what is half fetched.
    Interrupt::install()?;
    let need = Need {
        purpose: Purpose::Read,
        force: args.force,
    };
    let found = open::find(&args.model, &args.hub, need, ui)?;
    let mut out = Output::new();
    out.line(&columns(&found))?;
    out.line(&tensors(&found, args.tensors)?)?;
    let texts = Texts::open(&found, args.template.as_deref())?;
    out.line(&tokenizer(&texts))?;
    out.line(&memory_forecast(args, &found)?)?;
    if let Some(text) = &args.prompt {
        let prompt = Prompt::Text(text.clone());
        let rendered = prompt::render(&prompt, args.system.as_deref(), args.raw, &found, &texts)?;
        out.line("prompt")?;
        out.line(rendered.text.as_deref().unwrap_or_default())?;
        out.line("\nids")?;
        out.line(&ids(&rendered.ids, &texts))?;
    }
    Ok(())
}

/// Appends `name  value`.
fn row(out: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, "  {name:<16} {value}");
}

fn columns(found: &Found) -> String {
    let Spec {
        family,
        structure,
        vocab_size,
        hidden_size,
        n_layers,
        max_len,
        position,
        attention,
        norm,
        placement,
        ffn,
        head,
        ..
    } = &found.opened.spec;
    let mut out = format!("{}\n", found.opened.path.display());
    if let Origin::Folder { folder, config } = &found.opened.origin
        && !folder.join("config.json").is_file()
        && !folder.join("params.json").is_file()
    {
        let told =
            format!("{config} (read off the tensors; a config.json with other values is heeded)");
        row(&mut out, "configuration", told);
    }
    row(&mut out, "family", family);
    row(&mut out, "structure", format!("{structure:?}"));
    row(&mut out, "layers", n_layers);
    row(&mut out, "hidden", hidden_size);
    row(&mut out, "vocabulary", vocab_size);
    row(&mut out, "context", max_len);
    let position = match position {
        Position::Rope(rope) => format!(
            "RoPE, theta {}, {} of {} dimensions, {:?}, scaling {:?}",
            rope.theta, rope.rotary_dim, attention.head_dim, rope.pairing, rope.scaling
        ),
        other => format!("{other:?}"),
    };
    row(&mut out, "position", position);
    row(
        &mut out,
        "attention",
        format!(
            "{} heads, {} KV heads, {} dimensions each, bias {:?}, window {:?}",
            attention.n_heads,
            attention.kv_heads,
            attention.head_dim,
            attention.bias,
            attention.window
        ),
    );
    row(
        &mut out,
        "norm",
        format!("{:?}, eps {}, {placement:?}", norm.kind, norm.eps),
    );
    row(
        &mut out,
        "feed-forward",
        format!("{:?} {:?}, {} wide", ffn.kind, ffn.activation, ffn.inner),
    );
    row(&mut out, "head", format!("{:?}", head.weight));
    out
}

fn tensors(found: &Found, all: bool) -> Result<String> {
    let mut kinds = std::collections::BTreeMap::new();
    let (mut n, mut weights) = (0, 0);
    for (_, info) in found.opened.weights.tensors() {
        let (count, size) = kinds.entry(info.encoding).or_insert((0, 0u64));
        *count += 1;
        *size += info.bytes as u64;
        n += 1;
        weights += info.len();
    }
    let mut out = format!(
        "tensors: {n}, {} parameters, {} on disk\n",
        params(weights),
        bytes(found.opened.file_bytes())
    );
    for (encoding, (count, size)) in kinds {
        row(
            &mut out,
            encoding.name(),
            format!("{count} tensors, {}", bytes(size)),
        );
    }
    if let Some(fit) = Fit::of(&found.opened.weights)? {
        row(
            &mut out,
            "packed",
            format!("{} matrices: {}", fit.matrices, fit.packing),
        );
        for (encoding, n) in &fit.exact {
            let verdict = match n {
                0 => "rounds them once more".to_string(),
                n if *n == fit.looked_at => "holds them bit for bit".to_string(),
                n => format!("holds {n} of the first {} bit for bit", fit.looked_at),
            };
            row(&mut out, &format!("--quant {encoding}"), verdict);
        }
        row(&mut out, "no --quant", "floats, nothing lost");
    }
    if all {
        for (name, info) in found.opened.weights.tensors() {
            let _ = writeln!(
                out,
                "  {name:<40} {:<6} {:?}",
                info.encoding.name(),
                info.shape
            );
        }
    }
    Ok(out)
}

fn tokenizer(texts: &Texts) -> String {
    let mut out = match &texts.tokenizer {
        None => "tokenizer: none; --prompt-ids still works\n".to_string(),
        Some(t) => {
            let mut out = format!("tokenizer: {} pieces\n", t.vocab_size());
            row(&mut out, "before a text", named(t.prefix(), t));
            row(&mut out, "after a text", named(t.suffix(), t));
            row(&mut out, "ends an answer", named(&t.end_ids(), t));
            let template = texts.template.as_ref();
            row(
                &mut out,
                "chat format",
                template.map_or("none", ChatTemplate::name),
            );
            out
        }
    };
    // Whatever the model's own is: this is where the help sends those who look for a name.
    let names = ChatTemplate::builtin_names().join(", ");
    row(&mut out, "--template", format!("a file, or {names}"));
    out
}

/// Ids with what they spell; a part of a character as the vocabulary writes it.
fn named(ids: &[u32], tokenizer: &Tokenizer) -> String {
    let one = |&id: &u32| {
        let bytes = tokenizer.token_bytes(id);
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        match text.or_else(|| tokenizer.piece(id)) {
            Some(text) => format!("{id} {text:?}"),
            None => id.to_string(),
        }
    };
    match ids {
        [] => "nothing".to_string(),
        ids => ids.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

fn ids(ids: &[u32], texts: &Texts) -> String {
    match &texts.tokenizer {
        Some(tokenizer) => named(ids, tokenizer),
        None => format!("{ids:?}"),
    }
}

fn memory_forecast(args: &InspectArgs, found: &Found) -> Result<String> {
    let opened = &found.opened;
    let storage = settings::storage(&args.load());
    let kind = settings::cache_type(&args.context, opened, storage);
    let context = settings::context(&args.context, opened, kind)?;
    let forecast = Forecast::new(opened, storage, kind);
    let together = forecast.needed(context.size);
    let mut out = "memory\n".to_string();
    row(&mut out, "weights", bytes(forecast.weights));
    row(
        &mut out,
        "KV cache",
        format!(
            "{} for {} tokens, {} each ({kind:?})",
            bytes(together.saturating_sub(forecast.weights)),
            context.size,
            bytes(forecast.cache_per_token)
        ),
    );
    row(&mut out, "together", bytes(together));
    let free = memory::free().map_or("the system does not say".to_string(), bytes);
    row(&mut out, "free now", free);
    Ok(out)
}
