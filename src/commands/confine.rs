//! The hidden command behind memory budgets and the edge suite: limits on this process, then one run, then its figures.

use super::Done;
use crate::args::ConfineArgs;
use crate::printer::Printer;
use crate::registry::{Opened, activation};
use anyhow::Result;
use lfmq_verify::edge::{self, Bounds};
use serde_json::Value;

pub fn run(args: &ConfineArgs, printer: &Printer) -> Result<Done> {
    edge::end_with_parent();
    let bounds = Bounds { memory: args.memory, no_sockets: args.no_sockets, prompt: args.prompt, decode: args.decode };
    let not_enforced = bounds.apply();
    let (opened, load_ms) = Opened::timed(&args.artifact, activation(args.activations))?;
    let took = edge::run(opened.executor.as_ref(), &bounds, load_ms)?;
    printer.line(&serde_json::to_string(&edge::Confined { not_enforced, ..took })?);
    Ok(Value::Null.into())
}
