//! Puts the shards of one run together: the windows of all, in the order of the text, through the very functions that
//! sum up a run in one piece.

use crate::view::{Gate, Verdict, WindowDetail};
use crate::{Report, ReportError};
use lfmq_verify::Drift;
use lfmq_verify::metrics::{RouterTally, Scores, TokenScore};
use serde_json::{Value, json};

/// Parts of a report that do not depend on the windows: the first shard that has them gives them.
const ONCE: [&str; 7] = ["weights", "spec", "graph", "layers", "tasks", "latency", "edge"];

/// Merges `shards` into the report of the whole run. What is not about the windows (weights, tasks, greedy runs,
/// latency) comes from the first shard that measured it.
///
/// # Errors
/// Shards without scores by token, of different artifacts or texts, or that do not cover every window exactly once.
pub fn merge(shards: &[Report]) -> Result<Value, ReportError> {
    let Some(first) = shards.first() else {
        return Err(ReportError::Unmergeable { name: "the list".into(), why: "it is empty".into() });
    };
    for shard in shards {
        belongs(first, shard)?;
    }
    let windows = all_windows(shards)?;

    let mut merged = first.raw.clone();
    let Some(report) = merged.as_object_mut() else {
        return Err(ReportError::NoReport { name: first.name.clone(), why: "it is not an object".into() });
    };
    report.remove("shard");
    report.remove("detail");
    for part in ONCE {
        if let Some(found) = shards.iter().filter_map(|s| s.raw.get(part)).find(|v| !v.is_null()) {
            report.insert(part.into(), found.clone());
        }
    }
    let greedy = shards.iter().filter_map(|s| s.raw.pointer("/drift/greedy")).find(|v| !v.is_null());
    let context = first.drift.as_ref().map_or(0, |d| d.context);
    report.insert("drift".into(), drift(context, &windows, greedy));
    let gates = judge(shards, report.get("drift").unwrap_or(&Value::Null));
    report.insert("gates".into(), gates);
    Ok(merged)
}

