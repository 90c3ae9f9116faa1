//! Means with honest errors. The unit of sampling is the window (or the task), never the token: tokens of one text
//! are not independent.

use serde::Serialize;

/// A mean with its standard error and 95 % confidence interval over clusters.
///
/// With a single cluster nothing is known of the error: `se` is NaN (`null` in JSON) and the interval is unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The point.
    pub value: f64,
    /// Standard error over clusters.
    pub se: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Clusters it rests on.
    pub clusters: usize,
}

impl Estimate {
    /// Mean of `values`, whose consecutive runs of `per_cluster` belong together; the interval is Student's.
    #[must_use]
    pub fn of_clusters(values: &[f64], per_cluster: usize) -> Self {
        let means: Vec<f64> = values.chunks(per_cluster.max(1)).map(mean).collect();
        let value = mean(&means);
        let n = means.len();
        if n < 2 {
            return Self { value, se: f64::NAN, low: f64::NEG_INFINITY, high: f64::INFINITY, clusters: n };
        }
        let variance = means.iter().map(|m| (m - value) * (m - value)).sum::<f64>() / (n - 1) as f64;
        let se = (variance / n as f64).sqrt();
        let reach = student(n - 1) * se;
        Self { value, se, low: value - reach, high: value + reach, clusters: n }
    }

    /// The estimate of `exp` of the mean: interval mapped, error by the delta method.
    #[must_use]
    pub fn exp(self) -> Self {
        let value = libm::exp(self.value);
        Self { value, se: value * self.se, low: libm::exp(self.low), high: libm::exp(self.high), ..self }
    }
}

/// Mean of `values`, 0 of none.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The 97.5 % point of Student's t with `df` degrees of freedom (to 0.2 % between the table's entries).
fn student(df: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ];
    // Beyond the table: first terms of the expansion in 1/df (Abramowitz & Stegun 26.7.5).
    TABLE.get(df.wrapping_sub(1)).copied().unwrap_or(1.959_964 + 2.372_27 / df as f64)
}

/// Quantile `p` of ascending `sorted`, linear between neighbours; NaN of none.
#[must_use]
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = p.clamp(0.0, 1.0) * last as f64;
    let (below, part) = (at.floor() as usize, at.fract());
    let next = (below + 1).min(last);
    sorted[below] + part * (sorted[next] - sorted[below])
}

/// `values` in ascending order, NaN last.
#[must_use]
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Resamples of every bootstrap here.
pub(crate) const RESAMPLES: usize = 2000;

/// 95 % interval of the upper quantile `p` by cluster bootstrap with a fixed seed; unbounded for a single cluster.
#[must_use]
pub fn quantile_interval(values: &[f64], per_cluster: usize, p: f64) -> (f64, f64) {
    let clusters = values.len().div_ceil(per_cluster.max(1));
    if clusters < 2 {
        return (f64::NEG_INFINITY, f64::INFINITY);
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    let mut dice = Dice::new(0x5eed);
    let mut found = Vec::with_capacity(RESAMPLES);
    let mut times = vec![0u32; clusters];
    for _ in 0..RESAMPLES {
        times.fill(0);
        (0..clusters).for_each(|_| times[dice.below(clusters)] += 1);
        // Only the top of the order is walked: down to the share that lies above the quantile.
        let mut above = (1.0 - p) * values.len() as f64;
        let at = order.iter().find(|i| {
            above -= f64::from(times[**i / per_cluster]);
            above < 0.0
        });
        found.push(at.map_or(f64::NAN, |i| values[*i]));
    }
    interval(&mut found)
}

/// 95 % interval of `of(indices)` over resampled indices of `n` items, fixed seed; unbounded for fewer than two.
pub fn bootstrap(n: usize, mut of: impl FnMut(&[usize]) -> f64) -> (f64, f64) {
    if n < 2 {
        return (f64::NEG_INFINITY, f64::INFINITY);
    }
    let mut dice = Dice::new(0x5eed);
    let mut draw = vec![0; n];
    let mut found: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            draw.iter_mut().for_each(|i| *i = dice.below(n));
            of(&draw)
        })
        .collect();
    interval(&mut found)
}

fn interval(found: &mut [f64]) -> (f64, f64) {
    found.sort_by(f64::total_cmp);
    (quantile(found, 0.025), quantile(found, 0.975))
}

/// Lower end of the 95 % Wilson interval of `hits` in `n`.
#[must_use]
pub fn wilson_low(hits: usize, n: usize) -> f64 {
    if n == 0 {
        return 0.0;
    }
    let (p, n, z) = (hits as f64 / n as f64, n as f64, 1.959_964_f64);
    let z2 = z * z;
    let centre = p + z2 / (2.0 * n);
    let spread = z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre - spread) / (1.0 + z2 / n)).max(0.0)
}

/// `SplitMix64`: a seeded sequence that is the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, `n > 0`.
    pub(crate) const fn below(&mut self, n: usize) -> usize {
        ((self.next() as u128 * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, by: f64) -> bool {
        (a - b).abs() <= by
    }

    #[test]
    fn cluster_mean_by_hand() {
        // Window means 1, 2, 6: mean 3, variance 7, standard error sqrt(7/3).
        let e = Estimate::of_clusters(&[0.0, 2.0, 1.0, 3.0, 5.0, 7.0], 2);
        assert!(near(e.value, 3.0, 1e-15) && near(e.se, (7.0_f64 / 3.0).sqrt(), 1e-15));
        assert!(near(e.high, 3.0 + 4.303 * e.se, 1e-12) && near(e.low, 3.0 - 4.303 * e.se, 1e-12));
        let one = Estimate::of_clusters(&[1.0, 2.0], 2);
        assert!(one.se.is_nan() && one.high == f64::INFINITY);
    }

    #[test]
    fn student_table_and_tail_agree() {
        assert!(near(student(1), 12.706, 1e-9));
        assert!(near(student(31), 2.0395, 0.005) && near(student(60), 2.0003, 0.002));
        assert!(near(student(1_000_000), 1.96, 1e-4));
    }

    #[test]
    fn quantiles_interpolate() {
        let v = [1.0, 2.0, 4.0];
        for (p, q) in [(0.0, 1.0), (0.25, 1.5), (0.5, 2.0), (0.75, 3.0), (1.0, 4.0)] {
            assert!(near(quantile(&v, p), q, 1e-15));
        }
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn quantile_interval_holds_the_quantile_and_widens_with_clustering() {
        let mut dice = Dice::new(1);
        let values: Vec<f64> = (0..2000).map(|_| dice.below(1000) as f64).collect();
        let (low, high) = quantile_interval(&values, 10, 0.95);
        let q = quantile(&sorted(&values), 0.95);
        assert!(low <= q && q <= high && high - low < 60.0, "{low} {q} {high}");
        let clumped = sorted(&values);
        let (l2, h2) = quantile_interval(&clumped, 100, 0.95);
        assert!(h2 - l2 > high - low);
    }

    #[test]
    fn wilson_never_claims_certainty() {
        // Wilson (1927): 10 of 10 gives a lower end of 1 / (1 + z^2 / 10).
        assert!(near(wilson_low(10, 10), 1.0 / (1.0 + 3.841_459 / 10.0), 1e-6));
        assert!(near(wilson_low(0, 10), 0.0, 1e-12) && near(wilson_low(0, 0), 0.0, 0.0));
    }
}
