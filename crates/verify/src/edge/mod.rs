//! The edge suite: what a device does to an artifact, a row each with a figure and a verdict.
//!
//! Rows about predictions ([`robustness`], [`consistency`]) are measured on an executor of this process. Rows about
//! limits (memory, a share of the processor, no network) are measured in processes of their own ([`child`]) that limit
//! themselves ([`confined`]) before they open the artifact, so that what they took is the artifact's and nothing else's.

pub mod child;
mod confined;
pub mod consistency;
mod guard;
mod latency;
pub mod limits;
pub mod robustness;

pub use confined::{Bounds, Confined, Sockets, run};
pub use guard::end_with_parent;
pub use latency::{Budget, rows as latency_rows};

use crate::{Drift, GateReport, Verdict};
use serde::Serialize;
use std::fmt;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Family {
    Latency,
    Memory,
    Accuracy,
    Robustness,
    Consistency,
    Constrained,
    Offline,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Latency => "latency",
            Self::Memory => "memory",
            Self::Accuracy => "accuracy",
            Self::Robustness => "robustness",
            Self::Consistency => "consistency",
            Self::Constrained => "constrained",
            Self::Offline => "offline",
        })
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What it is about.
    pub family: Family,
    /// Which of the family, in a few words; with the family and the target unique in a report.
    pub name: String,
    /// The target whose limit is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The figure that is judged.
    pub value: Option<f64>,
    /// Its unit, empty for a count or a ratio.
    pub unit: &'static str,
    /// Its limit, the largest that passes; for counts of cases that hold, all of them.
    pub limit: Option<f64>,
    /// The figure in words.
    pub figure: String,
    /// The verdict; `None` for a figure without a limit.
    pub verdict: Option<Verdict>,
    /// How it was measured, and what to know about it.
    pub method: String,
}

impl Row {
    /// A row without figure and verdict yet.
    #[must_use]
    pub fn new(family: Family, name: impl Into<String>) -> Self {
        Self {
            family,
            name: name.into(),
            target: None,
            value: None,
            unit: "",
            limit: None,
            figure: String::new(),
            verdict: None,
            method: String::new(),
        }
    }

    /// How it is called in one word after another: `memory: resident peak (iot-small)`.
    #[must_use]
    pub fn title(&self) -> String {
        let target = self.target.as_ref().map(|t| format!(" ({t})")).unwrap_or_default();
        format!("{}: {}{target}", self.family, self.name)
    }
}

/// All rows of an artifact.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EdgeReport {
    /// The rows, family by family.
    pub rows: Vec<Row>,
    /// The runs in processes of their own that rows rest on.
    pub runs: Vec<child::ChildRun>,
}

impl EdgeReport {
    /// The rows that fail.
    pub fn failures(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|r| r.verdict == Some(Verdict::Fail))
    }
}

/// Drift by the verdict of all gates, those of `target` if they are.
#[must_use]
pub fn accuracy(drift: &Drift, gates: &GateReport, target: Option<&str>) -> Row {
    let mut row = Row::new(Family::Accuracy, "drift gates");
    row.target = target.map(str::to_owned);
    row.value = Some(drift.kld.mean.value).filter(|v| v.is_finite());
    row.unit = "nats";
    row.limit = gates.gates.iter().find(|g| g.name == "kld_mean_max").and_then(|g| g.limit);
    row.figure = format!(
        "KLD {:.5} nats, same top {:.2} %",
        row.value.unwrap_or(f64::NAN),
        100.0 * drift.agreement.same_top.value
    );
    let failed: Vec<&str> =
        gates.gates.iter().filter(|g| g.verdict == Verdict::Fail).map(|g| g.name.as_str()).collect();
    if !failed.is_empty() {
        row.figure += &format!("; {}", failed.join(", "));
    }
    row.verdict = Some(gates.verdict);
    row.method = format!("all gates of {} for {}, by confidence bounds", gates.source, gates.class);
    row
}

/// Bytes in MiB with one decimal.
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
