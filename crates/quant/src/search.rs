//! The four searches for a group's scale. Each tries a few steps around the obvious one and keeps the step whose
//! least-squares refit leaves the smallest weighted error. Every sum runs in the order of the weights.

use crate::lanes::{LANES, Lanes, TINY, each, map2, peak};
use crate::number::{nearest, nearest_within, rounded, small, within};
use lfmq_kernels::multiversion;

/// `sum w x l` and `sum w l l` of each group for the codes `l` that the inverse step `s` gives.
#[inline(always)]
fn moments<const G: usize>(n: f32, s: &Lanes, x: &[Lanes; G], wx: &[Lanes; G], w: &[Lanes; G]) -> (Lanes, Lanes) {
    let (mut a, mut b) = ([0.0; LANES], [0.0; LANES]);
    for ((x, wx), w) in x.iter().zip(wx).zip(w) {
        for k in 0..LANES {
            // No weight is larger than that which the step was made for.
            let l = within(rounded(s[k] * x[k]), -n, n - 1.0);
            a[k] += wx[k] * l;
            b[k] += w[k] * l * l;
        }
    }
    (a, b)
}

multiversion! {
    /// Codes `-n..n` (stored as `0..2n`) with one scale a group: 19 steps around that which puts the largest weight on
    /// `-n`. A group of zeros gets stored codes 0 and scale 0.
    pub(crate) fn symmetric['a, const G: usize](
        n: f32,
        x: &'a [Lanes; G],
        w: &'a [Lanes; G],
        codes: &'a mut [[u8; LANES]; G],
    ) -> Lanes {
        let wx = map2(x, w, |x, w| w * x);
        let peak = peak(x);
        let alive: [bool; LANES] = std::array::from_fn(|k| peak[k].abs() >= TINY);
        let peak = each(|k| if alive[k] { peak[k] } else { 1.0 });
        let mut step = each(|k| -n / peak[k]);
        let (a, b) = moments(n, &step, x, &wx, w);
        let mut scale = each(|k| if b[k] == 0.0 { 0.0 } else { a[k] / b[k] });
        let mut best = each(|k| scale[k] * a[k]);
        for t in (-9..=9).filter(|t| *t != 0) {
            let reach = -(n + 0.1f32 * t as f32);
            let s = each(|k| reach / peak[k]);
            let (a, b) = moments(n, &s, x, &wx, w);
            for k in 0..LANES {
                let better = (b[k] > 0.0) & (a[k] * a[k] > best[k] * b[k]);
                let refit = a[k] / b[k];
                step[k] = if better { s[k] } else { step[k] };
                scale[k] = if better { refit } else { scale[k] };
                best[k] = if better { refit * a[k] } else { best[k] };
            }
        }
        for (codes, x) in codes.iter_mut().zip(x) {
            for k in 0..LANES {
                let l = nearest_within(step[k] * x[k], -n, n - 1.0) + n;
                codes[k] = if alive[k] { small(l) } else { 0 };
            }
        }
        each(|k| if alive[k] { scale[k] } else { 0.0 })
    }
}

/// [`symmetric`] for one group.
pub(crate) fn symmetric_one<const G: usize>(n: f32, x: &[f32; G], w: &[f32; G], codes: &mut [u8; G]) -> f32 {
    let alone = |v: &[f32; G]| std::array::from_fn(|i| each(|k| if k == 0 { v[i] } else { 0.0 }));
    let mut lanes = [[0; LANES]; G];
    let scale = symmetric(n, &alone(x), &alone(w), &mut lanes);
    for (code, lane) in codes.iter_mut().zip(&lanes) {
        *code = lane[0];
    }
    scale[0]
}

/// Which steps [`asymmetric`] tries, `first + by * t + n` over the range for `t` in `0..=last`, and whether errors
/// count by magnitude or squared.
#[derive(Clone, Copy)]
pub(crate) struct Sweep {
    pub(crate) first: f32,
    pub(crate) by: f32,
    pub(crate) last: i32,
    pub(crate) magnitude: bool,
}

impl Sweep {
    /// The steps that importance weights get.
    pub(crate) const WEIGHTED: Self = Self { first: -0.9, by: 0.05, last: 36, magnitude: false };
}

