//! Matrix products, lookups and the depthwise convolution.

use super::layout::{GRAIN, broadcast};
use super::node::{Built, Const, Hint, Inputs, Job, Node, Operand, Work, f32_out, hinted, job};
use crate::tensor::{Buffer, Kind, Type, Why, elements};
use lfmq_kernels::Kernels;
use rayon::prelude::*;
use std::sync::Arc;

/// FULLY_CONNECTED: `out = x · Wᵀ (+ bias)`. Integer weights meet activations as 8-bit codes, whatever
/// `asymmetric_quantize_inputs` says, as XNNPACK has it.
pub(super) fn fully_connected(node: &Node<'_>) -> Result<Built, Why> {
    const OPTIONS: u16 = 8;
    node.plain(OPTIONS, 0)?;
    if node.option(OPTIONS, |t| t.u8(1))? != 0 {
        return Err("shuffled weights are not supported".into());
    }
    let x = node.expect(0, Kind::F32)?;
    if node.constant(1).is_none() {
        return computed(node);
    }
    let tensor = node.stored(1).ok_or("weights must lie in the file")?;
    if tensor.shape.len() != 2 {
        return Err(format!("weights of shape {:?}", tensor.shape));
    }
    let weight = node.shelf.weight(tensor, node.sometimes)?;
    let (rows, cols) = (weight.rows, weight.cols);
    let (shape, n) = outputs(node, x, rows, cols)?;
    let bias = bias(node, rows)?;
    let rounded = weight.rounded && node.rounds() && !tensor_widened(node);
    let first = if rounded { Operand::Rounded(0, cols) } else { Operand::Input(0) };
    let kernels = node.kernels();
    let run = move |x: &Inputs<'_>, outputs: &mut [Buffer]| {
        let (out, matrix) = (f32_out(outputs, 0, n * rows)?, weight.laid.get()?);
        if rounded {
            matrix.multiply_rounded(x.acts(0)?, n, out, kernels)?;
        } else {
            matrix.multiply(x.f32(0)?, out, kernels)?;
        }
        if let Some(bias) = &bias {
            out.chunks_exact_mut(rows.max(1)).for_each(|row| row.iter_mut().zip(bias).for_each(|(o, b)| *o += b));
        }
        Ok(())
    };
    let work = Work::Run(Job { operands: vec![first], over: vec![], run: Box::new(run), hint: None });
    Ok(Built { outputs: vec![Type::f32(shape)], work })
}

/// Whether a DEQUANTIZE stands before the weights: the product is one of floats then.
fn tensor_widened(node: &Node<'_>) -> bool {
    matches!(node.constant(1), Some(Const::Stored { widened: true, .. }))
}

/// Shape of the output and its number of rows.
fn outputs(node: &Node<'_>, x: &Type, rows: usize, cols: usize) -> Result<(Vec<usize>, usize), Why> {
    let keep = node.option(8, |t| t.bool(2))?;
    let len = x.len();
    if cols == 0 || !len.is_multiple_of(cols) || (keep && x.shape.last() != Some(&cols)) {
        return Err(format!("activations of shape {:?} for weights of {cols} columns", x.shape));
    }
    let n = len / cols;
    let mut shape = if keep { x.shape.clone() } else { vec![n, cols] };
    shape.pop();
    shape.push(rows);
    elements(&shape)?;
    Ok((shape, n))
}

fn bias(node: &Node<'_>, rows: usize) -> Result<Option<Vec<f32>>, Why> {
    if !node.has(2) {
        return Ok(None);
    }
    let bias = node.constant(2).ok_or("a bias must be constant")?;
    match &*bias.load()? {
        Buffer::F32(v) if v.len() == rows => Ok(Some(v.clone())),
        _ => Err(format!("a bias of {:?} for {rows} outputs", bias.of())),
    }
}

