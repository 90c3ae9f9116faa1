//! GPT-2's byte alphabet: printable Latin-1 bytes stand for themselves, the other 68 for U+0100 onwards in
//! ascending order (openai/gpt-2, `bytes_to_unicode`).

/// Whether `byte` stands for itself.
fn printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

/// The byte a character of the alphabet stands for.
fn byte_of(character: char) -> Option<u8> {
    match u8::try_from(u32::from(character)) {
        Ok(byte) => printable(byte).then_some(byte),
        Err(_) => {
            let index = u32::from(character).checked_sub(0x100)? as usize;
            (0..=u8::MAX).filter(|&byte| !printable(byte)).nth(index)
        }
    }
}

/// The bytes a token stands for. A token with any character outside the alphabet is text as it is.
pub(super) fn bytes_of(token: &str) -> Vec<u8> {
    token.chars().map(byte_of).collect::<Option<Vec<u8>>>().unwrap_or_else(|| token.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character() {
        let mut seen = [false; 256];
        for byte in (0u32..=0x200).filter_map(char::from_u32).filter_map(byte_of) {
            assert!(!std::mem::replace(&mut seen[usize::from(byte)], true), "byte {byte} twice");
        }
        assert_eq!(seen, [true; 256]);
    }

    #[test]
    fn known_characters() {
        assert_eq!(bytes_of("Ġthe"), b" the");
        assert_eq!(bytes_of("ĊĊ"), b"\n\n");
        assert_eq!(bytes_of("Ã©"), "é".as_bytes());
        assert_eq!(bytes_of("plain word"), b"plain word", "a blank is not in the alphabet");
    }
}
