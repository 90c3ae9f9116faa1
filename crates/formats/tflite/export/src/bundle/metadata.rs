//! What LiteRT-LM has to know of a model: `LlmMetadata` and `ExecutorMetadata`, by the field numbers of their protobufs.

use super::proto::Message;
use super::template::adapted;
use crate::TfliteExportError;
use crate::lower::{conv_state, key_state, value_state};
use lfmq_core::{ExportJob, Mixer, ModelSpec};
use serde_json::Value as Json;

/// Tokens that end an answer besides those of the configuration.
const ENDS: [&str; 2] = ["<|im_end|>", "<|endoftext|>"];

fn token(id: u64) -> Message {
    Message::new().message(1, &Message::new().packed(1, &[id]))
}

/// Tokens, limits and the chat template.
pub(super) fn llm(job: &ExportJob<'_>, context: usize) -> Result<Vec<u8>, TfliteExportError> {
    let template = template(job)?;
    let mut all = Message::new();
    if let Some(bos) = start(job, template.as_deref())? {
        all = all.message(1, &token(bos));
    }
    for id in stops(job)? {
        all = all.message(2, &token(id));
    }
    all = all.int(5, context as u64);
    let Some(template) = template else {
        const GENERIC: u64 = 1;
        return Ok(all.message(6, &Message::new().message(GENERIC, &Message::new())).into_bytes());
    };
    const LFM2: u64 = 11;
    all = all.message(6, &Message::new().message(LFM2, &Message::new())).text(7, &adapted(&template));
    if template.contains("<think>") {
        all = all.message(8, &Message::new().text(1, "thought").text(2, "<think>").text(3, "</think>"));
    }
    Ok(all.into_bytes())
}

fn json(job: &ExportJob<'_>, file: &'static str) -> Result<Json, TfliteExportError> {
    match job.source.sidecar(file) {
        Some(bytes) => {
            serde_json::from_slice(bytes).map_err(|e| TfliteExportError::Sidecar { file, why: e.to_string() })
        }
        None => Ok(Json::Null),
    }
}

/// The checkpoint's own template: a file, or a field of the tokenizer's configuration.
fn template(job: &ExportJob<'_>) -> Result<Option<String>, TfliteExportError> {
    const FILE: &str = "chat_template.jinja";
    if let Some(bytes) = job.source.sidecar(FILE) {
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|e| TfliteExportError::Sidecar { file: FILE, why: e.to_string() })?;
        return Ok(Some(text.to_owned()));
    }
    let config = json(job, "tokenizer_config.json")?;
    Ok(config.get("chat_template").and_then(Json::as_str).map(str::to_owned))
}

/// The token that the runtime puts before everything. To templates it is empty, so it is not doubled.
fn start(job: &ExportJob<'_>, template: Option<&str>) -> Result<Option<u64>, TfliteExportError> {
    let config = json(job, "tokenizer_config.json")?;
    let added = config.get("add_bos_token").and_then(Json::as_bool).unwrap_or(true);
    let spelled = template.is_some_and(|t| t.contains("bos_token"));
    Ok(job.source.spec().tokens.bos.filter(|_| added || spelled).map(u64::from))
}

/// The configuration's end tokens, and by their texts those that a chat may end with.
fn stops(job: &ExportJob<'_>) -> Result<Vec<u64>, TfliteExportError> {
    let mut ids: Vec<u64> = job.source.spec().tokens.eos.iter().map(|id| u64::from(*id)).collect();
    let tokenizer = json(job, "tokenizer.json")?;
    for added in tokenizer.get("added_tokens").and_then(Json::as_array).into_iter().flatten() {
        let text = added.get("content").and_then(Json::as_str).unwrap_or_default();
        let id = added.get("id").and_then(Json::as_u64).filter(|id| ENDS.contains(&text) && !ids.contains(id));
        ids.extend(id);
    }
    Ok(ids)
}

/// The states by name, and which way a sequence grows in them. `room`: positions of the caches.
pub(super) fn executor(spec: &ModelSpec, room: usize) -> Vec<u8> {
    /// Values of `type`.
    const KEYS: u64 = 1;
    const VALUES: u64 = 2;
    const LINEAR: u64 = 5;
    let named = |name: &str, kind: u64| (1..=4).fold(Message::new(), |m, field| m.text(field, name)).int(6, kind);
    let along = |m: Message, axis: u64| m.int(7, axis).int(9, room as u64);
    // A convolution's state cannot be taken back: no history.
    let mut all = Message::new().int(1, 0);
    for (layer, kind) in (0u16..).zip(&spec.layers) {
        let states = match kind.mixer {
            Mixer::Conv => vec![named(&conv_state(layer), LINEAR)],
            Mixer::Attention => {
                vec![along(named(&key_state(layer), KEYS), 2), along(named(&value_state(layer), VALUES), 3)]
            }
        };
        all = states.iter().fold(all, |all, state| all.message(2, state));
    }
    Message::new().message(1, &all).into_bytes()
}
