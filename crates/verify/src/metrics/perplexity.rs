use super::Scores;
use crate::stats::{Estimate, mean};
use libm::exp;
use serde::Serialize;

/// Perplexity of both models on the scored tokens.
#[derive(Clone, Debug, Serialize)]
pub struct Perplexity {
    /// Of the yardstick.
    pub base: f64,
    /// Of the candidate.
    pub candidate: f64,
    /// candidate / base. The interval is that of the paired log-ratio over windows, so what makes a text hard for both
    /// cancels.
    pub ratio: Estimate,
}

/// Perplexities and their ratio.
#[must_use]
pub fn perplexity(scores: &Scores) -> Perplexity {
    let difference = scores.values(|t| t.nll - t.nll_base);
    Perplexity {
        base: exp(mean(&scores.values(|t| t.nll_base))),
        candidate: exp(mean(&scores.values(|t| t.nll))),
        ratio: Estimate::of_clusters(&difference, scores.per_window).exp(),
    }
}
