//! Looking up.

use super::layout::{self, around, rows, strides};
use super::node::{Const, Inputs, Node, Run, one};
use crate::stored::Stored;
use crate::tensor::{self, Kind, Tensor, Why, map_data};

/// Gather along an axis. A table of floats in the file is read where it lies, row by row.
pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    let axis = node.int("axis", 0)?;
    if let Some(Const::Stored(table)) = node.constant(0)
        && axis == 0
        && table.kind.is_float()
        && !table.shape.is_empty()
    {
        let (table, kind) = (table.clone(), table.kind.flowing(node.options.activation));
        node.consume(0);
        return one(move |inputs: Inputs, context| stored_rows(&table, kind, inputs.get(1)?, context.limit));
    }
    one(move |inputs: Inputs, context| {
        let (x, indices) = (inputs.get(0)?, inputs.get(1)?);
        let at = layout::axis(axis, x.shape.len())?;
        let (outer, extent, inner) = around(&x.shape, at);
        let shape = [&x.shape[..at], &indices.shape, &x.shape[at + 1..]].concat();
        let n = tensor::elements(&shape, context.limit)?;
        let list = indices.ints()?;
        let picked: Vec<usize> = list.iter().map(|i| layout::index(*i, extent)).collect::<Result<_, _>>()?;
        let data = map_data!(&x.data, v => {
            let mut out = Vec::with_capacity(n);
            for o in 0..outer {
                for i in &picked {
                    out.extend_from_slice(&v[(o * extent + i) * inner..][..inner]);
                }
            }
            out
        });
        Ok(Tensor::new(shape, data))
    })
}

fn stored_rows(table: &Stored, kind: Kind, indices: &Tensor, limit: usize) -> Result<Tensor, Why> {
    let shape = [&indices.shape, &table.shape[1..]].concat();
    let n = tensor::elements(&shape, limit)?;
    let width = tensor::elements(&table.shape[1..], usize::MAX)?;
    let mut out = Vec::with_capacity(n);
    for i in indices.ints()?.iter() {
        let row = layout::index(*i, table.shape[0])?;
        table.floats(row * width..(row + 1) * width, &mut out)?;
    }
    Ok(Tensor::floats_of(kind, shape, out))
}

/// GatherElements: the index tensor names, for each of its places, the place along the axis.
pub(super) fn elements_of(x: &Tensor, indices: &Tensor, axis: i64) -> Result<Tensor, Why> {
    let at = layout::axis(axis, x.shape.len())?;
    let picked = places(&x.shape, indices, at)?;
    let data = map_data!(&x.data, v => picked.iter().map(|p| v[*p]).collect());
    Ok(Tensor::new(indices.shape.clone(), data))
}

/// GatherElements.
pub(super) fn elements(node: &mut Node<'_>) -> Result<Run, Why> {
    let axis = node.int("axis", 0)?;
    one(move |inputs: Inputs, _| elements_of(inputs.get(0)?, inputs.get(1)?, axis))
}

/// For each index, in order, the place in a tensor of `shape` that it names.
pub(super) fn places(shape: &[usize], indices: &Tensor, at: usize) -> Result<Vec<usize>, Why> {
    let fits = indices.shape.len() == shape.len()
        && indices.shape.iter().zip(shape).enumerate().all(|(d, (i, x))| d == at || i <= x);
    if !fits {
        return Err(format!("indices {:?} into {shape:?}", indices.shape));
    }
    let list = indices.ints()?;
    let mut own = strides(shape);
    let along = own[at];
    // The place along the axis comes from the index, not from where the index stands.
    own[at] = 0;
    let (length, step) = (indices.shape.last().copied().unwrap_or(1), own.last().copied().unwrap_or(0));
    let (mut places, mut fault) = (Vec::with_capacity(list.len()), None);
    rows(&indices.shape, [&own], |[start]| {
        for n in 0..length {
            match layout::index(list[places.len()], shape[at]) {
                Ok(i) => places.push(start + n * step + i * along),
                Err(why) => {
                    fault.get_or_insert(why);
                    places.push(0);
                }
            }
        }
    });
    fault.map_or(Ok(places), Err)
}
