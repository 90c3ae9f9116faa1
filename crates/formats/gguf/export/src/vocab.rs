//! The `tokenizer.*` keys from `tokenizer.json`: the words, their kinds, and the merges. The special tokens
//! are in [`crate::special`].

use crate::GgufExportError;
use crate::kv::{Kvs, Value};
use crate::sidecar::json;
use crate::special;
use lfmq_core::TensorSource;
use serde_json::Value as Json;
use std::collections::HashMap;

const FILE: &str = "tokenizer.json";

/// The patterns that llama.cpp runs as pre-tokenizer `lfm2`: that of LFM2, and that of LFM2.5-8B-A1B, which
/// breaks runs of line ends and blanks differently and is accepted upstream under the same name.
const PATTERNS: [&str; 2] = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s",
];

// Kinds of tokens.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;

/// Writes all `tokenizer.*` keys.
pub(crate) fn tokenizer(kvs: &mut Kvs, source: &dyn TensorSource) -> Result<(), GgufExportError> {
    let tokenizer = json(source, FILE)?.ok_or(GgufExportError::Missing { file: FILE })?;
    check_pre_tokenizer(&tokenizer)?;
    let (tokens, kinds) = tokens(&tokenizer, source.spec().vocab)?;
    kvs.set("tokenizer.ggml.model", "gpt2".into());
    kvs.set("tokenizer.ggml.pre", "lfm2".into());
    kvs.set("tokenizer.ggml.tokens", Value::Strs(tokens));
    kvs.set("tokenizer.ggml.token_type", Value::I32s(kinds));
    kvs.set("tokenizer.ggml.merges", Value::Strs(merges(&tokenizer)?));
    special::keys(kvs, source, &tokenizer)
}

fn trouble(why: impl Into<String>) -> GgufExportError {
    GgufExportError::Sidecar { file: FILE, why: why.into() }
}

/// A file names its pre-tokenizer; the name is right only for the pattern that stands behind it.
fn check_pre_tokenizer(tokenizer: &Json) -> Result<(), GgufExportError> {
    let pre = tokenizer.get("pre_tokenizer").unwrap_or(&Json::Null);
    let steps = pre.get("pretokenizers").and_then(Json::as_array).map_or(std::slice::from_ref(pre), Vec::as_slice);
    let mut patterns = steps.iter().filter_map(|step| step.pointer("/pattern/Regex")).filter_map(Json::as_str);
    match (patterns.next(), patterns.next()) {
        (Some(one), None) if PATTERNS.contains(&one) => Ok(()),
        (found, None) => Err(GgufExportError::PreTokenizer { found: found.unwrap_or("none").to_owned() }),
        (_, Some(_)) => Err(GgufExportError::PreTokenizer { found: "more than one".to_owned() }),
    }
}

/// An entry of `added_tokens`.
struct Added {
    special: bool,
    normalized: bool,
}

/// Word and kind of every id below `size`.
fn tokens(tokenizer: &Json, size: usize) -> Result<(Vec<String>, Vec<i32>), GgufExportError> {
    let vocab = tokenizer.pointer("/model/vocab").and_then(Json::as_object).ok_or_else(|| trouble("no model.vocab"))?;
    let mut words: Vec<Option<&str>> = vec![None; size];
    let mut put = |word, id: Option<u64>| {
        let slot = id.and_then(|id| usize::try_from(id).ok()).and_then(|id| words.get_mut(id));
        *slot.ok_or_else(|| trouble(format!("token `{word}` has no id below vocab_size {size}")))? = Some(word);
        Ok::<(), GgufExportError>(())
    };
    for (word, id) in vocab {
        put(word, id.as_u64())?;
    }
    let mut added: HashMap<&str, Added> = HashMap::new();
    // The library numbers added tokens itself, whatever id the file states: those of the vocabulary keep theirs,
    // the others follow the vocabulary's length in order.
    let mut last: Option<u64> = None;
    for entry in tokenizer.get("added_tokens").and_then(Json::as_array).into_iter().flatten() {
        let content = entry.get("content").and_then(Json::as_str);
        let word: &str = content.ok_or_else(|| trouble("an added token without content"))?;
        let flag = |name: &str| entry.get(name).and_then(Json::as_bool).unwrap_or(false);
        if word.is_empty() || added.contains_key(word) {
            continue;
        }
        added.insert(word, Added { special: flag("special"), normalized: flag("normalized") });
        let length = vocab.len() as u64;
        let next = last.filter(|last| *last >= length).map_or(length, |last| last + 1);
        let id = vocab.get(word).and_then(Json::as_u64).unwrap_or(next);
        put(word, Some(id))?;
        last = last.max(Some(id));
    }
    let table = byte_alphabet();
    let described = words.iter().enumerate().map(|(id, word)| match word {
        None => (format!("[PAD{id}]"), UNUSED),
        Some(word) => match added.get(word) {
            None => ((*word).to_owned(), NORMAL),
            Some(entry) => describe_added(word, entry, &table),
        },
    });
    Ok(described.unzip())
}

