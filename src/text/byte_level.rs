//! GPT-2's alphabet: every byte as one printable character, so that byte-level BPE can store its
//! pieces as text. Printable Latin-1 stands for itself, the rest for U+0100 onwards.

use std::sync::LazyLock;

/// Character of each byte.
static CHARS: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut next = 0x100;
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        match byte {
            0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => byte.into(),
            _ => {
                let c = char::from_u32(next).unwrap_or(' ');
                next += 1;
                c
            }
        }
    })
});

/// Byte of each character below U+0144, the alphabet's end.
static BYTES: LazyLock<[Option<u8>; 0x144]> = LazyLock::new(|| {
    let mut bytes = [None; 0x144];
    for (byte, &c) in CHARS.iter().enumerate() {
        if let Some(slot) = bytes.get_mut(c as usize) {
            *slot = Some(byte as u8);
        }
    }
    bytes
});

/// The piece that spells `bytes`.
pub(super) fn piece(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| CHARS[usize::from(b)]).collect()
}

/// The bytes that `piece` spells; a piece with a character outside the alphabet is plain text.
pub(super) fn bytes(piece: &str) -> Vec<u8> {
    piece
        .chars()
        .map(|c| BYTES.get(c as usize).copied().flatten())
        .collect::<Option<_>>()
        .unwrap_or_else(|| piece.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_character() {
        let all: Vec<u8> = (0..=255).collect();
        let spelled = piece(&all);
        assert_eq!(spelled.chars().count(), 256);
        assert_eq!(bytes(&spelled), all);
        assert_eq!(piece(b" \n"), "\u{120}\u{10a}");
        assert_eq!(bytes("\u{2581}x"), "\u{2581}x".as_bytes());
    }
}
