//! Vocabularies that the `tokenizers` crate represents exactly: `tokenizer.json` as it is, and
//! byte-level BPE put together from its parts (GGUF, tiktoken, vocab and merges).

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::NFC;
use tokenizers::tokenizer::{AddedToken, AddedVocabulary, Model as _, PreTokenizer as _};
use tokenizers::{OffsetReferential, OffsetType};

use super::decode::FirstSpace;
use super::hf_json::{self, spelling};
use super::{Specials, byte_level, pieces, pretokenize};
use crate::{Error, Result};

/// How the bytes of a piece follow from its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// GPT-2's alphabet.
    ByteLevel,
    /// `▁` is a space; pieces like `<0x0A>` are bytes if `byte_fallback`.
    Metaspace { byte_fallback: bool },
    /// As written, each piece after a space (a `tokenizer.json` without a decoder).
    Words,
}

/// An engine on the `tokenizers` crate.
pub(super) struct Hf {
    tokenizer: tokenizers::Tokenizer,
    /// The added tokens, with texts of special ones left alone in the input.
    plain: AddedVocabulary,
    /// Texts of the added tokens and whether they are special.
    added: HashMap<u32, (String, bool)>,
    spelling: Spelling,
    pub first_space: FirstSpace,
}

/// The parts of a byte-level BPE vocabulary.
pub(super) struct ByteLevelParts {
    /// Pieces in GPT-2's alphabet with their ids.
    pub vocab: Vec<(String, u32)>,
    /// Pairs of pieces, the first merged first.
    pub merges: Vec<(String, String)>,
    pub patterns: &'static [&'static str],
    pub ignore_merges: bool,
    /// Whether the text is brought to NFC first.
    pub nfc: bool,
    pub added: Vec<AddedToken>,
}

/// An added token that is matched as written.
pub(super) fn added_token(content: &str, special: bool) -> AddedToken {
    AddedToken {
        content: content.to_string(),
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special,
    }
}

