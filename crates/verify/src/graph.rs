//! Whether a graph computes the model's forward pass.
//!
//! A format that holds a graph has no metadata to compare, and a slip in the graph may hide in the noise of quantization.
//! So the graph runs in f32 over the weights it stores, beside our own forward pass over the *same* weights: then nothing
//! may differ but the order of sums.

use crate::streams::{self, Streams};
use lfmq_core::{Executor, Fault, Want};
use serde::Serialize;

/// Largest error that summing in another order explains, as a share of the logits' deviation.
const SUMS: f64 = 1e-3;
/// The same where the graph itself rounds activations to eight bits.
const ROUNDED: f64 = 0.3;
/// A layer is off when its error is this many times that of the one before.
const JUMP: f64 = 4.0;

/// A graph against the forward pass over its own weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphReport {
    /// Tokens compared.
    pub tokens: usize,
    /// Median over tokens of the root mean square error of the logits, as a share of their standard deviation, when all
    /// tokens are fed at once.
    pub error: f64,
    /// The same of the second half when they are fed in pieces, so that states carry over: the first half as a prompt of
    /// which no logits are wanted.
    pub error_in_pieces: f64,
    /// What may be.
    pub limit: f64,
    /// The first place where the two part, in words.
    pub parts: Option<String>,
}

impl GraphReport {
    /// Whether the graph computes what it should. NaN is no proof.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.error <= self.limit && self.error_in_pieces <= self.limit
    }

    /// What is wrong, in words; `None` if nothing is.
    #[must_use]
    pub fn finding(&self) -> Option<String> {
        if self.holds() {
            return None;
        }
        if self.error <= self.limit {
            return Some(
                "tokens fed after a prompt give other logits than all at once: what takes the prompt, or the states are wrong".into(),
            );
        }
        let place = self.parts.as_deref().unwrap_or("the logits");
        Some(format!("run over its own weights the graph is not the model: the two part at {place}"))
    }
}

/// Compares `graph`, opened with f32 activations, with `model`, our forward pass over the weights the graph stores.
///
/// # Errors
/// Those of the executors.
pub fn compare(model: &dyn Executor, graph: &dyn Executor, tokens: &[u32]) -> Result<GraphReport, Fault> {
    let (n, half) = (tokens.len(), tokens.len() / 2);
    let expected = logits(model, tokens, &[(n, Want::All)])?;
    let vocab = model.facts().vocab.max(1);
    let error = streams::error(&expected, &logits(graph, tokens, &[(n, Want::All)])?, vocab);
    // The first half as a prompt, of which no logits are wanted: graphs may have another part for that.
    let one = 1.min(n - half);
    let pieces = [(half, Want::Nothing), (one, Want::All), (n - half - one, Want::All)];
    let later = expected.get(half * vocab..).unwrap_or_default();
    let error_in_pieces = streams::error(later, &logits(graph, tokens, &pieces)?, vocab);
    let limit = if graph.exact() { SUMS } else { ROUNDED };
    let mut report = GraphReport { tokens: n, error, error_in_pieces, limit, parts: None };
    if report.error.is_nan() || report.error > limit {
        report.parts = parting(model, graph, tokens)?;
    }
    Ok(report)
}

/// The logits that are wanted of `tokens`, fed in pieces.
fn logits(executor: &dyn Executor, tokens: &[u32], pieces: &[(usize, Want)]) -> Result<Vec<f32>, Fault> {
    let mut session = executor.session(tokens.len())?;
    let (mut out, mut rest) = (Vec::new(), tokens);
    for (piece, want) in pieces {
        let (now, later) = rest.split_at(*piece);
        session.feed(now, *want, &mut out)?;
        rest = later;
    }
    Ok(out)
}

/// The first layer after which no value of the graph is the model's residual stream.
fn parting(model: &dyn Executor, graph: &dyn Executor, tokens: &[u32]) -> Result<Option<String>, Fault> {
    let Some(streams) = Streams::compare(model, graph, tokens)? else { return Ok(None) };
    let mut before = SUMS;
    for near in streams.nearest() {
        if near.error > JUMP * before.max(SUMS) {
            return Ok(Some(format!("{} (nearest is `{}`, off by {:.2})", near.place, near.value, near.error)));
        }
        before = near.error;
    }
    Ok(Some("the final norm or the head".to_owned()))
}
