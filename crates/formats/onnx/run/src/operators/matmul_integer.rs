//! MatMulInteger: exact products of 8-bit codes.

use super::linear::transpose;
use super::matmul::product_shape;
use super::node::{Const, Inputs, Node, Run, one};
use crate::tensor::{Data, Tensor, Why};
use rayon::prelude::*;
use std::sync::Arc;

/// Outputs of one task.
const PANEL: usize = 64;

/// Codes `[rows, cols]`, unsigned ones moved down by 128 so that all fit a byte; zero points likewise, one or one a row.
struct Codes {
    rows: usize,
    cols: usize,
    codes: Vec<i8>,
    zeros: Vec<i32>,
}

impl Codes {
    /// From `[cols, rows]`.
    fn new(matrix: &Tensor, zeros: Option<&Tensor>) -> Result<Self, Why> {
        let [cols, rows] = *matrix.shape else { return Err(format!("codes of shape {:?}", matrix.shape)) };
        let (codes, down): (Vec<i8>, i32) = match &matrix.data {
            Data::I8(v) => (v.to_vec(), 0),
            Data::U8(v) => (v.iter().map(|c| c.wrapping_sub(128).cast_signed()).collect(), 128),
            other => return Err(format!("codes as {:?}", other.kind())),
        };
        let zeros: Vec<i32> = match zeros {
            None => vec![-down],
            Some(zeros) => zeros.ints()?.iter().map(|z| *z as i32 - down).collect(),
        };
        if zeros.len() != 1 && zeros.len() != rows {
            return Err(format!("{} zero points for {rows} outputs", zeros.len()));
        }
        Ok(Self { rows, cols, codes: transpose(&codes, cols, rows), zeros })
    }

    /// `Σ x * (code - zero)` for `x [n, cols]`.
    fn multiply(&self, x: &[i16]) -> Vec<i32> {
        let n = x.len().checked_div(self.cols).unwrap_or(0);
        let mut out = vec![0_i32; n * self.rows];
        if out.is_empty() {
            return out;
        }
        out.par_chunks_mut(self.rows).zip(x.par_chunks(self.cols)).for_each(|(out, x)| {
            let sum: i32 = x.iter().map(|x| i32::from(*x)).sum();
            out.par_chunks_mut(PANEL).enumerate().for_each(|(p, out)| {
                for (j, out) in out.iter_mut().enumerate() {
                    let row = p * PANEL + j;
                    let codes = &self.codes[row * self.cols..][..self.cols];
                    let dot: i32 = x.iter().zip(codes).map(|(x, c)| i32::from(*x) * i32::from(*c)).sum();
                    let zero = if self.zeros.len() == 1 { self.zeros[0] } else { self.zeros[row] };
                    *out = dot.wrapping_sub(zero.wrapping_mul(sum));
                }
            });
        });
        out
    }
}

pub(super) fn build(node: &mut Node<'_>) -> Result<Run, Why> {
    let known = node.constant(1).is_some() && (!node.has(3) || node.constant(3).is_some());
    if !known {
        return one(|inputs: Inputs, context| run(&inputs, &Codes::new(inputs.get(1)?, inputs.opt(3))?, context.limit));
    }
    let codes = {
        let load = |i: usize| node.constant(i).map(Const::load);
        Codes::new(&load(1).ok_or("no codes")?, load(3).as_ref())?
    };
    node.codes_zero = match node.constant(3).map(|zero| zero.load().int()) {
        None => Some(0),
        Some(zero) => zero.ok(),
    };
    node.consume(1);
    node.consume(3);
    one(move |inputs: Inputs, context| run(&inputs, &codes, context.limit))
}

fn run(inputs: &Inputs, codes: &Codes, limit: usize) -> Result<Tensor, Why> {
    let x = inputs.get(0)?;
    let shape = product_shape(x, codes.cols, codes.rows, limit)?;
    // 2^31 / (255 * 383): longer rows could overflow.
    if codes.cols > 1 << 14 {
        return Err(format!("rows of {} codes", codes.cols));
    }
    let zero = inputs.opt(2).map_or(Ok(0), Tensor::int)?;
    let moved: Vec<i16> = x.ints()?.iter().map(|v| v.wrapping_sub(zero) as i16).collect();
    Ok(Tensor::new(shape, Data::I32(Arc::new(codes.multiply(&moved)))))
}
