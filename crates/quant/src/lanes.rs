//! Sixteen groups of weights side by side: lane `k` of every vector belongs to group `k`, so the sums of a group keep
//! the order of its weights while the compiler may take the lanes together.

use lfmq_kernels::multiversion;

/// Groups taken together.
pub(crate) const LANES: usize = 16;

/// One number a group.
pub(crate) type Lanes = [f32; LANES];

/// Below this a group counts as all zero.
pub(crate) const TINY: f32 = 1e-15;

multiversion! {
    /// Groups of `G` consecutive weights as `[weight][group]`; groups past the end are zero.
    pub(crate) fn side_by_side['a, const G: usize](x: &'a [f32]) -> [Lanes; G] {
        let mut out = [[0.0; LANES]; G];
        if let Some((all, _)) = x.split_at_checked(LANES * G) {
            for (i, out) in out.iter_mut().enumerate() {
                for (k, group) in all.chunks_exact(G).enumerate() {
                    out[k] = group[i];
                }
            }
            return out;
        }
        for (k, group) in x.chunks_exact(G).enumerate() {
            for (out, v) in out.iter_mut().zip(group) {
                out[k] = *v;
            }
        }
        out
    }

    /// The reverse of [`side_by_side`] for codes, which are moved by `offset`.
    pub(crate) fn one_after_another['a, const G: usize](from: &'a [[u8; LANES]; G], offset: i8, to: &'a mut [i8]) -> () {
        for (k, group) in to.chunks_exact_mut(G).take(LANES).enumerate() {
            for (to, from) in group.iter_mut().zip(from) {
                *to = (from[k] as i8).wrapping_add(offset);
            }
        }
    }

    /// Sum over each group in the order of its weights.
    pub(crate) fn sum['a, const G: usize](x: &'a [Lanes; G]) -> Lanes {
        total(x)
    }

    /// Each weight's square.
    pub(crate) fn squares['a, const G: usize](x: &'a [Lanes; G]) -> [Lanes; G] {
        map2(x, x, |x, _| x * x)
    }

    /// Importance times the root of the lane's `level` plus the square of the weight.
    pub(crate) fn lifted['a, const G: usize](
        x: &'a [Lanes; G],
        importance: &'a [Lanes; G],
        level: &'a Lanes,
    ) -> [Lanes; G] {
        let raised = map2(x, &[*level; G], |x, level| (level + x * x).sqrt());
        map2(importance, &raised, |w, root| w * root)
    }

    /// Largest magnitude of some weights; maxima do not depend on their order.
    pub(crate) fn largest['a](x: &'a [f32]) -> f32 {
        let mut max = [0.0f32; LANES];
        let (whole, rest) = x.as_chunks::<LANES>();
        for x in whole {
            for k in 0..LANES {
                max[k] = if x[k].abs() > max[k] { x[k].abs() } else { max[k] };
            }
        }
        max.into_iter().chain(rest.iter().map(|x| x.abs())).fold(0.0, |max, x| if x > max { x } else { max })
    }
}

/// A number a lane, made from the lane's index. The compiler keeps such vectors in registers where it takes loops that
/// change several of them to memory.
#[inline(always)]
pub(crate) fn each(f: impl Fn(usize) -> f32) -> Lanes {
    let mut out = [0.0; LANES];
    for (k, out) in out.iter_mut().enumerate() {
        *out = f(k);
    }
    out
}

#[inline(always)]
pub(crate) fn total<const G: usize>(x: &[Lanes; G]) -> Lanes {
    let mut total = [0.0; LANES];
    for x in x {
        for k in 0..LANES {
            total[k] += x[k];
        }
    }
    total
}

/// `f(x, w)` of every weight.
#[inline(always)]
pub(crate) fn map2<const G: usize>(x: &[Lanes; G], w: &[Lanes; G], f: impl Fn(f32, f32) -> f32) -> [Lanes; G] {
    let mut out = [[0.0; LANES]; G];
    for ((out, x), w) in out.as_flattened_mut().iter_mut().zip(x.as_flattened()).zip(w.as_flattened()) {
        *out = f(*x, *w);
    }
    out
}

/// The weight of largest magnitude of each group, the first among equals, with its sign.
#[inline(always)]
pub(crate) fn peak<const G: usize>(x: &[Lanes; G]) -> Lanes {
    let mut peak = [0.0f32; LANES];
    for x in x {
        for k in 0..LANES {
            peak[k] = if x[k].abs() > peak[k].abs() { x[k] } else { peak[k] };
        }
    }
    peak
}

/// The largest magnitude of some weights. Magnitudes are in the order of their bits, and integers may be compared in any.
#[inline(always)]
pub(crate) fn magnitude(x: &[f32; 32]) -> f32 {
    f32::from_bits(x.iter().fold(0, |most, x| x.abs().to_bits().max(most)))
}
