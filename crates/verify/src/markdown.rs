//! A report for a comment on a change: verdicts first, then one line a finding.

use crate::stats::Estimate;
use crate::{Drift, DriftReport, EdgeReport, GateReport, LatencyReport, OracleReport, TaskComparison, WeightReport};
use std::fmt::Write as _;

pub(crate) fn render(report: &DriftReport) -> String {
    let verdict = report.gates.as_ref().map_or("not judged".to_owned(), |g| g.verdict.to_string());
    let mut out = format!("### {verdict}: {} against {}\n\n", report.artifact.name, report.checkpoint);
    let c = &report.candidate;
    let mib = report.artifact.bytes as f64 / f64::from(1 << 20);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{} · {mib:.1} MiB · {:.2} bits a weight · activations {:?} · {} · {} threads",
        c.what, report.artifact.bits_per_weight, c.activation, c.rung, c.threads
    );
    if let Some(text) = &report.text {
        let _ = writeln!(
            out,
            "\n{} ({}…): {} windows of {} tokens, {} scored",
            text.name,
            text.sha256.get(..12).unwrap_or(&text.sha256),
            text.windows,
            text.context,
            text.scored
        );
    }
    report.gates.iter().for_each(|g| gates(&mut out, g));
    report.drift.iter().for_each(|d| drift(&mut out, d));
    report.weights.iter().for_each(|w| weights(&mut out, w));
    report.tasks.iter().for_each(|t| tasks(&mut out, t));
    report.latency.iter().for_each(|l| latency(&mut out, l));
    report.oracle.iter().for_each(|o| oracle(&mut out, o));
    report.edge.iter().for_each(|e| edge(&mut out, e));
    if report.independent_oracle.is_none() {
        out += "\nNo other implementation took part in this run.\n";
    }
    out
}

fn number(value: Option<f64>) -> String {
    value.filter(|v| v.is_finite()).map_or("–".to_owned(), |v| format!("{v:.4}"))
}

/// `1.5 (1.2 to 1.8)`.
fn interval(e: &Estimate) -> String {
    format!("{:.5} ({} to {})", e.value, number(Some(e.low)), number(Some(e.high)))
}

/// A cell must not end its table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn gates(out: &mut String, report: &GateReport) {
    let _ = writeln!(
        out,
        "\n| gate ({}, {}) | limit | value | bound | verdict |\n|---|--:|--:|--:|---|",
        report.class, report.source
    );
    for g in &report.gates {
        let note = g.note.as_ref().map(|n| format!(": {}", cell(n))).unwrap_or_default();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {}{note} |",
            cell(&g.name),
            number(g.limit),
            number(g.value),
            number(g.bound),
            g.verdict
        );
    }
}

fn drift(out: &mut String, d: &Drift) {
    let k = &d.kld;
    let _ = writeln!(out, "\n| drift | |\n|---|---|");
    let _ = writeln!(out, "| KLD mean (95 %) | {} |", interval(&k.mean));
    let _ = writeln!(out, "| KLD p50 / p90 / p99 / max | {:.5} / {:.5} / {:.4} / {:.4} |", k.p50, k.p90, k.p99, k.max);
    if let Some(at) = k.max_at {
        let _ = writeln!(
            out,
            "| largest at | window {}, position {}, before token {} |",
            at.window, at.position, at.target
        );
    }
    let p = &d.perplexity;
    let _ = writeln!(out, "| perplexity | {:.4} / {:.4} = {} |", p.candidate, p.base, interval(&p.ratio));
    let _ = writeln!(out, "| same top token | {} |", interval(&d.agreement.same_top));
    if let Some(sure) = d.agreement.same_top_sure {
        let _ = writeln!(out, "| … where the checkpoint leads by 0.1 | {sure:.5} of {} |", d.agreement.sure_tokens);
    }
    if let Some(r) = &d.router {
        let _ = writeln!(out, "| experts in common | {} |", interval(&r.overlap));
    }
    if let Some(g) = &d.greedy {
        let same = g.runs.iter().filter(|r| r.diverges_at.is_none()).count();
        let _ = writeln!(
            out,
            "| greedy, {} tokens | {same} of {} the same, median first difference {} |",
            g.tokens,
            g.runs.len(),
            g.median
        );
    }
}

