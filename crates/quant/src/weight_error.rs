use crate::lanes::LANES;
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

    /// Both together.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self { signal: self.signal + other.signal, noise: self.noise + other.noise, worst: self.worst.max(other.worst) }
    }
}

/// A [`WeightError`] under way. The sums of its lanes are joined in order.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sums {
    signal: [f64; LANES],
    noise: [f64; LANES],
    /// Its bits: magnitudes are in their order, and integers may be compared in any.
    worst: u32,
}

/// Weights whose errors are summed at a time.
const PART: usize = 64 * LANES;

impl Sums {
    /// Adds weights `x` and the values `y` that stand for them: as many as fill the lanes, unless they are the last.
    pub(crate) fn add(&mut self, x: &[f32], y: &[f32]) {
        *self = add(*self, x, y);
    }

    pub(crate) fn total(&self) -> WeightError {
        WeightError {
            signal: self.signal.iter().sum(),
            noise: self.noise.iter().sum(),
            worst: f32::from_bits(self.worst),
        }
    }
}

multiversion! {
    fn add['a](before: Sums, x: &'a [f32], y: &'a [f32]) -> Sums {
        // By themselves: what lies behind a reference is stored anew for every weight.
        let (mut signal, mut noise, mut worst) = (before.signal, before.noise, before.worst);
        let mut off = [0.0f32; PART];
        for (x, y) in x.chunks(PART).zip(y.chunks(PART)) {
            let off = &mut off[..x.len()];
            for ((off, x), y) in off.iter_mut().zip(x).zip(y) {
                *off = x - y;
            }
            add_squares(x, &mut signal);
            add_squares(off, &mut noise);
            worst = off.iter().fold(worst, |most, x| x.abs().to_bits().max(most));
        }
        Sums { signal, noise, worst }
    }
}

/// One loop for each sum: of a loop over several of them the compiler shuffles pairs.
#[inline(always)]
fn add_squares(x: &[f32], sums: &mut [f64; LANES]) {
    let (whole, rest) = x.as_chunks::<LANES>();
    for x in whole {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum += f64::from(*x) * f64::from(*x);
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += f64::from(*x) * f64::from(*x);
    }
}
