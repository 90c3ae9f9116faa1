use super::{Tokenizer, size_of};
use crate::TextError;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

/// The tokenizer lists of a GGUF file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// `tokenizer.ggml.tokens`: id -> token in the byte alphabet.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.token_type`, as many: 1 normal, 3 control, 4 user-defined, 5 unused.
    pub types: Vec<i32>,
    /// `tokenizer.ggml.merges`: two tokens with a blank between, best first.
    pub merges: Vec<String>,
    /// `tokenizer.ggml.bos_token_id`.
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos: Option<u32>,
    /// `tokenizer.ggml.padding_token_id`.
    pub pad: Option<u32>,
    /// `tokenizer.ggml.add_bos_token`.
    pub add_bos: bool,
    /// `tokenizer.ggml.pre`, the name of the rule that cuts a text into words.
    pub pre: String,
}

/// The rule of Llama 3, which is GPT-4's with every quantifier plain.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Names of `tokenizer.ggml.pre` that mean: Llama 3's rule, and a word that is a token is never split.
const LLAMA3_NAMES: [&str; 4] = ["lfm2", "llama-bpe", "llama3", "llama-v3"];

const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;

pub(super) fn build(vocabulary: Vocabulary) -> Result<Tokenizer, TextError> {
    let Vocabulary { tokens, types, merges, bos, eos, pad, add_bos, pre } = vocabulary;
    if !LLAMA3_NAMES.contains(&pre.as_str()) {
        return Err(TextError::Pre { found: pre, known: LLAMA3_NAMES.join(", ") });
    }
    if tokens.len() != types.len() {
        return contradiction(format!("{} tokens and {} types", tokens.len(), types.len()));
    }
    for (name, id) in [("bos", bos), ("eos", eos), ("pad", pad)] {
        if id.is_some_and(|id| id as usize >= tokens.len()) {
            return contradiction(format!("{name} is {id:?} of {} tokens", tokens.len()));
        }
    }

    let added: Vec<AddedToken> = tokens
        .iter()
        .zip(&types)
        .filter(|(_, kind)| matches!(**kind, CONTROL | USER_DEFINED))
        .map(|(token, kind)| AddedToken::from(token.as_str(), *kind == CONTROL).normalized(false))
        .collect();
    let model = BPE::builder()
        .vocab_and_merges(ids_of(tokens, &types)?, pairs_of(&merges)?)
        .ignore_merges(true)
        .build()
        .map_err(|error| TextError::Vocabulary { reason: format!("merges: {error}") })?;

    let mut parsing = tokenizers::Tokenizer::new(model);
    let split = Split::new(SplitPattern::Regex(LLAMA3.into()), SplitDelimiterBehavior::Isolated, false)
        .map_err(|error| TextError::Pre { found: pre, known: error.to_string() })?;
    parsing.with_pre_tokenizer(Some(Sequence::new(vec![split.into(), ByteLevel::new(false, false, false).into()])));
    parsing.with_decoder(Some(ByteLevel::default()));
    parsing.add_tokens(&added);
    let vocab_size = size_of(&parsing);
    Ok(Tokenizer { parsing, plain: Default::default(), bos, eos, pad, adds_bos: add_bos, vocab_size })
}

/// Token -> id. Unused ids are left out: their names are placeholders that no text may become.
fn ids_of(tokens: Vec<String>, types: &[i32]) -> Result<Vocab, TextError> {
    let mut ids = Vocab::with_capacity(tokens.len());
    for ((token, id), kind) in tokens.into_iter().zip(0u32..).zip(types) {
        if *kind == UNUSED {
            continue;
        }
        if let Some(first) = ids.get(&token) {
            return contradiction(format!("token {token:?} is both {first} and {id}"));
        }
        ids.insert(token, id);
    }
    Ok(ids)
}

/// Cut at the first blank after the first byte, as llama.cpp does.
fn pairs_of(merges: &[String]) -> Result<Merges, TextError> {
    let pair = |merge: &String| {
        let blank = merge.match_indices(' ').map(|(at, _)| at).find(|&at| at > 0)?;
        let (left, right) = (merge.get(..blank)?, merge.get(blank + 1..)?);
        (!right.is_empty()).then(|| (left.to_owned(), right.to_owned()))
    };
    merges
        .iter()
        .map(|merge| pair(merge).map_or_else(|| contradiction(format!("merge {merge:?} is not two tokens")), Ok))
        .collect()
}

fn contradiction<T>(reason: String) -> Result<T, TextError> {
    Err(TextError::Vocabulary { reason })
}
