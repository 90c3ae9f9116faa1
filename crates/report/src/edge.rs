//! The rows about devices, as a table of a page, a list of a comment and cases of a test report.

use crate::html::{Table, badge};
use crate::junit::escape;
use crate::number::significant;
use crate::view::Verdict;
use serde::Deserialize;
use std::fmt::Write as _;

/// The rows of a report.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Edge {
    pub rows: Vec<Row>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Row {
    pub family: String,
    pub name: String,
    pub target: Option<String>,
    pub value: Option<f64>,
    pub unit: String,
    pub limit: Option<f64>,
    pub figure: String,
    /// `None` for a figure without a limit.
    pub verdict: Option<Verdict>,
    pub method: String,
}

impl Row {
    /// `memory: resident peak (iot-small)`.
    #[must_use]
    pub fn title(&self) -> String {
        let target = self.target.as_ref().map(|t| format!(" ({t})")).unwrap_or_default();
        format!("{}: {}{target}", self.family, self.name)
    }

    fn limit(&self) -> String {
        self.limit.map_or(String::new(), |l| format!("{} {}", significant(l, 6), self.unit).trim().to_owned())
    }
}

impl Edge {
    /// Whether a row fails.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.rows.iter().any(|r| r.verdict == Some(Verdict::Fail))
    }

    pub(crate) fn html(&self) -> String {
        let caption = "What a device does to it. Under a figure: how it was measured.";
        let mut table = Table::new(caption, &["about", "what", "verdict", "figure", "#limit"]);
        for row in &self.rows {
            let target = row.target.as_ref().map(|t| format!("<span class=\"soft\">{}</span>", escape(t)));
            table.row(&[
                escape(&row.family),
                format!("{}{}", escape(&row.name), target.unwrap_or_default()),
                row.verdict.map_or_else(|| "no limit".to_owned(), badge),
                format!("{}<span class=\"soft note\">{}</span>", escape(&row.figure), escape(&row.method)),
                escape(&row.limit()),
            ]);
        }
        format!("<h3>Edge</h3>\n{}", table.finish())
    }

    /// How many rows pass, and the rows that do not.
    pub(crate) fn markdown(&self, out: &mut String, name: &str, cell: impl Fn(&str) -> String) {
        let judged = || self.rows.iter().filter_map(|r| r.verdict.map(|v| (r, v)));
        let passed = judged().filter(|(_, v)| *v == Verdict::Pass).count();
        let _ = writeln!(out, "\n**{}**: {passed} of {} edge rows pass\n", cell(name), judged().count());
        for (row, verdict) in judged().filter(|(_, v)| *v != Verdict::Pass) {
            let limit = if row.limit.is_some() { format!(" (limit {})", row.limit()) } else { String::new() };
            let _ = writeln!(out, "- {} {}: {}{limit}", verdict.word(), cell(&row.title()), cell(&row.figure));
        }
    }

    /// Name, verdict and message of each row that has a verdict.
    pub(crate) fn cases(&self) -> impl Iterator<Item = (String, Verdict, String)> {
        self.rows.iter().filter_map(|row| {
            let verdict = row.verdict?;
            let limit = if row.limit.is_some() { format!(", limit {}", row.limit()) } else { String::new() };
            let message = format!("{}: {}{limit}: {}", verdict.word(), row.figure, row.method);
            Some((format!("edge {}", row.title()), verdict, message))
        })
    }
}
