//! Two runs side by side. Where both scored the same tokens, windows are resampled together, so what makes a text hard
//! for both cancels; a regression is judged by the end of the interval.

use crate::view::{Timing, View, WindowMeans};
use crate::{Report, Verdict};
use lfmq_verify::stats::bootstrap;
use serde::Serialize;

/// What a run may be worse by before it is a regression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowed {
    /// Growth of the mean KL divergence and of its 99th percentile, as a share.
    pub kld: f64,
    /// Growth of the perplexity ratio, as a share.
    pub perplexity: f64,
    /// Loss of same-top share and of router agreement.
    pub agreement: f64,
    /// Loss of a task's score, 0 to 1.
    pub task: f64,
    /// Growth of the files, as a share.
    pub bytes: f64,
    /// Growth of times, as a share.
    pub time: f64,
}

impl Default for Allowed {
    /// A tenth of the drift, half a percent of perplexity, half a point of agreement, two points of a task's score, a
    /// percent of bytes, and a tenth of the time, which is what a quiet machine repeats to.
    fn default() -> Self {
        Self { kld: 0.1, perplexity: 0.005, agreement: 0.005, task: 0.02, bytes: 0.01, time: 0.1 }
    }
}

/// One figure of both runs. `change` is positive where the current run is worse.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What, e.g. `KLD mean`.
    pub metric: String,
    /// Unit of `baseline` and `current`; empty for shares and ratios.
    pub unit: &'static str,
    /// The figure of the baseline.
    pub baseline: f64,
    /// The figure of the current run.
    pub current: f64,
    /// How much worse the current run is: as a share of the baseline if `relative`, else in its own unit.
    pub change: Option<f64>,
    /// Lower end of the 95 % interval of `change`.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Whether `change` is a share of the baseline.
    pub relative: bool,
    /// The largest change that is no regression.
    pub allowed: f64,
    /// Whether both were measured on the same tokens, window by window.
    pub paired: bool,
    /// The verdict.
    pub verdict: Verdict,
    /// What to know about it.
    pub note: Option<String>,
}

/// All figures of two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The baseline's artifact.
    pub baseline: String,
    /// The current run's artifact.
    pub current: String,
    /// Whether both are the same files.
    pub same_artifact: bool,
    /// FAIL if any figure fails, else INCONCLUSIVE if any is, else PASS.
    pub verdict: Verdict,
    /// The figures.
    pub findings: Vec<Finding>,
}

/// Compares `current` with `baseline`.
#[must_use]
pub fn compare(baseline: &Report, current: &Report, allowed: &Allowed) -> Comparison {
    let mut findings = drift(baseline, current, allowed);
    findings.extend(tasks(baseline, current, allowed));
    findings.push(bytes(baseline, current, allowed));
    findings.extend(latency(baseline, current, allowed));
    let files = |r: &View| r.artifact.files.iter().map(|f| f.sha256.clone()).collect::<Vec<_>>();
    Comparison {
        baseline: baseline.artifact.name.clone(),
        current: current.artifact.name.clone(),
        same_artifact: !files(baseline).is_empty() && files(baseline) == files(current),
        verdict: Verdict::overall(findings.iter().map(|f| f.verdict)),
        findings,
    }
}

/// A change with its interval; infinite ends where nothing is known.
#[derive(Clone, Copy)]
struct Change {
    value: f64,
    low: f64,
    high: f64,
}

impl Change {
    const fn exact(value: f64) -> Self {
        Self { value, low: value, high: value }
    }

    const fn unknown(value: f64) -> Self {
        Self { value, low: f64::NEG_INFINITY, high: f64::INFINITY }
    }
}

/// Name, unit, figures and bar of a finding.
struct Figure<'a> {
    metric: &'a str,
    unit: &'static str,
    baseline: f64,
    current: f64,
    allowed: f64,
    relative: bool,
}

impl Figure<'_> {
    fn judge(self, change: Change, paired: bool, note: Option<String>) -> Finding {
        let finite = |v: f64| v.is_finite().then_some(v);
        Finding {
            metric: self.metric.to_owned(),
            unit: self.unit,
            baseline: self.baseline,
            current: self.current,
            change: finite(change.value),
            low: finite(change.low),
            high: finite(change.high),
            relative: self.relative,
            allowed: self.allowed,
            paired,
            verdict: Verdict::below(self.allowed, change.low, change.high),
            note,
        }
    }

    fn not_measured(self, note: &str) -> Finding {
        let unknown = self.judge(Change::unknown(f64::NAN), false, Some(note.to_owned()));
        Finding { verdict: Verdict::NotMeasured, ..unknown }
    }
}

/// How much larger `current` is, as a share of `baseline`. From nothing to something is infinitely worse.
fn growth(baseline: f64, current: f64) -> f64 {
    if baseline == current { 0.0 } else { current / baseline - 1.0 }
}

