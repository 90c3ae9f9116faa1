use super::{LatencyOptions, Tokens, ms};
use lfmq_core::{Executor, Fault, Want};
use std::time::Instant;

/// The token counts that are measured.
pub(super) struct Counts {
    pub(super) prefill: Vec<usize>,
    pub(super) depth: usize,
    pub(super) decode: usize,
    pub(super) repetitions: usize,
    pub(super) clipped: bool,
}

impl Counts {
    pub(super) fn fit(executor: &dyn Executor, options: &LatencyOptions) -> Result<Self, Fault> {
        let least = LatencyOptions::LEAST_TOKENS;
        let context = executor.facts().context.max(2 * least);
        let mut prefill: Vec<usize> = options.prefill.iter().map(|n| (*n).clamp(least, context)).collect();
        prefill.dedup();
        let decode = options.decode.clamp(least, context / 2);
        let depth = options.depth.clamp(1, context - decode);
        let mut counts = Self {
            prefill,
            depth,
            decode,
            repetitions: options.repetitions.max(LatencyOptions::LEAST),
            clipped: false,
        };
        if let Some(budget) = options.budget {
            counts.cut(budget.as_secs_f64() * 1e3, pilot(executor, options.seed)?);
        }
        counts.clipped =
            counts.prefill != options.prefill || counts.decode != options.decode || counts.depth != options.depth;
        Ok(counts)
    }

    /// Halves the largest part until the estimate fits: `(prefill, decode)` milliseconds a token.
    fn cut(&mut self, budget_ms: f64, (prefill_ms, decode_ms): (f64, f64)) {
        let least = LatencyOptions::LEAST_TOKENS;
        let runs = (self.repetitions + 1) as f64;
        loop {
            let prompts: usize = self.prefill.iter().sum::<usize>() + self.depth;
            let (p, d) = (runs * prompts as f64 * prefill_ms, runs * self.decode as f64 * decode_ms);
            if p + d <= budget_ms || (prompts <= (self.prefill.len() + 1) * least && self.decode <= least) {
                return;
            }
            if (d > p && self.decode > least) || prompts <= (self.prefill.len() + 1) * least {
                self.decode = (self.decode / 2).max(least);
            } else {
                self.prefill.iter_mut().chain([&mut self.depth]).for_each(|n| *n = (*n / 2).max(least));
                self.prefill.dedup();
            }
        }
    }
}

/// A short run for the estimate; also the first touch of the weights.
fn pilot(executor: &dyn Executor, seed: u64) -> Result<(f64, f64), Fault> {
    let n = LatencyOptions::LEAST_TOKENS;
    let mut tokens = Tokens::new(executor, seed);
    let mut session = executor.session(2 * n)?;
    let mut logits = Vec::new();
    session.feed(&tokens.take(1), Want::Last, &mut logits)?;
    let start = Instant::now();
    session.feed(&tokens.take(n), Want::Last, &mut logits)?;
    let prefill = ms(start) / n as f64;
    let start = Instant::now();
    session.feed(&tokens.take(1), Want::Last, &mut logits)?;
    Ok((prefill, ms(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_cuts_tokens_but_never_below_three() {
        let counts = || Counts { prefill: vec![128, 512], depth: 128, decode: 32, repetitions: 5, clipped: false };
        let mut roomy = counts();
        roomy.cut(1e9, (1.0, 1.0));
        assert_eq!((roomy.prefill, roomy.decode), (vec![128, 512], 32));
        let mut tight = counts();
        tight.cut(0.0, (1.0, 1.0));
        assert_eq!((tight.prefill, tight.depth, tight.decode), (vec![3], 3, 3));
        let mut slow_decode = counts();
        slow_decode.cut(6.0 * 160.0, (0.1, 10.0));
        assert_eq!((slow_decode.prefill, slow_decode.decode), (vec![128, 512], 8));
    }
}
