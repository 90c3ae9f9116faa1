use super::DriftArgs;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Args, Debug)]
pub struct QuantizeArgs {
    /// Folder of the checkpoint, or a hub id that is in the local hub cache.
    pub model: String,
    /// 8 = Q8_0, 6 = Q6_K, 5 = Q5_K_M, 4 = Q4_K_M, 3 = Q3_K_M, 2 = Q2_K.
    #[arg(long, value_parser = clap::value_parser!(u8).range(2..=8), group = "what")]
    pub bits: Option<u8>,
    /// A preset of llama.cpp by name (Q4_0, Q5_K_S, IQ4_XS, BF16, ...) or a recipe file (.toml).
    #[arg(long, group = "what")]
    pub recipe: Option<String>,
    /// Put one role on another scheme, e.g. `--set attn_v=q8_0`; may be repeated.
    #[arg(long = "set", value_name = "ROLE=SCHEME")]
    pub set: Vec<String>,
    /// Formats to write.
    #[arg(long, value_delimiter = ',', default_value = "gguf")]
    pub to: Vec<String>,
    /// Importance weights measured by llama.cpp (GGUF or the older .dat).
    #[arg(long, value_name = "FILE")]
    pub imatrix: Option<PathBuf>,
    /// Folder to write; default `<model>-<recipe>` here.
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
    /// Memory for weights in flight.
    #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub memory: u64,
    /// Licence file to ship where the checkpoint has none.
    #[arg(long, value_name = "FILE")]
    pub license_file: Option<PathBuf>,
    /// File layout: as llama-quantize writes it, or as convert_hf_to_gguf.py does. Default: convert for the float
    /// recipes, quantize for the others.
    #[arg(long, value_enum)]
    pub profile: Option<ProfileArg>,
    /// Split into files of at most this many tensors.
    #[arg(long, value_name = "N", conflicts_with = "split_max_size")]
    pub split_max_tensors: Option<usize>,
    /// Split into files of at most this size, e.g. 500M or 2G (powers of 1000).
    #[arg(long, value_name = "SIZE")]
    pub split_max_size: Option<String>,
    /// Leave the first file of a split without tensors.
    #[arg(long)]
    pub no_tensor_first_split: bool,
    /// Set a metadata key of the file, `KEY=TYPE:VALUE` with int, float, bool or str; may be repeated.
    #[arg(long = "override-kv", value_name = "KEY=TYPE:VALUE")]
    pub override_kv: Vec<String>,
    /// Name to write into the file's metadata.
    #[arg(long, value_name = "NAME")]
    pub model_name: Option<String>,
    #[command(flatten)]
    pub drift: DriftArgs,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileArg {
    Convert,
    Quantize,
}
