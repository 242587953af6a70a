//! SentencePiece: pieces, scores and kinds as they are.

use super::{Entries, Keys, entry, text, tokens};
use crate::text::pieces::Kind;
use crate::text::spm::{Algorithm, Dialect, Spm};
use crate::weights::gguf::{Array, Value};

/// llama.cpp's keys for `spm`; `None` where its ids are not those of its pieces.
pub(super) fn keys(spm: &Spm, rows: usize) -> Option<Keys> {
    if spm.dialect() != Dialect::Plain {
        return None;
    }
    let pieces = spm.pieces();
    let named = pieces.iter().map(|p| (p.text.clone(), p.kind)).collect();
    let scores = pieces.iter().map(|p| p.score).collect();
    let (list, whole) = tokens(named, Some(scores), rows);
    let model = match spm.algorithm() {
        Algorithm::Bpe => "llama",
        Algorithm::Unigram => "t5",
    };
    let mut entries: Entries = vec![entry("model", text(model))];
    if model == "llama" {
        entries.push(entry("pre", text("default")));
    }
    entries.extend(list);
    let normalizer = spm.normalizer();
    let flag = |name, on| entry(name, Value::Bool(on));
    entries.push(flag("add_space_prefix", normalizer.add_dummy_prefix));
    entries.push(flag(
        "remove_extra_whitespaces",
        normalizer.remove_extra_whitespaces,
    ));
    if let Some(map) = &normalizer.charsmap {
        let blob = Value::Array(Array::U8(map.to_bytes()));
        entries.push(entry("precompiled_charsmap", blob));
    }
    entries.extend(
        spm.unk()
            .map(|id| entry("unknown_token_id", Value::U32(id))),
    );
    let has = |kind: Kind| pieces.iter().any(|p| p.kind == kind);
    Some(Keys {
        entries,
        // User-defined pieces stand inside a text; llama.cpp cuts it there. Its BPE knows no
        // normalisation.
        exact: whole
            && normalizer.escape_whitespaces
            && (spm.has_byte_fallback() || !has(Kind::Byte))
            && !has(Kind::UserDefined)
            && !(model == "llama" && normalizer.charsmap.is_some()),
    })
}
