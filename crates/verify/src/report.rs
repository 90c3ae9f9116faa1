use crate::spec::SpecDifference;
use crate::{
    Drift, EdgeReport, GateReport, GraphReport, LatencyReport, LayerNoise, LlamaStatistics, OracleReport, Shard,
    TaskComparison, Verdict, WeightReport, WindowDetail, Windows,
};
use lfmq_core::{ArtifactFile, Facts, StoredTensor};
use serde::Serialize;

/// Version of the report's shape; `configs/schema/drift-report.schema.json` describes it.
pub const SCHEMA_VERSION: u32 = 1;

/// The text that drift was measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TextFacts {
    /// Its name, e.g. a file name.
    pub name: String,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
    /// Tokens of the whole text.
    pub tokens: usize,
    /// Tokens of a window.
    pub context: usize,
    /// Windows.
    pub windows: usize,
    /// Scored tokens of all windows.
    pub scored: usize,
}

impl TextFacts {
    /// The facts of a text of `tokens` tokens cut into `windows`.
    #[must_use]
    pub fn new(name: impl Into<String>, sha256: impl Into<String>, tokens: usize, windows: &Windows) -> Self {
        Self {
            name: name.into(),
            sha256: sha256.into(),
            tokens,
            context: windows.context(),
            windows: windows.count(),
            scored: windows.count() * windows.scored(),
        }
    }
}

/// The artifact under test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArtifactFacts {
    /// Its name, no path.
    pub name: String,
    /// Its files with their digests, as far as known.
    pub files: Vec<ArtifactFile>,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Stored bits of a weight, embedding included.
    pub bits_per_weight: f64,
}

impl ArtifactFacts {
    /// The facts of files that hold `facts.parameters` weights.
    #[must_use]
    pub fn new(name: impl Into<String>, files: Vec<ArtifactFile>, facts: &Facts) -> Self {
        Self {
            name: name.into(),
            bytes: files.iter().map(|f| f.bytes).sum(),
            files,
            bits_per_weight: 8.0 * facts.weight_bytes as f64 / facts.parameters.max(1) as f64,
        }
    }
}

/// Whether an artifact keeps the limits and the budget of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetVerdict {
    /// Its name.
    pub name: String,
    /// What it stands for.
    pub about: String,
    /// FAIL if there is trouble.
    pub verdict: Verdict,
    /// Limits that are broken, in words.
    pub trouble: Vec<String>,
}

/// Everything that was found out about an artifact. Holds no clock, host or path.
///
/// Numbers that are not finite (an interval of a single window) are `null` in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct DriftReport {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name and version of the program.
    pub tool: String,
    /// The artifact's files.
    pub artifact: ArtifactFacts,
    /// The artifact as its executor sees it: activation arithmetic, rung and threads included.
    pub candidate: Facts,
    /// The name of the checkpoint.
    pub checkpoint: String,
    /// The checkpoint as its executor sees it.
    pub yardstick: Facts,
    /// The text; `None` if no drift was measured.
    pub text: Option<TextFacts>,
    /// Fields of the model's shape on which artifact and checkpoint differ; `None` if the artifact does not say.
    pub spec: Option<Vec<SpecDifference>>,
    /// The graph against the forward pass over its own weights; absent where the format holds none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphReport>,
    /// The stored weights.
    pub weights: Option<WeightReport>,
    /// The predictions.
    pub drift: Option<Drift>,
    /// The residual stream after each layer; absent where the artifact shows none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<LayerNoise>>,
    /// Predictions by the arithmetic of `llama-perplexity`, if asked for.
    pub llama_compatible: Option<LlamaStatistics>,
    /// Tasks.
    pub tasks: Option<Vec<TaskComparison>>,
    /// Time and memory.
    pub latency: Option<LatencyReport>,
    /// An implementation other than ours that the executor was held against in this run; `null`: none was.
    pub independent_oracle: Option<String>,
    /// The executor against that implementation on the same artifact; absent: not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oracle: Option<OracleReport>,
    /// The verdicts; `None` until judged.
    pub gates: Option<GateReport>,
    /// What each of the targets it was built for says; absent where it was built for none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetVerdict>,
    /// What a device does to it: memory within a target's budget, or the whole edge suite; absent: not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge: Option<EdgeReport>,
    /// Which part of the windows was scored; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// Scores by token, in a part of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Vec<WindowDetail>>,
}

impl DriftReport {
    /// A report that says who is compared and nothing else yet.
    #[must_use]
    pub fn new(
        tool: impl Into<String>,
        artifact: ArtifactFacts,
        candidate: &Facts,
        checkpoint: impl Into<String>,
        yardstick: &Facts,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tool: tool.into(),
            artifact,
            candidate: candidate.clone(),
            checkpoint: checkpoint.into(),
            yardstick: yardstick.clone(),
            text: None,
            spec: None,
            graph: None,
            weights: None,
            drift: None,
            layers: None,
            llama_compatible: None,
            tasks: None,
            latency: None,
            independent_oracle: None,
            oracle: None,
            gates: None,
            targets: Vec::new(),
            edge: None,
            shard: None,
            detail: None,
        }
    }

    /// Judges the report by `gates` and keeps the verdicts; `stored` are the artifact's tensors.
    pub fn judge(&mut self, gates: &crate::GateFile, stored: &[StoredTensor]) -> &GateReport {
        let judged = gates.judge(self, stored);
        self.gates.insert(judged)
    }

    /// The report in Markdown, short enough for a comment on a change.
    #[must_use]
    pub fn markdown(&self) -> String {
        crate::markdown::render(self)
    }
}
