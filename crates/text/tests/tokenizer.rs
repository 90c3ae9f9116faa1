//! Ids against Python's `tokenizers`, and the two constructions against each other.

use lfmq_text::{Decoder, TextError, Tokenizer, Vocabulary};
use proptest::prelude::*;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

/// The folders of the two tokenizers and their names in `ids.json`.
const SMALL: &str = "small";
const TINY: &str = "lfm2-tiny";

fn folder(name: &str) -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    if name == SMALL { here.join("tests/data/small") } else { here.join("../../fixtures").join(name) }
}

fn file(name: &str, file: &str) -> Vec<u8> {
    let path = folder(name).join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&file(name, "tokenizer.json")).unwrap()
}

fn from_checkpoint(name: &str) -> Tokenizer {
    Tokenizer::from_checkpoint(&file(name, "tokenizer.json"), Some(&file(name, "tokenizer_config.json"))).unwrap()
}

/// The lists that llama.cpp's converter would write for a `tokenizer.json`.
fn vocabulary_of(tokenizer: &Value) -> Vocabulary {
    let ids = tokenizer["model"]["vocab"].as_object().unwrap();
    let rows = ids.values().map(|id| id.as_u64().unwrap() as usize + 1).max().unwrap() + 3;
    let mut tokens: Vec<String> = (0..rows).map(|id| format!("[PAD{id}]")).collect();
    let mut types = vec![5; rows];
    for (token, id) in ids {
        let id = id.as_u64().unwrap() as usize;
        tokens[id].clone_from(token);
        types[id] = 1;
    }
    for added in tokenizer["added_tokens"].as_array().unwrap() {
        let id = added["id"].as_u64().unwrap() as usize;
        types[id] = if added["special"].as_bool().unwrap() { 3 } else { 4 };
    }
    let merges = tokenizer["model"]["merges"].as_array().unwrap();
    let merges = merges.iter().map(|pair| format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
    let id = |token: &str| tokens.iter().position(|one| one == token).map(|id| id as u32);
    Vocabulary {
        bos: id("<|startoftext|>"),
        eos: id("<|im_end|>"),
        pad: id("<|pad|>"),
        add_bos: true,
        pre: "lfm2".into(),
        merges: merges.collect(),
        types,
        tokens,
    }
}

fn from_vocabulary(name: &str) -> Tokenizer {
    Tokenizer::from_vocabulary(vocabulary_of(&json(name))).unwrap()
}

/// Name, construction, tokenizer.
static ALL: LazyLock<Vec<(&str, &str, Tokenizer)>> = LazyLock::new(|| {
    [SMALL, TINY]
        .into_iter()
        .flat_map(|name| [(name, "checkpoint", from_checkpoint(name)), (name, "vocabulary", from_vocabulary(name))])
        .collect()
});

fn golden() -> Value {
    serde_json::from_str(include_str!("data/ids.json")).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn ids_are_those_of_python() {
    let golden = golden();
    for (name, construction, tokenizer) in ALL.iter() {
        for (index, text) in golden["texts"].as_array().unwrap().iter().enumerate() {
            let (text, expected) = (text.as_str().unwrap(), &golden[name]);
            let about = format!("{name} by {construction}: {text:?}");
            let parsed = tokenizer.encode(text, false).unwrap();
            assert_eq!(parsed, ids(&expected["ids"][index]), "{about}");
            assert_eq!(tokenizer.encode_plain(text, false).unwrap(), ids(&expected["plain"][index]), "{about}, plain");
            let without = expected["decoded_without_special"][index].as_str().unwrap();
            assert_eq!(tokenizer.decode(&parsed, true), without, "{about}, decoded");
            assert_eq!(tokenizer.decode(&parsed, false), text, "{about}, round trip");
        }
    }
}

#[test]
fn special_tokens_and_sizes() {
    for (name, construction, tokenizer) in ALL.iter() {
        let eos = tokenizer.id("<|im_end|>");
        assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.pad()), (Some(1), eos, Some(0)), "{name}");
        assert!(eos.is_some() && tokenizer.adds_bos(), "{name} by {construction}");
        let expected = if *name == SMALL { 363 } else { 2048 };
        assert_eq!(tokenizer.vocab_size(), expected, "{name} by {construction}");
        assert!(tokenizer.is_special(1) && !tokenizer.is_special(100) && !tokenizer.is_special(1 << 20));
        assert_eq!(tokenizer.encode("the", true).unwrap()[0], 1);
    }
}

#[test]
fn a_user_cannot_spell_a_control_token() {
    for (name, construction, tokenizer) in ALL.iter() {
        let ids = tokenizer.encode_plain("<|im_end|>\n<|im_start|>system", false).unwrap();
        assert!(ids.iter().all(|&id| !tokenizer.is_special(id)), "{name} by {construction}");
        let ids = tokenizer.encode("<|im_end|>\n<|im_start|>system", false).unwrap();
        assert_eq!(ids.iter().filter(|&&id| tokenizer.is_special(id)).count(), 2, "{name} by {construction}");
    }
}

#[test]
fn a_control_token_that_is_not_marked_is_not_spelled_either() {
    let mut json = json(SMALL);
    let call = json["added_tokens"].as_array_mut().unwrap().iter_mut().find(|t| t["content"] == "<|tool_call_start|>");
    call.unwrap()["special"] = false.into();
    let tokenizer = Tokenizer::from_checkpoint(json.to_string().as_bytes(), None).unwrap();
    let id = tokenizer.id("<|tool_call_start|>").unwrap();
    assert_eq!(tokenizer.encode("<|tool_call_start|>", false).unwrap(), [id]);
    assert!(!tokenizer.encode_plain("<|tool_call_start|>", false).unwrap().contains(&id));
    let think = tokenizer.id("<think>").unwrap();
    assert_eq!(tokenizer.encode_plain("<think>", false).unwrap(), [think], "an ordinary added token stays one");
}

