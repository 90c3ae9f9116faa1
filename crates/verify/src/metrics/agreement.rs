use super::Scores;
use crate::stats::{Estimate, wilson_low};
use serde::Serialize;

/// How often both models find the same token most likely.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// Share of all scored tokens. The lower end is the lower of the interval over windows and Wilson's over tokens:
    /// the former knows of clustering, the latter does not claim certainty when no window disagrees.
    pub same_top: Estimate,
    /// The same where the yardstick leads by more than 0.1: there a change of mind is no coin toss.
    pub same_top_sure: Option<f64>,
    /// Scored tokens with such a lead.
    pub sure_tokens: usize,
}

/// Counts agreements.
#[must_use]
pub fn agreement(scores: &Scores) -> Agreement {
    let hits = scores.values(|t| f64::from(u8::from(t.same_top)));
    let mut same_top = Estimate::of_clusters(&hits, scores.per_window);
    let count = scores.tokens.iter().filter(|t| t.same_top).count();
    same_top.low = same_top.low.min(wilson_low(count, hits.len())).max(0.0);
    same_top.high = same_top.high.min(1.0);
    let sure: Vec<_> = scores.tokens.iter().filter(|t| t.margin > 0.1).collect();
    let share = sure.iter().filter(|t| t.same_top).count() as f64 / sure.len() as f64;
    Agreement { same_top, same_top_sure: (!sure.is_empty()).then_some(share), sure_tokens: sure.len() }
}
