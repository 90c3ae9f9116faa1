//! Holds our executor against the runtime it stands for, on the same artifact.
//!
//! Where a graph computes in f32 both give the same logits but for the order of sums. Where it rounds activations to
//! eight bits, a value on the boundary may be rounded the other way and shift every later logit a little; that must not
//! be taken for a mistake. So short prompts are compared by their median, which a mistake moves and a lone flip does
//! not, and a long text by what the predictions are worth.

use crate::drift::{check, chunk};
use crate::metrics::{Agreement, Divergence, Greedy, Scores, agreement, divergence, greedy, score};
use crate::stats::{quantile, sorted};
use crate::{DriftOptions, Side, VerifyError, Windows};
use lfmq_core::{Executor, Fault, Observer, Session, Unit, Want};
use serde::Serialize;

/// Largest mean divergence of the executor from the runtime, nats a token: as much as an 8-bit model may drift from its
/// checkpoint, and far below what any slip in a graph costs.
const LIMIT: f64 = 0.005;
/// Short prompts and their length.
const PROMPTS: usize = 12;
const PROMPT_TOKENS: usize = 4;

/// The executor against the real runtime.
#[derive(Clone, Debug, Serialize)]
pub struct OracleReport {
    /// The runtime and its version.
    pub runtime: String,
    /// Largest mean divergence that passes, nats a token.
    pub limit: f64,
    /// Divergence of the executor's predictions from the runtime's on the text.
    pub kld: Divergence,
    /// Agreement on the most likely token.
    pub agreement: Agreement,
    /// Logits of the scored positions.
    pub logits: LogitGap,
    /// Logits of short prompts.
    pub prompts: PromptGap,
    /// Greedy continuations, the runtime's first.
    pub greedy: Greedy,
}

impl OracleReport {
    /// The figures and what they are, in words.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, String); 5] {
        let (kld, same, greedy) = (&self.kld.mean, &self.agreement.same_top, &self.greedy);
        let whole = greedy.runs.iter().filter(|r| r.diverges_at.is_none()).count();
        let p = &self.prompts;
        [
            ("KLD, mean", format!("{:.2e} ± {:.1e} nats", kld.value, kld.se)),
            ("same top", format!("{:.2} ± {:.2} %", same.value * 100.0, same.se * 100.0)),
            (
                "logits",
                format!("{:.1e} of their deviation (median), largest {:.1e}", self.logits.median, self.logits.max),
            ),
            ("short prompts", format!("{:.1e} (median of {}), largest {:.1e}", p.median, p.prompts, p.max)),
            ("greedy text", format!("{whole} of {} the same for {} tokens", greedy.runs.len(), greedy.tokens)),
        ]
    }
}

/// Largest difference of logits at a position, as a share of the deviation of the runtime's logits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LogitGap {
    /// Median over positions.
    pub median: f64,
    /// The largest of all.
    pub max: f64,
}

/// Largest difference of logits in a short prompt, as a share of the deviation of the runtime's logits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PromptGap {
    /// Prompts.
    pub prompts: usize,
    /// Tokens of each.
    pub tokens: usize,
    /// Median over prompts.
    pub median: f64,
    /// The largest of all.
    pub max: f64,
}

/// Compares `candidate` with `runtime`, which runs the same artifact, on `windows`.
///
/// # Errors
/// Different vocabularies, logits that are not finite, and those of the executors.
pub fn compare(
    runtime: &dyn Executor,
    candidate: &dyn Executor,
    windows: &Windows,
    observer: &dyn Observer,
) -> Result<OracleReport, Fault> {
    let (vocab, other) = (runtime.facts().vocab, candidate.facts().vocab);
    if vocab != other {
        return Err(VerifyError::Vocabulary { yardstick: vocab, candidate: other }.into());
    }
    let (scores, gaps) = text(runtime, candidate, windows, observer)?;
    let options = DriftOptions::default();
    let starts = windows.iter().take(options.greedy_prompts);
    let starts: Vec<&[u32]> = starts.map(|w| &w[..options.greedy_prompt_tokens.clamp(1, w.len())]).collect();
    let gaps = sorted(&gaps);
    Ok(OracleReport {
        runtime: runtime.facts().what.clone(),
        limit: LIMIT,
        kld: divergence(&scores),
        agreement: agreement(&scores),
        logits: LogitGap { median: quantile(&gaps, 0.5), max: gaps.last().copied().unwrap_or_default() },
        prompts: prompts(runtime, candidate, windows)?,
        greedy: greedy(runtime, candidate, &starts, options.greedy_tokens)?,
    })
}

