//! Feed-forwards.

use crate::panels::tokens_of_a_tile;
use crate::spare::{Buffer, take};
use crate::{Input, Linear, Moe};
use lfmq_core::ExecError;
use std::ops::Range;
use std::sync::Arc;

/// Rows of gate and up that are multiplied together.
const PANEL: usize = 512;

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
    pub(crate) fn forward(&self, x: &Input<'_>) -> Result<Buffer<f32>, ExecError> {
        let (n, width, kernels) = (x.n(), self.gate.rows(), x.kernels());
        let mut out = take(n * self.down.rows());
        let block = tokens_of_a_tile(n);
        if let Some(((block, gate), up)) = block.zip(self.gate.tiles(x)).zip(self.up.tiles(x)) {
            // What tokens have of gate and up stays in a second-level cache until it is quantized.
            let gated = |tokens: Range<usize>, out: &mut [f32]| {
                let mut ups = take(tokens.len() * PANEL);
                for row in (0..width).step_by(PANEL) {
                    let rows = row..width.min(row + PANEL);
                    gate(tokens.clone(), rows.clone(), &mut out[row..], width);
                    up(tokens.clone(), rows.clone(), &mut ups, PANEL);
                    for (gate, up) in out.chunks_exact_mut(width).zip(ups.chunks_exact(PANEL)) {
                        (kernels.silu_mul_f32)(&mut gate[rows.clone()], &up[..rows.len()]);
                    }
                }
            };
            self.down.apply(&Input::made(n, width, block, &gated, kernels), &mut out)?;
            return Ok(out);
        }
        let (mut gate, mut up) = (take(n * width), take(n * width));
        self.gate.apply(x, &mut gate)?;
        self.up.apply(x, &mut up)?;
        let gated = |t: Range<usize>, row: &mut [f32]| {
            row.copy_from_slice(&gate[t.start * width..][..width]);
            (kernels.silu_mul_f32)(row, &up[t.start * width..][..width]);
        };
        self.down.apply(&Input::made(n, width, 1, &gated, kernels), &mut out)?;
        Ok(out)
    }
}
