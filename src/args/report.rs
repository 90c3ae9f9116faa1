use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ReportArgs {
    #[command(subcommand)]
    pub what: Option<ReportCommand>,
    /// Reports as JSON; shards of one artifact are merged. Two or more are compared with the first.
    #[arg(required = true, value_name = "REPORT")]
    pub reports: Vec<PathBuf>,
    /// Compare every report with this one and fail on a regression.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Fail also where a regression is neither proven nor excluded.
    #[arg(long, requires = "baseline")]
    pub strict: bool,
    /// Write one page that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write Markdown for a comment.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Title of the page.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub title: String,
}

#[derive(Subcommand, Debug)]
pub enum ReportCommand {
    /// Put the shards of one run together: the figures are those of a run in one piece.
    Merge {
        /// Reports of `lfmq verify --shard I/N`.
        #[arg(required = true)]
        shards: Vec<PathBuf>,
        /// The report to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}
