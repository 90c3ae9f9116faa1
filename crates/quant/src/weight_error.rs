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
    /// Signal, noise and worst. Eight sums side by side, joined in order.
    fn sums['a](x: &'a [f32], y: &'a [f32]) -> (f64, f64, f32) {
        let (mut signal, mut noise, mut worst) = ([0.0f64; 8], [0.0f64; 8], [0.0f32; 8]);
        let mut add = |k: usize, x: f32, y: f32| {
            let d = x - y;
            signal[k] += f64::from(x) * f64::from(x);
            noise[k] += f64::from(d) * f64::from(d);
            worst[k] = if d.abs() > worst[k] { d.abs() } else { worst[k] };
        };
        let ((eights, x), (of_eights, y)) = (x.as_chunks::<8>(), y.as_chunks::<8>());
        for (x, y) in eights.iter().zip(of_eights) {
            for k in 0..8 {
                add(k, x[k], y[k]);
            }
        }
        x.iter().zip(y).enumerate().for_each(|(k, (x, y))| add(k, *x, *y));
        (signal.iter().sum(), noise.iter().sum(), worst.into_iter().fold(0.0, f32::max))
    }
}