impl Hf {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// A message without the file's name: malformed, with a decoder that is not known, or with
    /// steps that make a text grow without bounds.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        hf_json::check(json)?;
        let tokenizer = guarded(|| tokenizers::Tokenizer::from_bytes(json))?;
        Self::new(tokenizer)
    }

    /// Puts a byte-level BPE vocabulary together.
    ///
    /// # Errors
    /// If a merge names a piece that is not in the vocabulary.
    pub fn byte_level(parts: ByteLevelParts) -> Result<Self> {
        let vocab: tokenizers::models::bpe::Vocab = parts.vocab.into_iter().collect();
        let text = |message: String| Error::Text(message);
        for (a, b) in &parts.merges {
            // The crate relies on this when it sizes a buffer.
            if !vocab.contains_key(&format!("{a}{b}")) {
                return Err(text(format!(
                    "the merge of `{a}` and `{b}` gives a piece that is not in the vocabulary"
                )));
            }
        }
        let pre = pretokenize::build(parts.patterns)?;
        let built = guarded(|| {
            let bpe = BPE::builder()
                .vocab_and_merges(vocab, parts.merges)
                .ignore_merges(parts.ignore_merges)
                .build()?;
            let mut tokenizer = tokenizers::Tokenizer::new(bpe);
            if parts.nfc {
                tokenizer.with_normalizer(Some(NFC))?;
            }
            tokenizer.with_pre_tokenizer(Some(pre));
            tokenizer.with_decoder(Some(
                tokenizers::pre_tokenizers::byte_level::ByteLevel::default(),
            ));
            tokenizer.add_tokens(parts.added)?;
            Ok(tokenizer)
        })
        .map_err(text)?;
        Self::new(built).map_err(text)
    }

    fn new(mut tokenizer: tokenizers::Tokenizer) -> Result<Self, String> {
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| e.to_string())?;
        let (spelling, first_space) = spelling(&tokenizer)?;
        let mut this = Self {
            plain: AddedVocabulary::new(),
            added: HashMap::new(),
            tokenizer,
            spelling,
            first_space,
        };
        this.added_tokens_changed();
        Ok(this)
    }

    fn added_tokens_changed(&mut self) {
        self.plain = self.tokenizer.get_added_vocabulary().clone();
        self.plain.set_encode_special_tokens(true);
        self.added = self
            .tokenizer
            .get_added_tokens_decoder()
            .into_iter()
            .map(|(id, token)| (id, (token.content, token.special)))
            .collect();
    }

    /// Adds a token that must get `id`.
    ///
    /// # Errors
    /// If it would get another id.
    pub fn add(&mut self, token: AddedToken, id: u32) -> Result<(), String> {
        let content = token.content.clone();
        guarded(|| self.tokenizer.add_tokens([token]))?;
        self.added_tokens_changed();
        match self.tokenizer.token_to_id(&content) {
            Some(found) if found == id => Ok(()),
            found => Err(format!(
                "added token {content}: id {found:?} instead of {id}"
            )),
        }
    }

    /// The ids of `text`, without what a model wants around it.
    pub fn encode(&self, text: &str, specials: Specials) -> Result<Vec<u32>> {
        let t = &self.tokenizer;
        let added = match specials {
            Specials::Parse => t.get_added_vocabulary(),
            Specials::Plain => &self.plain,
        };
        guarded(|| {
            let mut parts = added.extract_and_normalize(t.get_normalizer(), text);
            if let Some(pre) = t.get_pre_tokenizer() {
                pre.pre_tokenize(&mut parts)?;
            }
            parts.tokenize(|part| t.get_model().tokenize(part.get()))?;
            Ok(parts
                .get_splits(OffsetReferential::Normalized, OffsetType::None)
                .iter()
                .filter_map(|(_, _, tokens)| tokens.as_ref())
                .flatten()
                .map(|token| token.id)
                .collect())
        })
        .map_err(Error::Text)
    }

    /// What the file's post-processor puts before and after a text.
    ///
    /// # Errors
    /// If the post-processor contradicts itself.
    pub fn affixes(&self) -> Result<(Vec<u32>, Vec<u32>), String> {
        hf_json::affixes(&self.tokenizer)
    }

    pub fn piece(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    pub fn id_of(&self, piece: &str) -> Option<u32> {
        self.tokenizer.token_to_id(piece)
    }

    pub fn is_special(&self, id: u32) -> bool {
        self.added.get(&id).is_some_and(|(_, special)| *special)
    }

    /// The bytes that a token adds to a text.
    pub fn bytes(&self, id: u32) -> Option<Vec<u8>> {
        if let Some((text, _)) = self.added.get(&id)
            && self.spelling == Spelling::ByteLevel
        {
            return Some(text.clone().into_bytes());
        }
        let piece = self.piece(id)?;
        Some(match self.spelling {
            Spelling::ByteLevel => byte_level::bytes(&piece),
            Spelling::Words => format!(" {piece}").into_bytes(),
            Spelling::Metaspace { byte_fallback } => match pieces::byte_of(&piece) {
                Some(byte) if byte_fallback => vec![byte],
                _ => piece.replace('▁', " ").into_bytes(),
            },
        })
    }

    /// The whole as a `tokenizer.json`.
    pub fn to_json(&self) -> Result<String> {
        let text = self.tokenizer.to_string(false);
        text.map_err(|e| Error::Text(e.to_string()))
    }

    /// One more than the largest id.
    pub fn vocab_size(&self) -> usize {
        let vocab = self.tokenizer.get_vocab(true);
        vocab.values().max().map_or(0, |&id| id as usize + 1)
    }
}

/// Runs `f`, turning its errors into text; the crate panics on some malformed files.
pub(super) fn guarded<T>(f: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(_) => Err("the vocabulary contradicts itself".to_string()),
    }
}
