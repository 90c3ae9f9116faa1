//! Sums, means and extremes along axes.

use super::elementwise::integers_as;
use super::layout::{self, around};
use super::node::{Inputs, Node, Run, one};
use super::transpose::permute;
use crate::tensor::{Tensor, Why, elements};
use lfmq_kernels::Kernels;

#[derive(Clone, Copy)]
enum Op {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
}

/// ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd; axes from input 1 or from the attribute.
pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    let op = match node.op() {
        "ReduceSum" => Op::Sum,
        "ReduceMean" => Op::Mean,
        "ReduceMax" => Op::Max,
        "ReduceMin" => Op::Min,
        _ => Op::Prod,
    };
    let (own, keep) = (node.ints("axes")?, node.int("keepdims", 1)? != 0);
    let nothing_is_nothing = node.int("noop_with_empty_axes", 0)? != 0;
    one(move |inputs: Inputs, context| {
        let x = inputs.get(0)?;
        let rank = x.shape.len();
        let axes = match inputs.opt(1) {
            Some(axes) => axes.ints()?.into_owned(),
            None => own.clone().unwrap_or_default(),
        };
        if axes.is_empty() && nothing_is_nothing {
            return Ok(x.clone());
        }
        let named: Vec<usize> = axes.iter().map(|a| layout::axis(*a, rank)).collect::<Result<_, _>>()?;
        let gone = |a: usize| axes.is_empty() || named.contains(&a);
        // The axes that go are brought to the end; then every result is one run of elements.
        let (stay, go): (Vec<usize>, Vec<usize>) = (0..rank).partition(|a| !gone(*a));
        let run = go.iter().map(|a| x.shape[*a]).product();
        let moved = permute(x, &[&*stay, &*go].concat())?;
        let shape: Vec<usize> = if keep {
            (0..rank).map(|a| if gone(a) { 1 } else { x.shape[a] }).collect()
        } else {
            stay.iter().map(|a| x.shape[*a]).collect()
        };
        let results = elements(&shape, context.limit)?;
        reduce(op, &moved, shape, results, run, context.kernels)
    })
}

fn reduce(op: Op, x: &Tensor, shape: Vec<usize>, results: usize, run: usize, k: &Kernels) -> Result<Tensor, Why> {
    let kind = x.kind();
    if run == 0 && matches!(op, Op::Max | Op::Min) && results > 0 {
        return Err("an extreme of nothing".into());
    }
    if kind.is_float() {
        let x = x.floats()?;
        let ones = vec![1.0; if results == 0 { 0 } else { run }];
        let f = |row: &[f32]| match op {
            Op::Sum => (k.dot_f32)(row, &ones),
            Op::Mean => (k.dot_f32)(row, &ones) / run as f32,
            Op::Max => row.iter().fold(f32::NEG_INFINITY, |m, v| if *v > m || v.is_nan() { *v } else { m }),
            Op::Min => row.iter().fold(f32::INFINITY, |m, v| if *v < m || v.is_nan() { *v } else { m }),
            Op::Prod => row.iter().product(),
        };
        let out = (0..results).map(|i| f(&x[i * run..(i + 1) * run])).collect();
        return Ok(Tensor::floats_of(kind, shape, out));
    }
    let x = x.ints()?;
    let f = |row: &[i64]| match op {
        Op::Sum => row.iter().fold(0_i64, |s, v| s.wrapping_add(*v)),
        Op::Mean => row.iter().fold(0_i64, |s, v| s.wrapping_add(*v)) / run.max(1) as i64,
        Op::Max => row.iter().copied().max().unwrap_or(0),
        Op::Min => row.iter().copied().min().unwrap_or(0),
        Op::Prod => row.iter().fold(1_i64, |s, v| s.wrapping_mul(*v)),
    };
    let out = (0..results).map(|i| f(&x[i * run..(i + 1) * run])).collect();
    Ok(Tensor::new(shape, integers_as(kind, out)?))
}

/// CumSum along an axis.
pub(super) fn cumulative(node: &mut Node<'_>) -> Result<Run, Why> {
    let (exclusive, reverse) = (node.int("exclusive", 0)? != 0, node.int("reverse", 0)? != 0);
    one(move |inputs: Inputs, _| {
        let x = inputs.get(0)?;
        let at = layout::axis(inputs.get(1)?.int()?, x.shape.len())?;
        let (outer, extent, inner) = around(&x.shape, at);
        let order = |i: usize| if reverse { extent - 1 - i } else { i };
        let places = (0..outer * inner).map(|n| (n / inner * extent * inner + n % inner, inner));
        let (kind, shape) = (x.kind(), x.shape.clone());
        if kind.is_float() {
            let x = x.floats()?;
            let mut out = vec![0.0; x.len()];
            for (start, step) in places {
                let mut sum = 0.0;
                for at in (0..extent).map(|i| start + order(i) * step) {
                    let before = sum;
                    sum += x[at];
                    out[at] = if exclusive { before } else { sum };
                }
            }
            return Ok(Tensor::floats_of(kind, shape, out));
        }
        let x = x.ints()?;
        let mut out = vec![0; x.len()];
        for (start, step) in places {
            let mut sum = 0_i64;
            for at in (0..extent).map(|i| start + order(i) * step) {
                let before = sum;
                sum = sum.wrapping_add(x[at]);
                out[at] = if exclusive { before } else { sum };
            }
        }
        Ok(Tensor::new(shape, integers_as(kind, out)?))
    })
}
