//! The one tokenizer type over the engines.

use std::path::Path;
use std::sync::Arc;

use super::decode::{FirstSpace, TextStream};
use super::files::Files;
use super::hf::Hf;
use super::spm::Spm;
use crate::Result;
use crate::weights::gguf::Metadata;

/// Whether texts of special tokens in an input become their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Specials {
    /// They do: for prompts that a template rendered.
    Parse,
    /// They are text like any other: for what a user typed.
    Plain,
}

/// What turns text into ids.
pub(super) enum Engine {
    Hf(Box<Hf>),
    Spm(Box<Spm>),
}

/// Everything about a vocabulary; shared by clones.
pub(super) struct Inner {
    pub engine: Engine,
    pub prefix: Vec<u32>,
    pub suffix: Vec<u32>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    /// Ids that end a turn, besides `eos`.
    pub ends: Vec<u32>,
    pub vocab_size: usize,
}

/// A model's vocabulary: text to ids and back. Clones share it.
#[derive(Clone)]
pub struct Tokenizer(pub(super) Arc<Inner>);

/// Texts of special tokens that end a turn.
pub(super) const END_TEXTS: [&str; 12] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|im_end|>",
    "<|end|>",
    "<|endoftext|>",
    "<end_of_turn>",
    "<|eot|>",
    "<EOT>",
    "<|return|>",
    "<｜end▁of▁sentence｜>",
    "<|endofpiece|>",
];

impl Engine {
    pub fn piece(&self, id: u32) -> Option<String> {
        match self {
            Self::Hf(e) => e.piece(id),
            Self::Spm(e) => e.piece(id),
        }
    }

    pub fn id_of(&self, piece: &str) -> Option<u32> {
        match self {
            Self::Hf(e) => e.id_of(piece),
            Self::Spm(e) => e.id_of(piece),
        }
    }

    pub fn is_special(&self, id: u32) -> bool {
        match self {
            Self::Hf(e) => e.is_special(id),
            Self::Spm(e) => e.is_special(id),
        }
    }

    /// Ids of [`END_TEXTS`] that are special here.
    pub fn end_ids(&self) -> Vec<u32> {
        END_TEXTS
            .iter()
            .filter_map(|text| self.id_of(text))
            .filter(|&id| self.is_special(id))
            .collect()
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Tokenizer");
        shown
            .field("vocab_size", &self.vocab_size())
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    pub(super) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The tokenizer of a folder in the hub's layout; `None` if it holds no tokenizer file.
    /// `tokenizer.json` comes first, then `*.tiktoken`, SentencePiece's `*.model`, and
    /// `vocab.json` with `merges.txt`.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn from_folder(folder: &Path) -> Result<Option<Self>> {
        super::folder::open(&Files::folder(folder))
    }

    /// The vocabulary that a GGUF file holds: the original files where it carries them, else as
    /// llama.cpp's keys have it; `None` if it holds none.
    ///
    /// # Errors
    /// Names the key that is missing, malformed or of a kind that is not known.
    pub fn from_gguf(metadata: &Metadata) -> Result<Option<Self>> {
        match Files::carried(metadata) {
            Some(files) => super::folder::open(&files),
            None => super::gguf::open(metadata),
        }
    }

    /// The ids of `text`, without the model's prefix and suffix.
    ///
    /// # Errors
    /// If the vocabulary has no piece for a character and no unknown piece either.
    pub fn encode(&self, text: &str, specials: Specials) -> Result<Vec<u32>> {
        match &self.0.engine {
            Engine::Hf(e) => e.encode(text, specials),
            Engine::Spm(e) => e.encode(text, specials),
        }
    }

    /// The ids of `text` with the model's prefix and suffix around them; those that the text
    /// spells already are not repeated.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_prompt(&self, text: &str, specials: Specials) -> Result<Vec<u32>> {
        let ids = self.encode(text, specials)?;
        let mut all = match ids.starts_with(self.prefix()) {
            true => Vec::new(),
            false => self.prefix().to_vec(),
        };
        all.extend(&ids);
        if !ids.ends_with(self.suffix()) {
            all.extend(self.suffix());
        }
        Ok(all)
    }

    /// What the model wants before a text (BOS, ChatGLM2's `[gMASK] sop`).
    pub fn prefix(&self) -> &[u32] {
        &self.0.prefix
    }

    /// What the model wants after a text (T5's `</s>`, ChatGLM-6B's `[gMASK] sop`).
    pub fn suffix(&self) -> &[u32] {
        &self.0.suffix
    }

    /// The text of `ids`; malformed UTF-8 becomes U+FFFD, ids outside the vocabulary nothing.
    /// Special tokens are spelled out only if `keep_specials`.
    pub fn decode(&self, ids: &[u32], keep_specials: bool) -> String {
        let mut stream = TextStream::new(self.clone(), keep_specials, self.first_space());
        let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
        text.push_str(&stream.finish());
        text
    }

    /// Decodes ids as they come: the pieces put together are [`Self::decode`] of all ids.
    pub fn stream(&self) -> TextStream {
        TextStream::new(self.clone(), false, self.first_space())
    }

    /// As [`Self::stream`], for text that goes on from a prompt: a first space is kept.
    pub fn stream_continuing(&self) -> TextStream {
        TextStream::new(self.clone(), false, FirstSpace::Kept)
    }

    /// The bytes that a token adds to a text (a special token's are its name).
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        match &self.0.engine {
            Engine::Hf(e) => e.bytes(id),
            Engine::Spm(e) => e.bytes(id),
        }
    }

    /// The id of a piece as the vocabulary writes it.
    pub fn id_of(&self, piece: &str) -> Option<u32> {
        self.0.engine.id_of(piece)
    }

    /// A piece as the vocabulary writes it.
    pub fn piece(&self, id: u32) -> Option<String> {
        self.0.engine.piece(id)
    }

    /// Whether a token is a mark rather than text.
    pub fn is_special(&self, id: u32) -> bool {
        self.0.engine.is_special(id)
    }

    /// One more than the largest id of the vocabulary; a model's embedding may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.0.vocab_size
    }

    /// The token that begins a text.
    pub fn bos(&self) -> Option<u32> {
        self.0.bos
    }

    /// The token that ends a text.
    pub fn eos(&self) -> Option<u32> {
        self.0.eos
    }

    /// Every token that ends an answer: EOS and the vocabulary's end-of-turn marks.
    pub fn end_ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.0.eos.into_iter().collect();
        for &id in &self.0.ends {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    fn first_space(&self) -> FirstSpace {
        match &self.0.engine {
            Engine::Hf(e) => e.first_space,
            Engine::Spm(e) => e.first_space(),
        }
    }

    /// Whether decoding removes spaces before punctuation.
    pub(super) fn cleans_spaces(&self) -> bool {
        match &self.0.engine {
            Engine::Hf(_) => false,
            Engine::Spm(e) => e.cleans_spaces(),
        }
    }
}
