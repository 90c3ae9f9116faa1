//! `lfmq inspect`: what a checkpoint or an artifact holds.

use super::Done;
use crate::args::InspectArgs;
use crate::jobs::{model, size};
use crate::printer::{Align, Printer, Table, Tone};
use crate::registry::Opened;
use anyhow::Result;
use lfmq_checkpoint::Checkpoint;
use lfmq_core::{Activation, Fault, Ffn, Mixer, ModelSpec, TensorSource};
use lfmq_text::card_for;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

pub fn run(args: &InspectArgs, offline: bool, printer: &Printer) -> Result<Done> {
    let path = Path::new(&args.path);
    if path.is_file() || (path.is_dir() && !model::is_checkpoint(path)) {
        let file = model::artifact_file(path)?;
        return if file.extension().is_some_and(|e| e == "gguf") {
            gguf(&file, args.tensors, printer)
        } else {
            executable(&file, printer)
        };
    }
    checkpoint(&model::resolve(&args.path, offline, printer.observer())?, args.tensors, printer)
}

fn checkpoint(folder: &Path, tensors: bool, printer: &Printer) -> Result<Done> {
    let checkpoint = Checkpoint::open(folder).map_err(Fault::from)?;
    let spec = checkpoint.spec();
    let bytes: u64 = checkpoint.tensors().iter().map(|t| (t.rows * t.cols * t.dtype.size()) as u64).sum();
    let licence = ["LICENSE", "LICENSE.txt", "LICENSE.md"].into_iter().find(|n| checkpoint.sidecar(n).is_some());
    let card = card_for(checkpoint.name());
    printer.line(&printer.tone(checkpoint.name(), Tone::Strong));
    let mut facts = Table::new(&[("", Align::Left), ("", Align::Left)]);
    let mut put = |name: &str, value: String| facts.row([name.to_owned(), value]);
    put("parameters", format!("{} ({})", spec.parameters(), size::show(bytes)));
    shape(spec, &mut put);
    put("licence file", licence.unwrap_or("none").to_owned());
    put("sampling", format!("{} models: temperature {}", card.kind, card.options.temperature));
    printer.table(&facts);
    let names: Vec<Value> = checkpoint
        .tensors()
        .iter()
        .map(|t| json!({"name": t.name, "role": t.id.to_string(), "shape": [t.rows, t.cols], "dtype": t.dtype}))
        .collect();
    if tensors {
        let mut table = Table::new(&[
            ("tensor", Align::Left),
            ("role", Align::Left),
            ("shape", Align::Right),
            ("type", Align::Left),
        ]);
        for t in checkpoint.tensors() {
            table.row([t.name.clone(), t.id.to_string(), format!("{}×{}", t.rows, t.cols), t.dtype.to_string()]);
        }
        printer.table(&table);
    }
    let mut value = json!({
        "kind": "checkpoint",
        "name": checkpoint.name(),
        "spec": spec,
        "parameters": spec.parameters(),
        "bytes": bytes,
        "licence_file": licence,
    });
    if tensors {
        value["tensors"] = Value::Array(names);
    }
    Ok(value.into())
}

/// The lines that say what a model is.
fn shape(spec: &ModelSpec, put: &mut impl FnMut(&str, String)) {
    let of = |mixer| {
        let at: Vec<String> =
            spec.layers.iter().enumerate().filter(|(_, l)| l.mixer == mixer).map(|(i, _)| i.to_string()).collect();
        at
    };
    let (conv, attention) = (of(Mixer::Conv), of(Mixer::Attention));
    let tied = if spec.tied { "tied head" } else { "separate head" };
    put("layers", format!("{}: {} convolution, {} attention", spec.layers.len(), conv.len(), attention.len()));
    put("attention at", attention.join(" "));
    put("heads", format!("{} query, {} key/value, {} wide", spec.heads, spec.kv_heads, spec.head_dim));
    put("width", format!("{}, {tied} of {} tokens", spec.hidden, spec.vocab));
    match (&spec.moe, spec.layers.iter().find_map(|l| if let Ffn::Dense(w) = l.ffn { Some(w) } else { None })) {
        (Some(moe), _) => {
            let experts = format!("{} experts of {}, {} a token", moe.experts, moe.width, moe.top_k);
            put("feed-forward", format!("{experts}; first {} layers dense of {}", spec.dense_layers, spec.ffn_width));
        }
        (None, Some(width)) => put("feed-forward", format!("dense of {width}")),
        (None, None) => {}
    }
    put("rotary base", format!("{}", spec.rope_theta));
    put("context", format!("{}", spec.max_positions));
}