/// One figure of a drift: what it is, its interval, and how it follows from the means of windows.
struct Measure {
    metric: &'static str,
    unit: &'static str,
    allowed: f64,
    relative: bool,
    /// Value, low, high of one run.
    of: fn(&View) -> Option<(f64, f64, f64)>,
    /// The change from the means of the resampled windows of both.
    change: Option<fn(&Sums, &Sums) -> f64>,
}

/// Means over windows.
#[derive(Default)]
struct Sums {
    kld: f64,
    nll: f64,
    nll_base: f64,
    same_top: f64,
}

impl Sums {
    fn of(windows: &[WindowMeans], draw: &[usize]) -> Self {
        let n = draw.len().max(1) as f64;
        let mut sums = Self::default();
        for window in draw.iter().filter_map(|i| windows.get(*i)) {
            sums.kld += window.kld / n;
            sums.nll += window.nll / n;
            sums.nll_base += window.nll_base / n;
            sums.same_top += window.same_top / n;
        }
        sums
    }
}

fn open(e: &crate::view::Estimate) -> Option<(f64, f64, f64)> {
    Some((e.value?, e.low.unwrap_or(f64::NEG_INFINITY), e.high.unwrap_or(f64::INFINITY)))
}

fn measures(allowed: &Allowed) -> [Measure; 5] {
    [
        Measure {
            metric: "KLD mean",
            unit: "nats",
            allowed: allowed.kld,
            relative: true,
            of: |r| open(&r.drift.as_ref()?.kld.mean),
            change: Some(|b, c| growth(b.kld, c.kld)),
        },
        Measure {
            metric: "KLD p99",
            unit: "nats",
            allowed: allowed.kld,
            relative: true,
            of: |r| {
                let k = &r.drift.as_ref()?.kld;
                let (low, high) = k.p99_interval;
                Some((k.p99?, low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY)))
            },
            change: None,
        },
        Measure {
            metric: "perplexity ratio",
            unit: "",
            allowed: allowed.perplexity,
            relative: true,
            of: |r| open(&r.drift.as_ref()?.perplexity.ratio),
            change: Some(|b, c| ((c.nll - c.nll_base) - (b.nll - b.nll_base)).exp() - 1.0),
        },
        Measure {
            metric: "same top token",
            unit: "",
            allowed: allowed.agreement,
            relative: false,
            of: |r| open(&r.drift.as_ref()?.agreement.same_top),
            change: Some(|b, c| b.same_top - c.same_top),
        },
        Measure {
            metric: "experts in common",
            unit: "",
            allowed: allowed.agreement,
            relative: false,
            of: |r| open(&r.drift.as_ref()?.router.as_ref()?.overlap),
            change: None,
        },
    ]
}

fn drift(baseline: &View, current: &View, allowed: &Allowed) -> Vec<Finding> {
    let same_tokens = baseline.text.is_some() && baseline.text == current.text;
    let windows = |r: &View| r.drift.as_ref().and_then(|d| d.per_window.clone()).unwrap_or_default();
    let (before, after) = (windows(baseline), windows(current));
    let pair = same_tokens && !before.is_empty() && before.len() == after.len();
    let mut findings = Vec::new();
    for measure in measures(allowed) {
        let (Some(b), Some(c)) = ((measure.of)(baseline), (measure.of)(current)) else { continue };
        let Measure { metric, unit, allowed, relative, .. } = measure;
        let figure = Figure { metric, unit, baseline: b.0, current: c.0, allowed, relative };
        let finding = match measure.change {
            _ if !same_tokens => figure.judge(apart(b, c, relative), false, Some("on different texts".into())),
            Some(change) if pair => figure.judge(paired(&before, &after, change), true, None),
            _ if b == c => figure.judge(Change::exact(0.0), false, None),
            _ => figure.judge(apart(b, c, relative), false, Some("intervals of both runs, not paired".into())),
        };
        findings.push(finding);
    }
    findings
}

/// Cluster bootstrap over windows that both runs scored.
fn paired(before: &[WindowMeans], after: &[WindowMeans], change: fn(&Sums, &Sums) -> f64) -> Change {
    let of = |draw: &[usize]| change(&Sums::of(before, draw), &Sums::of(after, draw));
    let all: Vec<usize> = (0..before.len()).collect();
    let value = of(&all);
    let (low, high) = bootstrap(before.len(), of);
    // Equal runs are equal in every resample, whatever rounding says.
    if before == after { Change::exact(0.0) } else { Change { value, low, high } }
}

