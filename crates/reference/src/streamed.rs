use lfmq_core::{ExecError, TensorSource};
use lfmq_ops::{Embedding, Input, Linear, by_panels, with_scratch};

/// A matrix that stays where it is: rows are read and widened to f32 when they are multiplied, into a buffer that
/// belongs to the thread.
pub struct Streamed<'a> {
    source: &'a dyn TensorSource,
    index: usize,
    rows: usize,
    cols: usize,
}

impl<'a> Streamed<'a> {
    /// Tensor `index` of `source`; `None` when there is no such tensor.
    #[must_use]
    pub fn new(source: &'a dyn TensorSource, index: usize) -> Option<Self> {
        let tensor = source.tensors().get(index)?;
        Some(Self { source, index, rows: tensor.rows, cols: tensor.cols })
    }
}

impl Linear for Streamed<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.cols
    }

    fn apply(&self, x: &Input<'_>, out: &mut [f32]) -> Result<(), ExecError> {
        by_panels(x.n(), self.rows, out, |rows, part| {
            with_scratch(rows.len() * self.cols, |weights| {
                self.source.read_rows(self.index, rows.clone(), weights)?;
                (x.kernels().gemm_f32)(x.values(), weights, self.cols, part, rows.len());
                Ok(())
            })
        })
    }
}

impl Embedding for Streamed<'_> {
    fn vocab(&self) -> usize {
        self.rows
    }

    fn hidden(&self) -> usize {
        self.cols
    }

    fn lookup(&self, token: usize, out: &mut [f32]) -> Result<(), ExecError> {
        Ok(self.source.read_rows(self.index, token..token + 1, out)?)
    }
}
