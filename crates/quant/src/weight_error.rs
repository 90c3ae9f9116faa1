use crate::lanes::{LANES, each};
use lfmq_kernels::multiversion;
use serde::Serialize;

/// How far the chosen values of one tensor are from the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct WeightError {
    /// Sum of the squared weights.
    pub signal: f64,
    /// Sum of the squared errors.
    pub noise: f64,
    /// Largest absolute error.
    pub worst: f32,
}

impl WeightError {
    /// Signal to noise in dB; infinite without an error.
    #[must_use]
    pub fn sqnr_db(&self) -> f64 {
        if self.noise == 0.0 { f64::INFINITY } else { 10.0 * (self.signal / self.noise).log10() }
    }

    /// Of the weights `x` and the values `y` that stand for them.
    pub(crate) fn of(x: &[f32], y: &[f32]) -> Self {
        let (signal, noise, worst) = sums(x, y);
        Self { signal, noise, worst }
    }

    /// Both together.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self { signal: self.signal + other.signal, noise: self.noise + other.noise, worst: self.worst.max(other.worst) }
    }
}

multiversion! {
    /// Signal, noise and worst. The sums of the lanes are joined in order.
    fn sums['a](x: &'a [f32], y: &'a [f32]) -> (f64, f64, f32) {
        let (mut signal, mut noise, mut worst) = ([0.0f64; LANES], [0.0f64; LANES], [0.0f32; LANES]);
        let ((whole, x), (of_whole, y)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
        for (x, y) in whole.iter().zip(of_whole) {
            add(x, y, &mut signal, &mut noise, &mut worst);
        }
        // Zeros add nothing.
        let (mut last, mut of_last) = ([0.0; LANES], [0.0; LANES]);
        last.iter_mut().zip(x).for_each(|(to, x)| *to = *x);
        of_last.iter_mut().zip(y).for_each(|(to, y)| *to = *y);
        add(&last, &of_last, &mut signal, &mut noise, &mut worst);
        (signal.iter().sum(), noise.iter().sum(), worst.into_iter().fold(0.0, f32::max))
    }
}

/// One loop for each sum: the compiler takes a loop over several of them weight by weight.
#[inline(always)]
fn add(
    x: &[f32; LANES],
    y: &[f32; LANES],
    signal: &mut [f64; LANES],
    noise: &mut [f64; LANES],
    worst: &mut [f32; LANES],
) {
    let off = each(|k| x[k] - y[k]);
    for k in 0..LANES {
        signal[k] += f64::from(x[k]) * f64::from(x[k]);
    }
    for k in 0..LANES {
        noise[k] += f64::from(off[k]) * f64::from(off[k]);
    }
    *worst = each(|k| if off[k].abs() > worst[k] { off[k].abs() } else { worst[k] });
}
