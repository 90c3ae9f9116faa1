//! `lfmq matrix`: the jobs of a CI engine for models and targets.

use super::Done;
use crate::args::{EmitArg, MatrixArgs};
use crate::jobs::targets;
use crate::printer::Printer;
use crate::registry;
use lfmq_core::Fault;
use lfmq_report::{Emit, MatrixOptions, jobs, matrix};
use lfmq_targets::{Target, TargetError};
use serde_json::json;
use std::path::Path;

pub fn run(args: &MatrixArgs, printer: &Printer) -> anyhow::Result<Done> {
    let targets = args.targets.iter().map(typed).collect::<Result<Vec<_>, _>>().map_err(Fault::from)?.concat();
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

/// The targets of one name. One of the user's own is called by its file: the jobs have to find it.
fn typed(name: &String) -> Result<Vec<Target>, TargetError> {
    let mut found = targets::named(std::slice::from_ref(name))?;
    if Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case("toml")) {
        found.iter_mut().for_each(|target| target.name.clone_from(name));
    }
    Ok(found)
}
