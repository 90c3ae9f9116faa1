//! What a report says, as far as it is shown, compared or merged here. `configs/schema/drift-report.schema.json` is the
//! whole; fields that are `null` there are `None` here.

use serde::Deserialize;
use serde_json::Value;

/// A report.
#[derive(Clone, Debug, Deserialize)]
pub struct View {
    /// Version of its shape.
    pub schema_version: u32,
    /// Program that wrote it.
    pub tool: String,
    /// The artifact.
    pub artifact: Artifact,
    /// Its executor.
    pub candidate: Executor,
    /// Name of the checkpoint.
    pub checkpoint: String,
    /// The checkpoint's executor.
    pub yardstick: Executor,
    /// The text.
    pub text: Option<Text>,
    /// The stored weights.
    pub weights: Option<Weights>,
    /// The predictions.
    pub drift: Option<Drift>,
    /// The residual stream after the embedding and after each layer.
    pub layers: Option<Vec<Layer>>,
    /// Predictions by the arithmetic of `llama-perplexity`.
    pub llama_compatible: Option<Value>,
    /// Tasks.
    pub tasks: Option<Vec<Task>>,
    /// Times.
    pub latency: Option<Latency>,
    /// An implementation other than ours that took part.
    pub independent_oracle: Option<String>,
    /// Our executor against it.
    pub oracle: Option<crate::Oracle>,
    /// Verdicts.
    pub gates: Option<Gates>,
    /// What each target says.
    #[serde(default)]
    pub targets: Vec<TargetVerdict>,
    /// What a device does to it.
    pub edge: Option<crate::Edge>,
    /// Which part of the windows was scored; `None`: all.
    pub shard: Option<Shard>,
    /// Scores token by token, if asked for.
    pub detail: Option<Vec<WindowDetail>>,
}

impl View {
    /// The verdict of the gates; FAIL also where a row about devices or a target fails.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let gates = self.gates.as_ref().map_or(Verdict::NotMeasured, |g| g.verdict);
        let target = self.targets.iter().any(|t| t.verdict == Verdict::Fail);
        if target || self.edge.as_ref().is_some_and(crate::Edge::fails) { Verdict::Fail } else { gates }
    }
}

/// What a target says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct TargetVerdict {
    pub name: String,
    pub about: String,
    pub verdict: Verdict,
    pub trouble: Vec<String>,
}

/// Part `index` of `of`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Shard {
    pub index: usize,
    pub of: usize,
}

/// Files and size.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Artifact {
    pub name: String,
    pub files: Vec<lfmq_core::ArtifactFile>,
    pub bytes: u64,
    pub bits_per_weight: Option<f64>,
}

/// What ran.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Executor {
    pub what: String,
    pub parameters: u64,
    pub activation: String,
    pub rung: String,
    pub threads: usize,
    pub experts: usize,
}

/// The text drift was measured on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Text {
    pub name: String,
    pub sha256: String,
    pub tokens: usize,
    pub context: usize,
    pub windows: usize,
    pub scored: usize,
}

/// A figure with its 95 % interval over windows; `None` where it is not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Estimate {
    pub value: Option<f64>,
    pub se: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub clusters: usize,
}

/// Predictions.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Drift {
    pub context: usize,
    pub windows: usize,
    pub scored: usize,
    pub kld: Divergence,
    pub perplexity: Perplexity,
    pub agreement: Agreement,
    pub router: Option<Router>,
    pub greedy: Option<Greedy>,
    /// Means of each window, in order: what two runs on the same tokens are compared by.
    pub per_window: Option<Vec<WindowMeans>>,
}

/// Means over the scored tokens of one window.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct WindowMeans {
    /// KL divergence, nats.
    pub kld: f64,
    /// Negative log-likelihood of the text by the checkpoint, nats.
    pub nll_base: f64,
    /// The same by the artifact.
    pub nll: f64,
    /// Share with the same most likely token.
    pub same_top: f64,
}

/// KL divergence, nats a token.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Divergence {
    pub tokens: usize,
    pub mean: Estimate,
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub p99_interval: (Option<f64>, Option<f64>),
    pub p999: Option<f64>,
    pub max: Option<f64>,
    pub max_at: Option<At>,
    pub histogram: Option<Histogram>,
}

/// Tokens by the size of their divergence. Bar `i` counts those from `10^(first + i / per_decade)` nats up to the next
/// bar; the first bar also what is below it, the last what is above.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "as above")]
pub struct Histogram {
    pub first: f64,
    pub per_decade: f64,
    pub counts: Vec<u64>,
}

/// A place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct At {
    pub window: usize,
    pub position: usize,
    pub target: u32,
}

/// Perplexities.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Perplexity {
    pub base: Option<f64>,
    pub candidate: Option<f64>,
    pub ratio: Estimate,
}

/// Agreement on the most likely token.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Agreement {
    pub same_top: Estimate,
    pub same_top_sure: Option<f64>,
    pub sure_tokens: usize,
}

/// Agreement of routers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Router {
    pub overlap: Estimate,
}

/// Greedy continuations.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Greedy {
    pub tokens: usize,
    pub exact: f64,
    pub median: f64,
    pub runs: Vec<Value>,
}

