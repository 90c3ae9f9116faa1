use crate::stats::{mean, quantile, sorted};
use serde::Serialize;

/// Samples of one quantity, milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timing {
    /// Mean.
    pub mean_ms: f64,
    /// Sample standard deviation.
    pub stddev_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 95 % lie below.
    pub p95_ms: f64,
    /// The smallest.
    pub min_ms: f64,
    /// Standard deviation by mean.
    pub noise: f64,
    /// Whether `noise` is above 10 %: then differences of that size mean nothing.
    pub noisy: bool,
    /// The samples in the order they were taken.
    pub samples_ms: Vec<f64>,
}

impl Timing {
    pub(super) fn of(samples_ms: Vec<f64>) -> Self {
        let mean_ms = mean(&samples_ms);
        let squares: f64 = samples_ms.iter().map(|s| (s - mean_ms) * (s - mean_ms)).sum();
        let stddev_ms = (squares / samples_ms.len().saturating_sub(1).max(1) as f64).sqrt();
        let order = sorted(&samples_ms);
        let noise = if mean_ms > 0.0 { stddev_ms / mean_ms } else { 0.0 };
        Self {
            mean_ms,
            stddev_ms,
            p50_ms: quantile(&order, 0.5),
            p95_ms: quantile(&order, 0.95),
            min_ms: quantile(&order, 0.0),
            noise,
            noisy: noise > 0.1,
            samples_ms,
        }
    }
}

/// One prompt length.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prefill {
    /// Tokens of the prompt.
    pub tokens: usize,
    /// Time of the whole prompt up to its last logits, one sample a repetition.
    pub time: Timing,
    /// The same up to the choice of the first token.
    pub first_token: Timing,
    /// Prompt tokens per second, by the mean.
    pub tokens_per_second: f64,
}

/// Decoding, one token at a time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decode {
    /// Tokens before the first.
    pub depth: usize,
    /// Tokens of a repetition.
    pub tokens: usize,
    /// Mean time of one token, one sample a repetition.
    pub per_token: Timing,
    /// Half of all single tokens took less, ms.
    pub token_p50_ms: f64,
    /// 95 % of all single tokens took less, ms.
    pub token_p95_ms: f64,
    /// Tokens per second, by the mean.
    pub tokens_per_second: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timing_by_hand() {
        let t = Timing::of(vec![1.0, 2.0, 3.0, 4.0, 10.0]);
        assert_eq!((t.mean_ms, t.p50_ms, t.min_ms), (4.0, 3.0, 1.0));
        assert!((t.stddev_ms - 12.5_f64.sqrt()).abs() < 1e-12 && (t.p95_ms - 8.8).abs() < 1e-12 && t.noisy);
        assert!(!Timing::of(vec![5.0, 5.0, 5.1]).noisy);
    }
}
