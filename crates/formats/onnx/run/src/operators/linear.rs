//! Weights of a product, laid out once: rows are outputs.

use super::node::Const;
use crate::tensor::{Kind, Why};
use lfmq_kernels::Kernels;
use lfmq_ops::{by_panels, with_scratch};

/// A matrix `[rows, cols]` in the width it is stored in.
pub(super) struct Weights {
    pub rows: usize,
    pub cols: usize,
    values: Values,
}

enum Values {
    F32(Vec<f32>),
    F16(Vec<u16>),
}

impl Weights {
    /// From a matrix `[rows, cols]`, or from its transpose `[cols, rows]`.
    pub fn new(matrix: &Const, transposed: bool) -> Result<Self, Why> {
        let [a, b] = *matrix.shape() else { return Err(format!("a matrix of shape {:?}", matrix.shape())) };
        let (rows, cols) = if transposed { (b, a) } else { (a, b) };
        let tensor = matrix.load();
        let values = match tensor.kind() {
            Kind::F16 => {
                let bits: Vec<u16> = match tensor.data {
                    crate::tensor::Data::F16(v) => v.iter().map(|v| v.to_bits()).collect(),
                    _ => return Err("not binary16".into()),
                };
                Values::F16(if transposed { transpose(&bits, cols, rows) } else { bits })
            }
            Kind::F32 if transposed => Values::F32(transpose(&tensor.floats()?, cols, rows)),
            _ => Values::F32(tensor.into_floats()?),
        };
        Ok(Self { rows, cols, values })
    }

    /// From values that are known only while running, `[cols, rows]`.
    pub fn of_transpose(values: &[f32], cols: usize, rows: usize) -> Self {
        Self { rows, cols, values: Values::F32(transpose(values, cols, rows)) }
    }

    /// `x [n, cols]` times these weights: `[n, rows]`.
    pub fn multiply(&self, x: &[f32], kernels: &Kernels) -> Result<Vec<f32>, Why> {
        let (rows, cols) = (self.rows, self.cols);
        let n = x.len().checked_div(cols).unwrap_or(0);
        let mut out = vec![0.0; n * rows];
        by_panels(n, rows, &mut out, |range, part| {
            let span = range.start * cols..range.end * cols;
            match &self.values {
                Values::F32(w) => (kernels.gemm_f32)(x, &w[span], cols, part, range.len()),
                Values::F16(w) => with_scratch(range.len() * cols, |wide| {
                    (kernels.widen_f16)(&w[span], wide);
                    (kernels.gemm_f32)(x, wide, cols, part, range.len());
                }),
            }
            Ok::<(), Why>(())
        })?;
        Ok(out)
    }
}

/// `[rows, cols]` as `[cols, rows]`, a tile at a time so that neither side is walked across pages.
pub(super) fn transpose<T: Copy + Default>(from: &[T], rows: usize, cols: usize) -> Vec<T> {
    const TILE: usize = 32;
    let mut to = vec![T::default(); from.len()];
    for r in (0..rows).step_by(TILE) {
        for c in (0..cols).step_by(TILE) {
            for i in r..rows.min(r + TILE) {
                for j in c..cols.min(c + TILE) {
                    to[j * rows + i] = from[i * cols + j];
                }
            }
        }
    }
    to
}
