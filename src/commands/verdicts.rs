//! The table of a proof: a figure a line, with its limit and verdict.

use crate::jobs::size;
use crate::printer::{Align, Printer, Table, Tone};
use lfmq_verify::edge::{EdgeReport, Row};
use lfmq_verify::weights::ReplayVerdict;
use lfmq_verify::{DriftReport, GateResult, LlamaStatistics, Verdict, llama};

/// Prints the report's figures for a person.
pub fn show(report: &DriftReport, printer: &Printer) {
    let artifact = &report.artifact;
    printer.line(&format!(
        "{}  {}, {:.2} bits/weight",
        printer.tone(&artifact.name, Tone::Strong),
        size::show(if artifact.bytes > 0 { artifact.bytes } else { report.candidate.weight_bytes }),
        artifact.bits_per_weight,
    ));
    let mut rows = Rows { report, table: Table::new(&COLUMNS) };
    rows.weights();
    rows.graph();
    rows.drift();
    rows.oracle();
    rows.tasks();
    rows.latency();
    printer.table(&rows.table);
    let Some(gates) = &report.gates else { return };
    for gate in gates.gates.iter().filter(|g| g.verdict == Verdict::Fail) {
        if let Some(note) = &gate.note {
            printer.line(&format!("  {} {}: {note}", printer.tone("FAIL", Tone::Bad), gate.name));
        }
    }
    let rung = format!("{} kernels, {} threads", report.candidate.rung, report.candidate.threads);
    let (word, tone) = verdict(gates.verdict);
    printer.line(&format!("{} {}", printer.tone(word, tone), printer.tone(&format!("({rung})"), Tone::Dim)));
}

const COLUMNS: [(&str, Align); 4] =
    [("figure", Align::Left), ("value", Align::Left), ("limit", Align::Right), ("verdict", Align::Left)];

/// The word and colour of a verdict.
fn verdict(verdict: Verdict) -> (&'static str, Tone) {
    match verdict {
        Verdict::Pass => ("PASS", Tone::Good),
        Verdict::Fail => ("FAIL", Tone::Bad),
        Verdict::Inconclusive => ("INCONCLUSIVE", Tone::Doubt),
        Verdict::NotMeasured => ("not measured", Tone::Dim),
    }
}

struct Rows<'a> {
    report: &'a DriftReport,
    table: Table,
}

impl Rows<'_> {
    /// A line whose limit and verdict come from the gate of this name.
    fn put(&mut self, figure: &str, value: String, gate: &str) {
        let gates = self.report.gates.as_ref();
        let found = gates.and_then(|g| g.gates.iter().find(|r| !gate.is_empty() && r.name == gate));
        let limit = found.and_then(|g| g.limit.map(|l| limit(g, l))).unwrap_or_default();
        let (word, tone) = found.map_or(("", None), |g| {
            let (word, tone) = verdict(g.verdict);
            (word, Some(tone))
        });
        self.table.toned([(figure.to_owned(), None), (value, None), (limit, Some(Tone::Dim)), (word.to_owned(), tone)]);
    }

    fn weights(&mut self) {
        let Some(weights) = &self.report.weights else { return };
        let all = weights.tensors.len();
        let value = match &weights.replay {
            ReplayVerdict::Exact => format!("{} of {all} tensors replayed exactly", weights.exact),
            ReplayVerdict::Differs { tensors } => format!("{} of {all} tensors differ", tensors.len()),
            ReplayVerdict::NotReplayable { why } => format!("not replayable: {why}"),
        };
        self.put("stored values", value, "weights");
        let worst = weights.roles.iter().filter_map(|r| r.worst_sqnr_db.map(|db| (db, &r.worst)));
        if let Some((db, name)) = worst.min_by(|a, b| a.0.total_cmp(&b.0)) {
            self.put("lowest SQNR", format!("{db:.1} dB ({name})"), "sqnr_min_db");
        }
    }

    fn graph(&mut self) {
        let Some(graph) = &self.report.graph else { return };
        let worst = graph.error.max(graph.error_in_pieces);
        self.put("graph", format!("{worst:.1e} of the logits' deviation, in f32, over its own weights"), "graph");
    }

    fn drift(&mut self) {
        let Some(drift) = &self.report.drift else { return };
        let (kld, same, ppl) = (&drift.kld, &drift.agreement.same_top, &drift.perplexity);
        self.put("KLD, mean", format!("{:.5} ± {:.5} nats", kld.mean.value, kld.mean.se), "kld_mean_max");
        self.put("KLD, 99 %", format!("{:.4}, largest {:.3}", kld.p99, kld.max), "kld_p99_max");
        self.put("same top", format!("{:.2} ± {:.2} %", same.value * 100.0, same.se * 100.0), "same_top_min");
        let ratio = format!("{:.4} ± {:.4} ({:.3} / {:.3})", ppl.ratio.value, ppl.ratio.se, ppl.candidate, ppl.base);
        self.put("PPL ratio", ratio, "ppl_ratio_max");
        if let Some(router) = &drift.router {
            self.put("router overlap", format!("{:.2} %", router.overlap.value * 100.0), "router_agreement_min");
        }
        if let Some(greedy) = &drift.greedy {
            let text = format!("{:.0} of {} tokens before it parts (median)", greedy.median, greedy.tokens);
            self.put("greedy text", text, "");
        }
        let noisy = self.report.layers.iter().flatten().filter_map(|l| Some((l.sqnr_db?, &l.name)));
        if let Some((db, name)) = noisy.min_by(|a, b| a.0.total_cmp(&b.0)) {
            self.put("lowest layer", format!("{db:.1} dB after {name}"), "");
        }
        let scored = format!("{} tokens in {} windows of {}", kld.tokens, drift.windows, drift.context);
        self.put("measured on", scored, "");
    }

    fn oracle(&mut self) {
        let Some(oracle) = &self.report.oracle else { return };
        self.put("our executor against", oracle.runtime.clone(), "");
        for (figure, value) in oracle.rows() {
            self.put(&format!("  {figure}"), value, if figure == "KLD, mean" { "oracle" } else { "" });
        }
    }

    fn tasks(&mut self) {
        for task in self.report.tasks.iter().flatten() {
            let score = |s: &lfmq_verify::tasks::TaskScores| match (s.field_f1, s.chrf) {
                (Some(f1), _) => format!("F1 {f1:.3}"),
                (None, Some(chrf)) => format!("chrF {chrf:.1}"),
                (None, None) => format!("exact {:.3}", s.exact),
            };
            let (ours, base) = (score(&task.candidate), score(&task.yardstick));
            let value = format!("{ours}, exact {:.2} (checkpoint {base})", task.candidate.exact);
            self.put(&format!("task {} × {}", task.task, task.tasks), value, &format!("task_drop_max {}", task.task));
        }
    }

    fn latency(&mut self) {
        let Some(latency) = &self.report.latency else { return };
        let noise = |noisy: bool| if noisy { ", noisy" } else { "" };
        for prefill in &latency.prefill {
            let n = prefill.tokens as f64;
            let (each, spread) = (prefill.time.mean_ms / n, prefill.time.stddev_ms / n);
            let value = format!("{each:.3} ± {spread:.3} ms/token{}", noise(prefill.time.noisy));
            self.put(&format!("prefill {}", prefill.tokens), value, "");
        }
        let decode = &latency.decode;
        let (each, spread) = (decode.per_token.mean_ms, decode.per_token.stddev_ms);
        let value = format!(
            "{each:.3} ± {spread:.3} ms/token, p95 {:.3}{}",
            decode.token_p95_ms,
            noise(decode.per_token.noisy)
        );
        self.put("decode", value, "decode_ms_max");
        if let Some(load) = latency.load_ms {
            self.put("load", format!("{load:.1} ms"), "");
        }
        if let Some(memory) = &latency.memory {
            let value = format!("{} in this run", size::show(memory.peak));
            self.put("peak memory", value, "peak_mib_max");
        }
    }
}

