//! Operators that copy elements from one place to another.

use super::layout::{Walk, around, axis, broadcast, gather, index, size, strides};
use super::node::{Built, Inputs, Job, Node, Operand, Work, job};
use crate::tensor::{Buffer, Kind, Type, Why, elements};

fn first(outputs: &mut [Buffer]) -> Result<&mut Buffer, Why> {
    outputs.first_mut().ok_or_else(|| "an output is missing".into())
}

/// Copies input 0 along a walk.
fn along(node: &Node<'_>, output: Type, walk: Walk<1>) -> Result<Built, Why> {
    let len = output.len();
    job(node, output, vec![], move |x, outputs| {
        let (from, view) = x.buffer(0)?;
        gather(&walk, from, view.start, len, first(outputs)?)
    })
}

/// TRANSPOSE.
pub(super) fn transpose(node: &Node<'_>) -> Result<Built, Why> {
    let of = node.of(0)?;
    let order: Vec<usize> = node.ints(1)?.iter().map(|a| axis(*a, of.shape.len())).collect::<Result<_, _>>()?;
    let mut seen = order.clone();
    seen.sort_unstable();
    if seen.len() != of.shape.len() || seen.iter().enumerate().any(|(i, a)| i != *a) {
        return Err(format!("an order of {order:?} for {:?}", of.shape));
    }
    let own = strides(&of.shape);
    let shape: Vec<usize> = order.iter().map(|a| of.shape[*a]).collect();
    let moved: Vec<usize> = order.iter().filter(|a| of.shape[**a] != 1).copied().collect();
    if moved.is_sorted() {
        return super::node::renamed(node, shape);
    }
    let walk = Walk::new(&shape, [order.iter().map(|a| own[*a]).collect()]);
    along(node, Type::new(of.kind, shape), walk)
}

/// BROADCAST_TO.
pub(super) fn broadcast_to(node: &Node<'_>) -> Result<Built, Why> {
    let of = node.of(0)?;
    let shape: Vec<usize> = node.ints(1)?.iter().map(|d| size(*d, "an extent")).collect::<Result<_, _>>()?;
    elements(&shape)?;
    if broadcast(&of.shape, &shape)? != shape {
        return Err(format!("{:?} does not broadcast to {shape:?}", of.shape));
    }
    let walk = Walk::broadcast(&shape, [&of.shape]);
    along(node, Type::new(of.kind, shape), walk)
}

/// A part of input 0 of `shape` from `start` on: not copied where it lies in one piece.
fn part(node: &Node<'_>, start: &[usize], shape: Vec<usize>, steps: &[usize]) -> Result<Built, Why> {
    let of = node.of(0)?;
    let own = strides(&of.shape);
    let offset = own.iter().zip(start).map(|(s, b)| s * b).sum();
    let here: Vec<usize> = own.iter().zip(steps).map(|(s, step)| s * step).collect();
    let walk = Walk::new(&shape, [here]);
    let output = Type::new(of.kind, shape);
    let len = output.len();
    if len > 0 && walk.run == len && (walk.steps == [1] || len == 1) {
        return Ok(Built { outputs: vec![output], work: Work::Parts(vec![(0, offset)]) });
    }
    job(node, output, vec![], move |x, outputs| {
        let (from, view) = x.buffer(0)?;
        gather(&walk, from, view.start + offset, len, first(outputs)?)
    })
}

/// SLICE.
pub(super) fn slice(node: &Node<'_>) -> Result<Built, Why> {
    let shape = node.shape(0)?;
    let sizes = node.ints(2)?;
    if sizes.len() != shape.len() {
        return Err(format!("sizes {sizes:?} of a part of {shape:?}"));
    }
    if node.constant(1).is_none() {
        return moving_slice(node, &sizes);
    }
    let starts = node.ints(1)?;
    let (mut begin, mut extents) = (Vec::new(), Vec::new());
    for ((start, wanted), extent) in starts.iter().zip(&sizes).zip(shape) {
        let from = size(*start, "a start")?;
        let wanted = if *wanted == -1 { extent.saturating_sub(from) } else { size(*wanted, "a size")? };
        if from.checked_add(wanted).is_none_or(|end| end > *extent) {
            return Err(format!("a part of {wanted} from {from} on, of {extent}"));
        }
        begin.push(from);
        extents.push(wanted);
    }
    if begin.len() != shape.len() {
        return Err(format!("starts {starts:?} of a part of {shape:?}"));
    }
    let steps = vec![1; shape.len()];
    part(node, &begin, extents, &steps)
}