fn oracle(out: &mut String, o: &OracleReport) {
    let _ = writeln!(out, "\n| our executor against {} | |\n|---|---|", cell(&o.runtime));
    for (figure, value) in o.rows() {
        let _ = writeln!(out, "| {figure} | {value} |");
    }
}

fn weights(out: &mut String, w: &WeightReport) {
    let _ =
        writeln!(out, "\n{} tensors replay exactly, {} differ, {} not replayed\n", w.exact, w.differs, w.not_replayed);
    for finding in w.findings().iter().take(10) {
        let _ = writeln!(out, "- {finding}");
    }
    let _ = writeln!(out, "\n| weights | scheme | tensors | SQNR dB | lowest |\n|---|---|--:|--:|---|");
    let db = |v: Option<f64>| v.map_or("exact".to_owned(), |v| format!("{v:.1}"));
    for r in &w.roles {
        let lowest = r.worst_sqnr_db.map(|v| format!("{v:.1} `{}`", cell(&r.worst))).unwrap_or_default();
        let _ = writeln!(out, "| {} | {} | {} | {} | {lowest} |", r.role, cell(&r.scheme), r.tensors, db(r.sqnr_db));
    }
}

fn tasks(out: &mut String, tasks: &[TaskComparison]) {
    let _ = writeln!(out, "\n| task | n | checkpoint | artifact | lost / won | p |\n|---|--:|--:|--:|--:|--:|");
    for t in tasks {
        let _ = writeln!(
            out,
            "| {} | {} | {:.4} | {:.4} | {} / {} | {:.3} |",
            cell(&t.task),
            t.tasks,
            t.yardstick.main(),
            t.candidate.main(),
            t.lost,
            t.won,
            t.p
        );
    }
}

fn edge(out: &mut String, report: &EdgeReport) {
    out.push_str("\n| edge | | figure | limit | verdict |\n|---|---|---|--:|---|\n");
    for r in &report.rows {
        let target = r.target.as_ref().map(|t| format!(" ({t})")).unwrap_or_default();
        let verdict = r.verdict.map_or("no limit".to_owned(), |v| v.to_string());
        let limit = r.limit.map(|l| format!("{l} {}", r.unit)).unwrap_or_default();
        let cells = [format!("{}{target}", r.name), r.figure.clone(), limit, verdict];
        let _ = writeln!(out, "| {} | {} |", r.family, cells.map(|c| cell(c.trim())).join(" | "));
    }
}

fn latency(out: &mut String, l: &LatencyReport) {
    let _ = writeln!(
        out,
        "\n| {} repetitions, {}, {} threads | mean ms | ± | p50 | p95 | tokens/s |\n|---|--:|--:|--:|--:|--:|",
        l.repetitions, l.rung, l.threads
    );
    let noisy = |n: bool| if n { " (noisy)" } else { "" };
    for p in &l.prefill {
        let t = &p.time;
        let _ = writeln!(
            out,
            "| prefill {}{} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} |",
            p.tokens,
            noisy(t.noisy),
            t.mean_ms,
            t.stddev_ms,
            t.p50_ms,
            t.p95_ms,
            p.tokens_per_second
        );
    }
    let (d, t) = (&l.decode, &l.decode.per_token);
    let _ = writeln!(
        out,
        "| decode {} at {}, per token{} | {:.3} | {:.3} | {:.3} | {:.3} | {:.1} |",
        d.tokens,
        d.depth,
        noisy(t.noisy),
        t.mean_ms,
        t.stddev_ms,
        d.token_p50_ms,
        d.token_p95_ms,
        d.tokens_per_second
    );
    if let Some(load) = l.load_ms {
        let _ = writeln!(out, "\nload {load:.1} ms");
    }
    if let Some(m) = l.memory {
        let mib = |b: u64| b as f64 / f64::from(1 << 20);
        let _ = writeln!(
            out,
            "\npeak {:.1} MiB resident; now {:.1} MiB private, {:.1} MiB mapped from files",
            mib(m.peak),
            mib(m.anonymous),
            mib(m.file)
        );
    }
}
