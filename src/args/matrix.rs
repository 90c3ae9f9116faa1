use clap::{Args, ValueEnum};

#[derive(Args, Debug)]
pub struct MatrixArgs {
    /// Models, as typed after `quantize`.
    #[arg(long, required = true, value_delimiter = ',', num_args = 1..)]
    pub models: Vec<String>,
    /// Targets by name, or files of your own (.toml).
    #[arg(long, required = true, value_delimiter = ',', num_args = 1..)]
    pub targets: Vec<String>,
    /// Jobs that share the verification of one artifact.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub shards: u16,
    /// For GitHub: one line of JSON for `fromJSON`; for GitLab: a child pipeline.
    #[arg(long, value_enum)]
    pub emit: EmitArg,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmitArg {
    Github,
    Gitlab,
}