/// Prints the rows about devices: family by family, a figure each, the methods under those that do not pass.
pub fn show_edge(edge: &EdgeReport, printer: &Printer) {
    let left = Align::Left;
    let mut table = Table::new(&[("edge", left), ("", left), ("figure", left), ("limit", left), ("verdict", left)]);
    let word_of = |row: &Row| row.verdict.map_or(("–", Tone::Dim), verdict);
    for row in &edge.rows {
        let target = row.target.as_ref().map(|t| format!(", {t}")).unwrap_or_default();
        // Counts of cases say their number already.
        let limit = row.limit.filter(|_| row.unit != "cases").map(|l| format!("≤ {l} {}", row.unit));
        let (word, tone) = word_of(row);
        table.toned([
            (row.family.to_string(), Some(Tone::Dim)),
            (format!("{}{target}", row.name), None),
            (row.figure.clone(), None),
            (limit.unwrap_or_default().trim_end().to_owned(), Some(Tone::Dim)),
            (word.to_owned(), Some(tone)),
        ]);
    }
    printer.table(&table);
    for row in edge.rows.iter().filter(|r| r.verdict.is_some_and(|v| v != Verdict::Pass)) {
        let (word, tone) = word_of(row);
        printer.line(&format!("  {} {}: {}", printer.tone(word, tone), row.title(), row.method));
    }
}

/// A limit with its direction.
fn limit(gate: &GateResult, limit: f64) -> String {
    let sign = if gate.name.contains("_min") { "≥" } else { "≤" };
    let shown = if gate.name == "same_top_min" || gate.name == "router_agreement_min" {
        format!("{:.0} %", limit * 100.0)
    } else {
        format!("{limit}")
    };
    format!("{sign} {shown}")
}

/// The figures under the names llama-perplexity prints.
pub fn show_llama(f: &LlamaStatistics, printer: &Printer) {
    let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
    let mut put = |name: &str, value: String| table.row([name.to_owned(), value]);
    let pm = |m: &llama::Mean, scale: f64, digits: usize| {
        format!("{:.digits$} ± {:.digits$}", m.value * scale, m.error * scale)
    };
    put("Mean PPL(Q)", pm(&f.ppl, 1.0, 6));
    put("Mean PPL(base)", pm(&f.ppl_base, 1.0, 6));
    put("Cor(ln(PPL(Q)), ln(PPL(base)))", format!("{:.2} %", f.correlation * 100.0));
    put("Mean ln(PPL(Q)/PPL(base))", pm(&f.ln_ratio, 1.0, 6));
    put("Mean PPL(Q)/PPL(base)", pm(&f.ratio, 1.0, 6));
    put("Mean PPL(Q)-PPL(base)", pm(&f.difference, 1.0, 6));
    put("Mean KLD", pm(&f.kld, 1.0, 6));
    put("Maximum KLD", format!("{:.6}", f.kld_at.max));
    put("99.9 % KLD", format!("{:.6}", f.kld_at.p999));
    put("99.0 % KLD", format!("{:.6}", f.kld_at.p99));
    put("Median KLD", format!("{:.6}", f.kld_at.median));
    put("Minimum KLD", format!("{:.6}", f.kld_at.min));
    put("Mean Δp", format!("{} %", pm(&f.delta_p, 100.0, 3)));
    put("RMS Δp", format!("{} %", pm(&f.delta_p_rms, 100.0, 3)));
    put("Same top p", format!("{} %", pm(&f.same_top, 100.0, 3)));
    printer.table(&table);
}
