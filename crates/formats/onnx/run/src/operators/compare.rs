//! Comparisons, and the choice that follows one.

use super::elementwise::zip;
use super::layout::{broadcast, broadcast_strides, rows};
use super::node::{Inputs, Node, Run, one};
use crate::tensor::{Data, Tensor, Why, elements};
use std::cmp::Ordering;
use std::sync::Arc;

/// Equal, Greater, GreaterOrEqual, Less, LessOrEqual; nothing but Equal's negation holds for a NaN.
pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    let holds: fn(Ordering) -> bool = match node.op() {
        "Equal" => Ordering::is_eq,
        "Greater" => Ordering::is_gt,
        "GreaterOrEqual" => Ordering::is_ge,
        "Less" => Ordering::is_lt,
        _ => Ordering::is_le,
    };
    one(move |inputs: Inputs, context| {
        let (a, b) = (inputs.get(0)?, inputs.get(1)?);
        let (shape, out) = if a.kind().is_float() {
            let holds = |a: f32, b: f32| a.partial_cmp(&b).is_some_and(holds);
            zip((&a.floats()?, &a.shape), (&b.floats()?, &b.shape), context.limit, holds)?
        } else {
            zip((&a.ints()?, &a.shape), (&b.ints()?, &b.shape), context.limit, |a, b| holds(a.cmp(&b)))?
        };
        Ok(Tensor::bool(shape, out))
    })
}

fn choose<T: Copy>(
    shape: &[usize],
    (condition, c): (&[bool], &[usize]),
    (x, a): (&[T], &[usize]),
    (y, b): (&[T], &[usize]),
) -> Vec<T> {
    let strides = [c, a, b].map(|s| broadcast_strides(s, shape));
    let [sc, sa, sb] = &strides;
    let step = |s: &[usize]| s.last().copied().unwrap_or(0);
    let length = shape.last().copied().unwrap_or(1);
    let mut out = Vec::new();
    rows(shape, [sc, sa, sb], |[i, j, k]| {
        out.extend(
            (0..length).map(|n| if condition[i + n * step(sc)] { x[j + n * step(sa)] } else { y[k + n * step(sb)] }),
        );
    });
    out
}

/// Where: elements of the second input where the first holds, else of the third.
pub(super) fn select(_: &mut Node<'_>) -> Result<Run, Why> {
    one(|inputs: Inputs, context| {
        let (condition, a, b) = (inputs.get(0)?, inputs.get(1)?, inputs.get(2)?);
        let shape = broadcast(&broadcast(&condition.shape, &a.shape)?, &b.shape)?;
        elements(&shape, context.limit)?;
        let c = (condition.bools()?, &*condition.shape);
        macro_rules! pick {
            ($($variant:ident),*) => {
                match (&a.data, &b.data) {
                    $((Data::$variant(x), Data::$variant(y)) => {
                        Data::$variant(Arc::new(choose(&shape, c, (x, &a.shape), (y, &b.shape))))
                    })*
                    _ => return Err(format!("a choice between {:?} and {:?}", a.kind(), b.kind())),
                }
            };
        }
        let data = pick!(F32, F16, I64, I32, U8, I8, Bool);
        Ok(Tensor::new(shape, data))
    })
}
