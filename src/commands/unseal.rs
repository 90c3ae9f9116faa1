//! `lfmq unseal`: a sealed folder, opened with a key it was sealed for.

use super::Done;
use crate::args::UnsealArgs;
use crate::jobs::size;
use crate::printer::{Printer, Tone};
use anyhow::Result;
use lfmq_artifact::{Identities, Mode, unseal};
use lfmq_core::Fault;
use serde_json::json;

pub fn run(args: &UnsealArgs, printer: &Printer) -> Result<Done> {
    let identities = Identities::read(&args.identity).map_err(Fault::from)?;
    let mode = if args.overwrite { Mode::Overwrite } else { Mode::Refuse };
    let opened = unseal(&args.folder, &args.out, mode, &identities, printer.observer()).map_err(Fault::from)?;
    let bytes: u64 = opened.files.iter().map(|f| f.bytes).sum();
    let about = format!("({} files, {})", opened.files.len(), size::show(bytes));
    printer.line(&format!("{} {}", opened.folder.display(), printer.tone(&about, Tone::Dim)));
    Ok(json!({"artifact": opened.folder, "files": opened.files}).into())
}
