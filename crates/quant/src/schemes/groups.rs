//! What the schemes of groups of 32 weights share: one scale a group, perhaps an offset, both stored as binary16.

use super::{check, expect};
use crate::QuantError;
use crate::lanes::{LANES, lifted, one_after_another, side_by_side};
use crate::number::{halves, nearest, rounded};
use crate::search::{Sweep, asymmetric, symmetric};
use lfmq_core::{Grid, Payload, QuantizedRows, ScaleKind, SchemeId, Zero};
use lfmq_kernels::{Body, Isa, multiversion};

/// Weights in a group.
pub(super) const GROUP: usize = 32;

/// The grid of codes `codes` with binary16 scales.
pub(super) const fn affine(bits: u8, codes: (i16, i16), zero: Zero) -> Grid {
    Grid::Affine { bits, codes, group: GROUP, zero, scale: ScaleKind::F16 }
}

/// Where a scheme puts one row.
pub(super) struct Row<'a> {
    pub(super) codes: &'a mut [i8],
    pub(super) scales: &'a mut [f32],
    /// Empty for a scheme without offsets.
    pub(super) biases: &'a mut [f32],
}

/// Runs `choose` over the rows of `x`. It leaves scales and offsets as it found them: they are rounded here to what
/// the grid can hold, if that is a binary16.
pub(super) fn quantize(
    scheme: SchemeId,
    grid: &Grid,
    x: &[f32],
    cols: usize,
    importance: Option<&[f32]>,
    out: &mut QuantizedRows,
    choose: impl Fn(&[f32], Option<&[f32]>, Row<'_>),
) -> Result<(), QuantError> {
    check(scheme, GROUP, x, cols, importance)?;
    let groups = cols / GROUP;
    let biased = matches!(grid, Grid::Affine { zero: Zero::Bias, .. });
    let halves_kept = matches!(grid, Grid::Affine { .. } | Grid::Codebook { scale: ScaleKind::F16, .. });
    (out.rows, out.cols) = (x.len() / cols, cols);
    if !matches!(out.payload, Payload::Codes { .. }) {
        out.payload = Payload::Codes { codes: Vec::new(), scales: Vec::new(), zeros: Vec::new() };
    }
    let Payload::Codes { codes, scales, zeros } = &mut out.payload else { return Ok(()) };
    codes.resize(x.len(), 0);
    scales.resize(out.rows * groups, 0.0);
    zeros.resize(if biased { out.rows * groups } else { 0 }, 0.0);
    for (row, x) in x.chunks_exact(cols).enumerate() {
        let of_row = row * groups..(row + 1) * groups;
        let codes = &mut codes[row * cols..(row + 1) * cols];
        let scales = &mut scales[of_row.clone()];
        let biases = if biased { &mut zeros[of_row] } else { &mut [] };
        choose(x, importance, Row { codes, scales, biases });
        let rounded = |values: &mut [f32]| if halves_kept { halves(values) } else { finite(values) };
        rounded(scales).and_then(|()| rounded(biases)).map_err(|(g, value)| QuantError::Scale {
            scheme: scheme.0,
            row,
            col: g * GROUP,
            value,
        })?;
    }
    Ok(())
}

/// The first value that is not finite, and its index, are the error.
fn finite(values: &[f32]) -> Result<(), (usize, f32)> {
    values.iter().position(|v| !v.is_finite()).map_or(Ok(()), |at| Err((at, values[at])))
}

/// A way to choose that looks at nothing but the group.
pub(super) trait Rule: Copy {
    /// Fills the codes of a group; gives its scale and offset. Must be `#[inline(always)]`.
    fn choose(self, x: &[f32; GROUP], codes: &mut [i8; GROUP]) -> (f32, f32);
}

/// One group at a time.
pub(super) fn group_by_group<R: Rule>(rule: R, x: &[f32], row: Row<'_>) {
    Isa::current().run(OneByOne { rule, x, row });
}

struct OneByOne<'a, R> {
    rule: R,
    x: &'a [f32],
    row: Row<'a>,
}

