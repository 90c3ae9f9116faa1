//! Operators that make values of another type, or from nothing.

use super::layout::{axis, size};
use super::node::{Built, Node, job, renamed};
use crate::tensor::{Buffer, Kind, Type, Why, elements};

/// CAST.
pub(super) fn cast(node: &Node<'_>) -> Result<Built, Why> {
    let from = node.of(0)?;
    let to = Kind::of(node.option(37, |t| t.u8(1))?)?;
    if to == from.kind {
        return renamed(node, from.shape.clone());
    }
    let (kind, len) = (from.kind, from.len());
    let (floats, ints) = (Kind::F32, [Kind::I32, Kind::I64, Kind::Bool]);
    let fits = (kind == floats || ints.contains(&kind)) && (to == floats || ints.contains(&to));
    if !fits {
        return Err(format!("{kind:?} to {to:?} is not supported"));
    }
    job(node, Type::new(to, from.shape.clone()), vec![], move |x, outputs| {
        let out = outputs.first_mut().ok_or("an output is missing")?;
        // Each type goes through f64, which holds all i32 and f32 exactly; i64 is for indices.
        let values: Box<dyn Iterator<Item = f64>> = match kind {
            Kind::F32 => Box::new(x.f32(0)?.iter().map(|v| f64::from(*v))),
            Kind::Bool => Box::new(x.bytes(0)?.iter().map(|v| f64::from(u8::from(*v != 0)))),
            Kind::I32 => Box::new(x.i32(0)?.iter().map(|v| f64::from(*v))),
            _ => Box::new(x.ints(0)?.into_iter().map(|v| v as f64)),
        };
        let values = values.take(len);
        match out {
            Buffer::F32(out) => out.iter_mut().zip(values).for_each(|(o, v)| *o = v as f32),
            Buffer::I32(out) => out.iter_mut().zip(values).for_each(|(o, v)| *o = v as i32),
            Buffer::I64(out) => out.iter_mut().zip(values).for_each(|(o, v)| *o = v as i64),
            Buffer::Bytes(out) => out.iter_mut().zip(values).for_each(|(o, v)| *o = u8::from(v != 0.0)),
            Buffer::Acts(_) => return Err("an output of another type".into()),
        }
        Ok(())
    })
}

/// ONE_HOT.
pub(super) fn one_hot(node: &Node<'_>) -> Result<Built, Why> {
    let of = node.expect(0, Kind::I32)?;
    let depth = size(*node.ints(1)?.first().ok_or("no depth")?, "a depth")?;
    let (on, off) = (node.float(2)?, node.float(3)?);
    let at = axis(i64::from(node.option(61, |t| t.i32(0))?), of.shape.len() + 1)?;
    let inner: usize = of.shape[at..].iter().product();
    let mut shape = of.shape.clone();
    shape.insert(at, depth);
    let len = elements(&shape)?;
    job(node, Type::f32(shape), vec![], move |x, outputs| {
        let out = super::node::f32_out(outputs, 0, len)?;
        out.fill(off);
        for (i, hot) in x.i32(0)?.iter().enumerate() {
            if let Some(hot) = usize::try_from(*hot).ok().filter(|h| *h < depth) {
                out[(i / inner * depth + hot) * inner + i % inner] = on;
            }
        }
        Ok(())
    })
}

/// FILL with a constant shape.
pub(super) fn fill(node: &Node<'_>) -> Result<Built, Why> {
    let shape: Vec<usize> = node.ints(0)?.iter().map(|d| size(*d, "an extent")).collect::<Result<_, _>>()?;
    let len = elements(&shape)?;
    node.expect(1, Kind::F32)?;
    job(node, Type::f32(shape), vec![], move |x, outputs| {
        let value = *x.f32(1)?.first().ok_or("no value")?;
        super::node::f32_out(outputs, 0, len)?.fill(value);
        Ok(())
    })
}
