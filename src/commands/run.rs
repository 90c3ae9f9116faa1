//! `lfmq run`: text from an artifact or a checkpoint, so that a person can look.

use super::Done;
use crate::args::RunArgs;
use crate::jobs::model;
use crate::jobs::speaker::Speaker;
use crate::jobs::usage::{DiskReads, Usage};
use crate::printer::{Printer, Tone};
use crate::registry::{self, Opened, activation};
use anyhow::Result;
use lfmq_checkpoint::Checkpoint;
use lfmq_core::{Executor, Fault, TensorSource};
use lfmq_reference::Reference;
use lfmq_text::{Decoder, Moment, Sampler, SamplerOptions, card_for, generate};
use serde_json::json;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub fn run(args: &RunArgs, printer: &Printer) -> Result<Done> {
    if model::is_checkpoint(&args.model) {
        let checkpoint = Checkpoint::open(&args.model).map_err(Fault::from)?;
        let speaker = Speaker::of_checkpoint(&checkpoint)?;
        let executor = Reference::open(&checkpoint, registry::rung()).map_err(Fault::from)?;
        return speak(args, printer, checkpoint.name(), &executor, &speaker);
    }
    let file = model::artifact_file(&args.model)?;
    let (opened, load_ms) = Opened::alone(&file, activation(args.activations))?;
    printer.detail(&format!("loaded in {load_ms:.0} ms"));
    let speaker = opened.speaker()?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    speak(args, printer, &name, opened.executor.as_ref(), &speaker)
}

fn speak(args: &RunArgs, printer: &Printer, name: &str, executor: &dyn Executor, speaker: &Speaker) -> Result<Done> {
    let read = DiskReads::so_far();
    let options = options(args, name);
    let prompt = if args.raw {
        speaker.tokenizer.encode(&args.prompt, speaker.tokenizer.adds_bos()).map_err(Fault::from)?
    } else {
        speaker.chat(args.system.as_deref(), &args.prompt, Some(now()))?
    };
    let card = card_for(name);
    if let (Some(system), None, false) = (card.system, &args.system, args.raw) {
        printer.note(&format!("the card of {} models asks for a system prompt: {system}", card.kind));
    }
    let limit = args.max_tokens as usize;
    let mut session = executor.session(prompt.len() + limit)?;
    let mut sampler = Sampler::new(options).map_err(Fault::from)?.within(speaker.tokenizer.vocab_size());
    let mut decoder = Decoder::new(true);
    let mut text = String::new();
    let started = Instant::now();
    let mut first = None;
    let done = generate(session.as_mut(), &prompt, &mut sampler, &speaker.ends, limit, &mut |id| {
        first.get_or_insert_with(|| started.elapsed());
        let piece = decoder.push(&speaker.tokenizer, id);
        printer.stream(&piece);
        text.push_str(&piece);
        true
    })
    .map_err(Fault::from)?;
    let rest = decoder.finish();
    printer.stream(&rest);
    printer.line("");
    text.push_str(&rest);
    let (total, first) = (started.elapsed(), first.unwrap_or_default());
    let decoding = (total - first).as_secs_f64() * 1e3 / done.ids.len().saturating_sub(1).max(1) as f64;
    let stopped = json!(done.stop);
    printer.note(&format!(
        "{} prompt tokens, first token after {:.0} ms, {} tokens at {decoding:.1} ms; {}",
        prompt.len(),
        first.as_secs_f64() * 1e3,
        done.ids.len(),
        printer.tone(&format!("stopped: {}", stopped.as_str().unwrap_or("eos")), Tone::Dim),
    ));
    let usage = Usage::now(read);
    usage.iter().flat_map(Usage::lines).for_each(|line| printer.note(&line));
    Ok(json!({
        "text": text,
        "tokens": done.ids,
        "prompt_tokens": prompt.len(),
        "stop": stopped,
        "sampling": options,
        "first_token_ms": first.as_secs_f64() * 1e3,
        "decode_ms_per_token": decoding,
        "usage": usage,
    })
    .into())
}

/// The model card's sampling with what was typed on top.
fn options(args: &RunArgs, name: &str) -> SamplerOptions {
    if args.greedy {
        return SamplerOptions { seed: args.seed, ..SamplerOptions::default() };
    }
    let card = card_for(name).options;
    SamplerOptions {
        temperature: args.temperature.map_or(card.temperature, f64::from),
        top_k: args.top_k.map_or(card.top_k, |k| k as usize),
        top_p: args.top_p.map_or(card.top_p, f64::from),
        min_p: args.min_p.map_or(card.min_p, f64::from),
        repetition_penalty: args.repetition_penalty.map_or(card.repetition_penalty, f64::from),
        seed: args.seed,
    }
}

/// For templates that print today's date.
fn now() -> Moment {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Moment::from_unix(i64::try_from(seconds).unwrap_or(0))
}
