//! A hand-written byte-level BPE tokenizer with the family's pre-tokenizer and its first special tokens.

use serde_json::{Map, Value, json};

/// The family's split of text into words.
const SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Merges of the tiny vocabulary, separated by `|`.
const MERGES: &str = "t h|h e|i n|a n|e r|o n|r e|Ġ t|Ġ a|Ġt he|in g|o r|e s|l l|Ġ o|Ġo f|an d|Ġ and|Ġ in|i s|Ġ is|Ċ Ċ|Ġ Ġ|ĠĠ ĠĠ|# #|## ##|Ã ©|1 0|10 0";
const TEMPLATE: &str = "{{- bos_token -}}{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}";

/// The special tokens with ids 0 to 15.
fn specials() -> Vec<String> {
    let named = ["pad", "startoftext", "endoftext", "fim_pre", "fim_mid", "fim_suf", "im_start", "im_end"];
    let tools = ["tool_list_start", "tool_list_end"];
    let reserved = (10..16).map(|i| format!("reserved_{i}"));
    let names = named.iter().chain(&tools).map(|&s| s.to_owned()).chain(reserved);
    names.map(|name| format!("<|{name}|>")).collect()
}

/// The visible character that stands for each byte: printable Latin-1 for itself, the rest from U+0100 on.
fn byte_symbols() -> Vec<String> {
    let visible = |b: u8| matches!(b, 33..=126 | 161..=172 | 174..);
    let mut hidden = 256u32..;
    let symbol = |b: u8| if visible(b) { char::from(b) } else { hidden.next().and_then(char::from_u32).unwrap_or('?') };
    (0..=255).map(symbol).map(String::from).collect()
}

/// Merge rules and the vocabulary that follows from them.
struct Vocabulary {
    merges: Vec<[String; 2]>,
    ids: Map<String, Value>,
}

impl Vocabulary {
    fn new() -> Self {
        let symbols = specials().into_iter().chain(byte_symbols());
        let ids = symbols.enumerate().map(|(id, symbol)| (symbol, json!(id))).collect();
        let mut all = Self { merges: Vec::new(), ids };
        for (left, right) in MERGES.split('|').filter_map(|rule| rule.split_once(' ')) {
            all.merge(left, right);
        }
        all
    }

    fn merge(&mut self, left: &str, right: &str) {
        let token = format!("{left}{right}");
        if !self.ids.contains_key(&token) {
            self.ids.insert(token, json!(self.ids.len()));
            self.merges.push([left.into(), right.into()]);
        }
    }

    /// Adds pairs of letters first and of any bytes then, until `tokens` ids are used.
    fn fill(&mut self, tokens: usize) {
        let (letters, others): (Vec<_>, Vec<_>) =
            byte_symbols().into_iter().partition(|s| s == "Ġ" || s.bytes().all(|b| b.is_ascii_alphanumeric()));
        let symbols = [letters, others].concat();
        let ranked = (0..symbols.len()).flat_map(|last| (0..=last).flat_map(move |i| [(i, last), (last, i)]));
        for (left, right) in ranked {
            if self.ids.len() >= tokens {
                return;
            }
            self.merge(&symbols[left], &symbols[right]);
        }
    }
}

/// The tiny tokenizer: 301 ids and two added words, one of them with a blank in it.
pub fn tiny() -> Value {
    json(&Vocabulary::new(), &[(400, "<think>"), (401, "plain word")])
}

/// A tokenizer with `tokens` ids in use.
pub fn filled(tokens: usize) -> Value {
    let mut vocabulary = Vocabulary::new();
    vocabulary.fill(tokens);
    json(&vocabulary, &[])
}

fn json(vocabulary: &Vocabulary, words: &[(u32, &str)]) -> Value {
    let specials = specials();
    let bos = specials[1].as_str();
    let added = |id: u32, content: &str, special: bool| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": special})
    };
    let all_added = (0..).zip(&specials).map(|(id, s)| added(id, s, true));
    let added_tokens: Value = all_added.chain(words.iter().map(|&(id, s)| added(id, s, false))).collect();
    let byte_level = |prefix: bool, trim: bool, regex: bool| json!({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": trim, "use_regex": regex});
    let special = |kind: u32| json!({"SpecialToken": {"id": bos, "type_id": kind}});
    let sequence = |id: &str, kind: u32| json!({"Sequence": {"id": id, "type_id": kind}});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added_tokens, "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": false},
            byte_level(false, false, false),
        ]},
        "post_processor": {"type": "Sequence", "processors": [
            byte_level(false, false, false),
            {"type": "TemplateProcessing", "single": [special(0), sequence("A", 0)],
             "pair": [special(0), sequence("A", 0), special(1), sequence("B", 1)],
             "special_tokens": {bos: {"id": bos, "ids": [1], "tokens": [bos]}}},
        ]},
        "decoder": byte_level(true, true, true),
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
                  "vocab": vocabulary.ids, "merges": vocabulary.merges},
    })
}

/// tokenizer_config.json.
pub fn config() -> Value {
    let s = specials();
    json!({
        "add_bos_token": true, "add_eos_token": false, "bos_token": s[1], "eos_token": s[7], "pad_token": s[0],
        "model_max_length": 128_000, "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE,
    })
}