/// A format that holds a graph: what its executor makes of it.
fn executable(file: &Path, printer: &Printer) -> Result<Done> {
    let (opened, _) = Opened::timed(file, Activation::Runtime)?;
    let facts = opened.executor.facts();
    printer.line(&printer.tone(&file.display().to_string(), Tone::Strong));
    let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
    table.row(["what".to_owned(), facts.what.clone()]);
    table.row(["parameters".to_owned(), format!("{} ({})", facts.parameters, size::show(facts.weight_bytes))]);
    table.row(["logits".to_owned(), format!("{} wide", facts.vocab)]);
    printer.table(&table);
    Ok(json!({"kind": facts.what, "facts": facts}).into())
}

fn gguf(file: &Path, tensors: bool, printer: &Printer) -> Result<Done> {
    let inspection = lfmq_gguf_run::inspect(file).map_err(Fault::from)?;
    printer.line(&printer.tone(&file.display().to_string(), Tone::Strong));
    printer.line(&format!(
        "GGUF version {}, {} file(s), {} keys, {} tensors",
        inspection.version,
        inspection.files,
        inspection.keys.len(),
        inspection.tensors.len()
    ));
    let room = printer.width().saturating_sub(50).max(30);
    let mut keys = Table::new(&[("key", Align::Left), ("type", Align::Left), ("value", Align::Left)]);
    for k in &inspection.keys {
        keys.row([k.key.clone(), k.kind.clone(), shorten(&k.value, room)]);
    }
    printer.table(&keys);
    let mut types: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for t in &inspection.tensors {
        let entry = types.entry(t.ty).or_default();
        entry.0 += 1;
        entry.1 += t.bytes;
    }
    let mut table = Table::new(&[("type", Align::Left), ("tensors", Align::Right), ("bytes", Align::Right)]);
    for (ty, (count, bytes)) in &types {
        table.row([(*ty).to_owned(), count.to_string(), size::show(*bytes)]);
    }
    printer.table(&table);
    if tensors {
        let mut table = Table::new(&[
            ("tensor", Align::Left),
            ("type", Align::Left),
            ("shape", Align::Right),
            ("bytes", Align::Right),
        ]);
        for t in &inspection.tensors {
            let shape: Vec<String> = t.shape.iter().map(u64::to_string).collect();
            table.row([t.name.clone(), t.ty.to_owned(), shape.join("×"), t.bytes.to_string()]);
        }
        printer.table(&table);
    }
    for note in &inspection.notes {
        printer.warn(note);
    }
    Ok(json!({
        "kind": "gguf",
        "version": inspection.version,
        "files": inspection.files,
        "keys": inspection.keys.iter().map(|k| json!({"key": k.key, "type": k.kind, "value": k.value})).collect::<Vec<_>>(),
        "types": types.iter().map(|(t, (n, b))| json!({"type": t, "tensors": n, "bytes": b})).collect::<Vec<_>>(),
        "tensors": inspection.tensors.iter()
            .map(|t| json!({"name": t.name, "type": t.ty, "shape": t.shape, "bytes": t.bytes, "offset": t.offset}))
            .collect::<Vec<_>>(),
    })
    .into())
}

/// `text` on one line of at most `room` characters.
fn shorten(text: &str, room: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= room {
        return line;
    }
    line.chars().take(room - 1).chain(['…']).collect()
}
