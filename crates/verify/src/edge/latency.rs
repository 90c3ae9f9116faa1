//! Rows about time, from the latency part of a report.

use super::{Family, Row};
use crate::latency::{LatencyReport, Prefill};
use crate::{Verdict, stats};

/// A latency budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// Whose.
    pub target: String,
    /// To the first token of a prompt of [`Budget::PROMPT`] tokens, ms.
    pub first_token_ms: f64,
    /// A decoded token, ms.
    pub decode_ms: f64,
    /// Whether this machine is the device, so that its times may be judged.
    pub judged: bool,
}

impl Budget {
    /// Tokens of the prompt that `first_token_ms` is about.
    pub const PROMPT: usize = 512;
}

/// Prefill and decode by their median and 95th percentile, against `budget` if there is one.
///
/// A budget is kept when 95 % of the samples keep it and broken when half of them break it; in between nothing is
/// proven.
#[must_use]
pub fn rows(report: &LatencyReport, budget: Option<&Budget>) -> Vec<Row> {
    let prefill = report.prefill.last().map(|p| first_token(p, budget));
    let d = &report.decode;
    let limit = budget.map(|b| b.decode_ms);
    let mut decode = timed("decode, a token", (d.token_p50_ms, d.token_p95_ms), limit, budget);
    decode.method = format!("{} tokens after {}, {}", d.tokens, d.depth, decode.method);
    let machine = format!("{} repetitions, {} kernels, {} threads", report.repetitions, report.rung, report.threads);
    let mut all: Vec<Row> = prefill.into_iter().chain([decode]).collect();
    all.iter_mut().for_each(|r| r.method = format!("{}{machine}", r.method));
    all
}

fn first_token(p: &Prefill, budget: Option<&Budget>) -> Row {
    let order = stats::sorted(&p.first_token.samples_ms);
    let quantiles = (stats::quantile(&order, 0.5), stats::quantile(&order, 0.95));
    let limit = budget.map(|b| b.first_token_ms);
    let mut row = timed(&format!("prefill {} to the first token", p.tokens), quantiles, limit, budget);
    if row.verdict == Some(Verdict::Pass) && p.tokens < Budget::PROMPT {
        row.verdict = Some(Verdict::Inconclusive);
        row.method += &format!("the budget is for {} tokens; ", Budget::PROMPT);
    }
    row
}

fn timed(name: &str, (p50, p95): (f64, f64), limit: Option<f64>, budget: Option<&Budget>) -> Row {
    let mut row = Row::new(Family::Latency, name);
    row.unit = "ms";
    row.value = Some(p95).filter(|v| v.is_finite());
    row.limit = limit;
    row.target = budget.map(|b| b.target.clone());
    row.figure = format!("p50 {p50:.2}, p95 {p95:.2} ms");
    match budget {
        Some(b) if !b.judged => row.method = format!("not judged: this machine is not {}; ", b.target),
        Some(_) => row.verdict = limit.map(|limit| verdict(limit, p50, p95)),
        None => {}
    }
    row
}

fn verdict(limit: f64, p50: f64, p95: f64) -> Verdict {
    if p50.is_nan() || p50 > limit {
        Verdict::Fail
    } else if p95 <= limit {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_must_break_it_and_nearly_all_must_keep_it() {
        for (limit, expected) in [(1.0, Verdict::Fail), (2.5, Verdict::Inconclusive), (4.0, Verdict::Pass)] {
            assert_eq!(verdict(limit, 2.0, 3.0), expected, "{limit}");
        }
        assert_eq!(verdict(1.0, f64::NAN, f64::NAN), Verdict::Fail);
    }
}
