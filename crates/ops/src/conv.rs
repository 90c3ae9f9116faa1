//! Gated short convolution.

use crate::spare::{give, take};
use crate::{Input, Linear};
use lfmq_core::ExecError;
use lfmq_kernels::Kernels;
use rayon::prelude::*;
use std::sync::Arc;

/// `out_proj(C ⊙ conv(B ⊙ x))` with `[B; C; x] = in_proj(n)`: a causal depthwise cross-correlation, no activation.
pub struct ShortConv<'w> {
    /// Input projection `[3 * hidden, hidden]`, rows B, C, x.
    pub in_proj: Arc<dyn Linear + 'w>,
    /// Its bias `[3 * hidden]`.
    pub in_bias: Option<Vec<f32>>,
    /// Taps `[hidden, taps]`; the last meets the current token.
    pub kernel: Vec<f32>,
    /// Bias of the convolution `[hidden]`.
    pub kernel_bias: Option<Vec<f32>>,
    /// Output projection `[hidden, hidden]`.
    pub out_proj: Arc<dyn Linear + 'w>,
    /// Its bias `[hidden]`.
    pub out_bias: Option<Vec<f32>>,
}

/// The last `taps - 1` products `B ⊙ x`, oldest first, `[taps - 1, hidden]`. Zeros at the beginning of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvState {
    products: Vec<f32>,
}

impl ConvState {
    /// The state before the first token.
    #[must_use]
    pub fn new(hidden: usize, taps: usize) -> Self {
        Self { products: vec![0.0; taps.saturating_sub(1) * hidden] }
    }

    /// Back to the state before the first token.
    pub fn reset(&mut self) {
        self.products.fill(0.0);
    }
}

impl ShortConv<'_> {
    /// Runs normalised activations `x [n, hidden]`; gives `[n, hidden]`.
    ///
    /// # Errors
    /// When a weight cannot be read.
    pub fn forward(&self, x: &[f32], state: &mut ConvState, kernels: &'static Kernels) -> Result<Vec<f32>, ExecError> {
        let hidden = self.out_proj.rows();
        let n = x.len() / hidden;
        let mut z = take(n * 3 * hidden);
        self.in_proj.apply(&Input::new(x, hidden, kernels), &mut z)?;
        add_bias(&mut z, self.in_bias.as_deref());

        let mut mixed = take(n * hidden);
        short_conv(hidden, &z, &self.kernel, self.kernel_bias.as_deref(), &mut state.products, &mut mixed);

        give(z);
        let mut out = take(n * hidden);
        self.out_proj.apply(&Input::new(&mixed, hidden, kernels), &mut out)?;
        give(mixed);
        add_bias(&mut out, self.out_bias.as_deref());
        Ok(out)
    }
}

/// The part between the projections: `out[t] = C[t] ⊙ (Σ_j kernel[:, j] ⊙ u[t - taps + 1 + j] + bias)` with `u = B ⊙ x`,
/// taps from the oldest to the newest, each product and sum rounded. `z [n, 3 * hidden]` holds B, C, x; `state`
/// `[taps - 1, hidden]` holds the u before the first token and is moved on; `kernel` is `[hidden, taps]`, `out [n, hidden]`.
pub fn short_conv(
    hidden: usize,
    z: &[f32],
    kernel: &[f32],
    bias: Option<&[f32]>,
    state: &mut Vec<f32>,
    out: &mut [f32],
) {
    if hidden == 0 || kernel.len() < hidden {
        return;
    }
    let (n, taps) = (out.len() / hidden, kernel.len() / hidden);
    let mut by_tap = vec![0.0; kernel.len()];
    for (h, row) in kernel.chunks_exact(taps).enumerate() {
        for (j, k) in row.iter().enumerate() {
            by_tap[j * hidden + h] = *k;
        }
    }
    // `u` of the kept tokens, then of the new ones: token t reads rows t..t + taps.
    let mut u = std::mem::take(state);
    u.resize((taps - 1 + n) * hidden, 0.0);
    for (u, z) in u[(taps - 1) * hidden..].chunks_exact_mut(hidden).zip(z.chunks_exact(3 * hidden)) {
        for ((u, b), x) in u.iter_mut().zip(z).zip(&z[2 * hidden..]) {
            *u = b * x;
        }
    }
    out.par_chunks_mut(hidden).enumerate().for_each(|(t, out)| {
        out.fill(0.0);
        for (k, u) in by_tap.chunks_exact(hidden).zip(u[t * hidden..].chunks_exact(hidden)) {
            for ((o, k), u) in out.iter_mut().zip(k).zip(u) {
                *o += k * u;
            }
        }
        add_bias(out, bias);
        for (o, c) in out.iter_mut().zip(&z[(3 * t + 1) * hidden..]) {
            *o *= c;
        }
    });
    u.drain(..n * hidden);
    *state = u;
}

/// Adds `bias [m]` to each row of `x [n, m]`.
pub fn add_bias(x: &mut [f32], bias: Option<&[f32]>) {
    let Some(bias) = bias.filter(|b| !b.is_empty()) else { return };
    for row in x.chunks_exact_mut(bias.len()) {
        for (x, b) in row.iter_mut().zip(bias) {
            *x += b;
        }
    }
}
