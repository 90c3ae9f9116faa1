use super::{Scheme, groups};
use crate::QuantError;
use crate::lanes::{LANES, Lanes, TINY, each, lifted, peak, side_by_side, squares, sum};
use crate::number::inverse;
use lfmq_core::{Grid, QuantizedRows, ScaleKind, SchemeId};
use lfmq_kernels::multiversion;

/// Denser around zero, as weights are.
pub(super) const LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Halfway between neighbours; the tie goes to the upper one.
const BORDERS: [f32; 15] = {
    let mut borders = [0.0; 15];
    let mut i = 0;
    while i < 15 {
        borders[i] = (LEVELS[i] as f32 + LEVELS[i + 1] as f32) / 2.0;
        i += 1;
    }
    borders
};

/// Groups of 32 indices into a table: `x = d T[q]`.
#[allow(non_camel_case_types, reason = "the field's own name")]
pub(super) struct IQ4_NL;

impl Scheme for IQ4_NL {
    fn id(&self) -> SchemeId {
        SchemeId("iq4_nl")
    }

    fn grid(&self) -> Grid {
        Grid::Codebook { levels: &LEVELS, group: groups::GROUP, scale: ScaleKind::F16 }
    }

    fn quantize(
        &self,
        x: &[f32],
        cols: usize,
        importance: Option<&[f32]>,
        out: &mut QuantizedRows,
    ) -> Result<(), QuantError> {
        groups::quantize(self.id(), &self.grid(), x, cols, importance, out, |x, importance, row| {
            const PART: usize = groups::GROUP * LANES;
            for (part, x) in x.chunks(PART).enumerate() {
                let weights = importance.map(|w| &w[part * PART..][..x.len()]);
                let codes = &mut row.codes[part * PART..][..x.len()];
                choose(x, weights, codes, &mut row.scales[part * LANES..]);
            }
        })
    }
}

/// Sixteen groups, or what is left of the row.
fn choose(x: &[f32], importance: Option<&[f32]>, codes: &mut [i8], scales: &mut [f32]) {
    let lanes = side_by_side::<{ groups::GROUP }>(x);
    let mut weights = squares(&lanes);
    if let Some(w) = importance {
        let level = sum(&weights).map(|s| s * (2.0 / 32.0));
        weights = lifted(&lanes, &side_by_side(w), &level);
    }
    let found = fit(&lanes, &weights);
    let parts = x.as_chunks().0.iter().zip(codes.as_chunks_mut().0).zip(scales.iter_mut().zip(found));
    for ((x, codes), (scale, found)) in parts {
        *scale = found;
        lay(x, inverse(found), codes);
    }
}

multiversion! {
    /// The scale of each group: 16 steps around that which puts the largest weight on the outermost level.
    pub(super) fn fit['a](x: &'a [Lanes; groups::GROUP], w: &'a [Lanes; groups::GROUP]) -> Lanes {
        let peak = peak(x);
        let alive: [bool; LANES] = std::array::from_fn(|k| peak[k].abs() >= TINY);
        let peak = each(|k| if alive[k] { peak[k] } else { 1.0 });
        let outermost = f32::from(LEVELS[0]);
        let (a, b) = moments(&each(|k| 1.0 / (-peak[k] / outermost)), x, w);
        let mut scale = each(|k| if b[k] > 0.0 { a[k] / b[k] } else { 0.0 });
        let mut best = each(|k| scale[k] * a[k]);
        for t in -7i8..=7 {
            let reach = f32::from(t) + outermost;
            let (a, b) = moments(&each(|k| reach / peak[k]), x, w);
            for k in 0..LANES {
                let better = (b[k] > 0.0) & (a[k] * a[k] > best[k] * b[k]);
                let refit = a[k] / b[k];
                scale[k] = if better { refit } else { scale[k] };
                best[k] = if better { refit * a[k] } else { best[k] };
            }
        }
        each(|k| if alive[k] { scale[k] } else { 0.0 })
    }

    /// Indices of the levels nearest to `x` times `inverse`.
    pub(super) fn lay['a](x: &'a [f32; groups::GROUP], inverse: f32, codes: &'a mut [i8; groups::GROUP]) -> () {
        let mut index = [0i32; groups::GROUP];
        for border in BORDERS {
            for (index, x) in index.iter_mut().zip(x) {
                *index += if inverse * x < border { 0 } else { 1 };
            }
        }
        for (code, index) in codes.iter_mut().zip(index) {
            *code = index as i8;
        }
    }
}

/// `sum w T x` and `sum w T T` of each group for the levels `T` that the inverse step `s` gives.
#[inline(always)]
fn moments(s: &Lanes, x: &[Lanes; groups::GROUP], w: &[Lanes; groups::GROUP]) -> (Lanes, Lanes) {
    let (mut a, mut b) = ([0.0; LANES], [0.0; LANES]);
    for (x, w) in x.iter().zip(w) {
        let level = levels(&each(|k| s[k] * x[k]));
        for k in 0..LANES {
            let wl = w[k] * level[k];
            a[k] += wl * x[k];
            b[k] += wl * level[k];
        }
    }
    (a, b)
}

/// The nearest level of each lane: the lowest plus every gap whose border is passed.
#[inline(always)]
fn levels(v: &Lanes) -> Lanes {
    let mut level = [f32::from(LEVELS[0]); LANES];
    for (i, border) in BORDERS.iter().enumerate() {
        let gap = f32::from(LEVELS[i + 1] - LEVELS[i]);
        for k in 0..LANES {
            level[k] += if v[k] < *border { 0.0 } else { gap };
        }
    }
    level
}
