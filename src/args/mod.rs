//! What was typed: clap types and nothing else, one file a command.

mod bench;
mod check;
mod confine;
mod doctor;
mod fetch;
mod formats;
mod inspect;
mod matrix;
mod oracle;
mod quantize;
mod report;
mod run;
mod targets;
#[cfg(feature = "seal")]
mod unseal;
mod verify;

pub use bench::BenchArgs;
pub use check::CheckArgs;
pub use confine::ConfineArgs;
pub use doctor::DoctorArgs;
pub use fetch::FetchArgs;
pub use formats::{GgufArgs, OnnxArgs, OnnxConv, OnnxFlavor, OnnxMoe, ProfileArg, TfliteArgs, TfliteFiles};
pub use inspect::InspectArgs;
pub use matrix::{EmitArg, MatrixArgs};
pub use oracle::{OracleArg, OracleArgs};
pub use quantize::QuantizeArgs;
pub use report::{ReportArgs, ReportCommand};
pub use run::RunArgs;
pub use targets::TargetsArgs;
#[cfg(feature = "seal")]
pub use unseal::UnsealArgs;
pub use verify::{ActivationArg, DriftArgs, Suite, VerifyArgs};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Quantizes Liquid AI LFM2 checkpoints for devices and proves each artifact by running its own bytes.
#[derive(Parser, Debug)]
#[command(name = "lfmq", version, about, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Example: lfmq quantize ./LFM2-1.2B --bits 4\n\nExit codes: 0 done, 1 a gate failed, 2 usage, \
    3 input invalid or unsupported, 4 environment, 5 authentication, 70 a bug of ours, 130 interrupted.")]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Options every command takes.
#[derive(Args, Debug, Clone)]
pub struct GlobalArgs {
    /// Tables for people or one JSON document on stdout.
    #[arg(long, global = true, value_enum, default_value_t = Format::Human, help_heading = "Global options")]
    pub format: Format,
    /// How progress is shown on stderr; auto is bars on a terminal and lines elsewhere.
    #[arg(long, global = true, value_enum, default_value_t = Progress::Auto, help_heading = "Global options")]
    pub progress: Progress,
    /// Only results and errors.
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// More detail on stderr.
    #[arg(short, long, global = true, conflicts_with = "quiet", help_heading = "Global options")]
    pub verbose: bool,
    /// Colour; auto follows the terminal and NO_COLOR.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, help_heading = "Global options")]
    pub color: Color,
    /// Threads; results do not depend on it. Default: the machine's cores.
    #[arg(long, global = true, env = "LFMQ_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024),
          help_heading = "Global options")]
    pub threads: Option<u16>,
    /// Never go to the network; use what the hub cache has (also HF_HUB_OFFLINE=1).
    #[arg(long, global = true, help_heading = "Global options")]
    pub offline: bool,
    /// Kernel rung to use instead of the best this machine has (see `lfmq doctor`).
    #[arg(long, global = true, env = "LFMQ_ISA", value_name = "RUNG", help_heading = "Global options")]
    pub isa: Option<String>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Human,
    Json,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Auto,
    Bar,
    Plain,
    Json,
    None,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Bring a checkpoint from the hub into the local cache.
    Fetch(FetchArgs),
    /// Quantize a checkpoint, write the artifact and prove it.
    Quantize(QuantizeArgs),
    /// Measure how far an artifact drifts from its checkpoint, and gate on it.
    Verify(VerifyArgs),
    /// Measure latency and memory of an artifact.
    Bench(BenchArgs),
    /// Generate text with an artifact or a checkpoint.
    Run(RunArgs),
    /// Show what a checkpoint or an artifact holds.
    Inspect(InspectArgs),
    /// Check an artifact folder against its digests.
    Check(CheckArgs),
    /// Open a folder that was sealed for you.
    #[cfg(feature = "seal")]
    Unseal(UnsealArgs),
    /// Make pages, tables and JUnit of reports, compare runs, merge shards.
    Report(ReportArgs),
    /// Write the job matrix of models and targets for a CI engine.
    Matrix(MatrixArgs),
    /// Show the device targets lfmq knows, and why they are built as they are.
    Targets(TargetsArgs),
    /// One run within limits, for `verify` and `quantize`.
    #[command(hide = true)]
    Confine(ConfineArgs),
    /// Show kernel rungs, formats, schemes and environment switches.
    Doctor(DoctorArgs),
}

impl Command {
    /// The word for the JSON document.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Fetch(_) => "fetch",
            Self::Targets(_) => "targets",
            Self::Report(_) => "report",
            Self::Matrix(_) => "matrix",
            Self::Quantize(_) => "quantize",
            Self::Verify(_) => "verify",
            Self::Bench(_) => "bench",
            Self::Run(_) => "run",
            Self::Inspect(_) => "inspect",
            Self::Check(_) => "check",
            #[cfg(feature = "seal")]
            Self::Unseal(_) => "unseal",
            Self::Confine(_) => "confine",
            Self::Doctor(_) => "doctor",
        }
    }
}
