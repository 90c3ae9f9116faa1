//! MatMulInteger: exact products of 8-bit codes.

use super::linear::transpose;
use super::matmul::product_shape;
use super::node::{Const, Context, Inputs, Node, Run, one};
use crate::tensor::{Data, Tensor, Why, elements};
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
    let (Some(matrix), zeros) = (node.constant(1).cloned(), node.constant(3).cloned()) else { return one(unknown) };
    let [cols, rows] = *matrix.shape() else { return Err(format!("codes of shape {:?}", matrix.shape())) };
    if node.has(3) && zeros.is_none() {
        return one(unknown);
    }
    node.codes_zero = match zeros.as_ref().map(|zero| zero.load().int()) {
        None => Some(0),
        Some(zero) => zero.ok(),
    };
    let make = move || Codes::new(&matrix.load(), zeros.as_ref().map(Const::load).as_ref());
    let codes = node.lay(rows.saturating_mul(cols), make)?;
    node.consume(1);
    node.consume(3);
    one(move |inputs: Inputs, context| {
        let x = inputs.get(0)?;
        if x.len() == 0 {
            let shape = product_shape(x, cols, rows, context.limit)?;
            let n = elements(&shape, context.limit)?;
            return Ok(Tensor::new(shape, Data::I32(Arc::new(vec![0; n]))));
        }
        run(&inputs, &*codes.get()?, context.limit)
    })
}

/// With codes that are known only while running.
fn unknown(inputs: Inputs, context: &Context) -> Result<Tensor, Why> {
    run(&inputs, &Codes::new(inputs.get(1)?, inputs.opt(3))?, context.limit)
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
