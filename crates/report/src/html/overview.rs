//! All artifacts side by side.

use super::table::Table;
use crate::Report;
use crate::junit::escape;
use crate::number::{NONE, bytes, interval, maybe, percent, significant};
use crate::svg::{Bar, Curve, Point, bars, curves, scatter};
use crate::view::{Divergence, Timing};

/// What was compared with what, on which text, by which program.
pub(super) fn facts(reports: &[Report]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut say = |line: String| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    for report in reports {
        let count = reports.iter().filter(|r| r.checkpoint == report.checkpoint).count();
        say(format!(
            "{count} artifact{} against <code>{}</code> ({}, {} weights), by {}.",
            if count == 1 { "" } else { "s" },
            escape(&report.checkpoint),
            escape(&report.yardstick.what),
            millions(report.yardstick.parameters),
            escape(&report.tool)
        ));
        if let Some(text) = &report.text {
            say(format!(
                "Text <code>{}</code>, {} windows of {} tokens, {} scored; SHA-256 <code>{}</code>.",
                escape(&text.name),
                text.windows,
                text.context,
                text.scored,
                escape(&text.sha256)
            ));
        }
    }
    lines.iter().map(|line| format!("<p class=\"soft\">{line}</p>\n")).collect()
}

fn millions(n: u64) -> String {
    if n >= 1_000_000_000 { format!("{:.2} billion", n as f64 / 1e9) } else { format!("{:.1} million", n as f64 / 1e6) }
}

/// `value` above its spread.
pub(super) fn two(value: &str, spread: &str) -> String {
    format!("{value}<span class=\"soft\">{}</span>", escape(spread))
}

fn time(timing: Option<&Timing>) -> String {
    timing.map_or(NONE.to_owned(), |t| {
        two(
            &significant(t.mean_ms, 3),
            &format!("± {}{}", significant(t.stddev_ms, 2), if t.noisy { " noisy" } else { "" }),
        )
    })
}

const CAPTION: &str = "Bits are those of a weight, decode is the time of a token. Below each figure its 95 % interval \
                       over windows, or ± one standard deviation.";

/// One line an artifact.
pub(super) fn table(reports: &[Report]) -> String {
    let columns = [
        "artifact",
        "verdict",
        "#size",
        "#bits",
        "#KLD mean, nats",
        "#KLD p99",
        "#PPL ratio",
        "#same top",
        "#prefill, ms",
        "#decode, ms",
        "#peak memory",
    ];
    let mut table = Table::new(CAPTION, &columns);
    for (index, report) in reports.iter().enumerate() {
        let (drift, latency) = (report.drift.as_ref(), report.latency.as_ref());
        let of = |e: Option<&crate::view::Estimate>, digits| {
            e.map_or(NONE.to_owned(), |e| two(&maybe(e.value, digits), &interval(e, digits)))
        };
        let top = drift.map_or(NONE.to_owned(), |d| {
            let e = &d.agreement.same_top;
            two(&percent(e.value), &format!("{} to {}", percent(e.low), percent(e.high)))
        });
        let prefill = latency.and_then(|l| l.prefill.last());
        table.row(&[
            format!("<a href=\"#a{index}\">{}</a>", escape(&report.artifact.name)),
            super::badge(report.verdict()),
            bytes(report.artifact.bytes),
            maybe(report.artifact.bits_per_weight, 3),
            of(drift.map(|d| &d.kld.mean), 3),
            maybe(drift.and_then(|d| d.kld.p99), 3),
            of(drift.map(|d| &d.perplexity.ratio), 4),
            top,
            prefill.map_or(NONE.to_owned(), |p| {
                format!("{}<span class=\"soft\">{} tokens</span>", time(Some(&p.time)), p.tokens)
            }),
            time(latency.map(|l| &l.decode.per_token)),
            latency.and_then(|l| l.memory).map_or(NONE.to_owned(), |m| bytes(m.peak)),
        ]);
    }
    format!("<section aria-label=\"Overview\">\n<h2>Artifacts</h2>\n{}</section>\n", table.finish())
}

/// Size against drift, drift with its interval, distribution of drift, times with their spread.
pub(super) fn plots(reports: &[Report]) -> String {
    format!(
        "<section class=\"plots\" aria-label=\"Plots\">\n{}{}{}{}</section>\n",
        size_and_drift(reports),
        mean_drift(reports),
        distribution(reports),
        times(reports)
    )
}

/// The artifact's name without its extension and, where all are of one checkpoint, without that one's name; short
/// enough for a plot.
fn short(report: &Report, reports: &[Report]) -> String {
    let name = &report.artifact.name;
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    // Where runtimes fix the file's name, the folder's tells artifacts apart.
    let stem = stem.rsplit_once("/model").map_or(stem, |(folder, _)| folder);
    let one = reports.iter().all(|r| r.checkpoint == report.checkpoint);
    let rest = stem.strip_prefix(report.checkpoint.as_str()).map(|s| s.trim_start_matches('-'));
    let label = rest.filter(|s| one && !s.is_empty()).unwrap_or(stem);
    let label: String = label.chars().take(28).collect();
    if report.candidate.activation == "f32" { format!("{label} (f32 activations)") } else { label }
}

