use super::verify::ActivationArg;
use clap::Args;
use std::path::PathBuf;

/// One run within limits. The program calls itself with it; the limits hold for the whole process.
#[derive(Args, Debug)]
pub struct ConfineArgs {
    /// The artifact's file.
    pub artifact: PathBuf,
    /// Resident memory, bytes.
    #[arg(long)]
    pub memory: Option<u64>,
    /// Forbid sockets.
    #[arg(long)]
    pub no_sockets: bool,
    /// Tokens of the prompt.
    #[arg(long)]
    pub prompt: usize,
    /// Tokens decoded.
    #[arg(long)]
    pub decode: usize,
    /// Activation arithmetic of the executor.
    #[arg(long, value_enum, default_value_t = ActivationArg::Runtime)]
    pub activations: ActivationArg,
}
