//! What the schemes of groups of 32 weights share: one scale a group, perhaps an offset, both stored as binary16.

use super::{check, expect};
use crate::QuantError;
use crate::lanes::{LANES, extremes, lifted, one_after_another, side_by_side};
use crate::number::{halves, nearest};
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
    let (low, high) = extremes(x);
    if high > -low {
        high
    } else if -low > high {
        low
    } else {
        // Of zeros the positive one, whatever they are.
        x.iter().find(|x| x.abs() == high && high > 0.0).copied().unwrap_or_default()
    }
}

/// The largest magnitude.
#[inline(always)]
pub(super) fn magnitude(x: &[f32; GROUP]) -> f32 {
    let (low, high) = extremes(x);
    if high > -low { high } else { low.abs() }
}

/// The smallest and the largest weight, the first among equals.
#[inline(always)]
pub(super) fn ends(x: &[f32; GROUP]) -> (f32, f32) {
    x.iter()
        .fold((f32::MAX, -f32::MAX), |(min, max), x| (if *x < min { *x } else { min }, if *x > max { *x } else { max }))
}

/// Codes of a group from `0` to `top`, `f` of each weight cut to an integer; `f` is within 0 and 2^22. Where the inverse step overflowed the reference's
/// conversion to integer gives 0.
#[inline(always)]
pub(super) fn cut(x: &[f32; GROUP], codes: &mut [i8; GROUP], top: i8, inverse: f32, f: impl Fn(f32) -> f32) {
    if !inverse.is_finite() {
        codes.fill(0);
        return;
    }
    for (code, x) in codes.iter_mut().zip(x) {
        // A cast to an integer looks after values that cannot come here, lane by lane.
        let v = f(*x);
        let near = nearest(v);
        *code = (near - i32::from(near as f32 > v)).min(top.into()) as i8;
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
