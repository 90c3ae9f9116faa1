use super::Scores;
use crate::stats::{Estimate, quantile, quantile_interval, sorted};
use serde::Serialize;

/// A place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct At {
    /// Window, from 0.
    pub window: usize,
    /// Position in it.
    pub position: usize,
    /// The true token after it.
    pub target: u32,
}

/// KL divergence of the candidate from the yardstick, nats per token.
#[derive(Clone, Debug, Serialize)]
pub struct Divergence {
    /// Scored tokens.
    pub tokens: usize,
    /// Mean over tokens, error over windows.
    pub mean: Estimate,
    /// Half of the tokens lie below.
    pub p50: f64,
    /// 90 % lie below.
    pub p90: f64,
    /// 95 % lie below.
    pub p95: f64,
    /// 99 % lie below.
    pub p99: f64,
    /// 95 % interval of `p99` by cluster bootstrap.
    pub p99_interval: (f64, f64),
    /// 99.9 % lie below.
    pub p999: f64,
    /// The largest.
    pub max: f64,
    /// Where the largest is.
    pub max_at: Option<At>,
    /// How many tokens lie where.
    pub histogram: Histogram,
}

/// Tokens by the size of their divergence. Bar `i` counts those from `10^(first + i / per_decade)` nats up to the next
/// bar; the first bar also what is below it, the last what is above.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// Power of ten at which the first bar begins.
    pub first: i32,
    /// Bars of a power of ten.
    pub per_decade: u32,
    /// Tokens in each bar.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// From 10^-8, where f32 logits end, to 100 nats, in quarters of a power of ten.
    fn of(values: &[f64]) -> Self {
        let (first, per_decade) = (-8, 4);
        let mut counts = vec![0; 40];
        for value in values {
            // The cast keeps 0 (minus infinity) and NaN in the first bar.
            let bar = ((libm::log10(*value) - f64::from(first)) * f64::from(per_decade)).floor() as usize;
            counts[bar.min(39)] += 1;
        }
        Self { first, per_decade, counts }
    }
}

/// Sums up the divergences of all scored tokens.
#[must_use]
pub fn divergence(scores: &Scores) -> Divergence {
    let values = scores.values(|t| t.kld);
    let order = sorted(&values);
    let worst = values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    let at = |i: usize| At {
        window: i / scores.per_window.max(1),
        position: scores.first + i % scores.per_window.max(1),
        target: scores.targets.get(i).copied().unwrap_or_default(),
    };
    Divergence {
        tokens: values.len(),
        mean: Estimate::of_clusters(&values, scores.per_window),
        p50: quantile(&order, 0.5),
        p90: quantile(&order, 0.9),
        p95: quantile(&order, 0.95),
        p99: quantile(&order, 0.99),
        p99_interval: quantile_interval(&values, scores.per_window, 0.99),
        p999: quantile(&order, 0.999),
        max: quantile(&order, 1.0),
        max_at: worst.map(|(i, _)| at(i)),
        histogram: Histogram::of(&values),
    }
}
