//! Our executor against a real runtime, as a table of a page and a line of a comment.

use crate::html::Table;
use crate::junit::escape;
use crate::number::{interval, maybe, percent};
use crate::view::{Agreement, Divergence, Greedy};
use serde::Deserialize;
use std::fmt::Write as _;

/// The figures of a report.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct Oracle {
    pub runtime: String,
    pub kld: Divergence,
    pub agreement: Agreement,
    pub logits: LogitGap,
    pub prompts: PromptGap,
    pub greedy: Greedy,
}

/// Differences of logits at the positions of a text.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct LogitGap {
    pub median: Option<f64>,
    pub max: Option<f64>,
}

/// Differences of logits in short prompts.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[allow(missing_docs, reason = "as in the schema")]
pub struct PromptGap {
    pub prompts: usize,
    pub tokens: usize,
    pub median: Option<f64>,
    pub max: Option<f64>,
}

impl Oracle {
    pub(crate) fn html(&self) -> String {
        let caption = format!(
            "The same file in {}: what devices compute, next to what our executor says of them. Logits in shares of \
             their standard deviation.",
            escape(&self.runtime)
        );
        let mut table = Table::new(&caption, &["figure", "#value", "95 % interval, or what it means"]);
        let (k, top) = (&self.kld, &self.agreement.same_top);
        let mut row = |name: &str, value: String, note: String| table.row(&[name.to_owned(), value, escape(&note)]);
        row("KLD mean, nats", maybe(k.mean.value, 3), interval(&k.mean, 3));
        row("KLD largest, nats", maybe(k.max, 3), format!("of {} tokens", k.tokens));
        row("same top token", percent(top.value), format!("{} to {}", percent(top.low), percent(top.high)));
        row("logits, median", maybe(self.logits.median, 3), format!("largest {}", maybe(self.logits.max, 3)));
        let p = &self.prompts;
        let note = format!("of {} prompts of {} tokens; largest {}", p.prompts, p.tokens, maybe(p.max, 3));
        row("short prompts, median", maybe(p.median, 3), note);
        let runs = self.greedy.runs.len();
        let same = (self.greedy.exact * runs as f64).round();
        row("greedy text", format!("{same} of {runs}"), format!("the same for {} tokens", self.greedy.tokens));
        format!("<h3>Executor against runtime</h3>\n{}", table.finish())
    }

    pub(crate) fn markdown(&self, out: &mut String, name: &str, cell: impl Fn(&str) -> String) {
        let (kld, same) = (maybe(self.kld.mean.value, 2), percent(self.agreement.same_top.value));
        let _ = writeln!(
            out,
            "\n**{}**: our executor is {kld} nats from {}, {same} of top tokens the same, logits of short prompts {} \
             (median) of their deviation apart",
            cell(name),
            cell(&self.runtime),
            maybe(self.prompts.median, 2)
        );
    }
}
