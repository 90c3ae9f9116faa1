use super::{BitsClass, GateFile, GateReport, GateResult, Inconclusive, Limits, Verdict, WeightPolicy};
use crate::stats::Estimate;
use crate::weights::ReplayVerdict;
use crate::{Drift, DriftReport, GraphReport, LatencyReport, OracleReport, TaskComparison, WeightReport};
use lfmq_core::StoredTensor;

/// Findings that a note spells out.
const NAMED: usize = 5;

impl GateFile {
    /// Judges `report`. `stored` are the artifact's tensors, identified, from which the class follows; where it is not
    /// known what they are, the class is taken from bits per weight of the whole.
    #[must_use]
    pub fn judge(&self, report: &DriftReport, stored: &[StoredTensor]) -> GateReport {
        let whole = || BitsClass::of_bits(report.artifact.bits_per_weight);
        let known = stored.iter().any(|t| t.id.is_some());
        self.judge_as(if known { BitsClass::of(stored) } else { whole() }, report)
    }

    /// Judges `report` by the limits of `class`.
    #[must_use]
    pub fn judge_as(&self, class: BitsClass, report: &DriftReport) -> GateReport {
        let limits = self.limits(class);
        let mut gates = vec![spec(report)];
        gates.extend(report.graph.as_ref().map(graph));
        gates.extend(weights(&limits, report.weights.as_ref()));
        // A graph does not say how many experts it has; the checkpoint does.
        let mixture = report.candidate.experts.max(report.yardstick.experts) > 0;
        gates.extend(drift(&limits, report.drift.as_ref(), mixture));
        gates.extend(report.oracle.as_ref().and_then(oracle));
        gates.extend(tasks(&limits, report.tasks.as_deref()));
        gates.extend(latency(&limits, report.latency.as_ref()));
        let verdict = overall(&gates);
        let holds =
            verdict == Verdict::Pass || (verdict == Verdict::Inconclusive && self.inconclusive == Inconclusive::Pass);
        GateReport { class, source: self.source.clone(), verdict, holds, gates }
    }
}

fn overall(gates: &[GateResult]) -> Verdict {
    let any = |v: Verdict| gates.iter().any(|g| g.verdict == v);
    if any(Verdict::Fail) {
        Verdict::Fail
    } else if any(Verdict::Inconclusive) || !any(Verdict::Pass) {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    }
}

/// Which side of a limit is good.
#[derive(Clone, Copy)]
enum Good {
    Below,
    Above,
}

/// A limit on a point with an interval; no gate without a limit.
fn gate(name: &str, limit: Option<f64>, good: Good, measured: Option<(f64, f64, f64)>) -> Option<GateResult> {
    let limit = limit?;
    let mut result = GateResult {
        name: name.to_owned(),
        limit: Some(limit),
        value: None,
        bound: None,
        verdict: Verdict::NotMeasured,
        note: None,
    };
    if let Some((value, low, high)) = measured {
        // Seen so that less is better.
        let (worst, best, bar, bound) = match good {
            Good::Below => (high, low, limit, high),
            Good::Above => (-low, -high, -limit, low),
        };
        result.value = Some(value);
        result.bound = bound.is_finite().then_some(bound);
        // NaN anywhere is no proof of anything good.
        result.verdict = if value.is_nan() || best > bar {
            Verdict::Fail
        } else if worst <= bar {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        };
        if bound.is_infinite() {
            result.note = Some("a single sample has no confidence interval".into());
        }
    }
    Some(result)
}

const fn range(e: &Estimate) -> (f64, f64, f64) {
    (e.value, e.low, e.high)
}

fn exact(name: &str, verdict: Verdict, note: Option<String>) -> GateResult {
    GateResult { name: name.to_owned(), limit: None, value: None, bound: None, verdict, note }
}

/// The first findings in one line.
fn list(findings: &[String]) -> Option<String> {
    let more = findings.len().saturating_sub(NAMED);
    let mut text = findings.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    if more > 0 {
        text += &format!("; and {more} more");
    }
    (!text.is_empty()).then_some(text)
}

fn spec(report: &DriftReport) -> GateResult {
    let Some(differences) = &report.spec else { return exact("spec", Verdict::NotMeasured, None) };
    let said: Vec<String> =
        differences.iter().map(|d| format!("`{}` is {} instead of {}", d.field, d.found, d.expected)).collect();
    exact("spec", if said.is_empty() { Verdict::Pass } else { Verdict::Fail }, list(&said))
}

fn graph(report: &GraphReport) -> GateResult {
    let verdict = if report.holds() { Verdict::Pass } else { Verdict::Fail };
    GateResult {
        name: "graph".to_owned(),
        limit: Some(report.limit),
        value: Some(report.error.max(report.error_in_pieces)),
        bound: None,
        verdict,
        note: report.finding(),
    }
}

fn oracle(report: &OracleReport) -> Option<GateResult> {
    gate("oracle", Some(report.limit), Good::Below, Some(range(&report.kld.mean)))
        .map(|g| GateResult { note: Some(format!("KLD of our executor from {}", report.runtime)), ..g })
}

