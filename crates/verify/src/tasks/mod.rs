//! Scores generated text against known answers: fields of JSON for extraction, exact match and chrF for text.

mod chrf;
mod fields;

pub use chrf::ChrF;
pub use fields::{FieldCount, count_fields};

use crate::VerifyError;
use crate::stats::bootstrap;
use lfmq_core::{Fault, Observer, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of a tasks file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Its kind, e.g. `extract` or `ja-en`; scores are given by kind.
    pub task: String,
    /// The system message.
    #[serde(default)]
    pub system: String,
    /// The user's message.
    pub user: String,
    /// The right answer. A JSON object is scored by its fields, anything else as text.
    pub answer: String,
}

/// Reads a tasks file: one JSON object a line, empty lines skipped.
///
/// # Errors
/// A line that is not a task.
pub fn read(text: &str) -> Result<Vec<Task>, VerifyError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(i, line)| serde_json::from_str(line).map_err(|e| VerifyError::Tasks { line: i + 1, why: e.to_string() }))
        .collect()
}

/// A model with a tokenizer and a chat template around it, decoding greedily.
pub trait Generate {
    /// The answer to one exchange, special tokens left out, at most `max_tokens` long.
    ///
    /// # Errors
    /// Those of template, tokenizer and executor.
    fn generate(&mut self, system: &str, user: &str, max_tokens: usize) -> Result<String, Fault>;
}

/// Has every task answered, in order.
///
/// # Errors
/// The first error of `model`.
pub fn answer(
    tasks: &[Task],
    model: &mut dyn Generate,
    max_tokens: usize,
    observer: &dyn Observer,
) -> Result<Vec<String>, Fault> {
    observer.begin("tasks", tasks.len() as u64, Unit::Items);
    let one = |task: &Task| {
        let answer = model.generate(&task.system, &task.user, max_tokens);
        observer.advance(1);
        answer
    };
    let answers = tasks.iter().map(one).collect();
    observer.end();
    answers
}

/// Scores of one model on one kind of task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TaskScores {
    /// Share of answers equal to the right one, surrounding blanks aside.
    pub exact: f64,
    /// Micro F1 over the fields of the right answers and the given ones, where the right answers are JSON objects.
    pub field_f1: Option<f64>,
    /// Share of answers that are a JSON object, likewise.
    pub valid_json: Option<f64>,
    /// chrF of the whole corpus, 0 to 100, where the answers are text.
    pub chrf: Option<f64>,
}

impl TaskScores {
    /// The score by which a gate judges, 0 to 1: field F1 where there is one, else chrF / 100.
    #[must_use]
    pub fn main(&self) -> f64 {
        self.field_f1.or(self.chrf.map(|c| c / 100.0)).unwrap_or(self.exact)
    }
}

/// Both models on one kind of task.
#[derive(Clone, Debug, Serialize)]
pub struct TaskComparison {
    /// The kind.
    pub task: String,
    /// How many.
    pub tasks: usize,
    /// The yardstick's scores.
    pub yardstick: TaskScores,
    /// The candidate's.
    pub candidate: TaskScores,
    /// Yardstick's main score minus the candidate's, 0 to 1: positive is a loss.
    pub drop: f64,
    /// Its 95 % interval, paired bootstrap over the tasks.
    pub drop_interval: (f64, f64),
    /// Tasks that the yardstick gets exactly right and the candidate does not.
    pub lost: usize,
    /// Tasks that the candidate gets exactly right and the yardstick does not.
    pub won: usize,
    /// Two-sided exact p of `lost` against `won` (`McNemar`): how likely such a split is if neither is better.
    pub p: f64,
}

/// Compares the answers of both models, kind by kind in alphabetical order.
#[must_use]
pub fn compare(tasks: &[Task], yardstick: &[String], candidate: &[String]) -> Vec<TaskComparison> {
    let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, task) in tasks.iter().enumerate().take(yardstick.len().min(candidate.len())) {
        kinds.entry(&task.task).or_default().push(i);
    }
    let compare = |(kind, members): (&str, Vec<usize>)| {
        let counts = |answers: &[String]| -> Vec<Count> {
            members.iter().map(|i| Count::of(&tasks[*i].answer, &answers[*i])).collect()
        };
        let (base, other) = (counts(yardstick), counts(candidate));
        let all: Vec<usize> = (0..members.len()).collect();
        let drop = |draw: &[usize]| scores(&base, draw).main() - scores(&other, draw).main();
        let flips = |a: &[Count], b: &[Count]| a.iter().zip(b).filter(|(a, b)| a.exact && !b.exact).count();
        let (lost, won) = (flips(&base, &other), flips(&other, &base));
        TaskComparison {
            task: kind.to_owned(),
            tasks: members.len(),
            yardstick: scores(&base, &all),
            candidate: scores(&other, &all),
            drop: drop(&all),
            drop_interval: bootstrap(members.len(), drop),
            lost,
            won,
            p: mcnemar(lost, won),
        }
    };
    kinds.into_iter().map(compare).collect()
}

