//! Parts of a tensor.

use super::layout::{self, gather_strided, strides};
use super::node::{Inputs, Node, Run, one};
use crate::tensor::Why;

/// Slice: starts, ends, axes and steps are inputs; bounds beyond the tensor are its ends.
pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    if !node.has(1) {
        return Err("bounds as attributes (before opset 10) are not supported".into());
    }
    one(|inputs: Inputs, _| {
        let x = inputs.get(0)?;
        let list = |i: usize| inputs.opt(i).map(|t| t.ints().map(|v| v.into_owned())).transpose();
        let (starts, ends) = (list(1)?.unwrap_or_default(), list(2)?.unwrap_or_default());
        let axes = list(3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = list(4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err("starts, ends, axes and steps differ in number".into());
        }
        let own = strides(&x.shape);
        let (mut shape, mut offset) = (x.shape.clone(), 0_usize);
        let mut moved: Vec<isize> = own.iter().map(|s| s.cast_signed()).collect();
        for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let at = layout::axis(*axis, x.shape.len())?;
            let run = bounds(*start, *end, *step, x.shape[at])?;
            shape[at] = run.1;
            offset = run.0.wrapping_mul(own[at]).wrapping_add(offset);
            moved[at] = moved[at].wrapping_mul(*step as isize);
        }
        Ok(gather_strided(x, shape, offset, &moved))
    })
}

/// The first element and the number of elements of `start..end` in steps.
fn bounds(start: i64, end: i64, step: i64, extent: usize) -> Result<(usize, usize), Why> {
    let n = i64::try_from(extent).map_err(|_| "an extent beyond 2^63")?;
    let from_end = |at: i64| if at < 0 { at.saturating_add(n) } else { at };
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let (start, end) = (from_end(start).clamp(low.max(0), high), from_end(end).clamp(low, high));
    let distance = match step {
        0 => return Err("a step of 0".into()),
        1.. => end - start,
        _ => start - end,
    };
    if distance <= 0 || n == 0 {
        return Ok((0, 0));
    }
    Ok((start as usize, distance.unsigned_abs().div_ceil(step.unsigned_abs()) as usize))
}

#[cfg(test)]
mod tests {
    use super::bounds;

    #[test]
    fn bounds_are_pythons() {
        let cases = [
            ((-2, i64::MAX, 1, 5), (3, 2)),
            ((0, 2, 1, 5), (0, 2)),
            ((4, 1, 1, 5), (0, 0)),
            ((4, i64::MIN, -1, 5), (4, 5)),
            ((-1, 0, -2, 5), (4, 2)),
            ((0, 9, 2, 5), (0, 3)),
            ((-9, 9, 1, 0), (0, 0)),
            ((7, 9, 1, 5), (0, 0)),
        ];
        for ((start, end, step, extent), expected) in cases {
            assert_eq!(bounds(start, end, step, extent), Ok(expected), "{start}..{end} by {step} of {extent}");
        }
        assert!(bounds(0, 1, 0, 5).is_err());
    }
}
