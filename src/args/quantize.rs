use super::{DriftArgs, GgufArgs, OnnxArgs, TfliteArgs};
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub struct QuantizeArgs {
    /// Folder of the checkpoint, or a hub id that is in the local hub cache.
    pub model: String,
    /// For GGUF 8 = Q8_0, 6 = Q6_K, 5 = Q5_K_M, 4 = Q4_K_M, 3 = Q3_K_M, 2 = Q2_K; for ONNX 8 = onnx-q8, 4 = onnx-q4;
    /// for TFLite 8 = tflite-q8, 4 = tflite-q4.
    #[arg(long, value_parser = clap::value_parser!(u8).range(2..=8), group = "what")]
    pub bits: Option<u8>,
    /// A preset of llama.cpp by name (Q4_0, Q5_K_S, IQ4_XS, BF16, ...), a recipe of lfmq (onnx-q4, ...; see
    /// `lfmq doctor`) or a recipe file (.toml).
    #[arg(long, group = "what")]
    pub recipe: Option<String>,
    /// Put one role on another scheme, e.g. `--set attn_v=q8_0`; may be repeated.
    #[arg(long = "set", value_name = "ROLE=SCHEME")]
    pub set: Vec<String>,
    /// Formats to write.
    #[arg(long, value_delimiter = ',', default_value = "gguf", conflicts_with = "target")]
    pub to: Vec<String>,
    /// Device classes to build for, or `all`, or your own files (.toml); see `lfmq targets`. A target brings its format,
    /// recipe and gates; `--bits 8` asks for its format at eight bits instead.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', conflicts_with = "recipe")]
    pub target: Vec<String>,
    /// Importance weights measured by llama.cpp (GGUF or the older .dat).
    #[arg(long, value_name = "FILE")]
    pub imatrix: Option<PathBuf>,
    /// Folder to write; default `<model>-<recipe>` here. With several formats, a folder each inside it; with --target a
    /// folder for each recipe, and one page with all reports (`report.html`).
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Show the plan with exact sizes; no weight is read and nothing is written.
    #[arg(long)]
    pub dry_run: bool,
    /// Replace an existing folder.
    #[arg(long, conflicts_with = "resume")]
    pub overwrite: bool,
    /// Continue an interrupted run of the same job.
    #[arg(long)]
    pub resume: bool,
    /// Write only; do not run the artifact.
    #[arg(long)]
    pub no_verify: bool,
    /// Write one page with the reports of all artifacts, which needs nothing else to be read. Default with --target:
    /// `report.html` in the output folder.
    #[arg(long, value_name = "FILE", conflicts_with = "no_verify")]
    pub html: Option<PathBuf>,
    /// Memory for weights in flight.
    #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub memory: u64,
    /// Licence file to ship where the checkpoint has none.
    #[arg(long, value_name = "FILE")]
    pub license_file: Option<PathBuf>,
    /// Seal the model's files for this key (`age1...`, as `age-keygen` prints it); may be repeated, then any of the keys
    /// opens them with `lfmq unseal`. Licence, card and manifest stay readable.
    #[cfg(feature = "seal")]
    #[arg(long, value_name = "RECIPIENT", value_delimiter = ',')]
    pub seal: Vec<String>,
    #[command(flatten)]
    pub gguf: GgufArgs,
    #[command(flatten)]
    pub onnx: OnnxArgs,
    #[command(flatten)]
    pub tflite: TfliteArgs,
    #[command(flatten)]
    pub drift: DriftArgs,
}
