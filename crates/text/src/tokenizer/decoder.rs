use super::{Tokenizer, alphabet};

/// Decodes token by token, for streaming: holds back the bytes of an unfinished UTF-8 character.
///
/// All pieces together are what [`Tokenizer::decode`] gives for all ids at once.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    skip_special: bool,
    pending: Vec<u8>,
}

impl Decoder {
    /// At the beginning of a text.
    #[must_use]
    pub fn new(skip_special: bool) -> Self {
        Self { skip_special, pending: Vec::new() }
    }

    /// The text that `id` completes; often empty in scripts whose characters span tokens.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> String {
        match tokenizer.token(id) {
            Some(token) if !(self.skip_special && tokenizer.is_special_token(&token)) => {
                self.pending.extend(alphabet::bytes_of(&token));
            }
            _ => return String::new(),
        }
        let mut text = String::new();
        let mut rest = self.pending.as_slice();
        loop {
            let (whole, after) = split_whole(rest);
            text.push_str(whole);
            rest = after;
            // What is left begins with a broken character or is the beginning of one.
            match std::str::from_utf8(rest) {
                Err(error) if error.error_len().is_some() => {
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = rest.get(error.error_len().unwrap_or(1)..).unwrap_or_default();
                }
                _ => break,
            }
        }
        self.pending = rest.to_vec();
        text
    }

    /// What the end of the text leaves: nothing, or U+FFFD for an unfinished character.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        text
    }
}

/// The longest valid prefix, and the rest.
fn split_whole(bytes: &[u8]) -> (&str, &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(all) => (all, &[]),
        Err(error) => {
            let (whole, rest) = bytes.split_at(error.valid_up_to());
            (std::str::from_utf8(whole).unwrap_or_default(), rest)
        }
    }
}