/// Whether `shard` measured what `first` did.
fn belongs(first: &Report, shard: &Report) -> Result<(), ReportError> {
    let digest = |r: &Report| r.artifact.files.iter().map(|f| f.sha256.as_str()).collect::<Vec<_>>().join(" ");
    let text = |r: &Report| r.text.as_ref().map_or_else(String::new, |t| format!("{t:?}"));
    let pairs: [(&'static str, String, String); 6] = [
        ("artifact", first.artifact.name.clone(), shard.artifact.name.clone()),
        ("artifact digest", digest(first), digest(shard)),
        ("checkpoint", first.checkpoint.clone(), shard.checkpoint.clone()),
        ("text", text(first), text(shard)),
        ("activation arithmetic", first.candidate.activation.clone(), shard.candidate.activation.clone()),
        ("program", first.tool.clone(), shard.tool.clone()),
    ];
    for (what, expected, found) in pairs {
        if expected != found {
            let (name, first) = (shard.name.clone(), first.name.clone());
            return Err(ReportError::Mixed { name, first, what, expected, found });
        }
    }
    let unmergeable = |why: &str| Err(ReportError::Unmergeable { name: shard.name.clone(), why: why.into() });
    if shard.text.is_none() || shard.drift.is_none() {
        return unmergeable("it measured no drift");
    }
    if shard.llama_compatible.as_ref().is_some_and(|v| !v.is_null()) {
        return unmergeable("llama.cpp's figures cannot be put together from parts");
    }
    if shard.detail.is_none() {
        return unmergeable("it has no scores by token (`detail`)");
    }
    Ok(())
}

/// The windows of all shards in the order of the text, each exactly once and all of one shape.
fn all_windows(shards: &[Report]) -> Result<Vec<&WindowDetail>, ReportError> {
    let count = shards.iter().find_map(|s| s.text.as_ref()).map_or(0, |t| t.windows);
    let mut times = vec![0_usize; count];
    let mut windows = Vec::with_capacity(count);
    for shard in shards {
        for window in shard.detail.iter().flatten() {
            let n = window.kld.len();
            let columns = [window.targets.len(), window.nll.len(), window.nll_base.len(), window.margin.len()];
            let bad = |why: String| Err(ReportError::Unmergeable { name: shard.name.clone(), why });
            if columns.iter().any(|c| *c != n) || window.same_top.len() != n {
                return bad(format!("the columns of window {} have different lengths", window.window));
            }
            if shard.drift.as_ref().is_some_and(|d| d.scored != n) {
                return bad(format!("window {} has {n} scored tokens instead of those of the others", window.window));
            }
            match times.get_mut(window.window) {
                Some(seen) => *seen += 1,
                None => return bad(format!("window {} is outside the text's {count}", window.window)),
            }
            windows.push(window);
        }
    }
    if let Some((window, times)) = times.iter().enumerate().find(|(_, times)| **times != 1) {
        return Err(ReportError::Coverage { window, windows: count, times: *times });
    }
    windows.sort_by_key(|w| w.window);
    Ok(windows)
}

fn scores(windows: &[&WindowDetail]) -> Scores {
    let mut scores = Scores {
        per_window: windows.first().map_or(0, |w| w.kld.len()),
        first: windows.first().map_or(0, |w| w.first),
        ..Scores::default()
    };
    for window in windows {
        scores.targets.extend(&window.targets);
        let columns =
            window.kld.iter().zip(&window.nll_base).zip(&window.nll).zip(&window.margin).zip(&window.same_top);
        scores.tokens.extend(columns.map(|((((kld, nll_base), nll), margin), same_top)| TokenScore {
            kld: *kld,
            nll_base: *nll_base,
            nll: *nll,
            same_top: *same_top,
            margin: *margin,
        }));
    }
    scores
}

/// The drift of all windows.
fn drift(context: usize, windows: &[&WindowDetail], greedy: Option<&Value>) -> Value {
    let mut tally = RouterTally::default();
    windows.iter().filter(|w| !w.routes.is_empty()).for_each(|w| tally.push_window(w.routes.clone()));
    let mut value = json!(Drift::of(&scores(windows), context, tally.finish()));
    if let Some(greedy) = greedy {
        value["greedy"] = greedy.clone();
    }
    value
}

/// The verdicts of the whole: limits on drift judged again on the merged figures, all others as the shard that measured
/// them judged.
fn judge(shards: &[Report], drift: &Value) -> Value {
    let judged = shards.iter().filter_map(|s| s.gates.as_ref());
    let Some(like) = judged.clone().max_by_key(|g| g.gates.len()) else { return Value::Null };
    let one = |gate: &Gate| {
        if let Some(again) = judge_drift(gate, drift) {
            return again;
        }
        let measured = |g: &&Gate| g.name == gate.name && g.verdict != Verdict::NotMeasured;
        judged.clone().flat_map(|g| &g.gates).find(measured).unwrap_or(gate).clone()
    };
    let gates: Vec<Gate> = like.gates.iter().map(one).collect();
    let verdict = Verdict::overall(gates.iter().map(|g| g.verdict));
    // A shard that was inconclusive itself tells what that means for the exit code; the default is that it holds.
    let lenient = judged.clone().find(|g| g.verdict == Verdict::Inconclusive).is_none_or(|g| g.holds);
    let holds = verdict == Verdict::Pass || verdict == Verdict::Inconclusive && lenient;
    let gates: Vec<Value> = gates.iter().map(gate_value).collect();
    json!({ "class": like.class, "source": like.source, "verdict": verdict, "holds": holds, "gates": gates })
}

fn gate_value(g: &Gate) -> Value {
    json!({
        "name": g.name, "limit": g.limit, "value": g.value, "bound": g.bound, "verdict": g.verdict, "note": g.note,
    })
}

/// A limit on merged drift; `None` for a gate on something else. Follows `lfmq_verify::gates`.
fn judge_drift(gate: &Gate, drift: &Value) -> Option<Gate> {
    let (place, below) = match gate.name.as_str() {
        "kld_mean_max" => ("/kld/mean", true),
        "kld_p99_max" => ("/kld", true),
        "ppl_ratio_max" => ("/perplexity/ratio", true),
        "same_top_min" => ("/agreement/same_top", false),
        "router_agreement_min" => ("/router/overlap", false),
        _ => return None,
    };
    let (limit, found) = (gate.limit?, drift.pointer(place)?);
    let number = |pointer: &str| found.pointer(pointer).and_then(Value::as_f64);
    let p99 = place == "/kld";
    let value = number(if p99 { "/p99" } else { "/value" });
    let low = number(if p99 { "/p99_interval/0" } else { "/low" });
    let high = number(if p99 { "/p99_interval/1" } else { "/high" });
    // `null` is an end at infinity; it proves nothing, in either direction.
    let (best, worst) = if below { (low, high) } else { (high, low) };
    let within = |v: f64| if below { v <= limit } else { v >= limit };
    let verdict = match (value, best, worst) {
        (None, ..) => Verdict::Fail,
        (_, Some(best), _) if !within(best) => Verdict::Fail,
        (_, _, Some(worst)) if within(worst) => Verdict::Pass,
        _ => Verdict::Inconclusive,
    };
    let note = worst.is_none().then(|| "a single sample has no confidence interval".to_owned());
    Some(Gate { name: gate.name.clone(), limit: gate.limit, value, bound: worst, verdict, note })
}

/// Puts together what belongs together: the shards of each artifact are merged, whole reports stay as they are, in the
/// order in which each artifact comes first.
///
/// # Errors
/// As [`merge`].
pub fn merge_all(reports: Vec<Report>) -> Result<Vec<Report>, ReportError> {
    let is_part = |r: &Report| r.shard.is_some_and(|s| s.of > 1);
    let mut groups: Vec<Vec<Report>> = Vec::new();
    for report in reports {
        let open = groups.iter_mut().find(|g| {
            g.first().is_some_and(|first| is_part(first) && is_part(&report) && belongs(first, &report).is_ok())
        });
        match open {
            Some(group) => group.push(report),
            None => groups.push(vec![report]),
        }
    }
    let one = |mut group: Vec<Report>| {
        if !group.iter().any(is_part) {
            return group.pop().ok_or_else(|| unreadable("the list"));
        }
        let name = group.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join(" + ");
        Report::new(&name, merge(&group)?)
    };
    groups.into_iter().map(one).collect()
}

fn unreadable(name: &str) -> ReportError {
    ReportError::Unmergeable { name: name.to_owned(), why: "it is empty".into() }
}