/// SLICE whose start is computed.
fn moving_slice(node: &Node<'_>, sizes: &[i64]) -> Result<Built, Why> {
    let of = node.of(0)?;
    let extents: Vec<usize> = sizes.iter().map(|s| size(*s, "a size")).collect::<Result<_, _>>()?;
    if extents.iter().zip(&of.shape).any(|(part, all)| part > all) || node.of(1)?.len() != of.shape.len() {
        return Err(format!("a part of {extents:?} of {:?}", of.shape));
    }
    let (own, shape) = (strides(&of.shape), of.shape.clone());
    let output = Type::new(of.kind, extents.clone());
    let len = output.len();
    let walk = Walk::new(&extents, [own.clone()]);
    job(node, output, vec![], move |x, outputs| {
        let mut offset = 0;
        for ((start, stride), (part, all)) in x.ints(1)?.iter().zip(&own).zip(extents.iter().zip(&shape)) {
            let start = size(*start, "a start")?;
            if start > all - part {
                return Err(format!("a part of {part} from {start} on, of {all}"));
            }
            offset += start * stride;
        }
        let (from, view) = x.buffer(0)?;
        gather(&walk, from, view.start + offset, len, first(outputs)?)
    })
}

/// STRIDED_SLICE with steps forward and no new axes.
pub(super) fn strided_slice(node: &Node<'_>) -> Result<Built, Why> {
    let of = node.of(0)?;
    let (starts, ends, steps) = (node.ints(1)?, node.ints(2)?, node.ints(3)?);
    let rank = of.shape.len();
    if starts.len() != rank || ends.len() != rank || steps.len() != rank {
        return Err(format!("{} starts for {:?}", starts.len(), of.shape));
    }
    let mask = |field| node.option(32, |t| t.i32(field));
    let (begin_mask, end_mask, shrink) = (mask(0)?, mask(1)?, mask(4)?);
    if mask(2)? != 0 || mask(3)? != 0 {
        return Err("an ellipsis or a new axis is not supported".into());
    }
    let (mut begin, mut extents, mut kept, mut jumps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (i, extent) in of.shape.iter().enumerate() {
        let step = usize::try_from(steps[i]).ok().filter(|s| *s > 0).ok_or("steps backwards are not supported")?;
        let clamp = |v: i64| {
            let v = if v < 0 { v.saturating_add(*extent as i64) } else { v };
            usize::try_from(v).unwrap_or(0).min(*extent)
        };
        let one = shrink >> i & 1 == 1;
        let from = match (begin_mask >> i & 1, one) {
            (1, _) => 0,
            (_, true) => index(starts[i], *extent)?,
            _ => clamp(starts[i]),
        };
        let to = if end_mask >> i & 1 == 1 { *extent } else { clamp(ends[i]) };
        let count = if one { 1 } else { to.saturating_sub(from).div_ceil(step) };
        begin.push(from);
        extents.push(count);
        jumps.push(step);
        if !one {
            kept.push(count);
        }
    }
    let mut built = part(node, &begin, extents, &jumps)?;
    built.outputs = vec![Type::new(of.kind, kept)];
    Ok(built)
}

/// Parts of input `from` along `axis`, one an output. Where nothing lies before the axis no element moves.
fn parts(node: &Node<'_>, from: usize, axis: usize, extents: &[usize]) -> Result<Built, Why> {
    let of = node.of(from)?;
    let (outer, extent, inner) = around(&of.shape, axis);
    if extents.iter().try_fold(0_usize, |n, e| n.checked_add(*e)) != Some(extent) {
        return Err(format!("parts of {extents:?} of {extent}"));
    }
    let outputs: Vec<Type> = extents
        .iter()
        .map(|e| {
            let mut shape = of.shape.clone();
            shape[axis] = *e;
            Type::new(of.kind, shape)
        })
        .collect();
    let starts: Vec<usize> = extents.iter().scan(0, |at, e| Some(std::mem::replace(at, *at + e * inner))).collect();
    if outer == 1 {
        return Ok(Built { outputs, work: Work::Parts(starts.into_iter().map(|at| (from, at)).collect()) });
    }
    let walks: Vec<(Walk<1>, usize, usize)> = outputs
        .iter()
        .zip(starts)
        .map(|(output, at)| {
            let own = strides(&of.shape);
            (Walk::new(&output.shape, [own]), at, output.len())
        })
        .collect();
    let run = move |x: &Inputs<'_>, outputs: &mut [Buffer]| {
        let (buffer, view) = x.buffer(0)?;
        for ((walk, at, len), output) in walks.iter().zip(outputs) {
            gather(walk, buffer, view.start + at, *len, output)?;
        }
        Ok(())
    };
    let work = Work::Run(Job { operands: vec![Operand::Input(from)], over: vec![], run: Box::new(run), hint: None });
    Ok(Built { outputs, work })
}

