//! Mixture of experts.

use crate::spare::{Buffer, take};
use crate::{DenseFfn, Input, Linear, Routing};
use lfmq_core::ExecError;
use lfmq_kernels::multiversion;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Experts behind a sigmoid router.
pub struct Moe<'w> {
    /// Router `[experts, hidden]`.
    pub router: Arc<dyn Linear + 'w>,
    /// How its outputs become experts and weights.
    pub routing: Routing,
    /// The experts by id.
    pub experts: Vec<DenseFfn<'w>>,
}

/// The experts chosen for each token, `[token][K]`, ids ascending.
pub type Routes = Vec<Vec<u16>>;

impl Moe<'_> {
    /// Runs normalised activations `x [n, hidden]`; gives `[n, hidden]` and who was chosen.
    ///
    /// Tokens are grouped by expert so that each expert's weights are used once. A token's outputs are weighted after
    /// the down projection and added in ascending order of expert, however tokens are grouped.
    ///
    /// # Errors
    /// When a weight cannot be read.
    pub(crate) fn forward(&self, x: &Input<'_>) -> Result<(Buffer<f32>, Routes), ExecError> {
        let (hidden, kernels) = (self.router.cols(), x.kernels());
        let mut logits = take(x.n() * self.router.rows());
        self.router.apply(x, &mut logits)?;
        let by_token = logits.par_chunks_exact_mut(self.router.rows().max(1));
        let chosen: Vec<Vec<(u16, f32)>> = by_token.map(|logits| self.routing.choose(logits, kernels)).collect();
        let mut by_expert = vec![Vec::new(); self.experts.len()];
        for (token, chosen) in chosen.iter().enumerate() {
            for (e, weight) in chosen {
                by_expert[usize::from(*e)].push((token, *weight));
            }
        }

        let values = x.values();
        let mut out = take(values.len());
        out.par_chunks_mut(hidden).for_each(|out| out.fill(0.0));
        for (expert, tokens) in self.experts.iter().zip(&by_expert).filter(|(_, t)| !t.is_empty()) {
            let gather = |i: Range<usize>, row: &mut [f32]| {
                row.copy_from_slice(&values[tokens[i.start].0 * hidden..][..hidden]);
            };
            let part = expert.forward(&Input::made(tokens.len(), hidden, 1, &gather, kernels))?;
            out.par_chunks_mut(hidden).enumerate().for_each(|(token, out)| {
                if let Ok(i) = tokens.binary_search_by_key(&token, |(t, _)| *t) {
                    add_weighted(out, tokens[i].1, &part[i * hidden..][..hidden]);
                }
            });
        }
        Ok((out, chosen.iter().map(|chosen| chosen.iter().map(|(e, _)| *e).collect()).collect()))
    }
}

multiversion! {
    fn add_weighted['a](out: &'a mut [f32], weight: f32, part: &'a [f32]) -> () {
        for (o, p) in out.iter_mut().zip(part) {
            *o += weight * p;
        }
    }
}
