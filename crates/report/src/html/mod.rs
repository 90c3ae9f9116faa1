//! One page that needs nothing else: no script, no font, no picture from elsewhere.

mod artifact;
mod overview;
mod table;
mod targets;

use crate::junit::escape;
use crate::view::Verdict;
use crate::{Comparison, Report};
pub(crate) use table::Table;

const STYLE: &str = include_str!("style.css");

/// What the page holds beside the reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct HtmlOptions<'a> {
    /// Its title; empty: the checkpoint's name.
    pub title: &'a str,
    /// Comparisons with earlier runs.
    pub comparisons: &'a [Comparison],
}

/// The page of all `reports`.
#[must_use]
pub fn html(reports: &[Report], options: &HtmlOptions<'_>) -> String {
    let verdicts = reports.iter().map(|r| r.verdict());
    let overall = Verdict::overall(verdicts.chain(options.comparisons.iter().map(|c| c.verdict)));
    let mut checkpoints: Vec<&str> = reports.iter().map(|r| r.checkpoint.as_str()).collect();
    checkpoints.dedup();
    let title = if options.title.is_empty() { checkpoints.join(", ") } else { options.title.to_owned() };
    let title = escape(&title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}: {}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title} {}</h1>\n",
        overall.word(),
        badge(overall)
    );
    out += &overview::facts(reports);
    if reports.len() > 1 {
        out += "<nav aria-label=\"Artifacts\"><ul>";
        for (index, report) in reports.iter().enumerate() {
            out += &format!("<li><a href=\"#a{index}\">{}</a></li>", escape(&report.artifact.name));
        }
        out += "</ul></nav>\n";
    }
    out += "</header>\n<main>\n";
    out += &targets::table(reports);
    out += &overview::table(reports);
    out += &overview::plots(reports);
    out += &options.comparisons.iter().map(comparison).collect::<String>();
    for (index, report) in reports.iter().enumerate() {
        out += &artifact::section(index, report);
    }
    out += "</main>\n</body>\n</html>\n";
    out
}

/// A verdict in its word and its colour.
pub(crate) fn badge(verdict: Verdict) -> String {
    let class = match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "inconclusive",
        Verdict::NotMeasured => "none",
    };
    format!("<span class=\"v {class}\">{}</span>", verdict.word())
}

fn comparison(c: &Comparison) -> String {
    use crate::markdown::{amount, change, figure};
    let mut table = Table::new(
        "Worse is positive. Where both scored the same tokens the interval is a paired bootstrap over windows.",
        &["figure", "#baseline", "#current", "#worse by (95 %)", "#allowed", "verdict"],
    );
    for f in &c.findings {
        let unit = if f.unit.is_empty() { String::new() } else { format!(", {}", f.unit) };
        let note =
            f.note.as_ref().map(|n| format!("<span class=\"soft note\">{}</span>", escape(n))).unwrap_or_default();
        table.row(&[
            escape(&format!("{}{unit}", f.metric)),
            figure(f.unit, f.baseline),
            figure(f.unit, f.current),
            escape(&change(f)),
            amount(f.allowed, f.relative),
            format!("{}{note}", badge(f.verdict)),
        ]);
    }
    let same = if c.same_artifact { "<p class=\"soft\">Both are the same files.</p>\n" } else { "" };
    format!(
        "<section>\n<h2>{} against {} {}</h2>\n{same}{}</section>\n",
        escape(&c.current),
        escape(&c.baseline),
        badge(c.verdict),
        table.finish()
    )
}
