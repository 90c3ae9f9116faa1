//! Whether the same tokens give the same logits, to the last bit, however they are run.

use super::{Family, Row};
use crate::Verdict;
use crate::latency::random_tokens;
use lfmq_core::{Executor, Fault, Want};

/// Tokens of a run: more than any block of rows that kernels take at once.
const TOKENS: usize = 48;
/// Repetitions of a run.
const REPEATS: usize = 3;

/// Rows for repetitions, numbers of threads and ways to cut the prompt.
#[must_use]
pub fn rows(executor: &dyn Executor) -> Vec<Row> {
    let tokens = random_tokens(executor, TOKENS.min(executor.facts().context));
    let once = || logits(executor, &tokens, TOKENS);
    let expected = once();

    let mut repeats = Same::new("repeats", format!("{REPEATS} fresh sequences and one that was reset"), &expected);
    (0..REPEATS).for_each(|_| repeats.also("again", once()));
    repeats.also("after a reset", after_reset(executor, &tokens));

    let counts = [1, 2, 3 + 2 * rayon::current_num_threads()];
    let words: Vec<String> = counts.iter().map(ToString::to_string).collect();
    let mut threads = Same::new("threads", format!("on {} threads", words.join(", ")), &expected);
    for count in counts {
        // Where the system grants no more threads, that many cannot differ.
        if let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(count).build() {
            threads.also(&format!("on {count} threads"), pool.install(once));
        }
    }

    let mut cuts = Same::new("chunkings", "fed in pieces of 1, 7 and 32 tokens".into(), &expected);
    for piece in [1, 7, 32] {
        cuts.also(&format!("in pieces of {piece}"), logits(executor, &tokens, piece));
    }
    let mut cuts = cuts.row();
    if !executor.divisible() && expected.is_ok() {
        // The arithmetic of the format looks at all tokens of a run at once: the cut is part of the question.
        cuts.verdict = None;
        cuts.method += "; the format takes the scale of activations from all tokens of a run, so it promises nothing";
    }
    vec![repeats.row(), threads.row(), cuts]
}

/// Logits `[tokens, vocab]` of a fresh sequence fed in pieces of `piece`.
fn logits(executor: &dyn Executor, tokens: &[u32], piece: usize) -> Logits {
    let mut session = executor.session(tokens.len())?;
    let mut out = Vec::new();
    for piece in tokens.chunks(piece) {
        session.feed(piece, Want::All, &mut out)?;
    }
    Ok(out)
}

fn after_reset(executor: &dyn Executor, tokens: &[u32]) -> Logits {
    let mut session = executor.session(tokens.len())?;
    let mut out = Vec::new();
    let other: Vec<u32> = tokens.iter().rev().copied().collect();
    session.feed(&other, Want::Nothing, &mut out)?;
    session.reset();
    out.clear();
    session.feed(tokens, Want::All, &mut out)?;
    Ok(out)
}

type Logits = Result<Vec<f32>, Fault>;

/// Runs that must have given the same bits.
struct Same<'a> {
    name: &'static str,
    method: String,
    expected: &'a Logits,
    differing: usize,
    first: Option<String>,
}

impl<'a> Same<'a> {
    fn new(name: &'static str, method: String, expected: &'a Logits) -> Self {
        let first = expected.as_ref().err().map(|error| format!("no logits: {error}"));
        Self { name, method, expected, differing: 0, first }
    }

    fn also(&mut self, how: &str, found: Logits) {
        let Ok(expected) = self.expected else { return };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.first.get_or_insert(format!("{how}: {error}"));
                return;
            }
        };
        let apart = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
        let pairs = || expected.iter().zip(&found);
        let differing = pairs().filter(|p| apart(*p)).count() + expected.len().abs_diff(found.len());
        if differing > 0 && self.first.is_none() {
            let most = pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            self.first = Some(format!("{differing} of {} logits differ {how}, by {most:e} at most", expected.len()));
        }
        self.differing = self.differing.max(differing);
    }

    fn row(self) -> Row {
        let mut row = Row::new(Family::Consistency, self.name);
        row.value = Some(self.differing as f64);
        row.limit = Some(0.0);
        row.verdict = Some(if self.first.is_none() { Verdict::Pass } else { Verdict::Fail });
        let all = self.expected.as_ref().map_or(0, Vec::len);
        row.figure = self.first.unwrap_or_else(|| format!("all {all} logits bit-equal"));
        row.method = self.method;
        row
    }
}
