//! What of a report travels with the artifact: figures that are the same on every machine, so no times and no memory.

use crate::Verdict;
use crate::view::{Gate, View};
use serde_json::{Value, json};

/// Gates about the machine that measured, not about the artifact.
const OF_THE_MACHINE: [&str; 3] = ["decode_ms_max", "first_token_ms_max", "peak_mib_max"];

/// The drift of an artifact in short, for its manifest.
#[must_use]
pub fn drift_summary(report: &View) -> Value {
    let gates: Vec<&Gate> = lasting(report).collect();
    let failed: Vec<&str> = gates.iter().filter(|g| g.verdict == Verdict::Fail).map(|g| g.name.as_str()).collect();
    let drift = report.drift.as_ref();
    let tasks = report.tasks.iter().flatten().map(|t| {
        let ((checkpoint, score), (artifact, _)) = (t.yardstick.main(), t.candidate.main());
        json!({ "task": t.task, "items": t.tasks, "score": score, "checkpoint": checkpoint, "artifact": artifact })
    });
    json!({
        "verdict": verdict(report),
        "class": report.gates.as_ref().map(|g| g.class.as_str()),
        "failed": failed,
        "targets": report.targets.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(),
        "activation": report.candidate.activation,
        "text": report.text.as_ref().map(|t| json!({
            "name": t.name, "sha256": t.sha256, "windows": t.windows, "context": t.context, "scored": t.scored,
        })),
        "kld_mean": drift.map(|d| json!({ "value": d.kld.mean.value, "low": d.kld.mean.low, "high": d.kld.mean.high })),
        "kld_p99": drift.map(|d| d.kld.p99),
        "kld_max": drift.map(|d| d.kld.max),
        "ppl_ratio": drift.map(|d| d.perplexity.ratio.value),
        "same_top": drift.map(|d| d.agreement.same_top.value),
        "router_overlap": drift.and_then(|d| d.router.as_ref()).map(|r| r.overlap.value),
        "weights": report.weights.as_ref().map(|w| json!({
            "exact": w.exact, "differs": w.differs, "not_replayed": w.not_replayed,
        })),
        "tasks": tasks.collect::<Vec<_>>(),
    })
}

/// The verdict on what lasts.
pub(crate) fn verdict(report: &View) -> Verdict {
    if report.gates.is_none() { Verdict::NotMeasured } else { Verdict::overall(lasting(report).map(|g| g.verdict)) }
}

/// The gates that say the same on every machine.
pub(crate) fn lasting(report: &View) -> impl Iterator<Item = &Gate> {
    let gates = report.gates.iter().flat_map(|g| &g.gates);
    gates.filter(|g| !OF_THE_MACHINE.contains(&g.name.as_str()))
}
