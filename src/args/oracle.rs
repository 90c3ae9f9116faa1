//! A real runtime beside our own executor.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Args, Debug, Clone, Default)]
pub struct OracleArgs {
    /// Also run the artifact in the runtime that devices run it in, and hold our executor against it. The runtime is
    /// that of the Python which LFMQ_PYTHON names, python3 otherwise.
    #[arg(
        long,
        value_enum,
        value_name = "RUNTIME",
        requires = "against",
        conflicts_with = "shard",
        help_heading = "Verification"
    )]
    pub oracle: Option<OracleArg>,
    /// onnxruntime's shared library, to be loaded in place of Python's.
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH", hide_env_values = true, help_heading = "Verification")]
    pub oracle_lib: Option<PathBuf>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OracleArg {
    Onnxruntime,
    Litert,
}
