use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The folder that `quantize` wrote.
    pub folder: PathBuf,
}
