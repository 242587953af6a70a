//! Filling in blanks: GLM's `[MASK]`, `[sMASK]` and `[gMASK]`, one after the other, and T5's
//! `<extra_id_N>`, all at once.

use super::{FinishReason, Limits, Sampler, Session};
use crate::arch::{PrefixLm, Structure};
use crate::text::{Specials, Tokenizer};
use crate::{Error, Result};

/// The mask texts that GLM's vocabularies know.
const MASKS: [&str; 3] = ["[MASK]", "[sMASK]", "[gMASK]"];

/// T5 has this many sentinels.
const SENTINELS: usize = 100;

/// What filling the blanks of a text came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The text with each blank replaced by its answer, trimmed.
    pub text: String,
    /// The answers' tokens, one answer after the other; T5's with its sentinels.
    pub ids: Vec<u32>,
    /// Why the last answer ended; if interrupted, blanks after it are still there.
    pub finish: FinishReason,
}

/// Fills the blanks of `text`. `sampler` gives each answer its sampler; `limits` hold for each.
///
/// # Errors
/// If the model does not fill blanks, `text` has none, or the model fails.
pub fn infill(
    session: &mut Session,
    tokenizer: &Tokenizer,
    text: &str,
    sampler: &mut dyn FnMut() -> Sampler,
    limits: &Limits,
) -> Result<Filled> {
    match session.model().spec().structure.clone() {
        Structure::Prefix(lm) => masks(session, tokenizer, text, &lm, sampler, limits),
        Structure::EncoderDecoder(_) => sentinels(session, tokenizer, text, sampler(), limits),
        Structure::Causal => Err(Error::Unsupported(format!(
            "{} only continues text; blanks are filled by GLM and T5",
            session.model().spec().family
        ))),
    }
}

/// One answer to `ids`, without its end.
fn answer(
    session: &mut Session,
    ids: &[u32],
    sampler: Sampler,
    limits: &Limits,
) -> Result<(Vec<u32>, FinishReason)> {
    session.prompt(ids)?;
    session.answer(sampler, limits.clone());
    let found = session.collect::<Result<Vec<u32>>>()?;
    Ok((found, session.finish_reason().unwrap_or(FinishReason::Stop)))
}

/// GLM: the model's first mask is filled, the text put in, and so on to the last.
fn masks(
    session: &mut Session,
    tokenizer: &Tokenizer,
    text: &str,
    lm: &PrefixLm,
    sampler: &mut dyn FnMut() -> Sampler,
    limits: &Limits,
) -> Result<Filled> {
    let known: Vec<&str> = lm
        .masks
        .iter()
        .filter_map(|mask| {
            MASKS
                .into_iter()
                .find(|m| tokenizer.id_of(m) == Some(mask.id))
        })
        .collect();
    let next = |text: &str| -> Option<(usize, &str)> {
        known.iter().find_map(|m| Some((text.find(m)?, *m)))
    };
    if next(text).is_none() {
        return Err(no_blank(&known.join(", ")));
    }
    // What the vocabulary puts around a text, less the mask and the start that it may add itself.
    let own = |id: &u32| *id == lm.start_id || lm.masks.iter().any(|m| m.id == *id);
    let mut filled = Filled {
        text: text.to_string(),
        ids: Vec::new(),
        finish: FinishReason::Stop,
    };
    while let Some((at, mask)) = next(&filled.text) {
        let mut ids = tokenizer.prefix().to_vec();
        ids.extend(tokenizer.encode(&filled.text, Specials::Parse)?);
        ids.extend(tokenizer.suffix().iter().filter(|id| !own(id)));
        ids.push(lm.start_id);
        let (found, end) = answer(session, &ids, sampler(), limits)?;
        let piece = tokenizer.decode(&found, false);
        // A mask in an answer must not be filled in its turn, for ever.
        let piece = MASKS.iter().fold(piece, |p, m| p.replace(m, ""));
        let place = at..at + mask.len();
        filled.text.replace_range(place, piece.trim());
        filled.ids.extend(found);
        filled.finish = end;
        if end == FinishReason::Interrupted {
            break;
        }
    }
    Ok(filled)
}

/// T5: the answer names each sentinel and then what belongs there.
fn sentinels(
    session: &mut Session,
    tokenizer: &Tokenizer,
    text: &str,
    sampler: Sampler,
    limits: &Limits,
) -> Result<Filled> {
    let known: Vec<(String, u32)> = (0..SENTINELS)
        .filter_map(|n| {
            let name = format!("<extra_id_{n}>");
            Some((name.clone(), tokenizer.id_of(&name)?))
        })
        .collect();
    if !known.iter().any(|(name, _)| text.contains(name)) {
        return Err(no_blank("<extra_id_0>, <extra_id_1> …"));
    }
    let ids = tokenizer.encode_prompt(text, Specials::Parse)?;
    let (found, finish) = answer(session, &ids, sampler, limits)?;
    Ok(Filled {
        text: put_in(text, &found, &known, |ids| tokenizer.decode(ids, false)),
        ids: found,
        finish,
    })
}

/// `text` with each sentinel that the answer `found` names replaced by what follows it there.
fn put_in(
    text: &str,
    found: &[u32],
    sentinels: &[(String, u32)],
    decode: impl Fn(&[u32]) -> String,
) -> String {
    let is_sentinel = |id: &u32| sentinels.iter().any(|(_, s)| s == id);
    let mut filled = text.to_string();
    for (name, id) in sentinels {
        let Some(begin) = found.iter().position(|f| f == id) else {
            continue;
        };
        let rest = &found[begin + 1..];
        let end = rest.iter().position(is_sentinel).unwrap_or(rest.len());
        filled = filled.replacen(name, decode(&rest[..end]).trim(), 1);
    }
    filled
}

fn no_blank(wanted: &str) -> Error {
    Error::Text(format!(
        "the text has no blank to fill: one of {wanted} is wanted"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sentinel_gets_what_follows_it_in_the_answer() {
        let known: Vec<_> = (0..3)
            .map(|n| (format!("<extra_id_{n}>"), 90 - n))
            .collect();
        let words = |ids: &[u32]| -> String { ids.iter().map(|id| format!(" w{id}")).collect() };
        let text = "The <extra_id_0> walks in <extra_id_1> park <extra_id_2>.";
        let filled = put_in(text, &[90, 1, 2, 89, 3, 90], &known, words);
        assert_eq!(filled, "The w1 w2 walks in w3 park <extra_id_2>.");
        assert_eq!(put_in(text, &[], &known, words), text);
    }
}
