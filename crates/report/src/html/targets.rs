//! What each target says about the artifact that was made for it.

use super::table::Table;
use super::{badge, overview::two};
use crate::Report;
use crate::junit::escape;
use crate::number::{NONE, bytes, interval, maybe};

/// One line a target; nothing where none was built for.
pub(super) fn table(reports: &[Report]) -> String {
    let mut table = Table::new(
        "A target passes when the artifact keeps the target's own limits and fits its memory and storage.",
        &["target", "verdict", "artifact", "#size", "#KLD mean, nats", "broken"],
    );
    let mut any = false;
    for (index, report) in reports.iter().enumerate() {
        for target in &report.targets {
            any = true;
            let kld = report.drift.as_ref().map(|d| &d.kld.mean);
            table.row(&[
                format!("{}<span class=\"soft note\">{}</span>", escape(&target.name), escape(&target.about)),
                badge(target.verdict),
                format!("<a href=\"#a{index}\">{}</a>", escape(&report.artifact.name)),
                bytes(report.artifact.bytes),
                kld.map_or(NONE.to_owned(), |e| two(&maybe(e.value, 3), &interval(e, 3))),
                escape(&target.trouble.join(", ")),
            ]);
        }
    }
    if !any {
        return String::new();
    }
    format!("<section aria-label=\"Targets\">\n<h2>Targets</h2>\n{}</section>\n", table.finish())
}
