//! Feed-forwards.

use crate::spare::{give, take};
use crate::{Input, Linear, Moe};
use lfmq_core::ExecError;
use lfmq_kernels::Kernels;
use rayon::prelude::*;
use std::sync::Arc;

/// SwiGLU: `down(silu(gate · n) ⊙ (up · n))`, no biases. Also one expert of a mixture.
pub struct DenseFfn<'w> {
    /// Gate `w1` `[width, hidden]`.
    pub gate: Arc<dyn Linear + 'w>,
    /// Up `w3` `[width, hidden]`.
    pub up: Arc<dyn Linear + 'w>,
    /// Down `w2` `[hidden, width]`.
    pub down: Arc<dyn Linear + 'w>,
}

/// The feed-forward of a layer.
pub enum Ffn<'w> {
    /// One for every token.
    Dense(DenseFfn<'w>),
    /// Routed experts.
    Moe(Moe<'w>),
}

impl DenseFfn<'_> {
    /// Runs normalised activations `x [n, hidden]`; gives `[n, hidden]`.
    ///
    /// # Errors
    /// When a weight cannot be read.
    pub fn forward(&self, x: &[f32], kernels: &'static Kernels) -> Result<Vec<f32>, ExecError> {
        let input = Input::new(x, self.gate.cols(), kernels);
        let (n, width) = (input.n(), self.gate.rows());
        let (mut gate, mut up) = (take(n * width), take(n * width));
        self.gate.apply(&input, &mut gate)?;
        self.up.apply(&input, &mut up)?;
        if width > 0 {
            gate.par_chunks_mut(width).zip(up.par_chunks(width)).for_each(|(g, u)| (kernels.silu_mul_f32)(g, u));
        }
        give(up);
        let mut out = take(n * self.down.rows());
        self.down.apply(&Input::new(&gate, width, kernels), &mut out)?;
        give(gate);
        Ok(out)
    }
}