/// The scores of the second halves of all windows, and the gap of logits at each position.
fn text(
    runtime: &dyn Executor,
    candidate: &dyn Executor,
    windows: &Windows,
    observer: &dyn Observer,
) -> Result<(Scores, Vec<f64>), Fault> {
    let vocab = runtime.facts().vocab;
    let mut pair = Pair::new(runtime, candidate, windows.context())?;
    let mut scores = Scores { per_window: windows.scored(), first: windows.first_scored(), ..Scores::default() };
    let mut gaps = Vec::new();
    observer.begin(runtime.facts().rung, (windows.count() * windows.context()) as u64, Unit::Tokens);
    for (index, window) in windows.iter().enumerate() {
        let (unscored, rest) = window.split_at(windows.first_scored());
        pair.reset();
        pair.feed(unscored, Want::Nothing)?;
        // The last token of a window has no target, so it is not fed.
        let fed = &rest[..windows.scored()];
        for (start, piece) in (0..).step_by(chunk(vocab)).zip(fed.chunks(chunk(vocab))) {
            pair.feed(piece, Want::All)?;
            let at = (index, windows.first_scored() + start);
            check(&pair.runtime_logits, Side::Yardstick, (piece.len(), vocab), at)?;
            check(&pair.candidate_logits, Side::Candidate, (piece.len(), vocab), at)?;
            let targets = &rest[start + 1..][..piece.len()];
            let rows = pair.runtime_logits.chunks_exact(vocab).zip(pair.candidate_logits.chunks_exact(vocab));
            for ((base, ours), target) in rows.zip(targets) {
                scores.tokens.push(score(base, ours, *target));
                scores.targets.push(*target);
                gaps.push(gap(base, ours));
            }
        }
        observer.advance(window.len() as u64);
    }
    observer.end();
    Ok((scores, gaps))
}

/// Short prompts, spread evenly over the text.
fn prompts(runtime: &dyn Executor, candidate: &dyn Executor, windows: &Windows) -> Result<PromptGap, Fault> {
    let all: Vec<&[u32]> = windows.iter().flat_map(|w| w.chunks_exact(PROMPT_TOKENS)).collect();
    let count = PROMPTS.min(all.len());
    let mut pair = Pair::new(runtime, candidate, PROMPT_TOKENS)?;
    let mut gaps = Vec::with_capacity(count);
    for prompt in (0..count).map(|i| all[i * all.len() / count]) {
        pair.reset();
        pair.feed(prompt, Want::All)?;
        gaps.push(gap(&pair.runtime_logits, &pair.candidate_logits));
    }
    let gaps = sorted(&gaps);
    let max = gaps.last().copied().unwrap_or_default();
    Ok(PromptGap { prompts: count, tokens: PROMPT_TOKENS, median: quantile(&gaps, 0.5), max })
}

/// Largest difference over the deviation of `base`.
fn gap(base: &[f32], ours: &[f32]) -> f64 {
    let n = base.len().max(1) as f64;
    let mean = base.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = base.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    let largest = base.iter().zip(ours).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).fold(0.0, f64::max);
    largest / variance.sqrt().max(f64::MIN_POSITIVE)
}

/// Both sides in step.
struct Pair<'a> {
    runtime: Box<dyn Session + 'a>,
    candidate: Box<dyn Session + 'a>,
    runtime_logits: Vec<f32>,
    candidate_logits: Vec<f32>,
}

impl<'a> Pair<'a> {
    fn new(runtime: &'a dyn Executor, candidate: &'a dyn Executor, positions: usize) -> Result<Self, Fault> {
        let (runtime, candidate) = (runtime.session(positions)?, candidate.session(positions)?);
        Ok(Self { runtime, candidate, runtime_logits: Vec::new(), candidate_logits: Vec::new() })
    }

    fn reset(&mut self) {
        self.runtime.reset();
        self.candidate.reset();
    }

    /// Feeds both; their logits take the place of the last ones.
    fn feed(&mut self, tokens: &[u32], want: Want) -> Result<(), Fault> {
        self.runtime_logits.clear();
        self.candidate_logits.clear();
        if !tokens.is_empty() {
            self.runtime.feed(tokens, want, &mut self.runtime_logits)?;
            self.candidate.feed(tokens, want, &mut self.candidate_logits)?;
        }
        Ok(())
    }
}
