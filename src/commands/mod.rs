//! What each command does, one file a command.

mod bench;
mod check;
mod doctor;
mod inspect;
mod plan;
mod proof;
mod quantize;
mod run;
mod verdicts;
mod verify;

use crate::args::Command;
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

/// Runs `command`.
///
/// # Errors
/// Whatever stopped it.
pub fn run(command: &Command, printer: &Printer) -> anyhow::Result<Done> {
    match command {
        Command::Quantize(args) => quantize::run(args, printer),
        Command::Verify(args) => verify::run(args, printer),
        Command::Bench(args) => bench::run(args, printer),
        Command::Run(args) => run::run(args, printer),
        Command::Inspect(args) => inspect::run(args, printer),
        Command::Check(args) => check::run(args, printer),
        Command::Doctor(args) => doctor::run(args, printer),
    }
}