/// Reports with a positive mean drift, and their colours.
fn drifting(reports: &[Report]) -> impl Iterator<Item = (usize, &Report, &Divergence, f64)> {
    reports.iter().enumerate().filter_map(|(i, r)| {
        let kld = &r.drift.as_ref()?.kld;
        Some((i, r, kld, kld.mean.value.filter(|v| *v > 0.0)?))
    })
}

fn whisker(kld: &Divergence) -> Option<(f64, f64)> {
    Some((kld.mean.low?.max(0.0), kld.mean.high?))
}

fn size_and_drift(reports: &[Report]) -> String {
    let points: Vec<Point> = drifting(reports)
        .map(|(series, report, kld, y)| Point {
            label: short(report, reports),
            x: report.artifact.bytes as f64 / f64::from(1 << 20),
            y,
            whisker: whisker(kld).map(|(low, high)| (low.max(y / 10.0), high)),
            series,
        })
        .collect();
    if points.is_empty() {
        return String::new();
    }
    let caption = "Mean KL divergence with its 95 % interval against the bytes of all files. Lower left is better.";
    scatter("Size against drift", caption, ("size, MiB", "KLD mean, nats a token"), &points)
}

fn mean_drift(reports: &[Report]) -> String {
    let limit = |r: &Report| r.gates.as_ref()?.gates.iter().find(|g| g.name == "kld_mean_max")?.limit;
    let list: Vec<Bar> = drifting(reports)
        .map(|(series, report, kld, value)| Bar {
            label: short(report, reports),
            value,
            whisker: whisker(kld),
            dots: report.drift.iter().flat_map(|d| d.per_window.iter().flatten()).map(|w| w.kld).collect(),
            text: format!("{} ({})", significant(value, 3), interval(&kld.mean, 3)),
            series,
            limit: limit(report),
        })
        .collect();
    if list.is_empty() {
        return String::new();
    }
    let caption = "Bars are means over all scored tokens, whiskers 95 % intervals over windows; a dashed line is \
                   the gate's limit where it is near.";
    bars("Drift", caption, "KLD mean, nats a token", &list)
}

/// Share of tokens above each quantile.
fn distribution(reports: &[Report]) -> String {
    let list: Vec<Curve> = drifting(reports)
        .map(|(series, report, kld, _)| {
            let last = 1.0 / kld.tokens.max(1) as f64;
            let quantiles =
                [(kld.p50, 0.5), (kld.p90, 0.1), (kld.p95, 0.05), (kld.p99, 0.01), (kld.p999, 0.001), (kld.max, last)];
            let points = quantiles.into_iter().filter_map(|(at, share)| Some((at.filter(|v| *v > 0.0)?, share)));
            // With few tokens the rarest quantile lies beyond the largest value.
            let points = points.filter(|(_, share)| *share >= last).collect();
            Curve { label: short(report, reports), points, series }
        })
        .collect();
    if list.iter().all(|c| c.points.is_empty()) {
        return String::new();
    }
    let caption = "How many tokens diverge more than so many nats: points are the median, p90, p95, p99, p99.9 and the \
                   largest. A line further left is better; its right end is the tail.";
    curves("Distribution of drift", caption, ("KLD of a token, nats", "share of tokens above"), &list)
}

fn times(reports: &[Report]) -> String {
    let bar = |series: usize, report: &Report, t: &Timing| Bar {
        label: short(report, reports),
        value: t.mean_ms,
        whisker: Some(((t.mean_ms - t.stddev_ms).max(0.0), t.mean_ms + t.stddev_ms)),
        dots: t.samples_ms.clone(),
        text: format!(
            "{} ± {} ms{}",
            significant(t.mean_ms, 3),
            significant(t.stddev_ms, 2),
            if t.noisy { " noisy" } else { "" }
        ),
        series,
        limit: None,
    };
    let timed = || reports.iter().enumerate().filter_map(|(i, r)| Some((i, r, r.latency.as_ref()?)));
    let Some((_, _, first)) = timed().next() else { return String::new() };
    let machine = format!(
        "Bars are means, whiskers ± one standard deviation, dots the repetitions. Rung {}, {} threads.",
        first.rung, first.threads
    );
    let decode: Vec<Bar> = timed().map(|(i, r, l)| bar(i, r, &l.decode.per_token)).collect();
    let mut out = bars("Decode", &machine, "ms a token", &decode);
    // Only prompts of one length are comparable: the length that most were timed with.
    let with = |tokens: usize| {
        timed().filter_map(move |(i, r, l)| Some((i, r, l.prefill.iter().find(|p| p.tokens == tokens)?)))
    };
    let lengths = timed().flat_map(|(_, _, l)| l.prefill.iter().map(|p| p.tokens));
    if let Some(tokens) = lengths.max_by_key(|tokens| (with(*tokens).count(), *tokens)) {
        let prefill: Vec<Bar> = with(tokens).map(|(i, r, p)| bar(i, r, &p.time)).collect();
        out += &bars(&format!("Prefill of {tokens} tokens"), &machine, "ms", &prefill);
    }
    out
}
