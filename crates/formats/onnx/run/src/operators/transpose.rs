//! Axes in another order.

use super::layout::{self, gather_strided, strides};
use super::node::{Inputs, Node, Run, one};
use crate::tensor::{Tensor, Why};

/// Transpose: axis `i` of the result is axis `perm[i]`; without `perm` the order is reversed.
pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    let perm = node.ints("perm")?;
    one(move |inputs: Inputs, _| {
        let x = inputs.get(0)?;
        let rank = x.shape.len();
        let perm = match &perm {
            None => (0..rank).rev().collect(),
            Some(perm) => perm.iter().map(|a| layout::axis(*a, rank)).collect::<Result<Vec<_>, _>>()?,
        };
        permute(x, &perm)
    })
}

pub(super) fn permute(x: &Tensor, perm: &[usize]) -> Result<Tensor, Why> {
    let rank = x.shape.len();
    if perm.len() != rank || (0..rank).any(|a| !perm.contains(&a)) {
        return Err(format!("{perm:?} is no order of {rank} axes"));
    }
    let own = strides(&x.shape);
    let moved: Vec<isize> = perm.iter().map(|a| own[*a].cast_signed()).collect();
    Ok(gather_strided(x, perm.iter().map(|a| x.shape[*a]).collect(), 0, &moved))
}
