//! Walking over values along strides.

use crate::tensor::{Tensor, map_data};
pub(crate) use lfmq_interpreter::layout::{around, axis, broadcast, broadcast_strides, index, size, strides};

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
    fn rows_are_visited_in_order() {
        let mut seen = Vec::new();
        rows(&[2, 2, 3], [&[6, 3, 1], &[0, 1, 0]], |o| seen.push(o));
        assert_eq!(seen, [[0, 0], [3, 1], [6, 0], [9, 1]]);
        seen.clear();
        rows(&[], [&[], &[]], |o| seen.push(o));
        rows(&[0, 4], [&[4, 1], &[1, 1]], |o| seen.push(o));
        assert_eq!(seen, [[0, 0]]);
    }
}