multiversion! {
    /// Codes `0..=n` with a scale and an offset a group, `x = scale * code - offset`, offset >= 0. Returns both.
    pub(crate) fn asymmetric['a, const G: usize](
        n: f32,
        sweep: Sweep,
        x: &'a [Lanes; G],
        w: &'a [Lanes; G],
        codes: &'a mut [[u8; LANES]; G],
    ) -> (Lanes, Lanes) {
        let (mut min, max, sum_w, sum_x) = range::<G>(x, w);
        let alive: [bool; LANES] = std::array::from_fn(|k| max[k] > min[k]);
        let mut step = each(|k| n / if alive[k] { max[k] - min[k] } else { 1.0 });
        let mut from = min;
        let mut scale = each(|k| 1.0 / step[k]);
        let mut laid = [[0.0; LANES]; G];
        let mut error = [0.0; LANES];
        for (x, w) in x.iter().zip(w) {
            miss(sweep.magnitude, &scale, &min, x, w, &code(n, &step, &min, x), &mut error);
        }
        for t in 0..=sweep.last {
            let reach = sweep.first + sweep.by * t as f32 + n;
            let s = each(|k| reach / if alive[k] { max[k] - min[k] } else { 1.0 });
            let (mut sl, mut sll, mut sxl) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            for ((x, w), laid) in x.iter().zip(w).zip(&mut laid) {
                for k in 0..LANES {
                    let l = nearest_within(s[k] * (x[k] - min[k]), 0.0, n);
                    let wl = w[k] * l;
                    sl[k] += wl;
                    sll[k] += wl * l;
                    sxl[k] += wl * x[k];
                    laid[k] = l;
                }
            }
            let det = each(|k| sum_w[k] * sll[k] - sl[k] * sl[k]);
            let a = each(|k| (sum_w[k] * sxl[k] - sum_x[k] * sl[k]) / det[k]);
            let b = each(|k| (sll[k] * sum_x[k] - sl[k] * sxl[k]) / det[k]);
            let a = each(|k| if b[k] > 0.0 { sxl[k] / sll[k] } else { a[k] });
            let b = each(|k| if b[k] > 0.0 { 0.0 } else { b[k] });
            let mut e = [0.0; LANES];
            for ((x, w), l) in x.iter().zip(w).zip(&laid) {
                miss(sweep.magnitude, &a, &b, x, w, l, &mut e);
            }
            let better: [bool; LANES] = std::array::from_fn(|k| alive[k] & (det[k] > 0.0) & (e[k] < error[k]));
            let choose = |new: Lanes, old: Lanes| each(|k| if better[k] { new[k] } else { old[k] });
            error = choose(e, error);
            step = choose(s, step);
            from = choose(min, from);
            scale = choose(a, scale);
            // Later steps divide the range that this offset leaves.
            min = choose(b, min);
        }
        for (codes, x) in codes.iter_mut().zip(x) {
            let l = code(n, &step, &from, x);
            for k in 0..LANES {
                codes[k] = if alive[k] { small(l[k]) } else { 0 };
            }
        }
        (each(|k| if alive[k] { scale[k] } else { 0.0 }), each(|k| -min[k]))
    }
}

/// Smallest (0 at most) and largest weight, `sum w` and `sum w x` of each group.
#[inline(always)]
fn range<const G: usize>(x: &[Lanes; G], w: &[Lanes; G]) -> (Lanes, Lanes, Lanes, Lanes) {
    let (mut min, mut max, mut sum_w) = (x[0], x[0], w[0]);
    let mut sum_x = each(|k| w[0][k] * x[0][k]);
    for (x, w) in x.iter().zip(w).skip(1) {
        min = each(|k| if x[k] < min[k] { x[k] } else { min[k] });
        max = each(|k| if x[k] > max[k] { x[k] } else { max[k] });
        sum_w = each(|k| sum_w[k] + w[k]);
        sum_x = each(|k| sum_x[k] + w[k] * x[k]);
    }
    (each(|k| if min[k] > 0.0 { 0.0 } else { min[k] }), max, sum_w, sum_x)
}

/// Codes, as floats, for the inverse step `s` counted from `min`.
#[inline(always)]
fn code(n: f32, s: &Lanes, min: &Lanes, x: &Lanes) -> Lanes {
    each(|k| nearest_within(s[k] * (x[k] - min[k]), 0.0, n))
}

/// Adds what `a * l + b` misses `x` by, weighted.
#[inline(always)]
fn miss(magnitude: bool, a: &Lanes, b: &Lanes, x: &Lanes, w: &Lanes, l: &Lanes, error: &mut Lanes) {
    for k in 0..LANES {
        let d = a[k] * l[k] + b[k] - x[k];
        error[k] += w[k] * if magnitude { d.abs() } else { d * d };
    }
}

/// Codes `-n..n` (stored as `0..2n`) of one group by moving one code at a time as long as the fit improves, five
/// rounds at most. A group of zeros gets stored codes 0 and scale 0.
pub(crate) fn polished<const G: usize>(n: i32, x: &[f32; G], codes: &mut [u8; G]) -> f32 {
    let peak = x.iter().fold(0.0f32, |peak, x| if x.abs() > peak.abs() { *x } else { peak });
    if peak.abs() < TINY {
        codes.fill(0);
        return 0.0;
    }
    let s = -(n as f32) / peak;
    let mut l: [i32; G] = std::array::from_fn(|i| nearest(s * x[i]).clamp(-n, n - 1));
    let (mut a, mut b) = (0.0, 0.0);
    for (x, l) in x.iter().zip(&l) {
        let (w, l) = (x * x, *l as f32);
        a += w * x * l;
        b += w * l * l;
    }
    for _ in 0..5 {
        let mut moved = false;
        for (x, l) in x.iter().zip(&mut l) {
            let (w, old) = (x * x, *l as f32);
            let mut a2 = a - w * x * old;
            if a2 > 0.0 {
                let mut b2 = b - w * old * old;
                let new = nearest(x * b2 / a2).clamp(-n, n - 1);
                if new != *l {
                    a2 += w * x * new as f32;
                    b2 += w * new as f32 * new as f32;
                    if b2 > 0.0 && a2 * a2 * b > a * a * b2 {
                        (*l, a, b, moved) = (new, a2, b2, true);
                    }
                }
            }
        }
        if !moved {
            break;
        }
    }
    for (code, l) in codes.iter_mut().zip(&l) {
        *code = (l + n) as u8;
    }
    if b > 0.0 { a / b } else { 0.0 }
}

