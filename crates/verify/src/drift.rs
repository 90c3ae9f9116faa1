//! Runs yardstick and candidate over the same windows and sums up how their predictions differ.

use crate::metrics::{
    Agreement, Divergence, Greedy, Perplexity, ProbabilityShift, RouterAgreement, RouterTally, Scores, TokenScore,
    agreement, divergence, greedy, perplexity, probability_shift, score,
};
use crate::shards::{Shard, WindowDetail, WindowMeans, detail, per_window};
use crate::{Side, VerifyError, Windows};
use lfmq_core::{Executor, Fault, Observer, Session, Unit, Want};
use rayon::prelude::*;
use serde::Serialize;

/// What is measured beside the windows.
#[derive(Clone, Copy, Debug)]
pub struct DriftOptions {
    /// Prompts that are continued greedily: the starts of the first windows.
    pub greedy_prompts: usize,
    /// Tokens of each prompt.
    pub greedy_prompt_tokens: usize,
    /// Tokens generated.
    pub greedy_tokens: usize,
}

impl Default for DriftOptions {
    fn default() -> Self {
        Self { greedy_prompts: 4, greedy_prompt_tokens: 32, greedy_tokens: 32 }
    }
}

/// How far the candidate's predictions are from the yardstick's.
#[derive(Clone, Debug, Serialize)]
pub struct Drift {
    /// Tokens of a window.
    pub context: usize,
    /// Windows.
    pub windows: usize,
    /// Scored positions of each window.
    pub scored: usize,
    /// KL divergence.
    pub kld: Divergence,
    /// Perplexity ratio.
    pub perplexity: Perplexity,
    /// Agreement on the most likely token.
    pub agreement: Agreement,
    /// Shift of the true token's probability.
    pub probability: ProbabilityShift,
    /// Agreement of routers at the scored positions; `None` for a dense model or an executor that shows none.
    pub router: Option<RouterAgreement>,
    /// Greedy continuations.
    pub greedy: Option<Greedy>,
    /// Means of each window, in order.
    pub per_window: Vec<WindowMeans>,
}

impl Drift {
    /// Sums up `scores` of windows of `context` tokens.
    #[must_use]
    pub fn of(scores: &Scores, context: usize, router: Option<RouterAgreement>) -> Self {
        let per_window = per_window(scores);
        Self {
            context,
            windows: per_window.len(),
            scored: scores.per_window,
            kld: divergence(scores),
            perplexity: perplexity(scores),
            agreement: agreement(scores),
            probability: probability_shift(scores),
            router,
            greedy: None,
            per_window,
        }
    }
}

/// Bytes of one side's logits that are held at a time.
const LOGITS_BYTES: usize = 32 << 20;

/// Positions whose logits are held at a time.
pub(crate) fn chunk(vocab: usize) -> usize {
    (LOGITS_BYTES / (4 * vocab.max(1))).max(16)
}

/// Measures the drift of `candidate` from `yardstick` on `windows`.
///
/// At most 32 MiB of logits of each side are held (at least 16 positions).
///
/// # Errors
/// Different vocabularies, logits that are not finite (named by window, position, token), and those of the executors.
pub fn measure(
    yardstick: &dyn Executor,
    candidate: &dyn Executor,
    windows: &Windows,
    options: &DriftOptions,
    observer: &dyn Observer,
) -> Result<Drift, Fault> {
    Ok(measure_in_detail(yardstick, candidate, windows, None, options, observer)?.0)
}

/// The same with the scores by token, for part `shard` of `windows` only; the first part also has the greedy runs.
///
/// # Errors
/// As [`measure`].
pub fn measure_in_detail(
    yardstick: &dyn Executor,
    candidate: &dyn Executor,
    windows: &Windows,
    shard: Option<Shard>,
    options: &DriftOptions,
    observer: &dyn Observer,
) -> Result<(Drift, Vec<WindowDetail>), Fault> {
    let part = shard.map_or_else(|| windows.clone(), |shard| shard.of(windows));
    let (scores, tally) = tally_windows(yardstick, candidate, &part, observer)?;
    let detail = detail(&scores, part.first_window(), tally.windows());
    let prompts: Vec<&[u32]> = windows
        .iter()
        .take(if shard.is_none_or(Shard::leads) { options.greedy_prompts } else { 0 })
        .map(|w| &w[..options.greedy_prompt_tokens.clamp(1, w.len())])
        .collect();
    let continued = if prompts.is_empty() || options.greedy_tokens == 0 {
        None
    } else {
        Some(greedy(yardstick, candidate, &prompts, options.greedy_tokens)?)
    };
    let drift = Drift { greedy: continued, ..Drift::of(&scores, windows.context(), tally.finish()) };
    Ok((drift, detail))
}

