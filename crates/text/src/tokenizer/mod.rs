mod alphabet;
mod checkpoint;
mod decoder;
mod vocabulary;

pub use decoder::Decoder;
pub use vocabulary::Vocabulary;

use crate::TextError;
use std::fmt;
use std::sync::OnceLock;
use tokenizers::AddedToken;

/// Byte-level BPE with special tokens.
pub struct Tokenizer {
    /// Parses special tokens in a text.
    parsing: tokenizers::Tokenizer,
    /// The same, treating the text of special tokens as text; made when first needed.
    plain: OnceLock<tokenizers::Tokenizer>,
    bos: Option<u32>,
    eos: Option<u32>,
    pad: Option<u32>,
    adds_bos: bool,
    vocab_size: usize,
}

impl Tokenizer {
    /// Reads the tokenizer files of a checkpoint: `tokenizer.json` and, where there is one, `tokenizer_config.json`.
    ///
    /// Without the second, bos is the token `tokenizer.json` puts in front of a text; eos and pad are unknown.
    ///
    /// # Errors
    /// A file that does not parse, or a tokenizer that is not byte-level BPE.
    pub fn from_checkpoint(tokenizer_json: &[u8], tokenizer_config: Option<&[u8]>) -> Result<Self, TextError> {
        checkpoint::open(tokenizer_json, tokenizer_config)
    }

    /// Builds the tokenizer that llama.cpp builds from a GGUF file's lists.
    ///
    /// # Errors
    /// An unknown pre-tokenizer, or lists that contradict each other.
    pub fn from_vocabulary(vocabulary: Vocabulary) -> Result<Self, TextError> {
        vocabulary::build(vocabulary)
    }

    /// Token ids of `text`. Special tokens spelled out in `text` become their ids, so the text must be trusted:
    /// a rendered chat, not a user's words.
    ///
    /// # Errors
    /// `add_bos` without a bos token, or a text the tokenizer refuses.
    pub fn encode(&self, text: &str, add_bos: bool) -> Result<Vec<u32>, TextError> {
        self.encode_with(&self.parsing, text, add_bos)
    }

    /// The same for untrusted text: the words `<|im_end|>` are letters and signs, never the token.
    ///
    /// # Errors
    /// See [`Self::encode`].
    pub fn encode_plain(&self, text: &str, add_bos: bool) -> Result<Vec<u32>, TextError> {
        self.encode_with(self.plain.get_or_init(|| plain_of(&self.parsing)), text, add_bos)
    }

    fn encode_with(&self, with: &tokenizers::Tokenizer, text: &str, add_bos: bool) -> Result<Vec<u32>, TextError> {
        let mut ids = Vec::new();
        if add_bos {
            ids.push(self.bos.ok_or(TextError::NoBos)?);
        }
        let encoding = with
            .encode_fast(text, false)
            .map_err(|error| TextError::Encode { bytes: text.len(), reason: error.to_string() })?;
        ids.extend_from_slice(encoding.get_ids());
        Ok(ids)
    }

    /// The text of `ids`. Ids that stand for nothing (a vocabulary's padding rows) give nothing; bytes that are
    /// not UTF-8 give U+FFFD. With `skip_special`, special tokens give nothing.
    #[must_use]
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let mut decoder = Decoder::new(skip_special);
        let mut text: String = ids.iter().map(|&id| decoder.push(self, id)).collect();
        text.push_str(&decoder.finish());
        text
    }

    /// The bytes of one token, which need not be whole characters; `None` for an id that stands for nothing.
    #[must_use]
    pub fn bytes(&self, id: u32) -> Option<Vec<u8>> {
        self.parsing.id_to_token(id).map(|token| alphabet::bytes_of(&token))
    }

    /// The token as the vocabulary spells it, in the byte alphabet.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        self.parsing.id_to_token(id)
    }

    /// The id of a token as the vocabulary spells it.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<u32> {
        self.parsing.token_to_id(token)
    }

    /// Whether `id` is a special token.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.token(id).is_some_and(|token| self.is_special_token(&token))
    }

    fn is_special_token(&self, token: &str) -> bool {
        self.parsing.get_added_vocabulary().is_special_token(token)
    }

    /// Beginning of sequence.
    #[must_use]
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// End of a turn.
    #[must_use]
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Padding.
    #[must_use]
    pub fn pad(&self) -> Option<u32> {
        self.pad
    }

    /// Whether the model wants a bos token in front of plain text. A rendered chat already has one.
    #[must_use]
    pub fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// One past the highest id that stands for something; a model may have more rows than that.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size)
            .field("bos", &self.bos)
            .field("eos", &self.eos)
            .field("pad", &self.pad)
            .field("adds_bos", &self.adds_bos)
            .finish_non_exhaustive()
    }
}

/// One past the highest id.
fn size_of(tokenizer: &tokenizers::Tokenizer) -> usize {
    tokenizer.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1)
}

/// A copy that reads the text of special tokens as text.
fn plain_of(parsing: &tokenizers::Tokenizer) -> tokenizers::Tokenizer {
    let mut plain = parsing.clone();
    // Some checkpoints forget to mark a control token as special; llama.cpp's converter tells them by their looks.
    let forgotten: Vec<AddedToken> = parsing
        .get_added_tokens_decoder()
        .into_values()
        .filter(|token| !token.special && token.content.starts_with("<|") && token.content.ends_with("|>"))
        .map(|token| AddedToken { special: true, ..token })
        .collect();
    plain.add_special_tokens(&forgotten);
    plain.set_encode_special_tokens(true);
    plain
}
