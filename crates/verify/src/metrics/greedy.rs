use crate::stats::{quantile, sorted};
use lfmq_core::{ExecError, Executor, Fault, Want};
use serde::Serialize;

/// Where two greedy continuations of one prompt part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GreedyRun {
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Index from 0 of the first continuation token that differs; `None` if all are the same.
    pub diverges_at: Option<usize>,
}

/// Greedy continuations of several prompts.
#[derive(Clone, Debug, Serialize)]
pub struct Greedy {
    /// Tokens generated after each prompt.
    pub tokens: usize,
    /// One entry a prompt.
    pub runs: Vec<GreedyRun>,
    /// Share of prompts whose continuations are the same to the end.
    pub exact: f64,
    /// Median index of the first difference; `tokens` stands for none.
    pub median: f64,
}

/// Continues each of `prompts` by `tokens` tokens with both models.
///
/// # Errors
/// Those of the executors.
pub fn greedy(
    yardstick: &dyn Executor,
    candidate: &dyn Executor,
    prompts: &[&[u32]],
    tokens: usize,
) -> Result<Greedy, Fault> {
    let mut runs = Vec::with_capacity(prompts.len());
    for prompt in prompts {
        let diverges_at = first_divergence(yardstick, candidate, prompt, tokens)?;
        runs.push(GreedyRun { prompt: prompt.len(), diverges_at });
    }
    let exact = runs.iter().filter(|r| r.diverges_at.is_none()).count() as f64 / runs.len().max(1) as f64;
    let at: Vec<f64> = runs.iter().map(|r| r.diverges_at.unwrap_or(tokens) as f64).collect();
    Ok(Greedy { tokens, exact, median: quantile(&sorted(&at), 0.5), runs })
}

/// Index of the first greedy token on which both models differ. Up to there they have seen the same tokens, so the
/// candidate need not be run on its own.
///
/// # Errors
/// Those of the executors.
pub fn first_divergence(
    yardstick: &dyn Executor,
    candidate: &dyn Executor,
    prompt: &[u32],
    tokens: usize,
) -> Result<Option<usize>, Fault> {
    let room = prompt.len() + tokens;
    let (mut base, mut other) = (yardstick.session(room)?, candidate.session(room)?);
    let (mut b, mut c) = (Vec::new(), Vec::new());
    let mut fed = prompt.to_vec();
    for index in 0..tokens {
        b.clear();
        c.clear();
        base.feed(&fed, Want::Last, &mut b).map_err(Fault::from)?;
        other.feed(&fed, Want::Last, &mut c).map_err(Fault::from)?;
        let next = argmax(&b);
        if next != argmax(&c) {
            return Ok(Some(index));
        }
        fed = vec![next.ok_or(ExecError::Token { token: 0, vocab: 0 })?];
    }
    Ok(None)
}

/// Id of the largest logit, the lowest id among equals; `None` of none.
#[must_use]
pub fn argmax(logits: &[f32]) -> Option<u32> {
    let mut best: Option<(u32, f32)> = None;
    for (id, logit) in (0u32..).zip(logits) {
        if best.is_none_or(|(_, top)| *logit > top) {
            best = Some((id, *logit));
        }
    }
    best.map(|(id, _)| id)
}
