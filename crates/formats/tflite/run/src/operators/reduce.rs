//! Sums, means and extremes along axes.

use super::layout::{GRAIN, axis};
use super::node::{Built, Hint, Node, f32_out, hinted, job};
use crate::tensor::{Kind, Type, Why};
use lfmq_kernels::Kernels;
use rayon::prelude::*;
use std::sync::Arc;

/// How the elements of one output lie: `[outer, extent, inner]`, reduced along the middle.
struct Plan {
    shape: Vec<usize>,
    outer: usize,
    extent: usize,
    inner: usize,
}

fn plan(node: &Node<'_>) -> Result<Plan, Why> {
    let of = node.shape(0)?;
    let keep = node.option(27, |t| t.bool(0))?;
    let mut axes: Vec<usize> = node.ints(1)?.iter().map(|a| axis(*a, of.len())).collect::<Result<_, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    let mut shape = Vec::new();
    for (i, extent) in of.iter().enumerate() {
        match (axes.contains(&i), keep) {
            (false, _) => shape.push(*extent),
            (true, true) => shape.push(1),
            (true, false) => {}
        }
    }
    // Axes of one element reduce nothing; the others must be neighbours.
    axes.retain(|a| of[*a] != 1);
    let (Some(first), Some(last)) = (axes.first().copied(), axes.last().copied()) else {
        return Ok(Plan { shape, outer: of.iter().product(), extent: 1, inner: 1 });
    };
    if (first..=last).any(|a| of[a] != 1 && !axes.contains(&a)) {
        return Err(format!("axes {axes:?} of {of:?}, which are not neighbours, are not supported"));
    }
    let product = |dims: &[usize]| dims.iter().product();
    let (outer, extent) = (product(&of[..first]), product(&of[first..=last]));
    Ok(Plan { shape, outer, extent, inner: product(&of[last + 1..]) })
}

/// SUM, MEAN, REDUCE_MAX, REDUCE_MIN.
pub(super) fn build(node: &Node<'_>) -> Result<Built, Why> {
    let Plan { shape, outer, extent, inner } = plan(node)?;
    let (op, len, kernels) = (node.op, outer * inner, node.kernels());
    let kind = node.of(0)?.kind;
    let output = Type::new(kind, shape);
    let at = move |i: usize, n: usize| (i / inner * extent + n) * inner + i % inner;
    match kind {
        Kind::F32 if inner == 1 && matches!(op, 40 | 74) => {
            let ones: Arc<[f32]> = vec![1.0; extent].into();
            let divisor = if op == 40 { extent as f32 } else { 1.0 };
            job(node, output, vec![], move |x, outputs| {
                let from = x.f32(0)?;
                let rows = GRAIN.div_ceil(extent.max(1));
                let sum = |(i, out): (usize, &mut [f32])| {
                    let from = from[i * rows * extent..].chunks(extent.max(1));
                    out.iter_mut().zip(from).for_each(|(o, row)| *o = (kernels.dot_f32)(row, &ones) / divisor);
                };
                let out = f32_out(outputs, 0, len)?;
                out.fill(0.0);
                if extent > 0 {
                    out.par_chunks_mut(rows).enumerate().for_each(sum);
                }
                Ok(())
            })
        }
        Kind::F32 => job(node, output, vec![], move |x, outputs| {
            let from = x.f32(0)?;
            for (i, out) in f32_out(outputs, 0, len)?.iter_mut().enumerate() {
                let values = (0..extent).map(|n| from[at(i, n)]);
                *out = match op {
                    40 => values.sum::<f32>() / extent as f32,
                    74 => values.sum(),
                    82 => values.fold(f32::NEG_INFINITY, |m, v| if v > m { v } else { m }),
                    _ => values.fold(f32::INFINITY, |m, v| if v < m { v } else { m }),
                };
            }
            Ok(())
        }),
        Kind::I32 => job(node, output, vec![], move |x, outputs| {
            let from = x.i32(0)?;
            let out = outputs.first_mut().ok_or("an output is missing")?.i32_mut()?;
            for (i, out) in out.iter_mut().take(len).enumerate() {
                let values = (0..extent).map(|n| from[at(i, n)]);
                *out = match op {
                    40 => values.fold(0_i32, i32::wrapping_add).checked_div(extent as i32).unwrap_or(0),
                    74 => values.fold(0, i32::wrapping_add),
                    82 => values.max().unwrap_or(i32::MIN),
                    _ => values.min().unwrap_or(i32::MAX),
                };
            }
            Ok(())
        }),
        other => Err(format!("elements of {other:?} are not supported")),
    }
}

/// SOFTMAX along the last axis.
pub(super) fn softmax(node: &Node<'_>) -> Result<Built, Why> {
    let of = node.expect(0, Kind::F32)?.clone();
    let beta = node.option(9, |t| t.f32(0))?;
    if !beta.is_finite() {
        return Err(format!("beta = {beta}"));
    }
    let (len, row, kernels) = (of.len(), of.shape.last().copied().unwrap_or(1).max(1), node.kernels());
    let built = job(node, of, vec![0], move |x, outputs| {
        let out = f32_out(outputs, 0, len)?;
        let from = if x.over.is_some() { None } else { Some(x.f32(0)?) };
        let rows = GRAIN.div_ceil(row);
        out.par_chunks_mut(rows * row).enumerate().for_each(|(i, out)| {
            if let Some(from) = from {
                out.copy_from_slice(&from[i * rows * row..][..out.len()]);
            }
            soften(out, row, beta, kernels);
        });
        Ok(())
    })?;
    Ok(if beta == 1.0 { hinted(built, Hint::Softmax) } else { built })
}

fn soften(rows: &mut [f32], row: usize, beta: f32, kernels: &Kernels) {
    if beta != 1.0 {
        rows.iter_mut().for_each(|v| *v *= beta);
    }
    rows.chunks_exact_mut(row).for_each(kernels.softmax_f32);
}

/// TOPK_V2: the greatest along the last axis, the first of equals first.
pub(super) fn top(node: &Node<'_>) -> Result<Built, Why> {
    let of = node.expect(0, Kind::F32)?;
    let k = *node.ints(1)?.first().ok_or("no number of elements")?;
    let extent = *of.shape.last().ok_or("a scalar")?;
    let k = usize::try_from(k).ok().filter(|k| *k <= extent).ok_or_else(|| format!("{k} of {extent}"))?;
    let mut shape = of.shape.clone();
    shape.pop();
    let rows: usize = shape.iter().product();
    shape.push(k);
    let outputs = vec![Type::f32(shape.clone()), Type::new(Kind::I32, shape)];
    let mut built = job(node, Type::f32(vec![]), vec![], move |x, outputs| {
        let from = x.f32(0)?;
        let [values, places] = outputs else { return Err("two outputs are wanted".into()) };
        let (values, places) = (values.f32_mut()?, places.i32_mut()?);
        let mut order: Vec<usize> = Vec::with_capacity(extent);
        for row in 0..rows {
            let from = &from[row * extent..][..extent];
            order.clear();
            order.extend(0..extent);
            order.sort_by(|a, b| from[*b].total_cmp(&from[*a]));
            for (i, place) in order.iter().take(k).enumerate() {
                values[row * k + i] = from[*place];
                places[row * k + i] = *place as i32;
            }
        }
        Ok(())
    })?;
    built.outputs = outputs;
    Ok(hinted(built, Hint::Choice(k)))
}