fn weights(limits: &Limits, report: Option<&WeightReport>) -> Vec<GateResult> {
    let Some(policy) = limits.weights else { return Vec::new() };
    let Some(report) = report else { return vec![exact("weights", Verdict::NotMeasured, None)] };
    let findings = report.findings();
    let same_set = report.mismatches.is_empty();
    let (verdict, note) = match (&report.replay, policy) {
        _ if !same_set => (Verdict::Fail, list(&findings)),
        (ReplayVerdict::Exact, _) if report.not_replayed > 0 && policy == WeightPolicy::Replay => {
            (Verdict::Inconclusive, Some(format!("{} tensors could not be replayed", report.not_replayed)))
        }
        (ReplayVerdict::Exact, _) => (Verdict::Pass, None),
        (ReplayVerdict::Differs { .. }, WeightPolicy::Replay) => (Verdict::Fail, list(&findings)),
        (ReplayVerdict::NotReplayable { why }, WeightPolicy::Replay) => (
            Verdict::Inconclusive,
            Some(format!("{why}: made with importance weights that were not given, or by another program")),
        ),
        (_, WeightPolicy::Any) => (Verdict::Pass, None),
    };
    let noise = gate("sqnr_min_db", limits.sqnr_min_db, Good::Above, report.worst().map(|(db, _)| (db, db, db)));
    let noise = noise.map(|g| GateResult { note: report.worst().map(|(_, name)| format!("lowest: `{name}`")), ..g });
    std::iter::once(exact("weights", verdict, note)).chain(noise).collect()
}

fn drift(limits: &Limits, drift: Option<&Drift>, mixture: bool) -> Vec<GateResult> {
    let p99 = |d: &Drift| (d.kld.p99, d.kld.p99_interval.0, d.kld.p99_interval.1);
    let mut gates = vec![
        gate("kld_mean_max", limits.kld_mean_max, Good::Below, drift.map(|d| range(&d.kld.mean))),
        gate("kld_p99_max", limits.kld_p99_max, Good::Below, drift.map(p99)),
        gate("ppl_ratio_max", limits.ppl_ratio_max, Good::Below, drift.map(|d| range(&d.perplexity.ratio))),
        gate("same_top_min", limits.same_top_min, Good::Above, drift.map(|d| range(&d.agreement.same_top))),
    ];
    if mixture {
        let routed = drift.and_then(|d| d.router.as_ref()).map(|r| range(&r.overlap));
        gates.push(gate("router_agreement_min", limits.router_agreement_min, Good::Above, routed));
    }
    gates.into_iter().flatten().collect()
}

fn tasks(limits: &Limits, tasks: Option<&[TaskComparison]>) -> Vec<GateResult> {
    let Some(tasks) = tasks else {
        return gate("task_drop_max", limits.task_drop_max, Good::Below, None).into_iter().collect();
    };
    let one = |t: &TaskComparison| {
        let name = format!("task_drop_max({})", t.task);
        gate(&name, limits.task_drop_max, Good::Below, Some((t.drop, t.drop_interval.0, t.drop_interval.1)))
    };
    tasks.iter().filter_map(one).collect()
}

fn latency(limits: &Limits, report: Option<&LatencyReport>) -> Vec<GateResult> {
    let interval = |samples: &[f64]| range(&Estimate::of_clusters(samples, 1));
    let decode = report.map(|r| interval(&r.decode.per_token.samples_ms));
    let first = report.and_then(|r| r.prefill.last()).map(|p| interval(&p.first_token.samples_ms));
    let peak = report.and_then(|r| r.memory).map(|m| m.peak as f64 / f64::from(1 << 20)).map(|m| (m, m, m));
    [
        gate("decode_ms_max", limits.decode_ms_max, Good::Below, decode),
        gate("first_token_ms_max", limits.first_token_ms_max, Good::Below, first),
        gate("peak_mib_max", limits.peak_mib_max, Good::Below, peak),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_follow_the_bound_not_the_point() {
        use Verdict as V;
        let inf = f64::INFINITY;
        for (good, limit, measured, verdict) in [
            (Good::Below, 1.0, (0.5, 0.4, 0.6), V::Pass),
            (Good::Below, 1.0, (0.9, 0.7, 1.1), V::Inconclusive),
            (Good::Below, 1.0, (1.05, 0.9, 1.2), V::Inconclusive),
            (Good::Below, 1.0, (2.0, 1.5, 2.5), V::Fail),
            (Good::Below, 1.0, (0.1, -inf, inf), V::Inconclusive),
            (Good::Below, 1.0, (f64::NAN, f64::NAN, f64::NAN), V::Fail),
            (Good::Above, 0.9, (0.95, 0.92, 0.98), V::Pass),
            (Good::Above, 0.9, (0.95, 0.85, 1.0), V::Inconclusive),
            (Good::Above, 0.9, (0.5, 0.4, 0.6), V::Fail),
        ] {
            let result = gate("g", Some(limit), good, Some(measured)).unwrap();
            assert_eq!(result.verdict, verdict, "{measured:?}");
        }
        assert_eq!(gate("g", None, Good::Below, Some((0.0, 0.0, 0.0))), None);
        assert_eq!(gate("g", Some(1.0), Good::Below, None).unwrap().verdict, V::NotMeasured);
    }

    #[test]
    fn nothing_measured_is_no_pass() {
        assert_eq!(overall(&[]), Verdict::Inconclusive);
        assert_eq!(overall(&[exact("x", Verdict::NotMeasured, None)]), Verdict::Inconclusive);
        assert_eq!(overall(&[exact("x", Verdict::Pass, None), exact("y", Verdict::NotMeasured, None)]), Verdict::Pass);
        assert_eq!(overall(&[exact("x", Verdict::Fail, None), exact("y", Verdict::Inconclusive, None)]), Verdict::Fail);
    }
}
