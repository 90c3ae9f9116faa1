//! Shapes, strides and axes.

/// An axis counted from either end.
///
/// # Errors
/// In words, when there is no such axis.
pub fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    from_either_end(axis, rank).ok_or_else(|| format!("axis {axis} of {rank} dimensions"))
}

/// Index `index` of `extent` things, counted from either end.
///
/// # Errors
/// In words, when there is no such thing.
pub fn index(index: i64, extent: usize) -> Result<usize, String> {
    from_either_end(index, extent).ok_or_else(|| format!("index {index} of {extent}"))
}

fn from_either_end(index: i64, extent: usize) -> Option<usize> {
    let from_start = if index < 0 { index.saturating_add_unsigned(extent as u64) } else { index };
    usize::try_from(from_start).ok().filter(|i| *i < extent)
}

/// A non-negative size, called `what`.
///
/// # Errors
/// In words, when it is negative.
pub fn size(n: i64, what: &str) -> Result<usize, String> {
    usize::try_from(n).map_err(|_| format!("{what} is {n}"))
}

/// Elements before, along and after `axis`, which must be one of `shape`'s.
#[must_use]
pub fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    let product = |dims: &[usize]| dims.iter().product();
    (product(&shape[..axis]), shape[axis], product(&shape[axis + 1..]))
}

/// Distances between neighbours along each axis, row-major.
#[must_use]
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i].saturating_mul(shape[i]);
    }
    strides
}

/// The shape that two shapes broadcast to, as numpy has it.
///
/// # Errors
/// In words, when they do not.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
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
#[must_use]
pub fn broadcast_strides(shape: &[usize], to: &[usize]) -> Vec<usize> {
    let own = strides(shape);
    let skip = to.len().saturating_sub(shape.len());
    (0..to.len())
        .map(|i| match i.checked_sub(skip) {
            Some(i) if shape[i] != 1 => own[i],
            _ => 0,
        })
        .collect()
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
    fn axes_and_indices_count_from_both_ends() {
        assert_eq!((axis(-1, 3), axis(2, 3)), (Ok(2), Ok(2)));
        assert!(axis(3, 3).is_err() && axis(-4, 3).is_err() && axis(0, 0).is_err() && axis(i64::MIN, 2).is_err());
        assert_eq!((index(-5, 5), index(4, 5)), (Ok(0), Ok(4)));
        assert!(index(5, 5).is_err() && index(i64::MAX, 5).is_err());
        assert!(size(-1, "k").unwrap_err().contains("k is -1"));
    }

    #[test]
    fn an_axis_has_elements_around_it() {
        assert_eq!(around(&[2, 3, 4, 5], 2), (6, 4, 5));
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
    }
}
