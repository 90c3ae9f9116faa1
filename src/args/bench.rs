use super::verify::ActivationArg;
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub struct BenchArgs {
    /// The artifact: a file or the folder that `quantize` wrote.
    pub artifact: PathBuf,
    /// Prompt lengths to prefill.
    #[arg(long, value_delimiter = ',', default_values_t = [128, 512])]
    pub prefill: Vec<u32>,
    /// Tokens to decode one by one.
    #[arg(long, default_value_t = 64)]
    pub decode: u32,
    /// Counted repetitions.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(5..=1000))]
    pub reps: u32,
    /// Activation arithmetic of the executor.
    #[arg(long, value_enum, default_value_t = ActivationArg::Runtime)]
    pub activations: ActivationArg,
}
