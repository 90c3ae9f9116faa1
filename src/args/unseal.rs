use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub struct UnsealArgs {
    /// A folder that `quantize --seal` wrote.
    pub folder: PathBuf,
    /// File with the secret key, as `age-keygen -o FILE` writes it; may be repeated.
    #[arg(short, long, required = true, value_name = "FILE")]
    pub identity: Vec<PathBuf>,
    /// Folder to write.
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// Replace an existing folder.
    #[arg(long)]
    pub overwrite: bool,
}
