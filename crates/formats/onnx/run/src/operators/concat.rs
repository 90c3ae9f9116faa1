//! Joining along an axis, and cutting apart.

use super::layout::{self, around};
use super::node::{Inputs, Node, Run, many, one};
use crate::tensor::{Data, Tensor, Why, elements, map_data};
use std::sync::Arc;

/// Concat. A tensor of extent 0 along the axis joins whatever its other unknown extents, as an empty cache does.
pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    let axis = node.int("axis", 0)?;
    one(move |mut inputs: Inputs, context| {
        let parts: Vec<Tensor> = (0..inputs.0.len()).map(|i| inputs.take(i)).collect::<Result<_, _>>()?;
        concat(parts, axis, context.limit)
    })
}

pub(super) fn concat(mut parts: Vec<Tensor>, axis: i64, limit: usize) -> Result<Tensor, Why> {
    let first = parts.first().ok_or("nothing to join")?;
    let at = layout::axis(axis, first.shape.len())?;
    let whole = parts.iter().find(|p| p.len() > 0).unwrap_or(first);
    let (mut shape, kind) = (whole.shape.clone(), whole.kind());
    shape[at] = 0;
    for part in &parts {
        let extent = *part.shape.get(at).ok_or_else(|| format!("no axis {axis} in {:?}", part.shape))?;
        let mut like = part.shape.clone();
        like[at] = shape[at];
        let fits = like == shape || (extent == 0 && like.len() == shape.len());
        if !fits || part.kind() != kind {
            return Err(format!("shape {:?} does not join {shape:?} along axis {at}", part.shape));
        }
        shape[at] += extent;
    }
    let n = elements(&shape, limit)?;
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let (outer, _, inner) = around(&shape, at);
    macro_rules! join {
        ($($variant:ident),*) => {
            match kind {
                $(crate::tensor::Kind::$variant => {
                    let slices: Vec<_> = parts.iter().filter_map(|p| match &p.data {
                        Data::$variant(v) => Some((v, p.shape[at] * inner)),
                        _ => None,
                    }).collect();
                    let mut out = Vec::with_capacity(n);
                    for o in 0..if n == 0 { 0 } else { outer } {
                        for (v, run) in &slices {
                            out.extend_from_slice(&v[o * run..(o + 1) * run]);
                        }
                    }
                    Data::$variant(Arc::new(out))
                })*
                other => return Err(format!("joining {other:?}")),
            }
        };
    }
    let data = join!(F32, F16, I64, I32, U8, I8, Bool);
    Ok(Tensor::new(shape, data))
}

/// Elements `from..to` along `axis`.
pub(crate) fn cut(x: &Tensor, axis: usize, from: usize, to: usize) -> Tensor {
    let (outer, extent, inner) = around(&x.shape, axis);
    let mut shape = x.shape.clone();
    shape[axis] = to - from;
    let data = map_data!(&x.data, v => {
        let mut out = Vec::with_capacity(outer * (to - from) * inner);
        for o in 0..outer {
            out.extend_from_slice(&v[(o * extent + from) * inner..(o * extent + to) * inner]);
        }
        out
    });
    Tensor::new(shape, data)
}

/// Split: by the sizes in input 1 (or in attribute `split`), else into equal parts, the last one smaller.
pub(super) fn split(node: &mut Node<'_>) -> Result<Run, Why> {
    let (axis, own, parts) = (node.int("axis", 0)?, node.ints("split")?, node.outputs());
    many(move |inputs: Inputs, _| {
        let x = inputs.get(0)?;
        let at = layout::axis(axis, x.shape.len())?;
        let extent = x.shape[at];
        let sizes = match (inputs.opt(1), &own) {
            (Some(sizes), _) => sizes.ints()?.into_owned(),
            (None, Some(sizes)) => sizes.clone(),
            (None, None) => {
                let each = extent.div_ceil(parts.max(1));
                (0..parts).map(|i| (extent.saturating_sub(i.saturating_mul(each))).min(each) as i64).collect()
            }
        };
        let sizes: Vec<usize> = sizes.iter().map(|s| layout::size(*s, "a part")).collect::<Result<_, _>>()?;
        let sum = sizes.iter().try_fold(0_usize, |sum, s| sum.checked_add(*s));
        if sum != Some(extent) || sizes.len() != parts {
            return Err(format!("{extent} elements into {parts} parts {sizes:?}"));
        }
        let mut from = 0;
        let one = |size: &usize| {
            from += size;
            cut(x, at, from - size, from)
        };
        Ok(sizes.iter().map(one).collect())
    })
}
