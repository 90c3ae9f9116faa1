//! Values out of nothing.

use super::layout::{around, size};
use super::node::{Inputs, Node, Run, one};
use crate::tensor::{Tensor, Why, elements, map_data};

/// Constant: a tensor, an integer, a float, or a list of either.
pub(super) fn constant(node: &mut Node<'_>) -> Result<Run, Why> {
    let value = if let Some(tensor) = node.tensor("value")? {
        tensor
    } else if let Some(ints) = node.ints("value_ints")? {
        Tensor::i64(vec![ints.len()], ints)
    } else if let Some(floats) = node.floats("value_floats")? {
        Tensor::f32(vec![floats.len()], floats)
    } else if node.float("value_float", f32::NAN).is_ok_and(|v| !v.is_nan()) {
        Tensor::f32(vec![], vec![node.float("value_float", 0.0)?])
    } else if node.int("value_int", i64::MIN)? != i64::MIN {
        Tensor::i64(vec![], vec![node.int("value_int", 0)?])
    } else {
        return Err("a constant without a value that is supported".into());
    };
    one(move |_, _| Ok(value.clone()))
}

/// ConstantOfShape: one value everywhere, 0.0 by default.
pub(super) fn of_shape(node: &mut Node<'_>) -> Result<Run, Why> {
    let value = node.tensor("value")?.unwrap_or_else(|| Tensor::f32(vec![1], vec![0.0]));
    if value.len() != 1 {
        return Err(format!("a value of shape {:?}", value.shape));
    }
    one(move |inputs: Inputs, context| {
        let shape: Vec<usize> =
            inputs.get(0)?.ints()?.iter().map(|d| size(*d, "an extent")).collect::<Result<_, _>>()?;
        let n = elements(&shape, context.limit)?;
        let data = map_data!(&value.data, v => vec![v[0]; n]);
        Ok(Tensor::new(shape, data))
    })
}

/// Range: `start, start + delta, ..` below `limit`.
pub(super) fn range(_: &mut Node<'_>) -> Result<Run, Why> {
    one(|inputs: Inputs, context| {
        let (start, limit, delta) = (inputs.get(0)?, inputs.get(1)?, inputs.get(2)?);
        let kind = start.kind();
        if kind.is_float() {
            let first = |t: &Tensor| t.floats()?.first().copied().ok_or_else(|| Why::from("an empty bound"));
            let (start, limit, delta) = (first(start)?, first(limit)?, first(delta)?);
            let n = ((f64::from(limit) - f64::from(start)) / f64::from(delta)).ceil();
            let n = if n > 0.0 { elements(&[n as usize], context.limit)? } else { 0 };
            return Ok(Tensor::floats_of(kind, vec![n], (0..n).map(|i| start + i as f32 * delta).collect()));
        }
        let (start, limit, delta) = (start.int()?, limit.int()?, delta.int()?);
        if delta == 0 {
            return Err("a step of 0".into());
        }
        let distance = i128::from(limit) - i128::from(start);
        let n =
            usize::try_from(distance.unsigned_abs().div_ceil(u128::from(delta.unsigned_abs()))).unwrap_or(usize::MAX);
        let n = if (distance > 0) == (delta > 0) { elements(&[n], context.limit)? } else { 0 };
        let values = (0..n as i64).map(|i| start.wrapping_add(i.wrapping_mul(delta))).collect();
        Ok(Tensor::new(vec![n], super::elementwise::integers_as(kind, values)?))
    })
}

/// Trilu: keeps the upper or lower triangle of the last two axes.
pub(super) fn trilu(node: &mut Node<'_>) -> Result<Run, Why> {
    let upper = node.int("upper", 1)? != 0;
    one(move |inputs: Inputs, _| {
        let x = inputs.get(0)?;
        let k = inputs.opt(1).map_or(Ok(0), Tensor::int)?;
        let rank = x.shape.len();
        if rank < 2 {
            return Err(format!("a triangle of {:?}", x.shape));
        }
        let (_, rows, cols) = around(&x.shape, rank - 2);
        let keeps = |n: usize| {
            let (row, col) = ((n / cols % rows) as i64, (n % cols) as i64);
            let beyond = (col - row).cmp(&k);
            if upper { beyond.is_ge() } else { beyond.is_le() }
        };
        let data = map_data!(&x.data, v => {
            v.iter().enumerate().map(|(n, v)| if keeps(n) { *v } else { Default::default() }).collect()
        });
        Ok(Tensor::new(x.shape.clone(), data))
    })
}