impl<R: Rule> Body for OneByOne<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { rule, x, row } = self;
        let (x, codes) = (x.as_chunks::<GROUP>().0, row.codes.as_chunks_mut::<GROUP>().0);
        for (g, ((x, codes), scale)) in x.iter().zip(codes).zip(row.scales).enumerate() {
            let (found, bias) = rule.choose(x, codes);
            *scale = found;
            if let Some(b) = row.biases.get_mut(g) {
                *b = bias;
            }
        }
    }
}

/// Mean square of a row, summed in order.
pub(super) fn mean_square(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |sum, x| sum + x * x) / x.len() as f32
}

/// A row by the symmetric search with codes `-n..n`.
pub(super) fn search_symmetric(n: i8, x: &[f32], importance: &[f32], row: Row<'_>) {
    let mean = mean_square(x);
    let parts = x.chunks(GROUP * LANES).zip(importance.chunks(GROUP * LANES));
    let outs = row.codes.chunks_mut(GROUP * LANES).zip(row.scales.chunks_mut(LANES));
    for ((x, importance), (codes, scales)) in parts.zip(outs) {
        let x = side_by_side(x);
        let mut found = [[0; LANES]; GROUP];
        let weights = lifted(&x, &side_by_side(importance), &[mean; LANES]);
        let scale = symmetric(f32::from(n), &x, &weights, &mut found);
        one_after_another(&found, -n, codes);
        scales.copy_from_slice(&scale[..scales.len()]);
    }
}

/// A row by the asymmetric search with codes `0..=n`.
pub(super) fn search_asymmetric(n: i8, x: &[f32], importance: &[f32], row: Row<'_>) {
    let mean = mean_square(x);
    let parts = x.chunks(GROUP * LANES).zip(importance.chunks(GROUP * LANES));
    let outs = row.codes.chunks_mut(GROUP * LANES).zip(row.scales.chunks_mut(LANES));
    for (((x, importance), (codes, scales)), biases) in parts.zip(outs).zip(row.biases.chunks_mut(LANES)) {
        let x = side_by_side(x);
        let mut found = [[0; LANES]; GROUP];
        let weights = lifted(&x, &side_by_side(importance), &[mean; LANES]);
        let (scale, offset) = asymmetric(f32::from(n), Sweep::WEIGHTED, &x, &weights, &mut found);
        one_after_another(&found, 0, codes);
        scales.copy_from_slice(&scale[..scales.len()]);
        biases.iter_mut().zip(offset).for_each(|(b, o)| *b = -o);
    }
}

/// The weight of largest magnitude, the first among equals, with its sign.
#[inline(always)]
pub(super) fn peak(x: &[f32; GROUP]) -> f32 {
    // The sign behind the magnitude: of equals the negative one.
    let top = x.iter().fold(0, |top, x| x.to_bits().rotate_left(1).max(top));
    let peak = f32::from_bits(top.rotate_right(1));
    if !x.iter().fold(false, |any, x| any | (*x == -peak)) {
        return peak;
    }
    // Of zeros the positive one, whatever they are.
    x.iter().find(|x| x.abs() == peak.abs() && peak != 0.0).copied().unwrap_or_default()
}

/// The smallest and the largest weight, the first among equals.
#[inline(always)]
pub(super) fn ends(x: &[f32; GROUP]) -> (f32, f32) {
    x.iter()
        .fold((f32::MAX, -f32::MAX), |(min, max), x| (if *x < min { *x } else { min }, if *x > max { *x } else { max }))
}

/// Codes of a group from `0` to `top`, less `offset`: `f` of each weight, which is within 0 and 2^22, cut to an integer.
/// Where the inverse step overflowed the reference's conversion to integer gives 0.
#[inline(always)]
pub(super) fn cut(
    x: &[f32; GROUP],
    codes: &mut [i8; GROUP],
    top: u8,
    offset: u8,
    inverse: f32,
    f: impl Fn(f32) -> f32,
) {
    let (top, offset) = (f32::from(top), f32::from(offset));
    if !inverse.is_finite() {
        codes.fill(nearest(-offset) as i8);
        return;
    }
    for (code, x) in codes.iter_mut().zip(x) {
        // A cast to an integer looks after values that cannot come here, lane by lane.
        let v = f(*x);
        let near = rounded(v);
        let whole = if near > v { near - 1.0 } else { near };
        *code = nearest((if whole < top { whole } else { top }) - offset) as i8;
    }
}