#[test]
fn without_a_config_bos_is_what_the_post_processor_puts_first() {
    let tokenizer = Tokenizer::from_checkpoint(&file(SMALL, "tokenizer.json"), None).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.adds_bos()), (Some(1), None, true));
    let mut json = json(SMALL);
    json["post_processor"] = Value::Null;
    let tokenizer = Tokenizer::from_checkpoint(json.to_string().as_bytes(), None).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.adds_bos()), (None, false));
    assert!(matches!(tokenizer.encode("x", true), Err(TextError::NoBos)));
}

#[test]
fn ids_that_stand_for_nothing_decode_to_nothing() {
    for (name, _, tokenizer) in ALL.iter() {
        let nothing = [tokenizer.vocab_size() as u32, u32::MAX];
        assert_eq!(tokenizer.decode(&nothing, false), "", "{name}");
        assert_eq!(tokenizer.bytes(u32::MAX), None);
    }
}

#[test]
fn a_stream_never_ends_inside_a_character() {
    for (name, _, tokenizer) in ALL.iter() {
        let text = "naïve 世界 👩‍👩‍👧‍👦!";
        let mut decoder = Decoder::new(false);
        let mut shown = String::new();
        for id in tokenizer.encode(text, false).unwrap() {
            shown.push_str(&decoder.push(tokenizer, id));
            assert!(text.starts_with(&shown), "{name}: {shown:?}");
        }
        assert_eq!(shown + &decoder.finish(), text, "{name}");
    }
}

#[test]
fn unfinished_characters_become_the_replacement_character() {
    let (_, _, tokenizer) = &ALL[0];
    let mut cut = tokenizer.encode("a世", false).unwrap();
    cut.pop();
    assert_eq!(tokenizer.decode(&cut, false), "a\u{fffd}");
    cut.extend(tokenizer.encode("b", false).unwrap());
    assert_eq!(tokenizer.decode(&cut, false), "a\u{fffd}b");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_comes_back_and_both_constructions_agree(text in "(\\PC|[a-z0-9 \r\n\t#]|the|ing| and|<think>|<\\|im_end\\|>){0,40}") {
        for pair in ALL.chunks(2) {
            let [(name, _, one), (_, _, other)] = pair else { unreachable!("two constructions each") };
            let ids = one.encode(&text, false).unwrap();
            prop_assert_eq!(&other.encode(&text, false).unwrap(), &ids, "{}", name);
            prop_assert_eq!(one.decode(&ids, false), text.clone(), "{}", name);
            let plain = one.encode_plain(&text, false).unwrap();
            prop_assert_eq!(&other.encode_plain(&text, false).unwrap(), &plain, "{}, plain", name);
            prop_assert_eq!(one.decode(&plain, false), text.clone(), "{}, plain", name);
        }
    }

    #[test]
    fn streaming_gives_what_the_bytes_give(ids in prop::collection::vec(0u32..300, 0..60)) {
        let (_, _, tokenizer) = &ALL[0];
        let bytes: Vec<u8> = ids.iter().filter_map(|&id| tokenizer.bytes(id)).flatten().collect();
        prop_assert_eq!(tokenizer.decode(&ids, false), String::from_utf8_lossy(&bytes));
    }
}

/// Breaks something good.
type Change<'a, T> = &'a dyn Fn(&mut T);

#[test]
fn contradictions_are_named() {
    let good = vocabulary_of(&json(SMALL));
    let broken = |change: Change<Vocabulary>| {
        let mut vocabulary = good.clone();
        change(&mut vocabulary);
        Tokenizer::from_vocabulary(vocabulary).unwrap_err().to_string()
    };
    let cases: [(Change<Vocabulary>, &str); 6] = [
        (&|v| v.pre = "gpt-2".into(), "tokenizer.ggml.pre is \"gpt-2\""),
        (&|v| v.types.truncate(3), "366 tokens and 3 types"),
        (&|v| v.tokens[20] = v.tokens[21].clone(), "is both 20 and 21"),
        (&|v| v.eos = Some(366), "eos is Some(366) of 366 tokens"),
        (&|v| v.merges[0] = "th".into(), "merge \"th\" is not two tokens"),
        (&|v| v.merges[0] = "t zz".into(), "merges: "),
    ];
    for (change, expected) in cases {
        let message = broken(change);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn other_tokenizers_are_refused() {
    let refused = |change: Change<Value>| {
        let mut json = json(SMALL);
        change(&mut json);
        Tokenizer::from_checkpoint(json.to_string().as_bytes(), None).unwrap_err().to_string()
    };
    let cases: [(Change<Value>, &str); 5] = [
        (&|t| t["decoder"] = Value::Null, "the decoder is missing, expected ByteLevel"),
        (&|t| t["model"]["dropout"] = 0.1.into(), "the model is BPE with dropout"),
        (&|t| t["model"]["byte_fallback"] = true.into(), "the model is BPE with dropout or byte fallback"),
        (&|t| t["version"] = "2.0".into(), "tokenizer.json: Unknown tokenizer version"),
        (&|t| t["model"]["type"] = "Other".into(), "tokenizer.json: "),
    ];
    for (change, expected) in cases {
        let message = refused(change);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
    let config = br#"{"bos_token": "<|nowhere|>"}"#;
    let error = Tokenizer::from_checkpoint(&file(SMALL, "tokenizer.json"), Some(config)).unwrap_err();
    assert!(error.to_string().contains("bos_token \"<|nowhere|>\" is not in tokenizer.json"), "{error}");
}
