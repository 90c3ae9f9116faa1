use super::Scores;
use crate::stats::{Estimate, mean, quantile, sorted};
use libm::exp;
use serde::Serialize;

/// Change of the probability of the true token, candidate - yardstick.
#[derive(Clone, Debug, Serialize)]
pub struct ProbabilityShift {
    /// Mean: negative when the candidate is less sure of the text.
    pub mean: Estimate,
    /// Root of the mean square.
    pub rms: f64,
    /// 1 % lie below.
    pub p01: f64,
    /// 5 % lie below.
    pub p05: f64,
    /// 95 % lie below.
    pub p95: f64,
    /// 99 % lie below.
    pub p99: f64,
}

/// Sums up the shifts.
#[must_use]
pub fn probability_shift(scores: &Scores) -> ProbabilityShift {
    let shift = scores.values(|t| exp(-t.nll) - exp(-t.nll_base));
    let order = sorted(&shift);
    ProbabilityShift {
        mean: Estimate::of_clusters(&shift, scores.per_window),
        rms: mean(&scores.values(|t| (exp(-t.nll) - exp(-t.nll_base)).powi(2))).sqrt(),
        p01: quantile(&order, 0.01),
        p05: quantile(&order, 0.05),
        p95: quantile(&order, 0.95),
        p99: quantile(&order, 0.99),
    }
}