pub(super) fn decode_affine(
    grid: &Grid,
    group: usize,
    codes: &[i8],
    scales: &[f32],
    zeros: &[f32],
    out: &mut [f32],
) -> Result<(), QuantError> {
    let Grid::Affine { zero, .. } = grid else { return Err(QuantError::Payload { grid: grid.to_string() }) };
    let groups = out.len() / group.max(1);
    expect("the codes", out.len(), codes.len())?;
    expect("the scales", groups, scales.len())?;
    expect("the zeros", if *zero == Zero::None { 0 } else { groups }, zeros.len())?;
    widen(*zero, group, codes, scales, zeros, out);
    Ok(())
}

multiversion! {
    fn widen['a](
        zero: Zero,
        group: usize,
        codes: &'a [i8],
        scales: &'a [f32],
        zeros: &'a [f32],
        out: &'a mut [f32],
    ) -> () {
        if (zero, group) == (Zero::None, GROUP) {
            // Most schemes. Laid into place at once, as the compiler cannot see that no code lies among the values.
            let parts = out.as_chunks_mut::<GROUP>().0.iter_mut().zip(codes.as_chunks::<GROUP>().0).zip(scales);
            for ((out, codes), scale) in parts {
                let mut values = [0.0; GROUP];
                values.iter_mut().zip(codes).for_each(|(v, c)| *v = scale * f32::from(*c));
                *out = values;
            }
            return;
        }
        let parts = out.chunks_exact_mut(group).zip(codes.chunks_exact(group)).zip(scales).enumerate();
        for (g, ((out, codes), scale)) in parts {
            let pairs = out.iter_mut().zip(codes);
            match zero {
                Zero::None => pairs.for_each(|(v, c)| *v = scale * f32::from(*c)),
                Zero::Int => pairs.for_each(|(v, c)| *v = scale * (f32::from(*c) - zeros[g])),
                Zero::Bias => pairs.for_each(|(v, c)| *v = scale * f32::from(*c) + zeros[g]),
            }
        }
    }
}

pub(super) fn decode_levels(
    levels: &[i8],
    group: usize,
    codes: &[i8],
    scales: &[f32],
    out: &mut [f32],
) -> Result<(), QuantError> {
    expect("the codes", out.len(), codes.len())?;
    expect("the scales", out.len() / group.max(1), scales.len())?;
    for ((out, codes), scale) in out.chunks_exact_mut(group).zip(codes.chunks_exact(group)).zip(scales) {
        for (v, c) in out.iter_mut().zip(codes) {
            *v = scale * f32::from(levels.get(*c as usize).copied().unwrap_or_default());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_the_first_of_the_largest() {
        let with = |some: &[(usize, f32)]| {
            let mut x = [0.25; GROUP];
            some.iter().for_each(|(at, v)| x[*at] = *v);
            peak(&x)
        };
        assert_eq!(with(&[(3, -2.0), (20, 1.5)]), -2.0);
        assert_eq!(with(&[(3, -2.0), (20, 2.0)]), -2.0);
        assert_eq!(with(&[(3, 2.0), (20, -2.0)]), 2.0);
        assert_eq!(peak(&[-0.0; GROUP]).to_bits(), 0, "of zeros the positive one");
    }

    #[test]
    fn cutting_goes_down_and_stops_at_the_top() {
        let mut codes = [0; GROUP];
        let x: [f32; GROUP] = std::array::from_fn(|i| i as f32 * 0.5);
        cut(&x, &mut codes, 9, 8, 1.0, |x| x + 0.25);
        assert_eq!(codes.map(i32::from), std::array::from_fn(|i| (i as i32 / 2).min(9) - 8));
        cut(&x, &mut codes, 9, 8, f32::INFINITY, |x| x);
        assert_eq!(codes, [-8; GROUP]);
    }
}
