use crate::error::expect;
use crate::{Input, OpsError, by_tiles};
use lfmq_core::ExecError;
use std::ops::Range;

/// A weight matrix `[rows, cols]` that multiplies activations: `out = x · Wᵀ`.
pub trait Linear: Send + Sync {
    /// Number of outputs.
    fn rows(&self) -> usize;

    /// Number of inputs.
    fn cols(&self) -> usize;

    /// Fills `out [n, rows]` with the products of `x [n, cols]`.
    ///
    /// # Errors
    /// When a weight cannot be read.
    fn apply(&self, x: &Input<'_>, out: &mut [f32]) -> Result<(), ExecError>;

    /// The products with `x` tile by tile, for weights that cost nothing to visit again; `None` for others. `x` is
    /// brought into the form that tiles need before this returns.
    fn tiles<'a>(&'a self, x: &'a Input<'_>) -> Option<Tiles<'a>> {
        let _ = x;
        None
    }
}

/// Products of some tokens with some rows of weights, the first of which begins a panel of [`by_tiles`]: called with
/// `(tokens, rows, out, ldo)` it fills `out[i * ldo + j]` with output `rows.start + j` of token `tokens.start + i`.
pub type Tiles<'a> = Box<dyn Fn(Range<usize>, Range<usize>, &mut [f32], usize) + Send + Sync + 'a>;

/// A matrix `[vocab, hidden]` whose rows are looked up by token.
pub trait Embedding: Send + Sync {
    /// Number of rows.
    fn vocab(&self) -> usize;

    /// Width of a row.
    fn hidden(&self) -> usize;

    /// Row `token` as f32 into `out [hidden]`. `token` is below [`Self::vocab`].
    ///
    /// # Errors
    /// When the row cannot be read.
    fn lookup(&self, token: usize, out: &mut [f32]) -> Result<(), ExecError>;
}

/// Weights held in f32.
#[derive(Clone, Debug)]
pub struct F32Linear {
    rows: usize,
    cols: usize,
    weights: Vec<f32>,
}

impl F32Linear {
    /// Weights `[rows, cols]`, row after row.
    ///
    /// # Errors
    /// When `weights` has another length.
    pub fn new(rows: usize, cols: usize, weights: Vec<f32>) -> Result<Self, OpsError> {
        expect(|| format!("weights of a [{rows}, {cols}] matrix"), rows.saturating_mul(cols), weights.len())?;
        Ok(Self { rows, cols, weights })
    }
}

impl Linear for F32Linear {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.cols
    }

    fn apply(&self, x: &Input<'_>, out: &mut [f32]) -> Result<(), ExecError> {
        let (values, kernels) = (x.values(), x.kernels());
        by_tiles(x.n(), self.rows, out, |tokens, rows, part, ldo| {
            let part_of = |r: Range<usize>| r.start * self.cols..r.end * self.cols;
            (kernels.gemm_f32)(&values[part_of(tokens)], &self.weights[part_of(rows)], self.cols, part, ldo);
            Ok(())
        })
    }
}

impl Embedding for F32Linear {
    fn vocab(&self) -> usize {
        self.rows
    }

    fn hidden(&self) -> usize {
        self.cols
    }

    fn lookup(&self, token: usize, out: &mut [f32]) -> Result<(), ExecError> {
        out.copy_from_slice(&self.weights[token * self.cols..][..self.cols]);
        Ok(())
    }
}
