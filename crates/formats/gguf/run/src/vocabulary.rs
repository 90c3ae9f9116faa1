//! The tokenizer a file carries, as it is; the text crate gives it meaning.

use lfmq_gguf_wire::{Array, Container, WireError};

/// Tokens and merges of a file with the special ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// Kind of tokenizer, `gpt2` for byte-level BPE.
    pub model: String,
    /// Kind of pre-tokenizer, e.g. `lfm2`.
    pub pre: Option<String>,
    /// Tokens by id, byte-level mapped.
    pub tokens: Vec<String>,
    /// Kinds of tokens by id: 1 normal, 3 control, 4 user-defined, 5 unused.
    pub types: Vec<i32>,
    /// Merges in order, two parts with one space between.
    pub merges: Vec<String>,
    /// Beginning of sequence.
    pub bos: Option<u32>,
    /// End of generation.
    pub eos: Option<u32>,
    /// Padding.
    pub pad: Option<u32>,
    /// Whether a text starts with `bos`; true for `lfm2` when the file does not say.
    pub add_bos: bool,
    /// The chat template's source.
    pub chat_template: Option<String>,
}

impl Vocabulary {
    /// The `tokenizer.*` keys; `None` for a file without a tokenizer.
    pub(crate) fn read(file: &Container<'_>) -> Result<Option<Self>, WireError> {
        let Some(model) = file.find::<&str>("tokenizer.ggml.model")? else { return Ok(None) };
        if model == "none" || model == "no_vocab" {
            return Ok(None);
        }
        let pre: Option<&str> = file.find("tokenizer.ggml.pre")?;
        let tokens = strings(file, "tokenizer.ggml.tokens")?
            .ok_or_else(|| WireError::MissingKey { key: "tokenizer.ggml.tokens".into() })?;
        let types = token_types(file, tokens.len())?;
        let id = |name: &str| special_id(file, name, tokens.len());
        let (bos, eos, pad) = (id("bos")?, id("eos")?, id("padding")?);
        Ok(Some(Self {
            model: model.to_owned(),
            pre: pre.map(str::to_owned),
            types,
            merges: strings(file, "tokenizer.ggml.merges")?.unwrap_or_default(),
            bos,
            eos,
            pad,
            add_bos: file.find("tokenizer.ggml.add_bos_token")?.unwrap_or(pre == Some("lfm2")),
            chat_template: file.find::<&str>("tokenizer.chat_template")?.map(str::to_owned),
            tokens,
        }))
    }
}

fn strings(file: &Container<'_>, key: &str) -> Result<Option<Vec<String>>, WireError> {
    let Some(array) = file.find::<Array<'_>>(key)? else { return Ok(None) };
    match array.strings() {
        Some(strings) => Ok(Some(strings.map(str::to_owned).collect())),
        // An empty array may have any element type.
        None if array.is_empty() => Ok(Some(Vec::new())),
        None => Err(wrong(key, "an array of strings", file)),
    }
}

fn token_types(file: &Container<'_>, tokens: usize) -> Result<Vec<i32>, WireError> {
    let key = "tokenizer.ggml.token_type";
    let Some(array) = file.find::<Array<'_>>(key)? else { return Ok(vec![1; tokens]) };
    let types: Option<Vec<i32>> = array.ints().and_then(|all| all.map(|t| i32::try_from(t).ok()).collect());
    match types {
        Some(types) if types.len() == tokens => Ok(types),
        Some(types) => Err(WireError::KeyValue {
            key: key.to_owned(),
            expected: format!("{tokens} types, one a token"),
            found: types.len().to_string(),
        }),
        None => Err(wrong(key, "an array of 32-bit integers", file)),
    }
}

fn special_id(file: &Container<'_>, name: &str, tokens: usize) -> Result<Option<u32>, WireError> {
    let key = format!("tokenizer.ggml.{name}_token_id");
    match file.find::<u32>(&key)? {
        Some(id) if id as usize >= tokens => {
            Err(WireError::KeyValue { key, expected: format!("below {tokens}"), found: id.to_string() })
        }
        id => Ok(id),
    }
}

fn wrong(key: &str, expected: &'static str, file: &Container<'_>) -> WireError {
    let found = file.get(key).map_or_else(String::new, |v| v.describe());
    WireError::KeyType { key: key.to_owned(), expected, found }
}
