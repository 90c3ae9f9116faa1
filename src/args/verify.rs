use super::oracle::OracleArgs;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The artifact: a file or the folder that `quantize` wrote.
    pub artifact: PathBuf,
    /// The checkpoint it was made from.
    #[arg(long, value_name = "MODEL")]
    pub against: Option<String>,
    /// Importance weights the artifact was made with, so that its values can be recomputed.
    #[arg(long, value_name = "FILE")]
    pub imatrix: Option<PathBuf>,
    /// Compare with a logits file of llama-perplexity instead of a checkpoint, with its figures.
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    pub kld_base: Option<PathBuf>,
    /// Write the yardstick's logits as a file that llama-perplexity reads.
    #[arg(long, value_name = "FILE", requires = "against")]
    pub save_kld_base: Option<PathBuf>,
    /// Print the figures llama-perplexity prints, on its 16-bit base.
    #[arg(long)]
    pub llama_compatible: bool,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the report as Markdown.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Score only part I of N of the windows and keep the scores by token; `lfmq report merge` puts parts together.
    /// The first part also measures what is not about windows.
    #[arg(long, value_name = "I/N", value_parser = shard, conflicts_with_all = ["kld_base", "llama_compatible"])]
    pub shard: Option<lfmq_verify::Shard>,
    /// Device classes whose limits and memory budget it must keep, or your own files (.toml); see `lfmq targets`.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', conflicts_with = "kld_base")]
    pub target: Vec<String>,
    #[command(flatten)]
    pub oracle: OracleArgs,
    #[command(flatten)]
    pub drift: DriftArgs,
}

fn shard(text: &str) -> Result<lfmq_verify::Shard, String> {
    lfmq_verify::Shard::parse(text).ok_or_else(|| "expected I/N with 1 <= I <= N, e.g. 3/16".to_owned())
}

/// What is measured, shared by `quantize` and `verify`.
#[derive(Args, Debug, Clone)]
pub struct DriftArgs {
    /// Text to measure on; default: a text that comes with lfmq.
    #[arg(long, value_name = "FILE", help_heading = "Verification")]
    pub text: Option<PathBuf>,
    /// Tokens in a window; the second half is scored.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(32..=131_072), help_heading = "Verification")]
    pub window: u32,
    /// Windows to measure.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Verification")]
    pub windows: u32,
    /// Task items as JSON lines (task, system, user, answer); default: tasks.jsonl beside the checkpoint.
    #[arg(long, value_name = "FILE", help_heading = "Verification")]
    pub tasks: Option<PathBuf>,
    /// Task items to run, 0 for none.
    #[arg(long, default_value_t = 16, help_heading = "Verification")]
    pub task_items: u32,
    /// Limits the artifact must keep (TOML); default: lfmq's own, by bits.
    #[arg(long, value_name = "FILE", help_heading = "Verification")]
    pub gate: Option<PathBuf>,
    /// Fail above this mean KL divergence in nats.
    #[arg(long, value_name = "NATS", help_heading = "Verification")]
    pub max_kld: Option<f64>,
    /// Activation arithmetic of the executor: what llama.cpp does with this file, or plain f32.
    #[arg(long, value_enum, default_value_t = ActivationArg::Runtime, help_heading = "Verification")]
    pub activations: ActivationArg,
    /// Also run a suite: `edge` is latency, memory, accuracy, robustness, consistency, a quarter of the processor and no
    /// network, a row each.
    #[arg(long, value_enum, value_name = "SUITE", help_heading = "Verification")]
    pub suite: Option<Suite>,
    /// Skip the latency measurement.
    #[arg(long, help_heading = "Verification")]
    pub no_latency: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationArg {
    F32,
    Runtime,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    Edge,
}
