//! Gated short convolution.

use crate::spare::{Buffer, take};
use crate::{Input, Linear};
use lfmq_core::ExecError;
use lfmq_kernels::multiversion;
use std::ops::Range;
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
    pub(crate) fn forward(&self, x: &Input<'_>, state: &mut ConvState) -> Result<Buffer<f32>, ExecError> {
        let (n, hidden) = (x.n(), self.out_proj.rows());
        let mut z = take(n * 3 * hidden);
        self.in_proj.apply(x, &mut z)?;
        add_bias(&mut z, self.in_bias.as_deref());
        let conv = Convolution::new(hidden, &z, &self.kernel, self.kernel_bias.as_deref(), &state.products);
        let mut out = take(n * hidden);
        let convolved = |t: Range<usize>, row: &mut [f32]| conv.fill(t.start, row);
        self.out_proj.apply(&Input::made(n, hidden, 1, &convolved, x.kernels()), &mut out)?;
        add_bias(&mut out, self.out_bias.as_deref());
        state.products = conv.state_after(n);
        Ok(out)
    }
}

/// The part between the projections: `out[t] = C[t] ⊙ (Σ_j kernel[:, j] ⊙ u[t - taps + 1 + j] + bias)` with `u = B ⊙ x`,
/// taps from the oldest to the newest, each product and sum rounded.
pub struct Convolution<'a> {
    hidden: usize,
    z: &'a [f32],
    by_tap: Vec<f32>,
    bias: Option<&'a [f32]>,
    state: &'a [f32],
}

impl<'a> Convolution<'a> {
    /// `z [n, 3 * hidden]` holds B, C, x; `kernel` is `[hidden, taps]`; `state [taps - 1, hidden]` holds the u before the
    /// first token.
    #[must_use]
    pub fn new(hidden: usize, z: &'a [f32], kernel: &[f32], bias: Option<&'a [f32]>, state: &'a [f32]) -> Self {
        let taps = kernel.len().checked_div(hidden).unwrap_or(0);
        let by_tap = (0..taps).flat_map(|j| kernel.chunks_exact(taps).map(move |row| row[j])).collect();
        Self { hidden, z, by_tap, bias: bias.filter(|b| !b.is_empty()), state }
    }

    /// Token `t` into `out [hidden]`.
    pub fn fill(&self, t: usize, out: &mut [f32]) {
        out.fill(0.0);
        let kept = self.state.len().checked_div(self.hidden).unwrap_or(0);
        for (j, taps) in self.by_tap.chunks_exact(self.hidden.max(1)).enumerate() {
            match (t + j).checked_sub(kept) {
                None => add_product(out, taps, &self.state[(t + j) * self.hidden..]),
                Some(t) => add_gated(out, taps, self.part(t, 0), self.part(t, 2)),
            }
        }
        add_bias(out, self.bias);
        by(out, self.part(t, 1));
    }

    /// The state after `n` tokens.
    #[must_use]
    pub fn state_after(&self, n: usize) -> Vec<f32> {
        let kept = self.state.len().checked_div(self.hidden).unwrap_or(0);
        let mut state = Vec::with_capacity(self.state.len());
        for at in n..n + kept {
            match at.checked_sub(kept) {
                None => state.extend_from_slice(&self.state[at * self.hidden..][..self.hidden]),
                Some(t) => state.extend(self.part(t, 0).iter().zip(self.part(t, 2)).map(|(b, x)| b * x)),
            }
        }
        state
    }

    /// B, C or x of a token.
    fn part(&self, t: usize, part: usize) -> &[f32] {
        &self.z[(3 * t + part) * self.hidden..][..self.hidden]
    }
}

multiversion! {
    fn add_product['a](out: &'a mut [f32], taps: &'a [f32], u: &'a [f32]) -> () {
        for ((o, k), u) in out.iter_mut().zip(taps).zip(u) {
            *o += k * u;
        }
    }

    fn add_gated['a](out: &'a mut [f32], taps: &'a [f32], b: &'a [f32], x: &'a [f32]) -> () {
        for ((o, k), (b, x)) in out.iter_mut().zip(taps).zip(b.iter().zip(x)) {
            *o += k * (b * x);
        }
    }

    fn by['a](out: &'a mut [f32], c: &'a [f32]) -> () {
        for (o, c) in out.iter_mut().zip(c) {
            *o *= c;
        }
    }
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
