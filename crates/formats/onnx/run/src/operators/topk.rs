//! The greatest or least elements along an axis.

use super::elementwise::integers_as;
use super::layout::{self, around};
use super::node::{Inputs, Node, Run, many};
use crate::tensor::{Tensor, Why};
use std::cmp::Ordering;

/// TopK: values and their places, best first; of equals the lower place comes first.
pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    let (axis, largest) = (node.int("axis", -1)?, node.int("largest", 1)? != 0);
    many(move |inputs: Inputs, _| {
        let x = inputs.get(0)?;
        let at = layout::axis(axis, x.shape.len())?;
        let k = layout::size(inputs.get(1)?.int()?, "k")?;
        if k > x.shape[at] {
            return Err(format!("the first {k} of {}", x.shape[at]));
        }
        let mut shape = x.shape.clone();
        shape[at] = k;
        let kind = x.kind();
        if kind.is_float() {
            let v = x.floats()?;
            let picked = pick(&x.shape, at, k, |a, b| by(largest, v[a].total_cmp(&v[b])));
            let values = picked.iter().map(|(from, _)| v[*from]).collect();
            return Ok(vec![Tensor::floats_of(kind, shape.clone(), values), places(shape, &picked)]);
        }
        let v = x.ints()?;
        let picked = pick(&x.shape, at, k, |a, b| by(largest, v[a].cmp(&v[b])));
        let values = picked.iter().map(|(from, _)| v[*from]).collect();
        Ok(vec![Tensor::new(shape.clone(), integers_as(kind, values)?), places(shape, &picked)])
    })
}

fn by(largest: bool, order: Ordering) -> Ordering {
    if largest { order.reverse() } else { order }
}

fn places(shape: Vec<usize>, picked: &[(usize, usize)]) -> Tensor {
    Tensor::i64(shape, picked.iter().map(|(_, place)| *place as i64).collect())
}

/// For each element of the result: where it comes from, and its place along the axis.
fn pick(shape: &[usize], axis: usize, k: usize, order: impl Fn(usize, usize) -> Ordering) -> Vec<(usize, usize)> {
    let (outer, extent, inner) = around(shape, axis);
    let mut out = vec![(0, 0); outer * k * inner];
    let mut sorted = Vec::new();
    for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
        let from = |place: usize| (o * extent + place) * inner + i;
        sorted.clear();
        sorted.extend(0..extent);
        sorted.sort_by(|a, b| order(from(*a), from(*b)));
        for (n, place) in sorted.iter().take(k).enumerate() {
            out[(o * k + n) * inner + i] = (from(*place), *place);
        }
    }
    out
}
