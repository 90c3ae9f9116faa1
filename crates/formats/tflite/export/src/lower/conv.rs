use super::Lower;
use super::step::{Held, Step, conv_state};
use crate::TfliteExportError;
use crate::subgraph::T;
use lfmq_core::TensorId;

impl Lower<'_> {
    /// Gated short convolution of `[B C x]`; its state is the last rows of `B * x`. Tap by tap, because the operator for
    /// it wants the kernel turned and for one token takes longer.
    pub(super) fn conv(
        &mut self,
        s: &mut Step,
        parts: T,
        kernel: TensorId,
        bias: Option<TensorId>,
        state: usize,
        needed: bool,
    ) -> Result<Option<T>, TfliteExportError> {
        let Some(Held::Conv(held)) = s.held.get(state).copied() else { return Ok(None) };
        let layer = self.graph.states.get(state).map_or(0, |state| state.layer);
        let w = self.weights.get(kernel)?;
        let (hidden, taps) = (w.rows, w.cols);
        let [b, c, x] = s.g.thirds(parts);
        let fresh = s.g.mul(b, x);
        // The old state is read here, before anything is written: runtimes may give both the same memory.
        let all = s.g.concat(&[held, fresh], 1);
        let kept = if s.n == 1 {
            s.g.slice(all, &[0, 1, 0], &[1, taps - 1, hidden])
        } else {
            let rows = s.last_rows(taps - 1);
            s.g.gather(all, rows, 1)
        };
        s.g.output(&conv_state(layer), kept);
        if !needed {
            return Ok(None);
        }
        let bias = match bias {
            Some(bias) => Some(self.vector(&mut s.g, bias)?),
            None => None,
        };
        let weights = self.float(&mut s.g, kernel, &[hidden, taps])?;
        let mut y = bias;
        for tap in 0..taps {
            let x = s.g.slice(all, &[0, tap, 0], &[1, s.n, hidden]);
            let w = s.g.slice(weights, &[0, tap], &[hidden, 1]);
            let w = s.g.reshape(w, &[1, 1, hidden]);
            let term = s.g.mul(x, w);
            y = Some(y.map_or(term, |y| s.g.add(y, term)));
        }
        Ok(y.map(|y| s.g.mul(c, y)))
    }
}
