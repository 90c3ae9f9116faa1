//! Root mean square normalisation, alone and with the residual sum before it.

use super::elementwise::zip;
use super::layout;
use super::node::{Inputs, Node, Run, many, one};
use crate::tensor::{Tensor, Why};
use lfmq_kernels::Kernels;
use lfmq_ops::norm::rms_norm;

/// Normalises rows of `weight.len()` in f32.
fn normalise(mut x: Vec<f32>, weight: &Tensor, epsilon: f32, kernels: &Kernels) -> Result<Vec<f32>, Why> {
    let weight = weight.floats()?;
    if weight.is_empty() || !x.len().is_multiple_of(weight.len()) {
        return Err(format!("{} values under a norm of {}", x.len(), weight.len()));
    }
    rms_norm(&mut x, &weight, epsilon, kernels);
    Ok(x)
}

/// SimplifiedLayerNormalization and RMSNormalization over the axes from `axis` on; both computed in f32.
pub(super) fn rms(node: &mut Node<'_>) -> Result<Run, Why> {
    if node.wants(1) {
        return Err("output 1 is not supported".into());
    }
    let (axis, epsilon) = (node.int("axis", -1)?, node.float("epsilon", 1e-5)?);
    node.by_row = axis == -1 && node.values() == 1;
    one(move |mut inputs: Inputs, context| {
        let (x, weight) = (inputs.take(0)?, inputs.take(1)?);
        let at = layout::axis(axis, x.shape.len())?;
        if x.shape[at..].iter().product::<usize>() != weight.len() {
            return Err(format!("a norm of {:?} over {:?} from axis {at}", weight.shape, x.shape));
        }
        let (kind, shape) = (x.kind(), x.shape.clone());
        let out = normalise(x.into_floats()?, &weight, epsilon, context.kernels)?;
        Ok(Tensor::floats_of(kind, shape, out))
    })
}

/// SkipSimplifiedLayerNormalization: the norm of `input + skip (+ bias)`; the sum is output 3.
pub(super) fn skip(node: &mut Node<'_>) -> Result<Run, Why> {
    if node.wants(1) || node.wants(2) {
        return Err("outputs 1 and 2 are not supported".into());
    }
    let epsilon = node.float("epsilon", 1e-12)?;
    node.by_row = node.constant(2).is_some();
    many(move |inputs: Inputs, context| {
        let (x, skip, weight) = (inputs.get(0)?, inputs.get(1)?, inputs.get(2)?);
        let kind = x.kind();
        let add = |a: f32, b: f32| a + b;
        let (shape, mut sum) = zip((&x.floats()?, &x.shape), (&skip.floats()?, &skip.shape), context.limit, add)?;
        if let Some(bias) = inputs.opt(3) {
            sum = zip((&sum, &shape), (&bias.floats()?, &bias.shape), context.limit, add)?.1;
        }
        if shape.last() != Some(&weight.len()) || sum.len() != x.len() {
            return Err(format!("a norm of {:?} over {shape:?}", weight.shape));
        }
        let sum = Tensor::floats_of(kind, shape.clone(), sum);
        let out = normalise(sum.floats()?.into_owned(), weight, epsilon, context.kernels)?;
        let nothing = Tensor::f32(vec![0], Vec::new());
        Ok(vec![Tensor::floats_of(kind, shape, out), nothing.clone(), nothing, sum])
    })
}
