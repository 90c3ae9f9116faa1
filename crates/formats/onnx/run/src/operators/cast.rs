//! Changing the element type.

use super::elementwise::integers_as;
use super::node::{Inputs, Node, Run, one};
use crate::tensor::{Data, Kind, Tensor, Why, floats_as};

/// Cast: floats are cut towards zero, integers wrap, everything but zero is true.
pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    let to = Kind::of(node.int("to", 0)?)?;
    let to = to.flowing(node.options.activation);
    if matches!(to, Kind::U4 | Kind::I4) {
        return Err(format!("a cast to {to:?} is not supported"));
    }
    node.by_row = true;
    one(move |mut inputs: Inputs, _| cast(inputs.take(0)?, to))
}

fn cast(x: Tensor, to: Kind) -> Result<Tensor, Why> {
    if x.kind() == to {
        return Ok(x);
    }
    let shape = x.shape.clone();
    let data = match (x.kind().is_float(), to) {
        (true, Kind::F32 | Kind::F16) => floats_as(to, x.into_floats()?),
        (true, Kind::Bool) => return Ok(Tensor::bool(shape, x.floats()?.iter().map(|v| *v != 0.0).collect())),
        (true, _) => integers_as(to, x.floats()?.iter().map(|v| *v as i64).collect())?,
        (false, Kind::F32 | Kind::F16) => floats_as(to, x.ints()?.iter().map(|v| *v as f32).collect()),
        (false, Kind::Bool) => return Ok(Tensor::bool(shape, x.ints()?.iter().map(|v| *v != 0).collect())),
        (false, _) => match x.data {
            Data::I64(v) => integers_as(to, v.to_vec())?,
            _ => integers_as(to, x.ints()?.into_owned())?,
        },
    };
    Ok(Tensor::new(shape, data))
}
