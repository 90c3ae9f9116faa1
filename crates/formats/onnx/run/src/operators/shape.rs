//! Shapes as values, and other shapes for the same elements.

use super::layout::{self, broadcast, broadcast_strides, gather_strided};
use super::node::{Inputs, Node, Run, one};
use crate::tensor::{Tensor, Why, elements};

/// Shape (with `start` and `end`) and Size.
pub(super) fn of(node: &mut Node<'_>) -> Result<Run, Why> {
    if node.op() == "Size" {
        return one(|inputs: Inputs, _| Ok(Tensor::i64(vec![], vec![inputs.get(0)?.len() as i64])));
    }
    let (start, end) = (node.int("start", 0)?, node.int("end", i64::MAX)?);
    one(move |inputs: Inputs, _| {
        let shape = &inputs.get(0)?.shape;
        let rank = shape.len() as i64;
        let place = |at: i64| if at < 0 { at.saturating_add(rank) } else { at }.clamp(0, rank) as usize;
        let dims: Vec<i64> =
            shape.get(place(start)..place(end)).unwrap_or_default().iter().map(|d| *d as i64).collect();
        Ok(Tensor::i64(vec![dims.len()], dims))
    })
}

/// Reshape: 0 keeps an extent (unless `allowzero`), -1 takes what is left.
pub(super) fn reshape(node: &mut Node<'_>) -> Result<Run, Why> {
    let zero_is_zero = node.int("allowzero", 0)? != 0;
    one(move |mut inputs: Inputs, _| {
        let x = inputs.take(0)?;
        let wanted = inputs.get(1)?.ints()?.into_owned();
        let mut shape = Vec::with_capacity(wanted.len());
        let mut open = None;
        for (i, d) in wanted.iter().enumerate() {
            shape.push(match d {
                -1 if open.is_some() => return Err(format!("two open extents in {wanted:?}")),
                -1 => {
                    open = Some(i);
                    1
                }
                0 if !zero_is_zero => *x.shape.get(i).ok_or_else(|| format!("no extent {i} in {:?}", x.shape))?,
                d => layout::size(*d, "an extent")?,
            });
        }
        if let Some(i) = open {
            let rest = elements(&shape, usize::MAX)?;
            shape[i] = x.len().checked_div(rest).unwrap_or(0);
        }
        x.reshaped(shape)
    })
}

/// The axes an operator takes from an attribute (before opset 13) or from input 1.
fn axes(from_node: Option<&[i64]>, inputs: &Inputs) -> Result<Option<Vec<i64>>, Why> {
    match (inputs.opt(1), from_node) {
        (Some(tensor), _) => Ok(Some(tensor.ints()?.into_owned())),
        (None, axes) => Ok(axes.map(<[i64]>::to_vec)),
    }
}

/// Squeeze: drops the named axes of extent 1, or all of them.
pub(super) fn squeeze(node: &mut Node<'_>) -> Result<Run, Why> {
    let own = node.ints("axes")?;
    one(move |mut inputs: Inputs, _| {
        let x = inputs.take(0)?;
        let mut drop: Vec<bool> = x.shape.iter().map(|d| *d == 1).collect();
        if let Some(axes) = axes(own.as_deref(), &inputs)? {
            let named: Vec<usize> = axes.iter().map(|a| layout::axis(*a, x.shape.len())).collect::<Result<_, _>>()?;
            if named.iter().any(|a| x.shape[*a] != 1) {
                return Err(format!("axes {axes:?} of {:?} are not all 1", x.shape));
            }
            drop = (0..x.shape.len()).map(|i| named.contains(&i)).collect();
        }
        let shape = x.shape.iter().zip(drop).filter(|(_, drop)| !drop).map(|(d, _)| *d).collect();
        x.reshaped(shape)
    })
}

/// Unsqueeze: the named axes of the result have extent 1.
pub(super) fn unsqueeze(node: &mut Node<'_>) -> Result<Run, Why> {
    let own = node.ints("axes")?;
    one(move |mut inputs: Inputs, _| {
        let x = inputs.take(0)?;
        let axes = axes(own.as_deref(), &inputs)?.ok_or("no axes")?;
        let rank = x.shape.len() + axes.len();
        let named: Vec<usize> = axes.iter().map(|a| layout::axis(*a, rank)).collect::<Result<_, _>>()?;
        let mut old = x.shape.iter();
        let shape: Option<Vec<usize>> =
            (0..rank).map(|i| if named.contains(&i) { Some(1) } else { old.next().copied() }).collect();
        x.reshaped(shape.ok_or_else(|| format!("axes {axes:?} name one twice"))?)
    })
}

/// Flatten: `[before axis, from axis on]`.
pub(super) fn flatten(node: &mut Node<'_>) -> Result<Run, Why> {
    let axis = node.int("axis", 1)?;
    one(move |mut inputs: Inputs, _| {
        let x = inputs.take(0)?;
        let rank = x.shape.len();
        let at = if axis == rank as i64 { rank } else { layout::axis(axis, rank)? };
        let (rows, cols) = (elements(&x.shape[..at], usize::MAX)?, elements(&x.shape[at..], usize::MAX)?);
        x.reshaped(vec![rows, cols])
    })
}

/// Expand: broadcasts to a shape.
pub(super) fn expand(_: &mut Node<'_>) -> Result<Run, Why> {
    one(|inputs: Inputs, context| {
        let x = inputs.get(0)?;
        let to: Vec<usize> =
            inputs.get(1)?.ints()?.iter().map(|d| layout::size(*d, "an extent")).collect::<Result<_, _>>()?;
        let shape = broadcast(&x.shape, &to)?;
        elements(&shape, context.limit)?;
        let strides: Vec<isize> = broadcast_strides(&x.shape, &shape).into_iter().map(usize::cast_signed).collect();
        Ok(gather_strided(x, shape, 0, &strides))
    })
}
