use super::Lower;
use super::step::Step;
use crate::TfliteExportError;
use crate::flat::Value;
use crate::grids::Form;
use crate::schema::{Op, Type};
use crate::subgraph::{Subgraph, T};
use lfmq_core::TensorId;

impl Lower<'_> {
    /// Rows of the table by token id, `[1, n, hidden]`.
    pub(super) fn embed(&mut self, s: &mut Step, table: TensorId) -> Result<T, TfliteExportError> {
        let (t, w) = self.matrix(&mut s.g, table)?;
        let ids = s.g.reshape(s.tokens, &[s.n]);
        let x = s.g.add_one(Op::EmbeddingLookup, &[ids, t], &[], &[s.n, w.cols], Type::F32);
        Ok(s.g.reshape(x, &[1, s.n, w.cols]))
    }

    /// `x W^T` over the last dimension.
    pub(super) fn linear(&mut self, g: &mut Subgraph, x: T, weight: TensorId) -> Result<T, TfliteExportError> {
        let (t, w) = self.matrix(g, weight)?;
        let mut shape = g.shape(x);
        if let Some(last) = shape.last_mut() {
            *last = w.rows;
        }
        // All kernels then quantize activations alike: by row, with a zero point.
        let coded = matches!(w.form, Form::Rows { .. } | Form::Blocks { .. });
        let options = [(1, Value::Byte(0)), (2, Value::bool(true)), (3, Value::bool(coded))];
        Ok(g.add_one(Op::FullyConnected, &[x, t], &options, &shape, Type::F32))
    }

    /// `x rsqrt(mean(x^2) + eps) w`, over the row or over each head, `[1, n, heads, width]` then.
    pub(super) fn norm(
        &mut self,
        s: &mut Step,
        x: T,
        weight: TensorId,
        width: usize,
        heads: usize,
    ) -> Result<T, TfliteExportError> {
        let weight = self.vector(&mut s.g, weight)?;
        let x =
            if heads > 1 || s.g.shape(x).last() != Some(&width) { s.g.reshape(x, &[1, s.n, heads, width]) } else { x };
        let g = &mut s.g;
        let axis = g.shape(x).len() - 1;
        let squares = g.mul(x, x);
        let mean = g.reduce(Op::Mean, squares, &[axis], true);
        let epsilon = g.float(self.graph.norm_eps as f32);
        let mean = g.add(mean, epsilon);
        let root = g.each(Op::Rsqrt, mean);
        let x = g.mul(x, root);
        Ok(g.mul(x, weight))
    }
}