/// What one answer adds to its corpus.
struct Count {
    exact: bool,
    fields: Option<FieldCount>,
    chrf: ChrF,
}

impl Count {
    fn of(right: &str, given: &str) -> Self {
        Self { exact: right.trim() == given.trim(), fields: count_fields(right, given), chrf: ChrF::of(given, right) }
    }
}

fn scores(counts: &[Count], draw: &[usize]) -> TaskScores {
    let n = draw.len().max(1) as f64;
    let exact = draw.iter().filter(|i| counts[**i].exact).count() as f64 / n;
    let json = counts.iter().all(|c| c.fields.is_some());
    if json {
        let sum = draw.iter().filter_map(|i| counts[*i].fields).fold(FieldCount::default(), FieldCount::join);
        let valid = draw.iter().filter(|i| counts[**i].fields.is_some_and(|f| f.valid)).count() as f64 / n;
        TaskScores { exact, field_f1: Some(sum.f1()), valid_json: Some(valid), chrf: None }
    } else {
        let mut sum = ChrF::default();
        draw.iter().for_each(|i| sum.add(&counts[*i].chrf));
        TaskScores { exact, field_f1: None, valid_json: None, chrf: Some(sum.score()) }
    }
}

/// Two-sided exact binomial p of a split `a` : `b`.
fn mcnemar(a: usize, b: usize) -> f64 {
    let n = a + b;
    // Terms C(n, k) / 2^n from k = 0 up, in logarithms so that large n neither overflows nor vanishes too early.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut sum = 0.0;
    for k in 0..=a.min(b) {
        sum += libm::exp(log_term);
        log_term += libm::log((n - k) as f64 / (k + 1) as f64);
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(kind: &str, answer: &str) -> Task {
        Task { task: kind.into(), system: String::new(), user: "u".into(), answer: answer.into() }
    }

    #[test]
    fn lines_are_read_and_bad_ones_named() {
        let good = "{\"task\":\"a\",\"system\":\"s\",\"user\":\"u\",\"answer\":\"x\"}\n\n";
        assert_eq!(read(good).unwrap().len(), 1);
        let error = read(&format!("{good}{{\"task\":1}}")).unwrap_err();
        assert!(matches!(error, VerifyError::Tasks { line: 3, .. }), "{error}");
        assert!(read("{\"task\":\"a\",\"user\":\"u\",\"answer\":\"x\",\"extra\":1}").is_err());
    }

    #[test]
    fn binomial_p() {
        for (a, b, p) in [(0, 0, 1.0), (5, 0, 0.0625), (0, 5, 0.0625), (3, 1, 0.625), (8, 2, 0.109_375)] {
            assert!((mcnemar(a, b) - p).abs() < 1e-12, "{a}:{b}");
        }
        assert!(mcnemar(900, 100) < 1e-100 && mcnemar(2000, 2000) == 1.0);
    }

    #[test]
    fn kinds_are_scored_apart() {
        let tasks = [task("x", r#"{"a":1,"b":2}"#), task("x", r#"{"a":1,"b":2}"#), task("t", "ja")];
        let right: Vec<String> = tasks.iter().map(|t| t.answer.clone()).collect();
        let wrong = vec![r#"{"a":1,"b":3}"#.to_owned(), "no json".into(), "ja \n".into()];
        let got = compare(&tasks, &right, &wrong);
        assert_eq!(got.iter().map(|c| c.task.as_str()).collect::<Vec<_>>(), ["t", "x"]);
        assert_eq!((got[0].candidate.exact, got[0].candidate.chrf, got[0].drop), (1.0, Some(100.0), 0.0));
        let x = &got[1];
        // Candidate: one hit of two given and four wanted fields.
        assert_eq!(x.candidate.field_f1, Some(2.0 / 6.0));
        assert_eq!((x.candidate.valid_json, x.yardstick.field_f1, x.lost, x.won), (Some(0.5), Some(1.0), 2, 0));
        assert!((x.drop - 4.0 / 6.0).abs() < 1e-12);
        assert!(x.drop_interval.0 <= x.drop && x.drop <= x.drop_interval.1);
    }
}