multiversion! {
    /// Codes `0..=n` (a negative value's wrap, as bytes do) with one step a lane, for the non-negative scales or offsets
    /// of super-blocks: nine steps, then one code at a time is moved as long as the fit improves, five rounds at most.
    pub(crate) fn positive['a, const G: usize](
        n: i32,
        x: &'a [Lanes; G],
        w: &'a [Lanes; G],
        codes: &'a mut [[u8; LANES]; G],
    ) -> Lanes {
        let mut max = [0.0f32; LANES];
        for x in x {
            max = each(|k| if x[k] > max[k] { x[k] } else { max[k] });
        }
        let alive: [bool; LANES] = std::array::from_fn(|k| max[k] >= TINY);
        let max = each(|k| if alive[k] { max[k] } else { 1.0 });
        let mut step = each(|k| n as f32 / max[k]);
        let mut error = misfit(&step, x, w, |v| f32::from(small(v)));
        for t in (-4..=4).filter(|t| *t != 0) {
            let reach = 0.1f32 * t as f32 + n as f32;
            let s = each(|k| reach / max[k]);
            let e = misfit(&s, x, w, |v| nearest(v).min(n) as f32);
            for k in 0..LANES {
                let better = e[k] < error[k];
                error[k] = if better { e[k] } else { error[k] };
                step[k] = if better { s[k] } else { step[k] };
            }
        }
        let (mut a, mut b) = ([0.0; LANES], [0.0; LANES]);
        let mut at = [[0; LANES]; G];
        for ((x, w), at) in x.iter().zip(w).zip(&mut at) {
            for k in 0..LANES {
                let l = nearest(step[k] * x[k]).min(n);
                at[k] = l & 255;
                a[k] += w[k] * x[k] * l as f32;
                b[k] += w[k] * l as f32 * l as f32;
            }
        }
        // A lane that did not move in one round does not in the next.
        let mut moved = true;
        let mut round = 0;
        while moved && round < 5 {
            moved = false;
            for ((x, w), at) in x.iter().zip(w).zip(&mut at) {
                moved |= shift(n, x, w, at, &mut a, &mut b);
            }
            round += 1;
        }
        for (codes, at) in codes.iter_mut().zip(&at) {
            for k in 0..LANES {
                codes[k] = if alive[k] { at[k] as u8 } else { 0 };
            }
        }
        each(|k| if alive[k] & (b[k] > 0.0) { a[k] / b[k] } else { 0.0 })
    }
}

/// Weighted squared error of each lane for the codes that the inverse step `s` gives.
#[inline(always)]
fn misfit<const G: usize>(s: &Lanes, x: &[Lanes; G], w: &[Lanes; G], code: impl Fn(f32) -> f32) -> Lanes {
    let step = each(|k| 1.0 / s[k]);
    let mut sum = [0.0; LANES];
    for (x, w) in x.iter().zip(w) {
        for k in 0..LANES {
            let d = x[k] - step[k] * code(s[k] * x[k]);
            sum[k] += w[k] * d * d;
        }
    }
    sum
}

/// Moves one code of each lane to where the others want it, if that is better; whether any moved. `a` and `b` are
/// `sum w x l` and `sum w l l`.
#[inline(always)]
fn shift(n: i32, x: &Lanes, w: &Lanes, at: &mut [i32; LANES], a: &mut Lanes, b: &mut Lanes) -> bool {
    let mut moved = 0;
    for k in 0..LANES {
        let old = at[k] as f32;
        let (without_a, without_b) = (a[k] - w[k] * x[k] * old, b[k] - w[k] * old * old);
        let new = nearest(x[k] * without_b / without_a).min(n);
        let (a2, b2) = (without_a + w[k] * x[k] * new as f32, without_b + w[k] * new as f32 * new as f32);
        let better = (without_a > 0.0) & (without_b > 0.0) & (new != at[k]) & (a2 * a2 * b[k] > a[k] * a[k] * b2);
        at[k] = if better { new & 255 } else { at[k] };
        a[k] = if better { a2 } else { a[k] };
        b[k] = if better { b2 } else { b[k] };
        moved |= i32::from(better);
    }
    moved != 0
}
