//! Shapes, strides and axes.

use crate::tensor::{Tensor, Why, map_data};

/// An axis counted from either end.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, Why> {
    let from_end = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(from_end).ok().filter(|a| *a < rank).ok_or_else(|| format!("axis {axis} of {rank} dimensions"))
}

/// Index `index` of `extent` things, counted from either end.
pub(crate) fn index(index: i64, extent: usize) -> Result<usize, Why> {
    let from_end = if index < 0 { index.saturating_add(extent as i64) } else { index };
    usize::try_from(from_end).ok().filter(|i| *i < extent).ok_or_else(|| format!("index {index} of {extent}"))
}

/// A non-negative size.
pub(crate) fn size(n: i64, what: &str) -> Result<usize, Why> {
    usize::try_from(n).map_err(|_| format!("{what} is {n}"))
}

/// Elements before, along and after `axis`.
pub(crate) fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    let product = |dims: &[usize]| dims.iter().product();
    (product(&shape[..axis]), shape[axis], product(&shape[axis + 1..]))
}

/// Distances between neighbours along each axis, row-major.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i].saturating_mul(shape[i]);
    }
    strides
}

/// The shape that two shapes broadcast to.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Why> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(format!("shapes {a:?} and {b:?} do not broadcast")),
        })
        .collect()
}

/// Strides that read a tensor of `shape` as one of the larger shape `to`: 0 where it repeats.
pub(crate) fn broadcast_strides(shape: &[usize], to: &[usize]) -> Vec<usize> {
    let own = strides(shape);
    let skip = to.len().saturating_sub(shape.len());
    (0..to.len())
        .map(|i| match i.checked_sub(skip) {
            Some(i) if shape[i] != 1 => own[i],
            _ => 0,
        })
        .collect()
}

/// Visits all rows (runs along the last axis) of `shape` in order, with the offset of each row's first element under
/// each of the strides.
pub(crate) fn rows<const N: usize>(shape: &[usize], strides: [&[usize]; N], mut visit: impl FnMut([usize; N])) {
    if shape.contains(&0) {
        return;
    }
    let outer = shape.len().saturating_sub(1);
    let mut place = vec![0; outer];
    let mut offsets = [0; N];
    loop {
        visit(offsets);
        let mut d = outer;
        loop {
            let Some(next) = d.checked_sub(1) else { return };
            d = next;
            place[d] += 1;
            for (offset, stride) in offsets.iter_mut().zip(strides) {
                *offset += stride[d];
            }
            if place[d] < shape[d] {
                break;
            }
            for (offset, stride) in offsets.iter_mut().zip(strides) {
                *offset -= stride[d] * shape[d];
            }
            place[d] = 0;
        }
    }
}

/// Elements of `from` as `shape`, read from `offset` on under `strides`, which may be negative.
pub(crate) fn gather_strided(from: &Tensor, shape: Vec<usize>, offset: usize, strides: &[isize]) -> Tensor {
    // Two's complement: adding a wrapped negative stride goes back.
    let strides: Vec<usize> = strides.iter().map(|s| s.cast_unsigned()).collect();
    let (length, step) = (shape.last().copied().unwrap_or(1), strides.last().copied().unwrap_or(1));
    let n = shape.iter().product();
    let data = map_data!(&from.data, v => {
        let mut out = Vec::with_capacity(n);
        wrapping_rows(&shape, &strides, |start| {
            let start = offset.wrapping_add(start);
            if step == 1 {
                out.extend_from_slice(&v[start..start + length]);
            } else {
                out.extend((0..length).map(|i| v[start.wrapping_add(i.wrapping_mul(step))]));
            }
        });
        out
    });
    Tensor::new(shape, data)
}

fn wrapping_rows(shape: &[usize], strides: &[usize], mut visit: impl FnMut(usize)) {
    if shape.contains(&0) {
        return;
    }
    let outer = shape.len().saturating_sub(1);
    let count: usize = shape[..outer].iter().product();
    let mut place = vec![0; outer];
    for _ in 0..count {
        visit(place.iter().zip(strides).fold(0, |sum, (p, s): (&usize, &usize)| sum.wrapping_add(p.wrapping_mul(*s))));
        for d in (0..outer).rev() {
            place[d] += 1;
            if place[d] < shape[d] {
                break;
            }
            place[d] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_as_numpy_has_it() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]).unwrap(), [2, 3, 4]);
        assert_eq!(broadcast(&[], &[5]).unwrap(), [5]);
        assert_eq!(broadcast(&[0], &[1]).unwrap(), [0]);
        assert!(broadcast(&[2], &[3]).is_err());
        assert_eq!(broadcast_strides(&[3, 1], &[2, 3, 4]), [0, 1, 0]);
    }

    #[test]
    fn rows_are_visited_in_order() {
        let mut seen = Vec::new();
        rows(&[2, 2, 3], [&[6, 3, 1], &[0, 1, 0]], |o| seen.push(o));
        assert_eq!(seen, [[0, 0], [3, 1], [6, 0], [9, 1]]);
        seen.clear();
        rows(&[], [&[], &[]], |o| seen.push(o));
        rows(&[0, 4], [&[4, 1], &[1, 1]], |o| seen.push(o));
        assert_eq!(seen, [[0, 0]]);
    }

    #[test]
    fn axes_count_from_both_ends() {
        assert_eq!((axis(-1, 3), axis(2, 3)), (Ok(2), Ok(2)));
        assert!(axis(3, 3).is_err() && axis(-4, 3).is_err() && axis(0, 0).is_err() && axis(i64::MIN, 2).is_err());
    }
}
