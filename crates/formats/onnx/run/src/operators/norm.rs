//! Root mean square normalisation, alone and with the residual sum before it.

use super::elementwise::zip;
use super::layout;
use super::node::{Inputs, Node, Run, many, one};
use crate::tensor::{Tensor, Why};
use lfmq_kernels::multiversion;

/// Which of ONNX Runtime's two orders of operations a norm follows. Codes of 8 bits come next, and what lies on the edge
/// between two of them is decided by the last bit.
#[derive(Clone, Copy)]
enum Order {
    /// SimplifiedLayerNormalization (its AVX2 kernel): squares in eight lanes, fused; `x * (1 / rms) * weight`.
    Lanes,
    /// SkipSimplifiedLayerNormalization: squares one after the other; `x / rms * weight`.
    Sequence,
}

/// Normalises rows of `weight.len()` in f32.
fn normalise(mut x: Vec<f32>, weight: &Tensor, epsilon: f32, order: Order) -> Result<Vec<f32>, Why> {
    let weight = weight.floats()?;
    if weight.is_empty() || !x.len().is_multiple_of(weight.len()) {
        return Err(format!("{} values under a norm of {}", x.len(), weight.len()));
    }
    match order {
        Order::Lanes => by_lanes(&mut x, &weight, epsilon),
        Order::Sequence => by_sequence(&mut x, &weight, epsilon),
    }
    Ok(x)
}

multiversion! {
    fn by_lanes['a](x: &'a mut [f32], weight: &'a [f32], epsilon: f32) -> () {
        for row in x.chunks_exact_mut(weight.len()) {
            let (chunks, rest) = row.as_chunks::<8>();
            let mut lanes = [0f32; 8];
            for chunk in chunks {
                for (sum, x) in lanes.iter_mut().zip(chunk) {
                    *sum = x.mul_add(*x, *sum);
                }
            }
            let [a, b, c, d, e, f, g, h] = lanes;
            let sum = ((a + e) + (c + g)) + ((b + f) + (d + h));
            let sum = rest.iter().fold(sum, |sum, x| sum + x * x);
            let inverse = 1.0 / (sum / weight.len() as f32 + epsilon).sqrt();
            for (x, w) in row.iter_mut().zip(weight) {
                *x = *x * inverse * w;
            }
        }
    }
}

fn by_sequence(x: &mut [f32], weight: &[f32], epsilon: f32) {
    for row in x.chunks_exact_mut(weight.len()) {
        let sum = row.iter().fold(0.0, |sum, x| sum + x * x);
        let rms = (sum / weight.len() as f32 + epsilon).sqrt();
        for (x, w) in row.iter_mut().zip(weight) {
            *x = *x / rms * w;
        }
    }
}

/// SimplifiedLayerNormalization and RMSNormalization over the axes from `axis` on; both computed in f32.
pub(super) fn rms(node: &mut Node<'_>) -> Result<Run, Why> {
    if node.wants(1) {
        return Err("output 1 is not supported".into());
    }
    let (axis, epsilon) = (node.int("axis", -1)?, node.float("epsilon", 1e-5)?);
    node.by_row = axis == -1 && node.values() == 1;
    one(move |mut inputs: Inputs, _| {
        let (x, weight) = (inputs.take(0)?, inputs.take(1)?);
        let at = layout::axis(axis, x.shape.len())?;
        if x.shape[at..].iter().product::<usize>() != weight.len() {
            return Err(format!("a norm of {:?} over {:?} from axis {at}", weight.shape, x.shape));
        }
        let (kind, shape) = (x.kind(), x.shape.clone());
        let out = normalise(x.into_floats()?, &weight, epsilon, Order::Lanes)?;
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
        let out = normalise(sum.floats()?.into_owned(), weight, epsilon, Order::Sequence)?;
        let nothing = Tensor::f32(vec![0], Vec::new());
        Ok(vec![Tensor::floats_of(kind, shape, out), nothing.clone(), nothing, sum])
    })
}
