//! What each command does, one file a command.

mod bench;
mod check;
mod confine;
mod coverage;
mod doctor;
mod edge;
mod fetch;
mod inspect;
mod matrix;
mod misrouted;
mod papers;
mod plan;
mod proof;
mod quantize;
mod report;
mod run;
mod targets;
#[cfg(feature = "seal")]
mod unseal;
mod verdicts;
mod verify;
mod write;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::printer::Printer;
use serde_json::Value;

/// The outcome of a command that ran to its end: its result, and the gate that failed, if one did.
pub struct Done {
    pub value: Value,
    pub failure: Option<Failure>,
}

impl From<Value> for Done {
    fn from(value: Value) -> Self {
        Self { value, failure: None }
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever stopped it.
pub fn run(cli: &Cli, printer: &Printer) -> anyhow::Result<Done> {
    let offline = cli.global.offline;
    match &cli.command {
        Command::Fetch(args) => fetch::run(args, offline, printer),
        Command::Targets(args) => targets::run(args, printer),
        Command::Report(args) => report::run(args, printer),
        Command::Matrix(args) => matrix::run(args, printer),
        Command::Quantize(args) => quantize::run(args, offline, printer),
        Command::Verify(args) => verify::run(args, offline, printer),
        Command::Bench(args) => bench::run(args, printer),
        Command::Run(args) => run::run(args, printer),
        Command::Inspect(args) => inspect::run(args, offline, printer),
        Command::Check(args) => check::run(args, printer),
        #[cfg(feature = "seal")]
        Command::Unseal(args) => unseal::run(args, printer),
        Command::Confine(args) => confine::run(args, printer),
        Command::Doctor(args) => doctor::run(args, printer),
    }
}
