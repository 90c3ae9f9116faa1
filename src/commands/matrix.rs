//! `lfmq matrix`: the jobs of a CI engine for models and targets.

use super::Done;
use crate::args::{EmitArg, MatrixArgs};
use crate::printer::Printer;
use crate::registry;
use lfmq_core::Fault;
use lfmq_report::{Emit, MatrixOptions, jobs, matrix};
use serde_json::json;

pub fn run(args: &MatrixArgs, printer: &Printer) -> anyhow::Result<Done> {
    let targets = args.targets.iter().map(|name| lfmq_targets::find(name)).collect::<Result<Vec<_>, _>>();
    let targets = targets.map_err(Fault::from)?;
    let formats: Vec<&str> = registry::FORMATS.iter().map(|f| f.id).collect();
    let options = MatrixOptions { formats: &formats, shards: usize::from(args.shards) };
    let emit = match args.emit {
        EmitArg::Github => Emit::Github,
        EmitArg::Gitlab => Emit::Gitlab,
    };
    let text = matrix(&args.models, &targets, emit, &options).map_err(Fault::from)?;
    printer.line(text.trim_end());
    let jobs = jobs(&args.models, &targets, emit, &options).map_err(Fault::from)?;
    Ok(json!({ "jobs": jobs, "text": text }).into())
}
