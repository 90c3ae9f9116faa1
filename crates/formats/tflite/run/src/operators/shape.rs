//! Operators that only name elements anew.

use super::layout::{axis, size};
use super::node::{Built, Const, Node, Work, renamed};
use crate::tensor::{Buffer, Kind, Type, Why};
use std::sync::Arc;

/// RESHAPE.
pub(super) fn reshape(node: &Node<'_>) -> Result<Built, Why> {
    let to = if node.constant(1).is_some() {
        node.ints(1)?
    } else if node.has(1) {
        return Err("a shape that is computed is not supported".into());
    } else {
        node.option(17, |t| t.i32s(0))?.into_iter().map(i64::from).collect()
    };
    if to.len() > 8 || to.iter().filter(|d| **d == -1).count() > 1 {
        return Err(format!("a new shape of {to:?}"));
    }
    let len = node.of(0)?.len();
    let known = to.iter().filter(|d| **d != -1).try_fold(1_usize, |n, d| n.checked_mul(size(*d, "an extent").ok()?));
    let known = known.ok_or_else(|| format!("a new shape of {to:?}"))?;
    let open = len.checked_div(known).unwrap_or(0);
    renamed(node, to.iter().map(|d| usize::try_from(*d).unwrap_or(open)).collect())
}

/// SQUEEZE.
pub(super) fn squeeze(node: &Node<'_>) -> Result<Built, Why> {
    let shape = node.shape(0)?;
    let axes = node.option(30, |t| t.i32s(0))?;
    let axes: Vec<usize> = axes.iter().map(|a| axis(i64::from(*a), shape.len())).collect::<Result<_, _>>()?;
    let gone = |(i, d): &(usize, &usize)| **d == 1 && (axes.is_empty() || axes.contains(i));
    renamed(node, shape.iter().enumerate().filter(|e| !gone(e)).map(|(_, d)| *d).collect())
}

/// EXPAND_DIMS.
pub(super) fn expand_dims(node: &Node<'_>) -> Result<Built, Why> {
    let mut shape = node.shape(0)?.to_vec();
    let at = *node.ints(1)?.first().ok_or("no axis")?;
    shape.insert(axis(at, shape.len() + 1)?, 1);
    renamed(node, shape)
}

/// SHAPE.
pub(super) fn of(node: &Node<'_>) -> Result<Built, Why> {
    let shape = node.shape(0)?;
    let extents = shape.iter().map(|d| i32::try_from(*d).map_err(|_| format!("an extent of {d}")));
    let buffer = Buffer::I32(extents.collect::<Result<_, _>>()?);
    let of = Type::new(Kind::I32, vec![shape.len()]);
    Ok(Built { outputs: vec![of.clone()], work: Work::Known(Const::Ready(of, Arc::new(buffer))) })
}

/// DEQUANTIZE of a constant: it stays as it is stored until somebody wants numbers.
pub(super) fn dequantize(node: &Node<'_>) -> Result<Built, Why> {
    let tensor = node.stored(0).ok_or("only constants are widened")?.clone();
    let known = Const::Stored { tensor, widened: true };
    Ok(Built { outputs: vec![known.of()], work: Work::Known(known) })
}