/// FULLY_CONNECTED with computed weights: floats only.
fn computed(node: &Node<'_>) -> Result<Built, Why> {
    let x = node.expect(0, Kind::F32)?;
    let [rows, cols] = *node.expect(1, Kind::F32)?.shape else { return Err("weights must be a matrix".into()) };
    if node.has(2) {
        return Err("a bias of computed weights is not supported".into());
    }
    let (shape, n) = outputs(node, x, rows, cols)?;
    let kernels = node.kernels();
    job(node, Type::f32(shape), vec![], move |x, outputs| {
        (kernels.gemm_f32)(x.f32(0)?, x.f32(1)?, cols, f32_out(outputs, 0, n * rows)?, rows.max(1));
        Ok(())
    })
}

/// One matrix of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub rows: usize,
    pub cols: usize,
    pub inner: usize,
    /// Whether the right side is `[cols, inner]`.
    pub turned: bool,
}

/// Products of many matrices.
#[derive(Debug)]
pub(crate) struct Batch {
    pub one: Shape,
    /// Where both sides of each product start, counted in matrices.
    pub starts: Vec<[usize; 2]>,
}

/// Rows of a product that one task computes.
const TASK: usize = 32;

/// BATCH_MATMUL of floats.
pub(super) fn batch(node: &Node<'_>) -> Result<Built, Why> {
    const OPTIONS: u16 = 101;
    let (a, b) = (&node.expect(0, Kind::F32)?.shape, &node.expect(1, Kind::F32)?.shape);
    let (turn_left, turned) = (node.option(OPTIONS, |t| t.bool(0))?, node.option(OPTIONS, |t| t.bool(1))?);
    let ([outer_a @ .., rows, inner], [outer_b @ .., k, cols]) = (a.as_slice(), b.as_slice()) else {
        return Err(format!("matrices of shapes {a:?} and {b:?}"));
    };
    let (k, cols) = if turned { (cols, k) } else { (k, cols) };
    if turn_left || inner != k || *inner == 0 {
        return Err(format!("a product of {a:?} and {b:?}, the left one turned: {turn_left}, the right one: {turned}"));
    }
    let outer = broadcast(outer_a, outer_b)?;
    let walk = super::layout::Walk::broadcast(&outer, [outer_a, outer_b]);
    let one = Shape { rows: *rows, cols: *cols, inner: *inner, turned };
    let mut shape = outer;
    let count: usize = shape.iter().product();
    shape.extend([one.rows, one.cols]);
    let (len, kernels) = (elements(&shape)?, node.kernels());
    let starts: Vec<[usize; 2]> = (0..count)
        .map(|i| {
            let ([a, b], at) = (walk.offsets(i / walk.run), i % walk.run);
            [a + at * walk.steps[0], b + at * walk.steps[1]]
        })
        .collect();
    let batch = Arc::new(Batch { one, starts });
    let hint = Hint::Product(batch.clone());
    let built = job(node, Type::f32(shape), vec![], move |x, outputs| {
        let (a, b, out) = (x.f32(0)?, x.f32(1)?, f32_out(outputs, 0, len)?);
        if len == 0 {
            return Ok(());
        }
        let matrices = out.par_chunks_mut(one.rows * one.cols).zip(&batch.starts);
        matrices.for_each(|(out, [at_a, at_b])| {
            let a = &a[at_a * one.rows * one.inner..][..one.rows * one.inner];
            let b = &b[at_b * one.cols * one.inner..][..one.cols * one.inner];
            let tasks = out.par_chunks_mut(TASK * one.cols).zip(a.par_chunks(TASK * one.inner));
            tasks.for_each(|(out, a)| multiply(one, a, b, out, kernels));
        });
        Ok(())
    })?;
    Ok(hinted(built, hint))
}

fn multiply(shape: Shape, a: &[f32], b: &[f32], out: &mut [f32], kernels: &Kernels) {
    if shape.turned {
        (kernels.gemm_f32)(a, b, shape.inner, out, shape.cols);
        return;
    }
    for (a, out) in a.chunks_exact(shape.inner).zip(out.chunks_exact_mut(shape.cols)) {
        (kernels.weighted_sum_f32)(a, b, out);
    }
}

