use libm::{exp, expm1, log};

/// What one scored position says about two models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenScore {
    /// KL(yardstick || candidate) of the next-token distributions, nats.
    pub kld: f64,
    /// Negative log-likelihood of the true next token by the yardstick, nats.
    pub nll_base: f64,
    /// The same by the candidate.
    pub nll: f64,
    /// Whether both find the same token most likely (ties: the lowest id).
    pub same_top: bool,
    /// Lead of the yardstick's most likely token over its second, in probability.
    pub margin: f64,
}

/// The scores of all windows, in the order of the text.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    /// Scored positions of a window.
    pub per_window: usize,
    /// Position in its window of the first of them.
    pub first: usize,
    /// The true token that follows each scored position.
    pub targets: Vec<u32>,
    /// One entry a scored position.
    pub tokens: Vec<TokenScore>,
}

impl Scores {
    /// One value a scored position.
    pub fn values(&self, of: impl Fn(&TokenScore) -> f64) -> Vec<f64> {
        self.tokens.iter().map(of).collect()
    }
}

/// What a row of logits is, apart from the logits.
struct Row {
    top: usize,
    /// ln of the sum of exponentials.
    lse: f64,
    /// Second largest logit.
    second: f64,
}

impl Row {
    fn of(logits: &[f32]) -> Self {
        let (mut top, mut first, mut second) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
        for (i, l) in logits.iter().enumerate() {
            if *l > first {
                (top, second, first) = (i, first, *l);
            } else if *l > second {
                second = *l;
            }
        }
        let max = f64::from(first);
        let sum: f64 = logits.iter().map(|l| exp(f64::from(*l) - max)).sum();
        Self { top, lse: max + log(sum), second: f64::from(second) }
    }
}

/// Compares two rows of finite logits, both `[vocab]`, before token `target`.
///
/// Softmax is exact in f64 on both sides. The divergence is the sum of `p (d + e^-d - 1)` with `d = ln p - ln q`, which
/// equals the sum of `p d` because both distributions sum to 1, but has no negative term: where the models agree to 12
/// digits, the result is still right, and for equal logits it is 0.
#[must_use]
pub fn score(base: &[f32], candidate: &[f32], target: u32) -> TokenScore {
    let (b, c) = (Row::of(base), Row::of(candidate));
    let shift = b.lse - c.lse;
    let mut kld = 0.0;
    for (lb, lc) in base.iter().zip(candidate) {
        let (lb, lc) = (f64::from(*lb), f64::from(*lc));
        // ln p - ln q, arranged so that equal logits give 0.
        kld += term(lb - b.lse, (lb - lc) - shift);
    }
    let target = target as usize;
    let top = f64::from(base[b.top]);
    TokenScore {
        kld,
        nll_base: b.lse - f64::from(base[target]),
        nll: c.lse - f64::from(candidate[target]),
        same_top: b.top == c.top,
        margin: exp(top - b.lse) - exp(b.second - b.lse),
    }
}

/// `p (d + e^-d - 1)` for `p = e^log_p`, accurate for every `d`.
fn term(log_p: f64, d: f64) -> f64 {
    let p = exp(log_p);
    if d.abs() < 0.03 {
        // d + e^-d - 1 cancels; seven terms of its series leave less than one part in 10^15.
        let series = 1.0 - d / 3.0 * (1.0 - d / 4.0 * (1.0 - d / 5.0 * (1.0 - d / 6.0 * (1.0 - d / 7.0))));
        p * (0.5 * d * d * series)
    } else if d > -30.0 {
        p * (d + expm1(-d))
    } else {
        // e^-d alone may overflow where p is tiny; its product with p is a probability.
        exp(log_p - d) + p * (d - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_hand() {
        // p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): KLD = ln 2 / 2 - ln 2 / 4 = ln 2 / 4.
        let ln2 = std::f32::consts::LN_2;
        let s = score(&[ln2, 0.0, 0.0], &[5.0, 5.0 + ln2, 5.0], 0);
        let ln2 = std::f64::consts::LN_2;
        assert!((s.kld - ln2 / 4.0).abs() < 1e-7, "{}", s.kld);
        assert!((s.nll_base - ln2).abs() < 1e-7 && (s.nll - 2.0 * ln2).abs() < 1e-6);
        assert!(!s.same_top && (s.margin - 0.25).abs() < 1e-7);
    }

    #[test]
    fn tiny_differences_keep_their_digits() {
        // Two tokens with logits (0, 0) and (0, e): KLD = ln((1 + e^x)/2) - x/2 = x^2/8 - x^4/192 + ...
        for x in [1e-2_f32, 1e-4, 1e-6, 1e-10] {
            let wide = f64::from(x);
            let expected = wide * wide / 8.0 - wide.powi(4) / 192.0;
            let got = score(&[0.0, 0.0], &[0.0, x], 0).kld;
            assert!((got / expected - 1.0).abs() < 1e-5, "{x}: {got} instead of {expected}");
        }
    }

    #[test]
    fn far_apart_stays_finite() {
        let s = score(&[1000.0, -1000.0], &[-1000.0, 1000.0], 0);
        assert!((s.kld - 2000.0).abs() < 1e-9 && (s.nll - 2000.0).abs() < 1e-9);
        let s = score(&[0.0, -800.0], &[-800.0, 0.0], 1);
        assert!((s.kld - 800.0).abs() < 1e-9);
    }

    fn plain(base: &[f32], candidate: &[f32]) -> f64 {
        let lse = |l: &[f32]| l.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
        let (b, c) = (lse(base), lse(candidate));
        base.iter()
            .zip(candidate)
            .map(|(x, y)| (f64::from(*x) - b).exp() * ((f64::from(*x) - b) - (f64::from(*y) - c)))
            .sum()
    }

    proptest! {
        #[test]
        fn equals_the_textbook_sum(pairs in prop::collection::vec((-40f32..40.0, -40f32..40.0), 2..50)) {
            let (b, c): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let (got, expected) = (score(&b, &c, 0).kld, plain(&b, &c));
            prop_assert!(got >= 0.0);
            prop_assert!((got - expected).abs() <= 1e-11 * (1.0 + expected), "{} {}", got, expected);
        }

        #[test]
        fn equal_logits_give_zero_and_a_shift_is_no_difference(b in prop::collection::vec(-30f32..30.0, 1..40)) {
            prop_assert_eq!(score(&b, &b, 0).kld, 0.0);
            let shifted: Vec<f32> = b.iter().map(|x| ((x * 16.0).round() / 16.0) + 64.0).collect();
            let grid: Vec<f32> = b.iter().map(|x| (x * 16.0).round() / 16.0).collect();
            prop_assert!(score(&grid, &shifted, 0).kld < 1e-25);
        }
    }
}