/// The scores of every scored position, and the agreement of routers.
///
/// # Errors
/// As [`measure`].
pub fn score_windows(
    yardstick: &dyn Executor,
    candidate: &dyn Executor,
    windows: &Windows,
    observer: &dyn Observer,
) -> Result<(Scores, Option<RouterAgreement>), Fault> {
    let (scores, tally) = tally_windows(yardstick, candidate, windows, observer)?;
    Ok((scores, tally.finish()))
}

fn tally_windows(
    yardstick: &dyn Executor,
    candidate: &dyn Executor,
    windows: &Windows,
    observer: &dyn Observer,
) -> Result<(Scores, RouterTally), Fault> {
    let vocab = yardstick.facts().vocab;
    if candidate.facts().vocab != vocab {
        return Err(VerifyError::Vocabulary { yardstick: vocab, candidate: candidate.facts().vocab }.into());
    }
    let mut pair = Pair::new(yardstick, candidate, windows.context(), vocab)?;
    let mut scores = Scores { per_window: windows.scored(), first: windows.first_scored(), ..Scores::default() };
    observer.begin("drift", (windows.count() * windows.context()) as u64, Unit::Tokens);
    for (index, window) in windows.iter().enumerate() {
        pair.reset();
        let (unscored, rest) = window.split_at(windows.first_scored());
        pair.skip(unscored)?;
        // The last token of a window has no target, so it is not fed.
        let fed = &rest[..windows.scored()];
        let chunk = chunk(vocab);
        for (start, piece) in (0..).step_by(chunk).zip(fed.chunks(chunk)) {
            let targets = &rest[start + 1..][..piece.len()];
            pair.score(piece, targets, (index, windows.first_scored() + start), &mut scores)?;
        }
        pair.tally.end_window();
        observer.advance(window.len() as u64);
    }
    observer.end();
    Ok((scores, pair.tally))
}

/// Both models in step.
struct Pair<'a> {
    base: Box<dyn Session + 'a>,
    candidate: Box<dyn Session + 'a>,
    vocab: usize,
    base_logits: Vec<f32>,
    candidate_logits: Vec<f32>,
    tally: RouterTally,
}

impl<'a> Pair<'a> {
    fn new(
        yardstick: &'a dyn Executor,
        candidate: &'a dyn Executor,
        positions: usize,
        vocab: usize,
    ) -> Result<Self, Fault> {
        Ok(Self {
            base: yardstick.session(positions)?,
            candidate: candidate.session(positions)?,
            vocab,
            base_logits: Vec::new(),
            candidate_logits: Vec::new(),
            tally: RouterTally::default(),
        })
    }

    fn reset(&mut self) {
        self.base.reset();
        self.candidate.reset();
    }

    fn feed(&mut self, tokens: &[u32], want: Want) -> Result<(), Fault> {
        self.base_logits.clear();
        self.candidate_logits.clear();
        self.base.feed(tokens, want, &mut self.base_logits)?;
        self.candidate.feed(tokens, want, &mut self.candidate_logits)?;
        Ok(())
    }

    fn skip(&mut self, tokens: &[u32]) -> Result<(), Fault> {
        if tokens.is_empty() { Ok(()) } else { self.feed(tokens, Want::Nothing) }
    }

    /// Feeds `tokens` and scores each against its target; `at` is the window and the position of the first.
    fn score(&mut self, tokens: &[u32], targets: &[u32], at: (usize, usize), out: &mut Scores) -> Result<(), Fault> {
        self.feed(tokens, Want::All)?;
        check(&self.base_logits, Side::Yardstick, (tokens.len(), self.vocab), at)?;
        check(&self.candidate_logits, Side::Candidate, (tokens.len(), self.vocab), at)?;
        if let Some(token) = targets.iter().find(|t| **t as usize >= self.vocab) {
            return Err(lfmq_core::ExecError::Token { token: *token, vocab: self.vocab }.into());
        }
        let scored: Vec<TokenScore> = self
            .base_logits
            .par_chunks_exact(self.vocab)
            .zip(self.candidate_logits.par_chunks_exact(self.vocab))
            .zip(targets)
            .map(|((base, candidate), target)| score(base, candidate, *target))
            .collect();
        let (base, candidate) = (self.base.routes(), self.candidate.routes());
        self.tally.push(base, candidate);
        self.tally.push_drift(base, candidate, &scored.iter().map(|s| s.kld).collect::<Vec<_>>());
        out.tokens.extend(scored);
        out.targets.extend_from_slice(targets);
        Ok(())
    }
}

/// That there are `[rows, vocab]` finite logits.
pub(crate) fn check(
    logits: &[f32],
    side: Side,
    (rows, vocab): (usize, usize),
    (window, position): (usize, usize),
) -> Result<(), VerifyError> {
    if logits.len() != rows * vocab {
        return Err(VerifyError::Logits { side, expected: rows * vocab, found: logits.len() });
    }
    match logits.iter().position(|l| !l.is_finite()) {
        None => Ok(()),
        Some(i) => Err(VerifyError::NotFinite { side, window, position: position + i / vocab, token: i % vocab }),
    }
}
