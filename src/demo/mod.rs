//! The embedded demo model: trained from scratch by the scripts beside this file on text that
//! they generate. See `README.md` here for how, and `card.md` for what it can and cannot do.

use crate::Result;

/// What stands for its path in messages, and its name among the cards.
pub const NAME: &str = "demo";

/// Its card: what it is, how it was made, its evaluation, what it cannot do.
pub const CARD: &str = include_str!("card.md");

/// A GGUF's data are aligned to 32 bytes within the file; this keeps them so in the binary.
#[cfg(feature = "demo")]
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

#[cfg(feature = "demo")]
static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!("demo.gguf"));

/// The model as a GGUF file's bytes.
#[cfg(feature = "demo")]
pub static GGUF: &[u8] = &ALIGNED.0;

/// The model as a GGUF file's bytes, if this build carries it.
///
/// # Errors
/// [`crate::Error::Unsupported`] in a build without the feature `demo`.
pub fn gguf() -> Result<&'static [u8]> {
    #[cfg(feature = "demo")]
    return Ok(GGUF);
    #[cfg(not(feature = "demo"))]
    Err(crate::Error::Unsupported(
        "this build has no demo model (feature `demo` is off); name a model with -m, or build \
         with `cargo build --features demo`"
            .to_string(),
    ))
}
