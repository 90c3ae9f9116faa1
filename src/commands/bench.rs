//! `lfmq bench`: latency and memory of an artifact, and nothing else in the process.

use super::Done;
use crate::args::BenchArgs;
use crate::jobs::usage::{DiskReads, Usage};
use crate::jobs::{model, size};
use crate::printer::{Align, Printer, Table, Tone};
use crate::registry::{Opened, activation};
use anyhow::Result;
use lfmq_verify::{LatencyOptions, LatencyReport, latency};
use serde_json::json;

pub fn run(args: &BenchArgs, printer: &Printer) -> Result<Done> {
    let file = model::artifact_file(&args.artifact)?;
    let (opened, load_ms) = Opened::alone(&file, activation(args.activations))?;
    let read = DiskReads::so_far();
    let options = LatencyOptions {
        prefill: args.prefill.iter().map(|n| *n as usize).collect(),
        decode: args.decode as usize,
        repetitions: args.reps as usize,
        ..LatencyOptions::default()
    };
    let report = latency::measure(opened.executor.as_ref(), &options, Some(load_ms), printer.observer())?;
    let facts = opened.executor.facts();
    printer.line(&format!(
        "{}  {}, {}, {} kernels, {} threads",
        printer.tone(&file.file_name().unwrap_or_default().to_string_lossy(), Tone::Strong),
        facts.what,
        size::show(facts.weight_bytes),
        facts.rung,
        facts.threads,
    ));
    show(&report, printer);
    let usage = Usage::now(read);
    usage.iter().flat_map(Usage::lines).for_each(|line| printer.line(&format!("  {line}")));
    printer.line(&format!("  {} repetitions after {} to warm up", report.repetitions, report.warm_up));
    Ok(json!({"facts": facts, "latency": report, "usage": usage}).into())
}

fn show(report: &LatencyReport, printer: &Printer) {
    let mut table = Table::new(&[
        ("", Align::Left),
        ("ms", Align::Right),
        ("± ms", Align::Right),
        ("p50", Align::Right),
        ("p95", Align::Right),
        ("tokens/s", Align::Right),
        ("", Align::Left),
    ]);
    let noise = |noisy: bool| if noisy { "noisy".to_owned() } else { String::new() };
    for p in &report.prefill {
        for (name, t) in [("prefill", &p.time), ("first token", &p.first_token)] {
            let rate = if name == "prefill" { format!("{:.1}", p.tokens_per_second) } else { String::new() };
            table.row([
                format!("{name} {}", p.tokens),
                format!("{:.2}", t.mean_ms),
                format!("{:.2}", t.stddev_ms),
                format!("{:.2}", t.p50_ms),
                format!("{:.2}", t.p95_ms),
                rate,
                noise(t.noisy),
            ]);
        }
    }
    let d = &report.decode;
    table.row([
        format!("decode at {}", d.depth),
        format!("{:.3}", d.per_token.mean_ms),
        format!("{:.3}", d.per_token.stddev_ms),
        format!("{:.3}", d.token_p50_ms),
        format!("{:.3}", d.token_p95_ms),
        format!("{:.1}", d.tokens_per_second),
        noise(d.per_token.noisy),
    ]);
    printer.table(&table);
    if let Some(load) = report.load_ms {
        printer.line(&format!("  load {load:.1} ms"));
    }
}
