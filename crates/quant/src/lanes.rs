//! Eight groups of weights side by side: lane `k` of every vector belongs to group `k`, so the sums of a group keep
//! the order of its weights while the compiler may take the lanes together.

/// Groups taken together.
pub(crate) const LANES: usize = 8;

/// One number a group.
pub(crate) type Lanes = [f32; LANES];

/// Below this a group counts as all zero.
pub(crate) const TINY: f32 = 1e-15;

/// Groups of `G` consecutive weights as `[weight][group]`; groups past the end are zero.
pub(crate) fn side_by_side<const G: usize>(x: &[f32]) -> [Lanes; G] {
    let mut out = [[0.0; LANES]; G];
    for (k, group) in x.chunks_exact(G).take(LANES).enumerate() {
        for (out, v) in out.iter_mut().zip(group) {
            out[k] = *v;
        }
    }
    out
}

/// The reverse of [`side_by_side`] for codes.
pub(crate) fn one_after_another<T: Copy, const G: usize>(from: &[[T; LANES]; G], to: &mut [T]) {
    for (k, group) in to.chunks_exact_mut(G).take(LANES).enumerate() {
        for (to, from) in group.iter_mut().zip(from) {
            *to = from[k];
        }
    }
}

/// A number a lane, made from the lane's index.
#[inline(always)]
pub(crate) fn each(f: impl Fn(usize) -> f32) -> Lanes {
    std::array::from_fn(f)
}

/// Sum over each group in the order of its weights.
#[inline(always)]
pub(crate) fn sum<const G: usize>(x: &[Lanes; G]) -> Lanes {
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
    std::array::from_fn(|i| std::array::from_fn(|k| f(x[i][k], w[i][k])))
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

/// Largest magnitude of some weights; maxima do not depend on their order.
#[inline(always)]
pub(crate) fn largest(x: &[f32]) -> f32 {
    let mut max = [0.0f32; LANES];
    let (eights, rest) = x.as_chunks::<LANES>();
    for x in eights {
        for k in 0..LANES {
            max[k] = if x[k].abs() > max[k] { x[k].abs() } else { max[k] };
        }
    }
    max.into_iter().chain(rest.iter().map(|x| x.abs())).fold(0.0, |max, x| if x > max { x } else { max })
}
