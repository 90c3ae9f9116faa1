//! Softmax.

use super::layout::{self, around};
use super::node::{Inputs, Node, Run, one};
use crate::tensor::{Tensor, Why};

/// Softmax along an axis (opset 13 on).
pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    if node.opset < 13 {
        return Err("softmax before opset 13 is not supported".into());
    }
    let axis = node.int("axis", -1)?;
    one(move |mut inputs: Inputs, context| {
        let x = inputs.take(0)?;
        let (kind, shape) = (x.kind(), x.shape.clone());
        let (outer, extent, inner) = around(&shape, layout::axis(axis, shape.len())?);
        let mut values = x.into_floats()?;
        if values.is_empty() {
            return Ok(Tensor::floats_of(kind, shape, values));
        }
        if inner == 1 {
            values.chunks_exact_mut(extent).for_each(context.kernels.softmax_f32);
            return Ok(Tensor::floats_of(kind, shape, values));
        }
        let mut row = vec![0.0; extent];
        for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
            let at = |n: usize| (o * extent + n) * inner + i;
            row.iter_mut().enumerate().for_each(|(n, r)| *r = values[at(n)]);
            (context.kernels.softmax_f32)(&mut row);
            row.iter().enumerate().for_each(|(n, r)| values[at(n)] = *r);
        }
        Ok(Tensor::floats_of(kind, shape, values))
    })
}
