//! `lfmq check`: an artifact folder against its own list of digests.

use super::Done;
use crate::args::CheckArgs;
use crate::failure::Failure;
use crate::printer::{Align, Printer, Table, Tone};
use lfmq_core::Fault;
use serde_json::json;

pub fn run(args: &CheckArgs, printer: &Printer) -> anyhow::Result<Done> {
    let report = lfmq_artifact::check(&args.folder).map_err(Fault::from)?;
    let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
    let mut put = |name: &str, state: &str, tone| {
        table.toned([(state.to_owned(), Some(tone)), (name.to_owned(), None)]);
    };
    report.sound.iter().for_each(|f| put(&f.name, "sound", Tone::Good));
    report.changed.iter().for_each(|f| put(f, "changed", Tone::Bad));
    report.missing.iter().for_each(|f| put(f, "missing", Tone::Bad));
    report.unlisted.iter().for_each(|f| put(f, "not listed", Tone::Doubt));
    printer.table(&table);
    let trouble = report.changed.len() + report.missing.len() + report.unlisted.len();
    let first = report.changed.iter().chain(&report.missing).chain(&report.unlisted).next();
    let failure = first.map(|name| {
        Failure::gate(format!(
            "{}: {trouble} file(s) are not what SHA256SUMS says, first {name}",
            args.folder.display()
        ))
        .with_hint("the folder was changed after it was made; make it again or restore the files")
    });
    let value = json!({
        "sound": report.sound,
        "changed": report.changed,
        "missing": report.missing,
        "unlisted": report.unlisted,
    });
    Ok(Done { value, failure })
}