/// Stored weights.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Weights {
    pub replay: Value,
    pub exact: usize,
    pub differs: usize,
    pub not_replayed: usize,
    pub roles: Vec<Role>,
    pub tensors: Vec<Tensor>,
}

/// All tensors of one role in one scheme.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Role {
    pub role: String,
    pub scheme: String,
    pub tensors: usize,
    pub sqnr_db: Option<f64>,
    pub worst_sqnr_db: Option<f64>,
    pub worst: String,
}

/// The residual stream after one layer, or after the embedding.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Layer {
    pub name: String,
    pub sqnr_db: Option<f64>,
    pub cosine: Option<f64>,
}

/// One tensor.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Tensor {
    pub name: String,
    /// In the words of the program, e.g. `layer 3 ffn_down`.
    pub tensor: String,
    pub role: String,
    pub scheme: String,
    pub float: bool,
    pub sqnr_db: Option<f64>,
}

impl Tensor {
    /// Its layer; `None` for embedding, head and the last norm.
    #[must_use]
    pub fn layer(&self) -> Option<usize> {
        self.tensor.strip_prefix("layer ")?.split(' ').next()?.parse().ok()
    }
}

/// Both models on one kind of task.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Task {
    pub task: String,
    pub tasks: usize,
    pub yardstick: Scores,
    pub candidate: Scores,
    pub drop: Option<f64>,
    pub drop_interval: (Option<f64>, Option<f64>),
    pub lost: usize,
    pub won: usize,
    pub p: Option<f64>,
}

/// Scores on one kind of task.
#[derive(Clone, Copy, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Scores {
    pub exact: f64,
    pub field_f1: Option<f64>,
    pub chrf: Option<f64>,
}

impl Scores {
    /// The score that gates judge and its name: field F1 where there is one, else chrF / 100, else exact matches.
    #[must_use]
    pub fn main(&self) -> (f64, &'static str) {
        match (self.field_f1, self.chrf) {
            (Some(f1), _) => (f1, "field F1"),
            (None, Some(chrf)) => (chrf / 100.0, "chrF"),
            (None, None) => (self.exact, "exact"),
        }
    }
}

/// Times on the machine that measured.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Latency {
    pub repetitions: usize,
    pub load_ms: Option<f64>,
    pub prefill: Vec<Prefill>,
    pub decode: Decode,
    pub rung: String,
    pub threads: usize,
    pub memory: Option<Memory>,
}

/// One prompt length.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Prefill {
    pub tokens: usize,
    pub time: Timing,
    pub first_token: Timing,
    pub tokens_per_second: f64,
}

/// Decoding.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Decode {
    pub depth: usize,
    pub tokens: usize,
    pub per_token: Timing,
    pub token_p50_ms: f64,
    pub token_p95_ms: f64,
    pub tokens_per_second: f64,
}

/// Samples of one time.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Timing {
    pub mean_ms: f64,
    pub stddev_ms: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub noisy: bool,
    pub samples_ms: Vec<f64>,
}

/// Resident memory, bytes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Memory {
    pub peak: u64,
}

/// All verdicts.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Gates {
    pub class: String,
    pub source: String,
    pub verdict: Verdict,
    pub holds: bool,
    pub gates: Vec<Gate>,
}

/// One verdict.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Gate {
    pub name: String,
    pub limit: Option<f64>,
    pub value: Option<f64>,
    pub bound: Option<f64>,
    pub verdict: Verdict,
    pub note: Option<String>,
}

/// What a gate or a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Verdict {
    Pass,
    NotMeasured,
    Inconclusive,
    Fail,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::NotMeasured => "not measured",
        }
    }

    /// FAIL if any is, else INCONCLUSIVE if any is or none passes, else PASS.
    #[must_use]
    pub fn overall(all: impl IntoIterator<Item = Self>) -> Self {
        let all: Vec<Self> = all.into_iter().collect();
        if all.contains(&Self::Fail) {
            Self::Fail
        } else if all.contains(&Self::Inconclusive) || !all.contains(&Self::Pass) {
            Self::Inconclusive
        } else {
            Self::Pass
        }
    }

    /// Whether a value with the interval `[low, high]` stays at or below `limit`, by the interval and not the point.
    #[must_use]
    pub fn below(limit: f64, low: f64, high: f64) -> Self {
        if low.is_nan() || high.is_nan() || low > limit {
            Self::Fail
        } else if high <= limit {
            Self::Pass
        } else {
            Self::Inconclusive
        }
    }
}

/// The scores of one window, a column a figure, one entry a scored position.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct WindowDetail {
    /// Which window of the text, from 0.
    pub window: usize,
    /// Position of the first scored token.
    pub first: usize,
    /// The true tokens after the scored positions.
    pub targets: Vec<u32>,
    /// KL divergence, nats.
    pub kld: Vec<f64>,
    /// Negative log-likelihood of the true token by the checkpoint, nats.
    pub nll_base: Vec<f64>,
    /// The same by the artifact.
    pub nll: Vec<f64>,
    /// Lead of the checkpoint's most likely token over its second.
    pub margin: Vec<f64>,
    /// Whether both have the same most likely token.
    pub same_top: Vec<bool>,
    /// Per mixture layer: sum of the overlaps of expert sets, identical sets, sets; empty for a dense model.
    #[serde(default)]
    pub routes: Vec<(f64, u64, u64)>,
}
