//! Steps of integer codes, and the search around a plain one for a step that errs less: sixteen groups side by side,
//! lane = group, so that a group's sums do not depend on its neighbours.

use crate::lanes::{LANES, Lanes, each};
use crate::number::nearest_within;
use lfmq_kernels::multiversion;

/// What is said about one group: a code is `x / scale + zero`, to the nearest, within the grid's range.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) scale: f32,
    pub(super) zero: f32,
}

impl Step {
    /// Without a zero.
    pub(super) const fn of(scale: f32) -> Self {
        Self { scale, zero: 0.0 }
    }
}

/// Which steps are tried.
pub(super) struct Search {
    /// Also the zeros next to the plain step's own.
    pub(super) zeros: bool,
    /// A scale as it will be kept.
    pub(super) stored: fn(f32) -> f32,
}

/// Shares of the plain step that are tried.
const SHARES: [f32; 10] = [0.72, 0.76, 0.8, 0.84, 0.88, 0.91, 0.94, 0.97, 1.0, 1.03];

/// Sums of one group side by side, joined in order.
const SUMS: usize = 8;

/// What a weight is divided by: where the scale is 0, every weight becomes 0.
#[inline(always)]
fn divisor(scale: f32) -> f32 {
    if scale == 0.0 { f32::INFINITY } else { scale }
}

multiversion! {
    /// The codes that a step gives to its group.
    pub(super) fn choose_codes['a](step: Step, x: &'a [f32], low: f32, high: f32, codes: &'a mut [i8]) -> () {
        let divisor = divisor(step.scale);
        for (code, x) in codes.iter_mut().zip(x) {
            *code = nearest_within(x / divisor + step.zero, low, high) as i8;
        }
    }

    /// Weighted squared errors of a step a group, and the scales that suit their codes best. `x` and the importance `w`
    /// are `[weight][group]`.
    fn fit['a](scale: &'a Lanes, zero: &'a Lanes, x: &'a [Lanes], w: &'a [Lanes], low: f32, high: f32) -> (Lanes, Lanes) {
        let divisor = each(|k| divisor(scale[k]));
        let (mut error, mut a, mut b) = ([[0.0; LANES]; SUMS], [[0.0; LANES]; SUMS], [[0.0; LANES]; SUMS]);
        for (x, w) in x.chunks(SUMS).zip(w.chunks(SUMS)) {
            for (i, (x, w)) in x.iter().zip(w).enumerate() {
                let l = each(|k| nearest_within(x[k] / divisor[k] + zero[k], low, high) - zero[k]);
                let d = each(|k| x[k] - scale[k] * l[k]);
                error[i] = each(|k| error[i][k] + w[k] * d[k] * d[k]);
                a[i] = each(|k| a[i][k] + w[k] * x[k] * l[k]);
                b[i] = each(|k| b[i][k] + w[k] * l[k] * l[k]);
            }
        }
        let (a, b) = (total(&a), total(&b));
        (total(&error), each(|k| a[k] / b[k]))
    }
}

#[inline(always)]
fn total(sums: &[Lanes; SUMS]) -> Lanes {
    let mut total = sums[0];
    for sum in &sums[1..] {
        total = each(|k| total[k] + sum[k]);
    }
    total
}

/// Puts the step of least weighted squared error in the place of each of `steps`: among shrunken ones, and each of those
/// refitted to the codes it gives. Never worse than the plain one. `x` are groups of `group` weights in rows of `cols`,
/// `importance` is by column.
pub(super) fn refine(
    steps: &mut [Step],
    (x, group, cols): (&[f32], usize, usize),
    importance: &[f32],
    codes: (f32, f32),
    search: &Search,
) {
    let (mut side_x, mut side_w) = (vec![[0.0; LANES]; group], vec![[0.0; LANES]; group]);
    for (batch, (steps, x)) in steps.chunks_mut(LANES).zip(x.chunks(LANES * group)).enumerate() {
        for (k, x) in x.chunks_exact(group).enumerate() {
            let column = (batch * LANES + k) * group % cols;
            let w = importance.iter().skip(column);
            for ((side_x, side_w), (x, w)) in side_x.iter_mut().zip(&mut side_w).zip(x.iter().zip(w)) {
                (side_x[k], side_w[k]) = (*x, *w);
            }
        }
        Batch { x: &side_x, w: &side_w, codes, stored: search.stored }.refine(steps, search.zeros);
    }
}

/// Sixteen groups, `[weight][group]`; where there are fewer, the last lanes hold anything.
struct Batch<'a> {
    x: &'a [Lanes],
    w: &'a [Lanes],
    codes: (f32, f32),
    stored: fn(f32) -> f32,
}

impl Batch<'_> {
    fn fit(&self, scale: &Lanes, zero: &Lanes) -> (Lanes, Lanes) {
        fit(scale, zero, self.x, self.w, self.codes.0, self.codes.1)
    }

    fn refine(&self, steps: &mut [Step], zeros: bool) {
        let plain = |of: fn(&Step) -> f32| each(|k| steps.get(k).map_or(0.0, of));
        let (scales, zero) = (plain(|s| s.scale), plain(|s| s.zero));
        let (mut least, _) = self.fit(&scales, &zero);
        let moves: &[f32] = if zeros { &[-1.0, 0.0, 1.0] } else { &[0.0] };
        for share in SHARES {
            let scale = each(|k| (self.stored)(scales[k] * share));
            for by in moves {
                self.consider(steps, &mut least, scale, each(|k| zero[k] + by));
            }
        }
    }

    /// A step and its refitted self, for each group.
    fn consider(&self, steps: &mut [Step], least: &mut Lanes, scale: Lanes, zero: Lanes) {
        let (error, refit) = self.fit(&scale, &zero);
        let again = each(|k| (self.stored)(refit[k]));
        let (refitted, _) = self.fit(&again, &zero);
        for (k, (step, least)) in steps.iter_mut().zip(least).enumerate() {
            for (scale, error) in [(scale[k], error[k]), (again[k], refitted[k])] {
                // An error that is no number is never less.
                if error < *least && scale != 0.0 && (self.codes.0..=self.codes.1).contains(&zero[k]) {
                    (*step, *least) = (Step { scale, zero: zero[k] }, error);
                }
            }
        }
    }
}
