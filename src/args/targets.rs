use clap::Args;

#[derive(Args, Debug)]
pub struct TargetsArgs {
    /// Targets by name, or files of your own (.toml); default: all that come with lfmq.
    pub targets: Vec<String>,
    /// Print the limits of one target as a gates file for `--gate`.
    #[arg(long, requires = "targets")]
    pub gates: bool,
}