/// SPLIT.
pub(super) fn split(node: &Node<'_>) -> Result<Built, Why> {
    let shape = node.shape(1)?;
    let at = axis(*node.ints(0)?.first().ok_or("no axis")?, shape.len())?;
    let count = node.outputs();
    if count == 0 || !shape[at].is_multiple_of(count) {
        return Err(format!("{count} equal parts of {}", shape[at]));
    }
    parts(node, 1, at, &vec![shape[at] / count; count])
}

/// SPLIT_V.
pub(super) fn split_v(node: &Node<'_>) -> Result<Built, Why> {
    let shape = node.shape(0)?;
    let at = axis(*node.ints(2)?.first().ok_or("no axis")?, shape.len())?;
    let sizes: Vec<usize> = node.ints(1)?.iter().map(|s| size(*s, "a part")).collect::<Result<_, _>>()?;
    if sizes.len() != node.outputs() {
        return Err(format!("{} parts for {} outputs", sizes.len(), node.outputs()));
    }
    parts(node, 0, at, &sizes)
}

/// CONCATENATION.
pub(super) fn concat(node: &Node<'_>) -> Result<Built, Why> {
    node.plain(10, 1)?;
    let of = node.of(0)?;
    let at = axis(i64::from(node.option(10, |t| t.i32(0))?), of.shape.len())?;
    joined(node, at, <[usize]>::to_vec)
}

/// PACK: as CONCATENATION along an axis that is new.
pub(super) fn pack(node: &Node<'_>) -> Result<Built, Why> {
    let at = axis(i64::from(node.option(59, |t| t.i32(1))?), node.shape(0)?.len() + 1)?;
    let with = |shape: &[usize]| {
        let mut shape = shape.to_vec();
        shape.insert(at.min(shape.len()), 1);
        shape
    };
    joined(node, at, with)
}

/// Inputs, under the shapes that `as_shape` gives them, one after another along `axis`.
fn joined(node: &Node<'_>, axis: usize, as_shape: impl Fn(&[usize]) -> Vec<usize>) -> Result<Built, Why> {
    let kind = node.of(0)?.kind;
    let mut shape = as_shape(node.shape(0)?);
    let (outer, _, inner) = around(&shape, axis);
    let (mut total, mut widths) = (0_usize, Vec::new());
    for i in 0..node.count() {
        let other = as_shape(&node.expect(i, kind)?.shape);
        let fits = other.len() == shape.len() && (0..shape.len()).all(|d| d == axis || other[d] == shape[d]);
        if !fits {
            return Err(format!("input {i} of shape {other:?} beside {shape:?}"));
        }
        total = total.saturating_add(other[axis]);
        widths.push(other[axis] * inner);
    }
    shape[axis] = total;
    elements(&shape)?;
    let row = total * inner;
    let output = Type::new(kind, shape);
    job(node, output, vec![], move |x, outputs| {
        let out = first(outputs)?;
        let mut start = 0;
        for (i, width) in widths.iter().enumerate() {
            let (from, view) = x.buffer(i)?;
            place(from, view.start, out, (outer, *width), start, row)?;
            start += width;
        }
        Ok(())
    })
}

/// Copies rows `[outer, width]` of `from` to every `row` elements of `to`, from `at` on.
fn place(
    from: &Buffer,
    start: usize,
    to: &mut Buffer,
    (outer, width): (usize, usize),
    at: usize,
    row: usize,
) -> Result<(), Why> {
    fn typed<T: Copy>(from: &[T], to: &mut [T], (outer, width): (usize, usize), at: usize, row: usize) {
        for o in 0..outer {
            to[o * row + at..][..width].copy_from_slice(&from[o * width..][..width]);
        }
    }
    let shape = (outer, width);
    match (from, to) {
        (Buffer::F32(from), Buffer::F32(to)) => typed(&from[start..], to, shape, at, row),
        (Buffer::I32(from), Buffer::I32(to)) => typed(&from[start..], to, shape, at, row),
        (Buffer::I64(from), Buffer::I64(to)) => typed(&from[start..], to, shape, at, row),
        (Buffer::Bytes(from), Buffer::Bytes(to)) => typed(&from[start..], to, shape, at, row),
        _ => return Err("values of different types".into()),
    }
    Ok(())
}