/// EMBEDDING_LOOKUP: rows of a constant matrix as numbers.
pub(super) fn lookup(node: &Node<'_>) -> Result<Built, Why> {
    let ids = node.expect(0, Kind::I32)?;
    let tensor = node.stored(1).ok_or("rows must lie in the file")?.clone();
    let [rows, ..] = *tensor.shape.as_slice() else { return Err("rows of a scalar".into()) };
    let mut shape = ids.shape.clone();
    shape.extend_from_slice(&tensor.shape[1..]);
    let (len, count) = (elements(&shape)?, ids.len());
    let (all, cols) = tensor.matrix();
    let width = all.checked_div(rows).unwrap_or(0);
    // Fails now rather than while running when the rows cannot be read.
    tensor.read_rows(0..all.min(1), &mut vec![0.0; all.min(1) * cols])?;
    let run = move |x: &Inputs<'_>, outputs: &mut [Buffer]| {
        let out = f32_out(outputs, 0, len)?;
        for (id, out) in x.i32(0)?.iter().take(count).zip(out.chunks_exact_mut((width * cols).max(1))) {
            let row = usize::try_from(*id).ok().filter(|r| *r < rows).ok_or_else(|| format!("row {id} of {rows}"))?;
            tensor.read_rows(row * width..(row + 1) * width, out)?;
        }
        Ok(())
    };
    let work = Work::Run(Job { operands: vec![Operand::Input(0)], over: vec![], run: Box::new(run), hint: None });
    Ok(Built { outputs: vec![Type::f32(shape)], work })
}

/// DEPTHWISE_CONV_2D of floats along the width: `[1, 1, w + taps - 1, c]` with `[1, 1, taps, c]`. Products and sums are
/// rounded one by one, tap by tap, as the multiplications and additions of a decoding graph are.
pub(super) fn depthwise(node: &Node<'_>) -> Result<Built, Why> {
    const OPTIONS: u16 = 2;
    let (x, taps) = (&node.expect(0, Kind::F32)?.shape, &node.expect(1, Kind::F32)?.shape);
    node.plain(OPTIONS, 4)?;
    let int = |field, default| node.table(OPTIONS).map_or(Ok(default), |t| t.i32_or(field, default));
    let int = |field, default| int(field, default).map_err(|f| f.why);
    let plain = node.option(OPTIONS, |t| t.u8(0))? == 1
        && [int(1, 0)?, int(2, 0)?, int(3, 0)?, int(5, 1)?, int(6, 1)?] == [1; 5];
    let ([1, 1, wide, c], [1, 1, count, of]) = (x.as_slice(), taps.as_slice()) else {
        return Err(format!("a convolution of {x:?} with {taps:?} is not supported"));
    };
    if !plain || c != of || *count == 0 || count > wide || *c == 0 {
        return Err("only steps of one without padding are supported".into());
    }
    let (n, c, count) = (wide - count + 1, *c, *count);
    if node.has(2) && node.expect(2, Kind::F32)?.len() != c {
        return Err(format!("a bias of {:?} for {c} channels", node.shape(2)?));
    }
    let biased = node.has(2);
    job(node, Type::f32(vec![1, 1, n, c]), vec![], move |x, outputs| {
        let (values, taps) = (x.f32(0)?, x.f32(1)?);
        let bias = if biased { x.f32(2)? } else { &[] };
        let rows = GRAIN.div_ceil(c);
        f32_out(outputs, 0, n * c)?.par_chunks_mut(rows * c).enumerate().for_each(|(i, out)| {
            for (r, out) in out.chunks_exact_mut(c).enumerate() {
                let from = &values[(i * rows + r) * c..][..count * c];
                let cells = out.iter_mut().zip(&from[..c]).zip(&taps[..c]);
                cells.for_each(|((o, x), w)| *o = x * w);
                for (x, w) in from.chunks_exact(c).zip(taps.chunks_exact(c)).skip(1) {
                    out.iter_mut().zip(x.iter().zip(w)).for_each(|(o, (x, w))| *o += x * w);
                }
                out.iter_mut().zip(bias).for_each(|(o, b)| *o += b);
            }
        });
        Ok(())
    })
}
