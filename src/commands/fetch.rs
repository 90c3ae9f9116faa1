//! `lfmq fetch`: a checkpoint of the hub, into the cache that Python's tools use too.

use super::Done;
use crate::args::FetchArgs;
use crate::jobs::model;
use crate::printer::{Printer, Tone};
use serde_json::json;

pub fn run(args: &FetchArgs, offline: bool, printer: &Printer) -> anyhow::Result<Done> {
    let snapshot = model::fetch(&args.model, offline, printer.observer())?;
    printer.line(&format!(
        "{} {}",
        snapshot.folder.display(),
        printer.tone(&format!("({} files)", snapshot.files.len()), Tone::Dim)
    ));
    Ok(json!({"folder": snapshot.folder, "commit": snapshot.commit, "files": snapshot.files}).into())
}
