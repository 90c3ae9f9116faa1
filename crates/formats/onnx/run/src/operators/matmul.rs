//! Products of matrices of floats.

use super::layout::{broadcast, broadcast_strides, rows};
use super::linear::Weights;
use super::matmul_nbits;
use super::node::{Context, Inputs, Node, Run, one};
use crate::tensor::{Tensor, Why, elements};

/// MatMul. A constant matrix on the right is laid out once.
pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    if let Some(run) = matmul_nbits::of_blocks(node)? {
        return Ok(run);
    }
    let Some(matrix) = node.constant(1).filter(|c| c.shape().len() == 2).cloned() else { return one(general) };
    let (rows, cols) = (matrix.shape()[1], matrix.shape()[0]);
    let weights =
        node.lay(rows.saturating_mul(cols).saturating_mul(matrix.width()), move || Weights::new(&matrix, true))?;
    node.consume(1);
    node.by_row = true;
    one(move |inputs: Inputs, context| {
        let x = inputs.get(0)?;
        if x.len() == 0 && cols > 0 {
            let shape = product_shape(x, cols, rows, context.limit)?;
            return Ok(Tensor::floats_of(x.kind(), shape, Vec::new()));
        }
        times(x, &*weights.get()?, context)
    })
}

/// `x [.., cols]` times weights: `[.., rows]`, of the type of `x`.
pub(super) fn times(x: &Tensor, weights: &Weights, context: &Context) -> Result<Tensor, Why> {
    let shape = product_shape(x, weights.cols, weights.rows, context.limit)?;
    if weights.cols == 0 {
        let n = elements(&shape, context.limit)?;
        return Ok(Tensor::floats_of(x.kind(), shape, vec![0.0; n]));
    }
    let out = weights.multiply(&x.floats()?, context.kernels)?;
    Ok(Tensor::floats_of(x.kind(), shape, out))
}

/// The shape of `x [.., cols]` times `[cols, rows]`.
pub(super) fn product_shape(x: &Tensor, cols: usize, rows: usize, limit: usize) -> Result<Vec<usize>, Why> {
    let mut shape = x.shape.clone();
    match shape.last_mut() {
        Some(last) if *last == cols => *last = rows,
        _ => return Err(format!("shape {:?} times [{cols}, {rows}]", x.shape)),
    }
    elements(&shape, limit)?;
    Ok(shape)
}

/// Batches of products of two values that are both known only while running.
fn general(inputs: Inputs, context: &Context) -> Result<Tensor, Why> {
    let (a, b) = (inputs.get(0)?, inputs.get(1)?);
    let (mut left, mut right) = (a.shape.clone(), b.shape.clone());
    let (row, column) = (left.len() == 1, right.len() == 1);
    if row {
        left.insert(0, 1);
    }
    if column {
        right.push(1);
    }
    let ([batch_a @ .., n, k], [batch_b @ .., k_b, m]) = (&*left, &*right) else {
        return Err(format!("shape {:?} times {:?}", a.shape, b.shape));
    };
    if k != k_b {
        return Err(format!("shape {:?} times {:?}", a.shape, b.shape));
    }
    let batch = broadcast(batch_a, batch_b)?;
    let total = elements(&[&*batch, &[*n, *m]].concat(), context.limit)?;
    let (x, y) = (a.floats()?, b.floats()?);
    // One more axis of extent 1, so that every batch is a row of its own.
    let padded = [&*batch, &[1]].concat();
    let steps = [batch_a, batch_b].map(|s| [&*broadcast_strides(s, &batch), &[0]].concat());
    let mut out = Vec::with_capacity(total);
    let mut fault = Ok(());
    rows(&padded, [&steps[0], &steps[1]], |[i, j]| {
        if *k == 0 {
            out.resize(out.len() + n * m, 0.0);
            return;
        }
        let weights = Weights::of_transpose(&y[j * k * m..(j + 1) * k * m], *k, *m);
        match weights.multiply(&x[i * n * k..(i + 1) * n * k], context.kernels) {
            Ok(part) => out.extend(part),
            Err(why) => fault = Err(why),
        }
    });
    fault?;
    let mut shape = batch;
    shape.extend((!row).then_some(*n));
    shape.extend((!column).then_some(*m));
    Ok(Tensor::floats_of(a.kind(), shape, out))
}

/// Gemm: `alpha A B + beta C`, with a constant B.
pub(super) fn gemm(node: &mut Node<'_>) -> Result<Run, Why> {
    node.only("transA", 0)?;
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    let weights = Weights::new(node.must_be_constant(1)?, node.int("transB", 0)? == 0)?;
    node.consume(1);
    one(move |inputs: Inputs, context| {
        let x = inputs.get(0)?;
        if x.shape.len() != 2 {
            return Err(format!("a matrix of shape {:?}", x.shape));
        }
        let product = times(x, &weights, context)?;
        let (kind, shape) = (product.kind(), product.shape.clone());
        let scaled: Vec<f32> = product.into_floats()?.into_iter().map(|v| v * alpha).collect();
        let Some(c) = inputs.opt(2) else { return Ok(Tensor::floats_of(kind, shape, scaled)) };
        let (sum_shape, sum) =
            super::elementwise::zip((&scaled, &shape), (&c.floats()?, &c.shape), context.limit, |a, c| a + beta * c)?;
        Ok(Tensor::floats_of(kind, sum_shape, sum))
    })
}