/// GATHER.
pub(super) fn gather_rows(node: &Node<'_>) -> Result<Built, Why> {
    let of = node.of(0)?;
    if !matches!(node.of(1)?.kind, Kind::I32 | Kind::I64) {
        return Err(format!("indices of {:?}", node.of(1)?.kind));
    }
    if node.option(23, |t| t.i32(1))? != 0 {
        return Err("batches of indices are not supported".into());
    }
    let at = axis(i64::from(node.option(23, |t| t.i32(0))?), of.shape.len())?;
    let (outer, extent, inner) = around(&of.shape, at);
    let mut shape = of.shape[..at].to_vec();
    shape.extend_from_slice(node.shape(1)?);
    shape.extend_from_slice(&of.shape[at + 1..]);
    elements(&shape)?;
    let count = node.of(1)?.len();
    job(node, Type::new(of.kind, shape), vec![], move |x, outputs| {
        let (from, view) = x.buffer(0)?;
        let out = first(outputs)?;
        for (i, wanted) in x.ints(1)?.iter().enumerate() {
            let wanted = size(*wanted, "an index").and_then(|w| index(w as i64, extent))?;
            for o in 0..outer {
                let start = view.start + (o * extent + wanted) * inner;
                place(from, start, out, (1, inner), (o * count + i) * inner, 0)?;
            }
        }
        Ok(())
    })
}

/// DYNAMIC_UPDATE_SLICE: the start is moved so that the update fits.
pub(super) fn update(node: &Node<'_>) -> Result<Built, Why> {
    let of = node.of(0)?.clone();
    let shape = node.expect(1, of.kind)?.shape.clone();
    if shape.len() != of.shape.len() || shape.iter().zip(&of.shape).any(|(part, all)| part > all) {
        return Err(format!("an update of {shape:?} in {:?}", of.shape));
    }
    if node.of(2)?.len() != shape.len() {
        return Err(format!("{} starts for {shape:?}", node.of(2)?.len()));
    }
    let (all, own, len, all_len) = (of.shape.clone(), strides(&of.shape), shape.iter().product::<usize>(), of.len());
    let walk = Walk::new(&shape, [own.clone()]);
    job(node, of, vec![0], move |x, outputs| {
        let out = first(outputs)?;
        if x.over.is_none() {
            let (from, view) = x.buffer(0)?;
            out.copy_from(from, view.start, view.len.min(all_len))?;
        }
        let starts = x.ints(2)?;
        let limits = all.iter().zip(&shape).map(|(all, part)| (all - part) as i64);
        let starts = starts.iter().zip(limits).map(|(start, limit)| (*start).clamp(0, limit) as usize);
        let offset: usize = starts.zip(&own).map(|(start, stride)| start * stride).sum();
        let (from, view) = x.buffer(1)?;
        scatter(&walk, from, view.start, len, out, offset)
    })
}

/// The opposite of [`gather`]: `len` elements of `from` go along the walk of `to`.
fn scatter(walk: &Walk<1>, from: &Buffer, start: usize, len: usize, to: &mut Buffer, offset: usize) -> Result<(), Why> {
    fn typed<T: Copy>(walk: &Walk<1>, from: &[T], to: &mut [T]) {
        let [step] = walk.steps;
        for (row, from) in from.chunks_exact(walk.run.max(1)).enumerate() {
            let [at] = walk.offsets(row);
            if step == 1 {
                to[at..at + from.len()].copy_from_slice(from);
            } else {
                from.iter().enumerate().for_each(|(i, v)| to[at + i * step] = *v);
            }
        }
    }
    match (from, to) {
        (Buffer::F32(from), Buffer::F32(to)) => typed(walk, &from[start..start + len], &mut to[offset..]),
        (Buffer::I32(from), Buffer::I32(to)) => typed(walk, &from[start..start + len], &mut to[offset..]),
        (Buffer::I64(from), Buffer::I64(to)) => typed(walk, &from[start..start + len], &mut to[offset..]),
        (Buffer::Bytes(from), Buffer::Bytes(to)) => typed(walk, &from[start..start + len], &mut to[offset..]),
        _ => return Err("values of different types".into()),
    }
    Ok(())
}
