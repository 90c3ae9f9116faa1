//! Several artifacts in one table, for a comment on a change.

use crate::number::{NONE, bytes, interval, maybe, percent, significant};
use crate::view::Verdict;
use crate::{Comparison, Report};
use std::fmt::Write as _;

/// One table of all reports, and a list of the gates that do not pass.
#[must_use]
pub fn markdown(reports: &[Report]) -> String {
    let overall = Verdict::overall(reports.iter().map(|r| r.verdict()));
    let mut out = format!("### {} lfmq: {}\n\n", mark(overall), overall.word());
    out += "| artifact | verdict | size | bits/weight | KLD mean, nats (95 %) | KLD p99 | PPL ratio | same top ";
    out += "| tasks lost/won | decode, ms/token |\n";
    out += "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for report in reports {
        out += &row(report);
    }
    targets(&mut out, reports);
    texts(&mut out, reports);
    for report in reports {
        open_gates(&mut out, report);
        if let Some(oracle) = &report.oracle {
            oracle.markdown(&mut out, &report.artifact.name, cell);
        }
        if let Some(edge) = &report.edge {
            edge.markdown(&mut out, &report.artifact.name, cell);
        }
    }
    out
}

/// A sign beside the word, so that a long list can be scanned.
const fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✅",
        Verdict::Fail => "❌",
        Verdict::Inconclusive => "⚠️",
        Verdict::NotMeasured => "➖",
    }
}

/// A cell must not end its table, nor a name start markup.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('`', "\\`").replace('<', "&lt;").replace('\n', " ")
}

fn row(report: &Report) -> String {
    let drift = report.drift.as_ref();
    let kld =
        drift.map_or(NONE.to_owned(), |d| format!("{} ({})", maybe(d.kld.mean.value, 3), interval(&d.kld.mean, 3)));
    let tasks = report.tasks.as_ref().map_or(NONE.to_owned(), |tasks| {
        let sum = |of: fn(&crate::view::Task) -> usize| tasks.iter().map(of).sum::<usize>();
        format!("{}/{} of {}", sum(|t| t.lost), sum(|t| t.won), sum(|t| t.tasks))
    });
    let decode = report.latency.as_ref().map_or(NONE.to_owned(), |l| {
        let t = &l.decode.per_token;
        format!("{} ± {}", significant(t.mean_ms, 3), significant(t.stddev_ms, 2))
    });
    let verdict = report.verdict();
    format!(
        "| {} | {} {} | {} | {} | {kld} | {} | {} | {} | {tasks} | {decode} |\n",
        cell(&report.artifact.name),
        mark(verdict),
        verdict.word(),
        bytes(report.artifact.bytes),
        maybe(report.artifact.bits_per_weight, 3),
        maybe(drift.and_then(|d| d.kld.p99), 3),
        maybe(drift.and_then(|d| d.perplexity.ratio.value), 4),
        percent(drift.and_then(|d| d.agreement.same_top.value)),
    )
}

/// What each target says, where artifacts were built for targets.
fn targets(out: &mut String, reports: &[Report]) {
    let mut rows = reports.iter().flat_map(|r| r.targets.iter().map(move |t| (r, t))).peekable();
    if rows.peek().is_some() {
        *out += "\n| target | verdict | artifact | KLD mean, nats | broken |\n|---|---|---|--:|---|\n";
    }
    for (report, target) in rows {
        let _ = writeln!(
            out,
            "| {} | {} {} | {} | {} | {} |",
            cell(&target.name),
            mark(target.verdict),
            target.verdict.word(),
            cell(&report.artifact.name),
            maybe(report.drift.as_ref().and_then(|d| d.kld.mean.value), 3),
            cell(&target.trouble.join(", "))
        );
    }
}

/// What was measured on, once for each text.
fn texts(out: &mut String, reports: &[Report]) {
    let mut said = Vec::new();
    for text in reports.iter().filter_map(|r| r.text.as_ref()) {
        if !said.contains(&text) {
            let _ = writeln!(
                out,
                "\nMeasured on {} (`{}`): {} windows of {} tokens, {} scored.",
                cell(&text.name),
                text.sha256.get(..12).unwrap_or(&text.sha256),
                text.windows,
                text.context,
                text.scored
            );
            said.push(text);
        }
    }
}

fn open_gates(out: &mut String, report: &Report) {
    let Some(gates) = &report.gates else { return };
    let open: Vec<_> =
        gates.gates.iter().filter(|g| matches!(g.verdict, Verdict::Fail | Verdict::Inconclusive)).collect();
    if open.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n**{}** ({}, {})\n", cell(&report.artifact.name), cell(&gates.class), cell(&gates.source));
    for gate in open {
        let _ = write!(out, "- {} `{}`", gate.verdict.word(), gate.name.replace('`', "'"));
        if let (Some(value), Some(limit)) = (gate.value, gate.limit) {
            let _ = write!(out, ": {} against {}", significant(value, 4), significant(limit, 4));
        }
        if let Some(bound) = gate.bound {
            let _ = write!(out, ", bound {}", significant(bound, 4));
        }
        if let Some(note) = &gate.note {
            let _ = write!(out, ": {}", cell(note));
        }
        out.push('\n');
    }
}

/// A comparison as a table.
#[must_use]
pub fn comparison_markdown(c: &Comparison) -> String {
    let mut out =
        format!("### {} {}: {} against {}\n\n", mark(c.verdict), c.verdict.word(), cell(&c.current), cell(&c.baseline));
    out += "| figure | baseline | current | worse by (95 %) | allowed | verdict |\n|---|--:|--:|--:|--:|---|\n";
    for f in &c.findings {
        let note = f.note.as_ref().map(|n| format!(": {}", cell(n))).unwrap_or_default();
        let _ = writeln!(
            out,
            "| {}{} | {} | {} | {} | {} | {} {}{note} |",
            cell(&f.metric),
            if f.unit.is_empty() { String::new() } else { format!(", {}", f.unit) },
            figure(f.unit, f.baseline),
            figure(f.unit, f.current),
            change(f),
            amount(f.allowed, f.relative),
            mark(f.verdict),
            f.verdict.word()
        );
    }
    out
}

/// A figure in its unit; bytes are whole.
pub(crate) fn figure(unit: &str, value: f64) -> String {
    if unit == "bytes" { format!("{value:.0}") } else { significant(value, 4) }
}

/// `+3.2 % (+1.1 % to +5.4 %)`.
pub(crate) fn change(f: &crate::Finding) -> String {
    let one = |v: Option<f64>| v.map_or("unknown".to_owned(), |v| signed(v, f.relative));
    match (f.change, f.low, f.high) {
        (None, ..) => NONE.to_owned(),
        (Some(v), Some(low), Some(high)) if low == high => signed(v, f.relative),
        (Some(v), None, None) => format!("{} (no interval)", signed(v, f.relative)),
        (Some(v), low, high) => format!("{} ({} to {})", signed(v, f.relative), one(low), one(high)),
    }
}

fn signed(value: f64, relative: bool) -> String {
    let value = if value == 0.0 { 0.0 } else { value };
    if relative { format!("{:+.2} %", 100.0 * value) } else { format!("{value:+.5}") }
}

pub(crate) fn amount(value: f64, relative: bool) -> String {
    if relative { format!("{} %", significant(100.0 * value, 3)) } else { significant(value, 3) }
}
