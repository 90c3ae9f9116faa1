use clap::Args;

#[derive(Args, Debug)]
pub struct InspectArgs {
    /// A checkpoint folder, a hub id in the local cache, or an artifact (file or folder).
    pub path: String,
    /// List every tensor.
    #[arg(long)]
    pub tensors: bool,
}
