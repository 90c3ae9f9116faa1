use super::{Tokenizer, size_of};
use crate::TextError;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::{DecoderWrapper, ModelWrapper};

const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";

/// The part of `tokenizer_config.json` that says what tokens are for.
#[derive(Debug, Default, Deserialize)]
struct Config {
    bos_token: Option<Spelled>,
    eos_token: Option<Spelled>,
    pad_token: Option<Spelled>,
    add_bos_token: Option<bool>,
}

/// A token is spelled as its text or as an object around it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Spelled {
    Text(String),
    Token { content: String },
}

impl Spelled {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Token { content: text } => text,
        }
    }
}

pub(super) fn open(tokenizer_json: &[u8], tokenizer_config: Option<&[u8]>) -> Result<Tokenizer, TextError> {
    let mut parsing = tokenizers::Tokenizer::from_bytes(tokenizer_json)
        .map_err(|error| TextError::File { file: TOKENIZER, reason: error.to_string() })?;
    require_byte_level(&parsing)?;
    // A file saved while training may still cut or fill every text to the training length.
    parsing.with_padding(None);
    parsing
        .with_truncation(None)
        .map_err(|error| TextError::File { file: TOKENIZER, reason: format!("truncation: {error}") })?;

    let config: Config = match tokenizer_config {
        Some(bytes) => serde_json::from_slice(bytes)
            .map_err(|error| TextError::File { file: CONFIG, reason: error.to_string() })?,
        None => Config::default(),
    };
    let prefix = prefix_of(&parsing);
    let id_of = |name: &str, token: &Option<Spelled>| match token {
        None => Ok(None),
        Some(token) => parsing.token_to_id(token.text()).map(Some).ok_or_else(|| TextError::File {
            file: CONFIG,
            reason: format!("{name} {:?} is not in {TOKENIZER}", token.text()),
        }),
    };
    let (bos, eos, pad) = (
        id_of("bos_token", &config.bos_token)?.or(prefix),
        id_of("eos_token", &config.eos_token)?,
        id_of("pad_token", &config.pad_token)?,
    );
    let adds_bos = config.add_bos_token.unwrap_or(prefix.is_some());
    let vocab_size = size_of(&parsing);
    Ok(Tokenizer { parsing, plain: Default::default(), bos, eos, pad, adds_bos, vocab_size })
}

fn require_byte_level(tokenizer: &tokenizers::Tokenizer) -> Result<(), TextError> {
    match tokenizer.get_model() {
        ModelWrapper::BPE(bpe) if bpe.dropout.is_none() && !bpe.byte_fallback => {}
        ModelWrapper::BPE(_) => return unlike("model", "plain BPE", "BPE with dropout or byte fallback"),
        ModelWrapper::WordPiece(_) => return unlike("model", "BPE", "WordPiece"),
        ModelWrapper::WordLevel(_) => return unlike("model", "BPE", "WordLevel"),
        ModelWrapper::Unigram(_) => return unlike("model", "BPE", "Unigram"),
    }
    match tokenizer.get_decoder() {
        Some(DecoderWrapper::ByteLevel(_)) => Ok(()),
        Some(_) => unlike("decoder", "ByteLevel", "another"),
        None => unlike("decoder", "ByteLevel", "missing"),
    }
}

fn unlike<T>(part: &'static str, expected: &'static str, found: &str) -> Result<T, TextError> {
    Err(TextError::NotByteLevel { part, expected, found: found.to_owned() })
}

/// The special token that the post-processor's template puts in front of a text.
fn prefix_of(tokenizer: &tokenizers::Tokenizer) -> Option<u32> {
    fn template(processor: &Value) -> Option<&Value> {
        match processor.get("type")?.as_str()? {
            "TemplateProcessing" => Some(processor),
            "Sequence" => processor.get("processors")?.as_array()?.iter().find_map(template),
            _ => None,
        }
    }
    let processor = serde_json::to_value(tokenizer.get_post_processor()?).ok()?;
    let token = template(&processor)?.get("single")?.get(0)?.get("SpecialToken")?.get("id")?.as_str()?;
    tokenizer.token_to_id(token)
}
