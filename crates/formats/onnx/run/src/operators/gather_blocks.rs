//! `com.microsoft` GatherBlockQuantized: rows of a quantized table, widened as they are looked up.

use super::block_rows::BlockRows;
use super::blocks::Form;
use super::layout;
use super::matmul_nbits::note_weights;
use super::node::{Const, Inputs, Node, Run, one};
use crate::tensor::{self, Kind, Tensor, Why};
use std::sync::Arc;

pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    node.only("gather_axis", 0)?;
    let table = node.must_be_constant(0)?.clone();
    let (scales, zeros) = (node.must_be_constant(2)?.clone().into_stored(), node.constant(3).cloned());
    if node.has(3) && zeros.is_none() {
        return Err("input 3 must be an initializer".into());
    }
    let shape = table.shape().to_vec();
    let axis = layout::axis(node.int("quantize_axis", 1)?, shape.len())?;
    if axis + 1 != shape.len() || shape.len() < 2 {
        return Err(format!("blocks along axis {axis} of {shape:?} are not supported"));
    }
    // Codes in a typed tensor have zero point 0 and their own number; bytes hold `bits` each, around the middle.
    let typed = match &table {
        Const::Stored(stored) => stored.kind,
        _ => Kind::U8,
    };
    let bits = if typed == Kind::U8 { node.size("bits", Some(4))? } else { 4 };
    let width = if typed == Kind::U8 { shape[axis].saturating_mul(8) / bits.max(1) } else { shape[axis] };
    let rows = tensor::elements(&shape[..axis], usize::MAX)?;
    let form = Form::new(rows, width, bits, node.size("block_size", Some(128))?)?;
    note_weights(node, (rows * width) as u64, 0, &[2, 3]);
    let source = Arc::new(BlockRows::new(form, table.into_stored(), scales, zeros.map(Const::into_stored))?);
    node.hold_blocks(0, 2, &source);
    [0, 2, 3].into_iter().for_each(|i| node.consume(i));

    let kind = source.kind().flowing(node.options.activation);
    let inner = shape[1..axis].to_vec();
    let rows_of_entry: usize = inner.iter().product();
    let entries = shape[0];
    one(move |inputs: Inputs, context| {
        let indices = inputs.get(1)?;
        let shape = [&*indices.shape, &inner, &[width]].concat();
        let mut out = Vec::with_capacity(tensor::elements(&shape, context.limit)?);
        for i in indices.ints()?.iter() {
            let entry = layout::index(*i, entries)?;
            for row in entry * rows_of_entry..(entry + 1) * rows_of_entry {
                source.widen(row, &mut out)?;
            }
        }
        Ok(Tensor::floats_of(kind, shape, out))
    })
}