/// The change of two figures that were not measured together: its interval reaches from one end of one to the other end
/// of the other, which is too wide rather than too narrow.
fn apart(b: (f64, f64, f64), c: (f64, f64, f64), relative: bool) -> Change {
    if relative {
        let least = growth(b.2, c.1.max(0.0));
        let most = if b.1 > 0.0 { growth(b.1, c.2) } else { f64::INFINITY };
        let low = if b.2.is_finite() { least } else { f64::NEG_INFINITY };
        Change { value: growth(b.0, c.0), low, high: most }
    } else {
        Change { value: b.0 - c.0, low: b.1 - c.2, high: b.2 - c.1 }
    }
}

fn tasks(baseline: &View, current: &View, allowed: &Allowed) -> Vec<Finding> {
    let before = baseline.tasks.as_deref().unwrap_or_default();
    let of = |task: &crate::view::Task| {
        let was = before.iter().find(|t| t.task == task.task && t.tasks == task.tasks)?;
        let (b, c) = (was.candidate.main().0, task.candidate.main().0);
        let metric = format!("task {}", task.task);
        let figure =
            Figure { metric: &metric, unit: "", baseline: b, current: c, allowed: allowed.task, relative: false };
        let drops = |t: &crate::view::Task| Some((t.drop?, t.drop_interval.0?, t.drop_interval.1?));
        Some(match (drops(was), drops(task)) {
            (Some(w), Some(t)) if w == t && b == c => figure.judge(Change::exact(0.0), false, None),
            // Drops, not scores: more drop is worse, so the sides change.
            (Some(w), Some(t)) => figure.judge(apart(t, w, false), false, Some("not paired".into())),
            _ => figure.judge(Change::unknown(b - c), false, Some("a single item has no interval".into())),
        })
    };
    current.tasks.iter().flatten().filter_map(of).collect()
}

fn bytes(baseline: &View, current: &View, allowed: &Allowed) -> Finding {
    let (b, c) = (baseline.artifact.bytes as f64, current.artifact.bytes as f64);
    let figure = Figure {
        metric: "artifact size",
        unit: "bytes",
        baseline: b,
        current: c,
        allowed: allowed.bytes,
        relative: true,
    };
    figure.judge(Change::exact(growth(b, c)), false, None)
}

fn latency(baseline: &View, current: &View, allowed: &Allowed) -> Vec<Finding> {
    let (Some(b), Some(c)) = (&baseline.latency, &current.latency) else { return Vec::new() };
    let same_machine = b.rung == c.rung && b.threads == c.threads;
    let mut pairs = Vec::new();
    for p in &c.prefill {
        if let Some(was) = b.prefill.iter().find(|q| q.tokens == p.tokens) {
            pairs.push((format!("prefill {} tokens", p.tokens), &was.time, &p.time));
        }
    }
    if b.decode.depth == c.decode.depth {
        pairs.push(("decode, per token".into(), &b.decode.per_token, &c.decode.per_token));
    }
    if pairs.is_empty() {
        let (was, now) = (&b.decode.per_token, &c.decode.per_token);
        let metric = "decode, per token";
        let (baseline, current, allowed) = (was.mean_ms, now.mean_ms, allowed.time);
        let figure = Figure { metric, unit: "ms", baseline, current, allowed, relative: true };
        return vec![figure.not_measured("timed at other lengths")];
    }
    let one = |(metric, was, now): (String, &Timing, &Timing)| {
        let (baseline, current, allowed) = (was.mean_ms, now.mean_ms, allowed.time);
        let figure = Figure { metric: &metric, unit: "ms", baseline, current, allowed, relative: true };
        if same_machine {
            let note = (was.noisy || now.noisy).then(|| "noisy".to_owned());
            figure.judge(times(&was.samples_ms, &now.samples_ms), false, note)
        } else {
            figure.not_measured("another rung or thread count")
        }
    };
    pairs.into_iter().map(one).collect()
}

/// Growth of a mean time, both samples resampled.
fn times(before: &[f64], after: &[f64]) -> Change {
    let mean = |samples: &[f64], draw: &mut dyn Iterator<Item = usize>| {
        let (mut sum, mut n) = (0.0, 0.0_f64);
        for sample in draw.filter_map(|i| samples.get(i)) {
            sum += sample;
            n += 1.0;
        }
        sum / n.max(1.0)
    };
    let value = growth(mean(before, &mut (0..before.len())), mean(after, &mut (0..after.len())));
    if before == after {
        return Change::exact(0.0);
    }
    if before.len() < 2 || after.len() < 2 {
        return Change::unknown(value);
    }
    // One draw indexes both samples: the first indices stand for the baseline, the rest for the current run.
    let n = before.len() + after.len();
    let (low, high) = bootstrap(n, |draw| {
        let (b, c) = draw.split_at(before.len());
        growth(
            mean(before, &mut b.iter().map(|i| i * before.len() / n)),
            mean(after, &mut c.iter().map(|i| i * after.len() / n)),
        )
    });
    Change { value, low, high }
}