fn describe_added(word: &str, entry: &Added, table: &HashMap<char, u8>) -> (String, i32) {
    let text = if entry.normalized { word.to_owned() } else { decoded(word, table) };
    if entry.special || looks_special(&text) { (text, CONTROL) } else { (text.replace('\u{2581}', " "), USER_DEFINED) }
}

/// What encoding and decoding a lone added token gives: a word wholly within the byte alphabet is taken for
/// bytes, any other comes back as it is.
fn decoded(word: &str, table: &HashMap<char, u8>) -> String {
    match word.chars().map(|c| table.get(&c).copied()).collect::<Option<Vec<u8>>>() {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        None => word.to_owned(),
    }
}

/// GPT-2's byte alphabet: printable bytes stand for themselves, the others for the characters from U+0100 on.
fn byte_alphabet() -> HashMap<char, u8> {
    let mut next = 0x100;
    let mut table = HashMap::new();
    for byte in 0..=u8::MAX {
        let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if printable { u32::from(byte) } else { next };
        next += u32::from(!printable);
        table.extend(char::from_u32(code).map(|c| (c, byte)));
    }
    table
}

/// Some checkpoints forget to mark a control token as special.
fn looks_special(text: &str) -> bool {
    let within = |open: &str, close: &str| text.starts_with(open) && text.ends_with(close);
    matches!(text, "<pad>" | "<mask>" | "<2mass>" | "[@BOS@]")
        || within("<|", "|>")
        || within("<\u{ff5c}", "\u{ff5c}>")
        || within("<unused", ">")
}

/// Merges as pairs joined by a blank, whichever way they are stored. A blank inside a part is written in the
/// byte alphabet.
fn merges(tokenizer: &Json) -> Result<Vec<String>, GgufExportError> {
    let all = tokenizer.pointer("/model/merges").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let joined = |merge: &Json| match merge {
        Json::String(text) => Some(text.clone()),
        Json::Array(pair) => match pair.as_slice() {
            [Json::String(a), Json::String(b)] => {
                Some(format!("{} {}", a.replace(' ', "\u{120}"), b.replace(' ', "\u{120}")))
            }
            _ => None,
        },
        _ => None,
    };
    all.iter().map(|merge| joined(merge).ok_or_else(|| trouble(format!("cannot read merge {merge}")))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_and_gaps() {
        let file = json!({
            "model": { "vocab": { "a": 0, "\u{120}the": 1, "<|x|>": 2 } },
            "added_tokens": [
                { "id": 2, "content": "<|x|>", "special": true },
                { "id": 40, "content": "two words" },
                { "id": 5, "content": "\u{120}b", "normalized": false },
                { "id": 6, "content": "<|y|>", "normalized": true },
                { "id": 7, "content": "a\u{2581}b" },
            ],
        });
        let (tokens, kinds) = tokens(&file, 9).unwrap();
        assert_eq!(tokens, ["a", "\u{120}the", "<|x|>", "two words", " b", "<|y|>", "a b", "[PAD7]", "[PAD8]"]);
        assert_eq!(kinds, [1, 1, 3, 4, 4, 3, 4, 5, 5]);
        assert!(super::tokens(&file, 6).is_err());
    }

    #[test]
    fn both_spellings_of_merges() {
        let file = |merges: Json| json!({ "model": { "merges": merges } });
        assert_eq!(merges(&file(json!(["a b"]))).unwrap(), ["a b"]);
        assert_eq!(merges(&file(json!([["a", "b c"]]))).unwrap(), ["a b\u{120}c"]);
        assert!(merges(&file(json!([["a"]]))).is_err());
    }

    #[test]
    fn an_unknown_pattern_is_named() {
        let file = |pattern: &str| {
            json!({ "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": pattern } }, { "type": "ByteLevel" } ] } })
        };
        assert!(check_pre_tokenizer(&file(PATTERNS[0])).is_ok());
        let error = check_pre_tokenizer(&file(r"\w+")).unwrap_err().to_string();
        assert!(error.contains(r"\w+"), "{error}");
        assert!(check_pre_tokenizer(&json!({})).is_err());
    }
}
