//! Special tokens, whether they are added by themselves, and the chat template.

use crate::GgufExportError;
use crate::kv::{Kvs, Value};
use crate::sidecar::{json, text};
use lfmq_core::TensorSource;
use serde_json::{Map, Value as Json};

/// Special tokens by the word of the configuration files and of this format's keys; a class token has none.
const NAMES: [(&str, Option<&str>); 7] = [
    ("bos", Some("bos")),
    ("eos", Some("eos")),
    ("unk", Some("unknown")),
    // The key is misspelt in the format itself.
    ("sep", Some("seperator")),
    ("pad", Some("padding")),
    ("cls", None),
    ("mask", Some("mask")),
];

/// Further kinds, which a template brings about that ends in another token than the end of text.
const ENDS: [(&str, Option<&str>); 2] = [("eot", Some("eot")), ("eom", Some("eom"))];

/// What is gathered about the special tokens, in order of discovery.
struct Found {
    kinds: Vec<(&'static str, Option<&'static str>)>,
    ids: Vec<(&'static str, u32)>,
    add: Vec<(&'static str, bool)>,
}

impl Found {
    fn id(&mut self, name: &'static str, id: Option<u64>) {
        if let Some(id) = id.and_then(|id| u32::try_from(id).ok())
            && !self.ids.iter().any(|(n, _)| *n == name)
        {
            self.ids.push((name, id));
        }
    }

    fn add(&mut self, name: &'static str, value: bool) {
        match self.add.iter_mut().find(|(n, _)| *n == name) {
            Some(slot) => slot.1 = value,
            None => self.add.push((name, value)),
        }
    }

    fn add_unless_known(&mut self, name: &'static str, value: bool) {
        if !self.add.iter().any(|(n, _)| *n == name) {
            self.add.push((name, value));
        }
    }
}

/// Writes ids, flags and template.
pub(crate) fn keys(kvs: &mut Kvs, source: &dyn TensorSource, tokenizer: &Json) -> Result<(), GgufExportError> {
    let mut settings = match json(source, "tokenizer_config.json")? {
        Some(Json::Object(map)) => map,
        _ => Map::new(),
    };
    // A class token may stand for the beginning, a separator for the end.
    for (absent, substitute) in [("bos_token", "cls_token"), ("eos_token", "sep_token")] {
        if !stated(&settings, absent) && stated(&settings, substitute) {
            let substitute = settings.get(substitute).cloned().unwrap_or_default();
            settings.insert(absent.to_owned(), substitute);
        }
    }
    let mut found = Found { kinds: NAMES.to_vec(), ids: Vec::new(), add: Vec::new() };
    post_processor(&mut found, tokenizer, &mut settings);

    let empty = Vec::new();
    let added = tokenizer.get("added_tokens").and_then(Json::as_array).unwrap_or(&empty);
    for (name, _) in found.kinds.clone() {
        if let Some(value) = settings.get(&format!("add_{name}_token")).and_then(Json::as_bool) {
            found.add_unless_known(name, value);
        }
        let Some(content) = settings.get(&format!("{name}_token")).and_then(content) else { continue };
        let entry = added.iter().find(|a| a.get("content").and_then(Json::as_str) == Some(content));
        found.id(name, entry.and_then(|a| a.get("id")).and_then(Json::as_u64));
    }
    let config = json(source, "config.json")?.unwrap_or_default();
    for (name, _) in found.kinds.clone() {
        found.id(name, config.get(format!("{name}_token_id")).and_then(Json::as_u64));
    }

    for (name, id) in &found.ids {
        if let Some((_, Some(word))) = found.kinds.iter().find(|(n, _)| n == name) {
            kvs.set(format!("tokenizer.ggml.{word}_token_id"), Value::U32(*id));
        }
    }
    for (name, value) in found.add.into_iter().filter(|(name, _)| matches!(*name, "bos" | "eos" | "sep")) {
        kvs.set(format!("tokenizer.ggml.add_{name}_token"), Value::Bool(value));
    }
    templates(kvs, source, &settings)
}

/// Whether a setting says anything.
fn stated(settings: &Map<String, Json>, key: &str) -> bool {
    settings.get(key).is_some_and(|value| !value.is_null() && *value != "")
}

/// A token given by its text, alone or in a map.
fn content(token: &Json) -> Option<&str> {
    token.as_str().or_else(|| token.get("content").and_then(Json::as_str))
}

/// What the post-processor adds around a text: a template tells by its first and last piece.
fn post_processor(found: &mut Found, tokenizer: &Json, settings: &mut Map<String, Json>) {
    let Some(post) = tokenizer.get("post_processor").filter(|p| !p.is_null()) else { return };
    let steps = post.get("processors").and_then(Json::as_array).map_or(std::slice::from_ref(post), Vec::as_slice);
    for step in steps {
        match step.get("type").and_then(Json::as_str) {
            Some("ByteLevel") => {
                found.add_unless_known("bos", false);
                found.add_unless_known("eos", false);
            }
            Some("TemplateProcessing") => template_processing(found, step, settings),
            _ => {}
        }
    }
}

fn template_processing(found: &mut Found, step: &Json, settings: &mut Map<String, Json>) {
    let pieces = |key: &str| step.get(key).and_then(Json::as_array).cloned().unwrap_or_default();
    let special = |piece: &Json| piece.pointer("/SpecialToken/id").and_then(Json::as_str).map(str::to_owned);
    let single = pieces("single");
    let (mut first, mut last) = (None, None);
    if single.len() > 1 {
        first = single.first().and_then(special);
        last = single.last().and_then(special);
    }
    if let Some(first) = &first {
        beginning(found, first, settings);
    }
    if let Some(last) = &last {
        end(found, last, settings);
    }

    // [first] A (between) B [last]: a separator, or else the end token, between the two texts.
    let pair = pieces("pair");
    let mut inner = pair.as_slice();
    if let [head, rest @ ..] = inner
        && first.is_some()
        && special(head) == first
    {
        inner = rest;
    }
    if let [rest @ .., tail] = inner
        && last.is_some()
        && special(tail) == last
    {
        inner = rest;
    }
    let sequence = |piece: &Json| piece.pointer("/Sequence/id").and_then(Json::as_str).map(str::to_owned);
    if let [a, between @ .., b] = inner
        && sequence(a).as_deref() == Some("A")
        && sequence(b).as_deref() == Some("B")
        && !between.is_empty()
    {
        let is_separator = |piece: &Json| {
            special(piece).is_some_and(|t| is(settings, "sep_token", &t) || is(settings, "eos_token", &t))
        };
        let add = match between {
            [one] => last.is_none() && is_separator(one),
            [one, two] => (last.is_none() && is_separator(one)) || is_separator(two),
            [one, ..] => last.is_none() && is_separator(one),
            [] => false,
        };
        found.add("sep", add);
    }
}

/// Whether a setting is this token, given by its text alone.
fn is(settings: &Map<String, Json>, key: &str, token: &str) -> bool {
    settings.get(key).and_then(Json::as_str) == Some(token)
}

/// A template begins with `first`: the token of the beginning or, failing that, the class token.
fn beginning(found: &mut Found, first: &str, settings: &mut Map<String, Json>) {
    let known = |settings: &Map<String, Json>| is(settings, "bos_token", first) || is(settings, "cls_token", first);
    for key in ["bos_token", "cls_token"] {
        if !known(settings) && !stated(settings, key) {
            settings.insert(key.to_owned(), first.into());
        }
    }
    found.add("bos", known(settings));
}

/// A template ends with `last`: that is the end token then, and the one stated before is the end of a turn.
fn end(found: &mut Found, last: &str, settings: &mut Map<String, Json>) {
    if !is(settings, "eos_token", last) {
        let before = settings.insert("eos_token".to_owned(), last.into());
        if let Some(kind) = ENDS.iter().find(|kind| !found.kinds.contains(kind)) {
            found.kinds.push(*kind);
            settings.insert(format!("{}_token", kind.0), before.unwrap_or_default());
        }
    }
    found.add("eos", true);
}

/// The chat template: of tokenizer_config.json, else of its own file. Of several, each is a key, the one
/// called `default` is the template, and the names are listed in order.
fn templates(kvs: &mut Kvs, source: &dyn TensorSource, settings: &Map<String, Json>) -> Result<(), GgufExportError> {
    let own = match text(source, "chat_template.jinja") {
        Some(jinja) => Some(Json::String(jinja.into_owned())),
        None => json(source, "chat_template.json")?.and_then(|file| file.get("chat_template").cloned()),
    };
    let template = settings.get("chat_template").cloned().or(own);
    let key = "tokenizer.chat_template";
    match template {
        Some(Json::String(one)) => kvs.set(key, Value::Str(one)),
        Some(Json::Array(several)) => {
            let mut names = Vec::new();
            let mut default = None;
            for entry in &several {
                let part = |field: &str| entry.get(field).and_then(Json::as_str);
                let (Some(name), Some(template)) = (part("name").filter(|n| !n.is_empty()), part("template")) else {
                    continue;
                };
                let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
                if name == "default" {
                    default = Some(template);
                } else {
                    kvs.set(format!("{key}.{name}"), template.into());
                    names.push(name);
                }
            }
            names.sort();
            names.dedup();
            kvs.set("tokenizer.chat_templates", Value::Strs(names));
            kvs.set(key, default.unwrap_or_default().into());
        }
        _ => {}
    }
    Ok(())
}
